"""``videominer show``: stored results, printed again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.commands.arguments import Subcommands, command, make_folders, sheet_path
from lmms_videominer.commands.mining import print_result, write_result
from lmms_videominer.commands.view import shown_in
from lmms_videominer.errors import ConfigError
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from lmms_videominer.types import Selection


def add_show(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "show",
        "Print stored results again.",
        run_show,
        [
            "videominer show tree.json",
            "videominer show tree.json --why",
            "videominer show tree.json --sheet sheet.jpg",
            "videominer show tree.json --clips-dir clips --video /films/talk.mp4",
            "videominer show mined",
            "videominer show results/*_samples_mlvu_dev.jsonl",
        ],
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULT",
        help="files written by mine --json, a run of lmms-eval or training; folders of these; samples that lmms-eval "
        "logged (.jsonl)",
    )
    parser.add_argument("--why", action="store_true", help="print the policy's reasoning at each node")
    parser.add_argument(
        "--frames-dir", type=Path, metavar="DIR", help="write the key frames of a single result as PNG, named by time"
    )
    parser.add_argument(
        "--clips-dir", type=Path, metavar="DIR", help="cut the accepted parts of a single result out, as MP4 with sound"
    )
    parser.add_argument(
        "--sheet", type=sheet_path, metavar="FILE.jpg", help="write the contact sheet of a single result"
    )
    parser.add_argument(
        "--video", type=Path, metavar="PATH", help="where the video is now: the file, or the folder that it is in"
    )


def run_show(args: argparse.Namespace) -> int:
    from lmms_videominer.show.use import located

    if args.video and not args.video.exists():
        raise ConfigError(f"--video {args.video}: no such file or folder")
    found = [(path, shown) for path in args.results for shown in shown_in(path)]
    outputs = {"frames_dir": args.frames_dir, "clips_dir": args.clips_dir, "sheet": args.sheet}
    if len(found) > 1 and any(outputs.values()):
        raise ConfigError(
            f"--frames-dir, --clips-dir and --sheet need a single tree, but there are {len(found)}. Name one."
        )
    make_folders(args.frames_dir, args.clips_dir, args.sheet and args.sheet.parent)
    for path, shown in found:
        if len(found) > 1:
            print(printable(f"{path if path == shown.file else f'{shown.name}, {shown.file}'}:"))
        print_result(shown.selection)
        if args.why:
            _print_reasons(shown.selection)
        if any(outputs.values()):
            write_result(located(shown.selection, args.video, shown.file), **outputs)
    return 0


def _print_reasons(selection: Selection) -> None:
    from rich.console import Console

    from lmms_videominer.show.terminal import print_reasons

    print_reasons(Console(), selection)
