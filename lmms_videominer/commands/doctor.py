"""``videominer doctor``: checks the installation."""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext

from lmms_videominer.commands.arguments import SILENT_LOADING, Subcommands, command


def add_doctor(subcommands: Subcommands) -> None:
    command(
        subcommands,
        "doctor",
        "Check the installation; report problems and remedies.",
        run_doctor,
        ["videominer doctor", "videominer doctor --quiet   # problems only"],
    )


def run_doctor(args: argparse.Namespace) -> int:
    from rich.console import Console

    from lmms_videominer.commands.checks import print_checks, run_checks

    os.environ.update(SILENT_LOADING)  # nothing stands before the table
    with nullcontext() if args.quiet else Console(stderr=True).status("checking, which takes up to a minute"):
        checks = run_checks()
    return print_checks(checks, only_wrong=args.quiet)
