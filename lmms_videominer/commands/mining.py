"""``videominer mine`` and ``demo``; mining many questions or videos is in ``commands.manifest``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.commands.arguments import (
    FLAGS,
    FREE_SEED,
    Subcommands,
    add_miner_arguments,
    check_file_to_write,
    check_video,
    check_videos,
    command,
    config_of,
    make_folders,
    minutes,
    settings_help,
    sheet_path,
    time_s,
)
from lmms_videominer.commands.manifest import add_many_arguments, is_one_video, run_many
from lmms_videominer.commands.profiling import add_profile_argument, profiled
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.profiling import stage
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from lmms_videominer.types import Question, Selection


def add_mine(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "mine",
        "Find the key frames of videos for questions, and answer from them.",
        run_mine,
        [
            'videominer mine film.mp4 --question "Who opens the door?"',
            'videominer mine film.mp4 --question "What colour is the car?" --option red --option blue --sheet car.jpg',
            'videominer mine film.mp4 --question "Who wins?" --model Qwen/Qwen2-VL-7B-Instruct --frames 16 '
            "--set max_depth=2",
            'videominer mine film.mp4 --question "Who opens the door?" --start 1:30 --end 0:12:00',
            'videominer mine film.mp4 --question "Who opens the door?" --profile trace.json',
            'videominer mine monday.mp4 tuesday.mp4 --question "Who opens the door?" --out door',
            "videominer mine --manifest questions.jsonl --out mined --dry-run",
            "videominer mine --manifest questions.jsonl --out mined --ray --workers 4",
        ],
        notes="settings, for --set NAME=VALUE (--list-settings also prints those of single selectors):\n"
        + settings_help(),
    )
    parser.add_argument("videos", nargs="*", metavar="VIDEO", help="the video files; a table is printed for several")
    parser.add_argument("--question", metavar="TEXT", help="the question, without the options")
    parser.add_argument(
        "--option",
        dest="options",
        action="extend",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="answer options in order, without letters; may be repeated",
    )
    parser.add_argument(
        "--start", type=time_s, metavar="TIME", help="search from here: 90, 1:30 or 0:01:30.5 (default: the beginning)"
    )
    parser.add_argument("--end", type=time_s, metavar="TIME", help="search up to here (default: the end)")
    add_many_arguments(parser)
    add_miner_arguments(parser, (*FLAGS, "seed"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the whole result, with its tree, as JSON")
    parser.add_argument("--frames-dir", type=Path, metavar="DIR", help="write the key frames as PNG, named by time")
    parser.add_argument("--clips-dir", type=Path, metavar="DIR", help="cut the accepted parts out, as MP4 with sound")
    parser.add_argument("--sheet", type=sheet_path, metavar="FILE.jpg", help="write the contact sheet")
    add_profile_argument(parser, "(docs/profile.md)")


def run_mine(args: argparse.Namespace) -> int:
    from lmms_videominer.types import Question

    is_one = is_one_video(args)
    config = config_of(args, (*FLAGS, "seed"))
    if not is_one:
        with profiled(None if args.dry_run else args.profile, args.out):
            return run_many(args, config)
    check_video(args.videos[0])
    check_file_to_write(args.json)
    make_folders(args.json and args.json.parent, args.frames_dir, args.clips_dir, args.sheet and args.sheet.parent)
    with profiled(args.profile):
        options, start_s = tuple(args.options), args.start or 0.0
        question = Question(args.videos[0], args.question, options, start_s=start_s, end_s=args.end)
        selection = _mine(args, config, question)
    print_result(selection)
    write_result(selection, json=args.json, frames_dir=args.frames_dir, clips_dir=args.clips_dir, sheet=args.sheet)
    return 0


def _mine(args: argparse.Namespace, config: MinerConfig, question: Question) -> Selection:
    check_videos(args.model, [question.video])
    with stage("load"):
        from lmms_videominer.miner import VideoMiner

        miner = VideoMiner.from_pretrained(args.model, config=config, device=args.device)
    result = miner.mine_batch([question], progress=not args.quiet)[0]
    if isinstance(result, VideoMinerError):
        raise result
    return result


def add_demo(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "demo",
        "Render a video with known answers, mine it, and compare.",
        run_demo,
        ["videominer demo", "videominer demo --minutes 60 --seed 3000007 --out hour"],
    )
    parser.add_argument("--minutes", type=minutes, default=15, metavar="M", help="length of the video (default: 15)")
    parser.add_argument(
        "--seed",
        type=int,
        default=FREE_SEED,
        metavar="S",
        help="seed of the video and its questions (default: %(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("videominer-demo"),
        metavar="DIR",
        help="folder for the video, the tree and the sheet (default: %(default)s)",
    )
    add_miner_arguments(parser, FLAGS)  # the policy's seed: --set seed=N


def run_demo(args: argparse.Namespace) -> int:
    from lmms_videominer.commands.demo import demo_question, print_verdict

    config = config_of(args, FLAGS)
    make_folders(args.out)
    question, right = demo_question(args.out, args.minutes, args.seed, progress=not args.quiet)
    selection = _mine(args, config, question)
    print_result(selection, right)
    print_verdict(selection, right)
    out = args.out
    write_result(selection, right, json=out / "tree.json", frames_dir=out / "frames", sheet=out / "sheet.jpg")
    return 0


def print_result(selection: Selection, right_option: int | None = None) -> None:
    """Print ``selection`` to stdout."""
    from rich.console import Console

    from lmms_videominer.show.terminal import print_selection

    print_selection(Console(), selection, right_option)


def write_result(selection: Selection, right_option: int | None = None, **outputs: Path | None) -> None:
    """Write the files that are named, see ``write_outputs``, and tell each."""
    from lmms_videominer.show.outputs import write_outputs

    for path in write_outputs(selection, right_option=right_option, **outputs):
        print(printable(f"wrote {path}"))
