"""XNNPACK: payloads of the ``XnnpackBackend`` delegate, every release.

Nothing is imported here, so that telling what a payload is stays cheap: :mod:`.header` is for that, :mod:`.payload`
reads the whole graph, :mod:`.releases` says which runtimes can take it, :mod:`.verify` checks it.
"""
