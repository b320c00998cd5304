"""``videominer bench``: compares frame selectors."""

from __future__ import annotations

import argparse
from pathlib import Path

from lmms_videominer.commands.arguments import Subcommands, UsageError, command, positive
from lmms_videominer.commands.profiling import add_profile_argument
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
        notes="docs/bench.md explains the output. Finished cells in DIR are not run again.",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the cells and the report")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="tasks or groups of lmms-eval")
    parser.add_argument(
        "--selectors",
        nargs="+",
        default=[],
        metavar="SPEC",
        help="variants to compare: [LABEL=]SELECTOR[:NAME=VALUE,...]",
    )
    parser.add_argument(
        "--frames",
        type=positive,
        nargs="+",
        default=[8],
        metavar="N",
        help="frame budgets, one or more (default: 8)",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="first N questions of each task (default: all)")
    parser.add_argument(
        "--model",
        default="videominer_qwen2vl",
        metavar="NAME",
        help="the plugin's model in lmms-eval (default: %(default)s)",
    )
    parser.add_argument(
        "--pretrained", default="", metavar="NAME", help=f"the video LLM's weights (default: {BUNDLED})"
    )
    parser.add_argument(
        "--policy",
        nargs="+",
        default=[],
        metavar="NAME",
        help="policy of all variants; with --figure training or auxin: two or more LABEL=FOLDER",
    )
    parser.add_argument(
        "--model-args",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="settings of all variants, and other arguments of the backbone",
    )
    parser.add_argument("--batch-size", type=positive, default=16, metavar="N", help="default: 16")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of selectors and bootstrap (default: 0)")
    parser.add_argument(
        "--cold",
        action="store_true",
        help="run every cell with an empty cache, so that seconds can be compared; implied by --figure",
    )
    parser.add_argument(
        "--warm",
        action="store_true",
        help="run every cell with an empty cache, and again with the cache that this run left",
    )
    parser.add_argument("--include-path", default="", metavar="DIR", help="folder of additional tasks, as in lmms-eval")
    parser.add_argument(
        "--figure",
        choices=("clustering", "training", "auxin"),
        default="",
        help="compare the variants of one of the paper's figures and plot it; replaces --selectors",
    )
    parser.add_argument(
        "--sheet",
        type=int,
        metavar="DOC_ID",
        help="question to show on the sheets (default: the first on which variants differ)",
    )
    add_profile_argument(parser, "of each cell; its trace is run/profile.json in its folder")
    parser.add_argument("--dry-run", action="store_true", help="print the estimate and stop")
    parser.add_argument("--report-only", action="store_true", help="run nothing; report on the finished cells in DIR")


def run_bench(args: argparse.Namespace) -> int:
    from lmms_videominer.bench import command

    if not args.report_only and not (args.tasks and (args.selectors or args.figure)):
        raise UsageError("pass --tasks and either --selectors or --figure, or pass --report-only")
    if args.report_only and args.profile:
        raise UsageError("--report-only runs nothing, so there is nothing to --profile")
    if args.selectors and args.figure:
        raise UsageError("--figure has its own variants: omit --selectors")
    return command.run(args)
