"""Bytes ⇄ Program: the PTE, PTD and bundled-program formats of every release. Knows nothing of running."""
