"""``videominer doctor``: what is wrong with the installation."""

from __future__ import annotations

import argparse

from lmms_videominer.commands.arguments import Subcommands, command


def add_doctor(subcommands: Subcommands) -> None:
    command(
        subcommands,
        "doctor",
        "Check the installation; say what is wrong and the remedy.",
        run_doctor,
        ["videominer doctor", "videominer doctor --quiet   # only what is wrong"],
    )


def run_doctor(args: argparse.Namespace) -> int:
    from lmms_videominer.commands.checks import print_checks, run_checks

    return print_checks(run_checks(), only_wrong=args.quiet)
