"""The ``pteron`` command: one file per subcommand."""
