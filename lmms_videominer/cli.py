"""The ``videominer`` command. Exit codes: 0 success, 1 a failure, 2 a wrong command line."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from lmms_videominer.commands.arguments import SILENT_LOADING, UsageError
from lmms_videominer.commands.bench import add_bench
from lmms_videominer.commands.doctor import add_doctor
from lmms_videominer.commands.indexing import add_index
from lmms_videominer.commands.mcp import add_mcp
from lmms_videominer.commands.mining import add_demo, add_mine
from lmms_videominer.commands.serve import add_serve
from lmms_videominer.commands.show import add_show
from lmms_videominer.commands.training import add_cold_start, add_difficulty, add_train
from lmms_videominer.commands.view import add_view
from lmms_videominer.commands.world import add_world
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.redaction import redacted
from lmms_videominer.show.printable import PrintableFormatter, printable

# add a function here for a new subcommand
COMMANDS = (
    add_mine,
    add_demo,
    add_index,
    add_world,
    add_show,
    add_view,
    add_difficulty,
    add_cold_start,
    add_train,
    add_bench,
    add_mcp,
    add_serve,
    add_doctor,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Arguments without the program's name; by default those of the process.

    Returns:
        0, or 1 if a check, a video or a model failed. A wrong command line exits with 2.
    """
    args = _parser().parse_args(argv)
    _quieten(args.quiet)
    try:
        return args.run(args)
    except UsageError as error:
        return args.parser.error(str(error))  # exits with 2
    except VideoMinerError as error:
        print(printable(redacted(f"videominer: {error}")), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("videominer: interrupted", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Says of an unknown flag that is a setting how to set it."""

    def error(self, message: str) -> NoReturn:
        from lmms_videominer.config import nearest
        from lmms_videominer.selectors.settings import setting_names

        if flag := re.match(r"unrecognized arguments: --([\w-]+)", message):
            name = flag[1].replace("-", "_")
            if name in setting_names():
                message += f" ({name} is a setting: --set {name}=VALUE)"
            else:
                message += nearest(name, setting_names(), cutoff=0.8)
        # the usage of a command takes a screen: it would hide what is wrong
        self.exit(
            2, printable(redacted(f"{self.prog}: error: {message.rstrip('.')}. {self.prog} --help shows the options\n"))
        )


def _parser() -> argparse.ArgumentParser:
    from lmms_videominer import __version__

    parser = _Parser(
        prog="videominer",
        description="Find the key frames of a long video for a question, and answer from them.",
        epilog="videominer COMMAND --help shows the options of a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(subcommands)
    return parser


def _quieten(quiet: bool) -> None:
    """Log our warnings to stderr; with ``--quiet`` only errors, and no progress bars of model loading."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.ERROR if quiet else logging.WARNING, handlers=[handler])
    if quiet:
        os.environ.update(SILENT_LOADING)
