"""``videominer doctor``: checks the installation."""

from __future__ import annotations

import argparse

from lmms_videominer.commands.arguments import Subcommands, command


def add_doctor(subcommands: Subcommands) -> None:
    command(
        subcommands,
        "doctor",
        "Check the installation; report problems and remedies.",
        run_doctor,
        ["videominer doctor", "videominer doctor --quiet   # problems only"],
    )


def run_doctor(args: argparse.Namespace) -> int:
    from lmms_videominer.commands.checks import print_checks, run_checks

    return print_checks(run_checks(), only_wrong=args.quiet)
