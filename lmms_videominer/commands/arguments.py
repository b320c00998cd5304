"""Shared by the subcommands: creating a parser, the arguments of commands that mine, and argument types."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.models.bundle import BUNDLED

Subcommands = argparse._SubParsersAction
FLAGS = (
    "policy",
    "embedder",
    "scorer",
    "selector",
    "frames",
    "subtitles",
)  # settings with their own flag in every command
# without progress bars and warnings while models load; the packages read these when they are imported
SILENT_LOADING = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
FREE_SEED = 3_000_000  # no split of the world tasks uses seeds from here on


class UsageError(Exception):
    """The command line is invalid; shown with the usage."""


def command(
    subcommands: Subcommands,
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], int],
    examples: Sequence[str],
    notes: str = "",
) -> argparse.ArgumentParser:
    """Add a subparser that calls ``run``, with its examples and ``--quiet``."""
    epilog = "\n".join(["examples:", *(f"  {example}" for example in examples), *([""] if notes else []), notes])
    parser = subcommands.add_parser(
        name, help=summary, description=summary, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no log, only results and errors")
    parser.set_defaults(run=run, parser=parser)
    return parser


def add_miner_arguments(parser: argparse.ArgumentParser, flags: Sequence[str]) -> None:
    """Add the models and the settings, for every command that mines."""
    parser.add_argument(
        "--model",
        default=BUNDLED,
        metavar="NAME",
        help="video LLM of transformers, a name or a folder; of a server, openai:MODEL@URL; or a bundle "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--device", type=device, metavar="NAME", help="cpu, cuda, cuda:1, ... (default: CUDA if available)"
    )
    for setting in fields(MinerConfig):
        if setting.name in flags:
            parser.add_argument(
                f"--{setting.name}",
                type=type(setting.default),
                help=setting.metadata["help"],
                metavar="N" if isinstance(setting.default, int) else "NAME",
            )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any other setting; may be repeated",
    )
    parser.add_argument("--list-settings", action=ListSettings, nargs=0, help="print every setting and exit")


def settings_help() -> str:
    """The settings that every selector has, one per line."""
    from lmms_videominer.selectors.settings import common_settings

    return _lines(common_settings())


class ListSettings(argparse.Action):
    """Prints every setting, including those of single selectors, and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from lmms_videominer.selectors import selector_names
        from lmms_videominer.selectors.settings import common_settings, own_settings

        print(f"selectors: {', '.join(selector_names())}\n\n{_lines([*common_settings(), *own_settings()])}")
        parser.exit()


def _lines(settings: Iterable[tuple[str, Any, str]]) -> str:
    return "\n".join(f"  {name:<25} {text} (default: {default!r})" for name, default, text in settings)


def config_of(args: argparse.Namespace, flags: Sequence[str]) -> MinerConfig:
    """The settings from the flags and ``--set``. Raises ``UsageError`` if they are invalid."""
    values = {name: getattr(args, name) for name in flags if getattr(args, name) is not None}
    for text in args.settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text!r}: expected NAME=VALUE")
        if name in values:
            raise UsageError(f"{name} is given twice")
        values[name] = value
    from lmms_videominer.selectors.settings import from_strings

    try:
        return from_strings(values)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def check_question(text: str, options: Sequence[str]) -> None:
    """Raise ``UsageError`` if there is nothing to ask, or nothing to choose from."""
    from lmms_videominer.search.questions import check_options

    if not text.strip():
        raise UsageError("the question is empty; say what to look for in the video")
    try:
        check_options(options)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def check_video(path: str) -> None:
    """Check the file of a single video, before a model is loaded for it.

    Raises:
        UsageError: There is no such file, or it is a folder or an address.
        VideoError: The file is no video, or is empty.
    """
    from lmms_videominer.video.containers import stated_size
    from lmms_videominer.video.faults import check_file

    try:
        check_file(path)
    except VideoError as error:
        if Path(path).is_file():
            raise
        raise UsageError(str(error)) from error
    stated_size(path)


def check_videos(model: str, videos: Sequence[str]) -> None:
    """Warn, before ``model`` is loaded, of videos that it does not know the like of."""
    from lmms_videominer.models.drawn_films import strange_video, warn_of

    if video := strange_video(model, videos):
        warn_of(video)


def make_folders(*folders: Path | None) -> None:
    """Create the output folders before the work starts. Raises ``UsageError`` if that fails."""
    for folder in filter(None, folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: the folder cannot be created ({error.strerror})") from error


def check_file_to_write(path: Path | None) -> None:
    """Raise ``UsageError`` if the output ``path`` is a folder."""
    if path and path.is_dir():
        raise UsageError(f"{path} is a folder: name the file to write, such as {path / 'tree.json'}")


def sheet_path(text: str) -> Path:
    if not text.lower().endswith((".jpg", ".jpeg", ".png")):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a picture: it must end in .jpg or .png")
    return Path(text)


def device(text: str) -> str:
    from lmms_videominer.models.loading import check_device

    try:
        check_device(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def share(text: str) -> float:
    """A number of GPUs; Ray takes whole ones, or a part of one."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 <= number < 1 or (number.is_integer() and number >= 1)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, or a part of one as in 0.5")
    return number


def part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with 1 <= I <= N, as in 1/2")
    return int(number), int(parts)


def time_s(text: str) -> float:
    from lmms_videominer.video.time_codes import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 1 <= minutes <= 120:
        raise argparse.ArgumentTypeError(f"{text!r}: a world video lasts 1 to 120 minutes")
    return int(minutes) if minutes.is_integer() else minutes
