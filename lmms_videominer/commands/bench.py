"""``videominer bench``: selectors compared."""

from __future__ import annotations

import argparse
from pathlib import Path

from lmms_videominer.commands.arguments import Subcommands, UsageError, command, positive
from lmms_videominer.models.bundle import BUNDLED


def add_bench(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "bench",
        "Compare frame selectors through lmms-eval: accuracy, calls, seconds.",
        run_bench,
        [
            "videominer bench --tasks videominer_world_15min --selectors uniform videominer --frames 8 16 --out table",
            "videominer bench --tasks videomme mlvu_dev --selectors uniform aks:scorer=openai/clip-vit-base-patch32 "
            "videominer deep=videominer:max_depth=4 --pretrained Qwen/Qwen2-VL-7B-Instruct --out videomme --dry-run",
            "videominer bench --figure training --policy none=cold rf=policy-rf t-grpo=policy --tasks "
            "videominer_world_60min --out training",
            "videominer bench --out table --report-only --sheet 7",
        ],
        notes="docs/bench.md says what is written and how to read it. What is finished in DIR is not run again.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets the cells and the report")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="tasks or groups of lmms-eval")
    parser.add_argument(
        "--selectors", nargs="+", default=[], metavar="SPEC", help="[LABEL=]SELECTOR[:NAME=VALUE,...], a column each"
    )
    parser.add_argument(
        "--frames",
        type=positive,
        nargs="+",
        default=[8],
        metavar="N",
        help="most frames handed over; several may be given (default: 8)",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="first N questions of each task (default: all)")
    parser.add_argument(
        "--model",
        default="videominer_qwen2vl",
        metavar="NAME",
        help="model of the plugin in lmms-eval (default: %(default)s)",
    )
    parser.add_argument(
        "--pretrained", default="", metavar="NAME", help=f"the video LLM's weights (default: {BUNDLED})"
    )
    parser.add_argument(
        "--policy",
        nargs="+",
        default=[],
        metavar="NAME",
        help="policy of all variants; with --figure training or auxin: LABEL=FOLDER, several",
    )
    parser.add_argument(
        "--model-args",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of all variants, and further arguments of the backbone",
    )
    parser.add_argument("--batch-size", type=positive, default=16, metavar="N", help="default: 16")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of selectors and bootstrap (default: 0)")
    parser.add_argument(
        "--cold",
        action="store_true",
        help="an empty cache for every cell, so that seconds can be compared; --figure implies it",
    )
    parser.add_argument(
        "--warm",
        action="store_true",
        help="every cell with an empty cache, and once more with what that run left in it",
    )
    parser.add_argument("--include-path", default="", metavar="DIR", help="folder of further tasks, as in lmms-eval")
    parser.add_argument(
        "--figure",
        choices=("clustering", "training", "auxin"),
        default="",
        help="the variants of one of the paper's figures, and its plot; takes the place of --selectors",
    )
    parser.add_argument(
        "--sheet",
        type=int,
        metavar="DOC_ID",
        help="the question that the sheets show (default: the first on which variants differ)",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the estimate and stop")
    parser.add_argument("--report-only", action="store_true", help="run nothing; report on what is in DIR")


def run_bench(args: argparse.Namespace) -> int:
    from lmms_videominer.bench import command

    if not args.report_only and not (args.tasks and (args.selectors or args.figure)):
        raise UsageError("name --tasks, and --selectors or --figure; or --report-only")
    if args.selectors and args.figure:
        raise UsageError("--figure has variants of its own: leave --selectors out")
    return command.run(args)
