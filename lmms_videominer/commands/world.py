"""``videominer world``: renders videos and questions with known answers."""

from __future__ import annotations

import argparse
from pathlib import Path

from lmms_videominer.commands.arguments import (
    FREE_SEED,
    Subcommands,
    UsageError,
    command,
    make_folders,
    minutes,
    positive,
)
from lmms_videominer.errors import ConfigError


def add_world(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "world",
        "Render videos and questions with known answers.",
        run_world,
        [
            "videominer world hour --minutes 60 --videos 10 --seed 3000001",
            "videominer world hard --minutes 15 --videos 4 --seed 3000002 --nuisances flashes fades",
            "videominer world whole --minutes 15 --videos 10 --seed 3000003 --kinds places never last which",
            "VIDEOMINER_WORLD=hour lmms-eval --model videominer_qwen2vl --model_args pretrained=videominer-world "
            "--tasks videominer_world_60min",
        ],
        notes=f"Seeds from {FREE_SEED} on are not in any split that models are trained or tested on.",
    )
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="folder for the videos and qa.jsonl; created if missing"
    )
    parser.add_argument("--minutes", type=minutes, required=True, metavar="M", help="length of each video, 1 to 120")
    parser.add_argument("--videos", type=positive, required=True, metavar="V", help="number of videos")
    parser.add_argument(
        "--seed", type=int, required=True, metavar="S", help="world seed; the same seed gives the same world"
    )
    parser.add_argument("--questions", type=positive, default=10, metavar="Q", help="questions per video (default: 10)")
    parser.add_argument("--workers", type=positive, metavar="W", help="parallel processes (default: one per core)")
    parser.add_argument(
        "--kinds",
        nargs="+",
        default=[],
        metavar="KIND",
        help="kinds of questions, in equal shares: sign, action, order, count; places, never and last, about the whole "
        "video; which, whose options say what to look for; spoken, about what is said in its subtitles (default: the "
        "first four, sign most often)",
    )
    parser.add_argument(
        "--nuisances",
        nargs="+",
        default=[],
        metavar="NAME",
        help="visual disturbances to add: flashes, fades, light, pans, cuts, static",
    )


def run_world(args: argparse.Namespace) -> int:
    from lmms_videominer.config import check_names
    from lmms_videominer.world import render_world
    from lmms_videominer.world.questions import ALL_KINDS
    from lmms_videominer.world.script import NUISANCES

    try:
        check_names(args.kinds, ALL_KINDS, "kind")
        check_names(args.nuisances, NUISANCES, "nuisance")
    except ConfigError as error:
        raise UsageError(str(error)) from error
    make_folders(args.folder)
    path = render_world(
        args.folder,
        args.minutes,
        args.videos,
        args.seed,
        workers=args.workers,
        progress=not args.quiet,
        questions=args.questions,
        nuisances=args.nuisances,
        kinds=args.kinds,
    )
    print(path)
    return 0
