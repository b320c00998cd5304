"""``--profile [FILE]`` of the commands that mine: a table of where the time went, and a trace."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.commands.arguments import UsageError
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from lmms_videominer.profiling import Profile

HERE = Path()  # --profile without a FILE
TRACE = "profile.json"  # in the folder of a run


def add_profile_argument(parser: argparse.ArgumentParser, of_what: str) -> None:
    parser.add_argument(
        "--profile",
        nargs="?",
        const=HERE,
        type=_trace_path,
        metavar="FILE.json",
        help=f"print the seconds of each stage {of_what}; FILE gets them with a trace for ui.perfetto.dev",
    )


def _trace_path(text: str) -> Path:
    """A name in which nobody keeps a film: ``--profile film.mp4`` would otherwise write over it."""
    if not text.lower().endswith(".json"):
        raise argparse.ArgumentTypeError(
            f"{text!r}: the file of a trace ends in .json; without a file, write --profile last"
        )
    return Path(text)


@contextmanager
def profiled(file: Path | None, folder: Path | None = None) -> Iterator[None]:
    """Within the block, measure; after it, print the table to stderr and write the trace. ``None``: do not.

    Args:
        file: The file of the trace; ``HERE``: that in ``folder``, if there is one, else none.

    Raises:
        UsageError: The trace cannot be written.
    """
    if file is None:
        yield
        return
    from lmms_videominer.profiling import Profile

    profile = Profile()
    try:
        with profile.running():
            yield
    finally:
        target = file if file != HERE else folder and folder / TRACE
        _tell(profile, target)


def _tell(profile: Profile, target: Path | None) -> None:
    from rich.console import Console

    from lmms_videominer.profiling.table import table_of
    from lmms_videominer.profiling.trace import trace_of
    from lmms_videominer.store import trace_json

    Console(stderr=True, highlight=False).print(table_of(profile.figures()))
    if target is None:
        return
    try:
        trace_json.save(trace_of(profile), target)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror})") from error
    print(printable(f"wrote {target}: a trace for ui.perfetto.dev"), file=sys.stderr)
