"""The subcommands of ``videominer``, those of one subject a file."""
