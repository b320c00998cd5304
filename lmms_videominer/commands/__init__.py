"""The subcommands of ``videominer``, one file per subject."""
