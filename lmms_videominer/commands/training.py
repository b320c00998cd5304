"""``videominer difficulty``, ``cold-start`` and ``train``: training the policy."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from lmms_videominer.commands.arguments import (
    Subcommands,
    add_miner_arguments,
    command,
    config_of,
    make_folders,
    part,
    positive,
)
from lmms_videominer.errors import ConfigError
from lmms_videominer.show.printable import printable

MINING_FLAGS = ("policy", "embedder", "frames", "seed")  # without the selector, which is always videominer here


def add_train(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "train",
        "Train a policy with T-GRPO.",
        run_train,
        [
            "videominer train examples/train_world.yaml",
            "videominer train examples/train_world.yaml --lambda_auxin 0.75 --output_dir slower",
            "torchrun --nproc_per_node 2 -m lmms_videominer.training examples/train_world.yaml --deepspeed zero3",
        ],
        notes="python -m lmms_videominer.training --help lists all settings.",
    )
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG.yaml", help="settings, one 'name: value' per line")
    parser.add_argument(
        "settings", nargs=argparse.REMAINDER, metavar="--SETTING VALUE", help="settings that override those of the file"
    )


def run_train(args: argparse.Namespace) -> int:
    from lmms_videominer.training.run import main as train

    return train([args.config, *args.settings])


def add_difficulty(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "difficulty",
        "Filter questions by difficulty: keep those that are neither too easy nor unsolvable.",
        run_difficulty,
        [
            "videominer difficulty world/qa.jsonl --out train.jsonl",
            "videominer difficulty Video-R1-260k.json --media-root /data/Video-R1 --bad-rows skip --out train.jsonl "
            "--model Qwen/Qwen2.5-VL-7B-Instruct --policy Qwen/Qwen2.5-1.5B-Instruct --part 1/2",
        ],
        notes="Verdicts are saved as they come, so a new run resumes where the last one stopped. Parts can run in "
        "parallel.",
    )
    parser.add_argument(
        "questions",
        metavar="QUESTIONS",
        help="a .jsonl, .json or .parquet file, a folder, or a hub dataset, owner/name:config",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl", help="file for the kept questions")
    parser.add_argument(
        "--verdicts",
        type=Path,
        metavar="FILE.jsonl",
        help="file for the verdicts (default: next to --out, ending in .verdicts.jsonl)",
    )
    parser.add_argument("--save-trees", type=Path, metavar="DIR", help="save every tree to DIR, for a cold start")
    parser.add_argument(
        "--trees", type=positive, default=8, metavar="N", help="sampled trees per question (default: %(default)s)"
    )
    parser.add_argument(
        "--uniform-frames",
        type=positive,
        metavar="N",
        help="uniform frames that must not solve a question (default: as many as --frames)",
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="temperature of the policy (default: %(default)s)"
    )
    parser.add_argument(
        "--part", type=part, default=(1, 1), metavar="I/N", help="judge only every N-th question, from the I-th on"
    )
    for name, text in (
        ("--split", "split of a dataset"),
        ("--layout", "plain, world, llava-video-178k, video-r1"),
        ("--media-root", "root folder for relative paths of videos"),
        ("--bad-rows", "what to do with a row that cannot be used: stop or skip"),
    ):
        parser.add_argument(name, metavar="NAME", help=text)
    add_miner_arguments(parser, MINING_FLAGS)


def run_difficulty(args: argparse.Namespace) -> int:
    from lmms_videominer.training.data import DataArguments, save_questions
    from lmms_videominer.training.difficulty import DifficultyConfig, DifficultyFilter
    from lmms_videominer.training.verdicts import VerdictFile

    mining = config_of(args, MINING_FLAGS)
    config = DifficultyConfig(args.trees, args.uniform_frames, args.temperature)
    options = {name: getattr(args, name) for name in ("split", "layout", "media_root", "bad_rows")}
    question_set = DataArguments(args.questions, **{name: value for name, value in options.items() if value}).read()
    question_set.log(args.questions)
    make_folders(args.out.parent, args.save_trees)
    verdicts = VerdictFile(args.verdicts or args.out.with_suffix(".verdicts.jsonl"))
    from lmms_videominer.miner import VideoMiner

    stages = VideoMiner.from_pretrained(args.model, config=mining, device=args.device).stages
    judge = DifficultyFilter(stages, mining, verdicts, config, args.save_trees)
    report = judge.run(question_set.questions, args.part, progress=not args.quiet)
    for id, reason in report.failures.items():
        print(printable(f"videominer: question {id}: {reason}"), file=sys.stderr)
    save_questions(report.kept, args.out)
    print(printable(f"{report}\nwrote {args.out}"))
    return 0


def add_cold_start(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "cold-start",
        "Fine-tune a causal LM on saved trees, for the format and an initial policy.",
        run_cold_start,
        [
            "videominer cold-start examples/cold_start.yaml",
            "videominer cold-start examples/cold_start.yaml --lessons trees more.jsonl --output_dir policy-cold",
        ],
        notes="python -m lmms_videominer.training.cold_start --help lists all settings.",
    )
    _add_settings(parser)


def run_cold_start(args: argparse.Namespace) -> int:
    try:
        from lmms_videominer.training.cold_start import main as cold_start
    except ImportError as error:
        raise ConfigError(f"training needs {error.name}: pip install '.[train]' in a clone") from error
    return cold_start([args.config, *args.settings])
