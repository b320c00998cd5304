"""The ``videominer`` command. Exit codes: 0 fine, 1 something failed, 2 the command line is wrong."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError

if TYPE_CHECKING:
    from lmms_videominer.types import Question, Selection

Subcommands = argparse._SubParsersAction
BUNDLE = "videominer-world"
FLAGS = ("policy", "embedder", "scorer", "selector", "frames")  # settings with a flag of their own in every command
MINING_FLAGS = ("policy", "embedder", "frames", "seed")  # of commands whose selector is the method itself
FREE_SEED = 3_000_000  # from here on no split of the world tasks draws its worlds


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Arguments without the program's name; default: those of the process.

    Returns:
        0, or 1 where a check, a video or a model failed. A wrong command line exits with 2.
    """
    args = _parser().parse_args(argv)
    _quieten(args.quiet)
    try:
        return args.run(args)
    except UsageError as error:
        return args.parser.error(str(error))  # exits with 2
    except VideoMinerError as error:
        print(f"videominer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("videominer: interrupted", file=sys.stderr)
        return 130


class UsageError(Exception):
    """The command line asks for what cannot be; shown with the usage."""


def _parser() -> argparse.ArgumentParser:
    from lmms_videominer import __version__

    parser = argparse.ArgumentParser(
        prog="videominer",
        description="Find the key frames of a long video for a question, and answer from them.",
        epilog="videominer COMMAND --help shows the options of a command, with examples.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(subcommands)
    return parser


def _command(
    subcommands: Subcommands,
    name: str,
    summary: str,
    run: Callable[[argparse.Namespace], int],
    examples: Sequence[str],
    notes: str = "",
) -> argparse.ArgumentParser:
    """A subparser that calls ``run``, with its examples and ``--quiet``."""
    epilog = "\n".join(["examples:", *(f"  {example}" for example in examples), *([""] if notes else []), notes])
    parser = subcommands.add_parser(
        name, help=summary, description=summary, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars and no log, only results and errors")
    parser.set_defaults(run=run, parser=parser)
    return parser


# --- mine ---------------------------------------------------------------------------------------------------


def add_mine(subcommands: Subcommands) -> None:
    parser = _command(
        subcommands,
        "mine",
        "Find the key frames of a video for a question, and answer from them.",
        run_mine,
        [
            'videominer mine film.mp4 --question "Who opens the door?"',
            'videominer mine film.mp4 --question "What colour is the car?" --option red --option blue --sheet car.jpg',
            'videominer mine film.mp4 --question "Who wins?" --model Qwen/Qwen2-VL-7B-Instruct --frames 16 '
            "--set max_depth=2",
        ],
        notes="settings, each reached by --set NAME=VALUE:\n" + _settings_help(),
    )
    parser.add_argument("video", metavar="VIDEO", help="the video file")
    parser.add_argument("--question", required=True, metavar="TEXT", help="what is asked, without the options")
    parser.add_argument(
        "--option",
        dest="options",
        action="extend",
        nargs="+",
        default=[],
        metavar="TEXT",
        help="answer options in order, without letters; may be given again",
    )
    _add_miner_arguments(parser, (*FLAGS, "seed"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tree and all else as JSON")
    parser.add_argument("--frames-dir", type=Path, metavar="DIR", help="write the key frames as PNG named by time")
    parser.add_argument("--sheet", type=_sheet_path, metavar="FILE.jpg", help="write the contact sheet")


def run_mine(args: argparse.Namespace) -> int:
    from lmms_videominer.types import Question

    config = _config(args, (*FLAGS, "seed"))
    _make_folders(args.json and args.json.parent, args.frames_dir, args.sheet and args.sheet.parent)
    selection = _mine(args, config, Question(args.video, args.question, tuple(args.options)))
    _print(selection)
    _write(selection, config.reader, args.json, args.frames_dir, args.sheet)
    return 0


def _add_miner_arguments(parser: argparse.ArgumentParser, flags: Sequence[str]) -> None:
    """The models and the settings, shared by every command that mines."""
    parser.add_argument(
        "--model",
        default=BUNDLE,
        metavar="NAME",
        help="video LLM of transformers, a name or a folder, or a bundle (default: %(default)s)",
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: CUDA where there is one)")
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
        help="any other setting; may be given again",
    )


def _settings_help() -> str:
    return "\n".join(f"  {f.name:<20}{f.metadata['help']} (default: {f.default!r})" for f in fields(MinerConfig))


def _config(args: argparse.Namespace, flags: Sequence[str]) -> MinerConfig:
    """Settings from the flags and from ``--set``. Raises ``UsageError`` for what they cannot be."""
    values = {name: getattr(args, name) for name in flags if getattr(args, name) is not None}
    for text in args.settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text!r}: expected NAME=VALUE")
        if name in values:
            raise UsageError(f"{name} is given twice")
        values[name] = value
    try:
        return MinerConfig.from_strings(values)
    except ConfigError as error:
        raise UsageError(str(error)) from error


def _mine(args: argparse.Namespace, config: MinerConfig, question: Question) -> Selection:
    from lmms_videominer.miner import VideoMiner

    miner = VideoMiner.from_pretrained(args.model, config=config, device=args.device)
    result = miner.mine_batch([question], progress=not args.quiet)[0]
    if isinstance(result, VideoMinerError):
        raise result
    return result


# --- show ---------------------------------------------------------------------------------------------------


def add_show(subcommands: Subcommands) -> None:
    parser = _command(
        subcommands,
        "show",
        "Print a stored tree again.",
        run_show,
        ["videominer show tree.json", "videominer show tree.json --sheet sheet.jpg"],
    )
    parser.add_argument("tree", type=Path, metavar="TREE.json", help="what mine --json wrote")
    parser.add_argument("--frames-dir", type=Path, metavar="DIR", help="write the key frames as PNG named by time")
    parser.add_argument(
        "--sheet",
        type=_sheet_path,
        metavar="FILE.jpg",
        help="write the contact sheet; the video must still be where it was",
    )


def run_show(args: argparse.Namespace) -> int:
    from lmms_videominer import serialization

    try:
        selection = serialization.load(args.tree)
    except OSError as error:
        reason = f"{args.tree}: cannot be read ({error.strerror})"
        raise ConfigError(f"{reason}. Name a file that mine --json wrote.") from error
    _make_folders(args.frames_dir, args.sheet and args.sheet.parent)
    _print(selection)
    _write(selection, selection.config.get("reader", "auto"), None, args.frames_dir, args.sheet)
    return 0


# --- demo ---------------------------------------------------------------------------------------------------


def add_demo(subcommands: Subcommands) -> None:
    parser = _command(
        subcommands,
        "demo",
        "Render a video whose answers are known, mine it, and compare.",
        run_demo,
        ["videominer demo", "videominer demo --minutes 60 --seed 3000007 --out hour"],
    )
    parser.add_argument("--minutes", type=_minutes, default=15, metavar="M", help="length of the video (default: 15)")
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
        help="where the video, the tree and the sheet go (default: %(default)s)",
    )
    _add_miner_arguments(parser, FLAGS)  # the policy's seed: --set seed=N


def run_demo(args: argparse.Namespace) -> int:
    from lmms_videominer.demo import demo_question, print_verdict

    config = _config(args, FLAGS)
    _make_folders(args.out)
    question, right = demo_question(args.out, args.minutes, args.seed, progress=not args.quiet)
    selection = _mine(args, config, question)
    _print(selection, right)
    print_verdict(selection, right)
    _write(selection, config.reader, args.out / "tree.json", args.out / "frames", args.out / "sheet.jpg", right)
    return 0


# --- world --------------------------------------------------------------------------------------------------


def add_world(subcommands: Subcommands) -> None:
    parser = _command(
        subcommands,
        "world",
        "Render videos whose answers are known, and their questions.",
        run_world,
        [
            "videominer world hour --minutes 60 --videos 10 --seed 3000001",
            "videominer world hard --minutes 15 --videos 4 --seed 3000002 --nuisances flashes fades",
            "VIDEOMINER_WORLD=hour lmms-eval --model videominer_qwen2vl --model_args pretrained=videominer-world "
            "--tasks videominer_world_60min",
        ],
        notes=f"Seeds from {FREE_SEED} on are in none of the splits that models are trained and tested on.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="gets the videos and qa.jsonl; made if absent")
    parser.add_argument("--minutes", type=_minutes, required=True, metavar="M", help="length of each video, 1 to 120")
    parser.add_argument("--videos", type=_positive, required=True, metavar="V", help="how many videos")
    parser.add_argument("--seed", type=int, required=True, metavar="S", help="one seed gives one world")
    parser.add_argument("--questions", type=_positive, default=10, metavar="Q", help="questions a video (default: 10)")
    parser.add_argument("--workers", type=_positive, metavar="W", help="processes (default: one a core)")
    parser.add_argument(
        "--nuisances",
        nargs="+",
        default=[],
        metavar="NAME",
        help="what makes it harder: flashes, fades, light, pans, cuts, static",
    )


def run_world(args: argparse.Namespace) -> int:
    from lmms_videominer.config import check_names
    from lmms_videominer.world import render_world
    from lmms_videominer.world.script import NUISANCES

    try:
        check_names(args.nuisances, NUISANCES, "nuisance")
    except ConfigError as error:
        raise UsageError(str(error)) from error
    _make_folders(args.folder)
    path = render_world(
        args.folder,
        args.minutes,
        args.videos,
        args.seed,
        workers=args.workers,
        progress=not args.quiet,
        questions=args.questions,
        nuisances=args.nuisances,
    )
    print(path)
    return 0


# --- train --------------------------------------------------------------------------------------------------


def add_train(subcommands: Subcommands) -> None:
    parser = _command(
        subcommands,
        "train",
        "Train a policy with T-GRPO.",
        run_train,
        [
            "videominer train examples/train_world.yaml",
            "videominer train examples/train_world.yaml --lambda_auxin 0.75 --output_dir slower",
            "torchrun --nproc_per_node 2 -m lmms_videominer.training examples/train_world.yaml --deepspeed zero3",
        ],
        notes="python -m lmms_videominer.training --help shows every setting.",
    )
    _add_settings(parser)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG.yaml", help="settings, one 'name: value' a line")
    parser.add_argument(
        "settings", nargs=argparse.REMAINDER, metavar="--SETTING VALUE", help="settings that replace those of the file"
    )


def run_train(args: argparse.Namespace) -> int:
    from lmms_videominer.training.run import main as train

    return train([args.config, *args.settings])


# --- difficulty ---------------------------------------------------------------------------------------------


def add_difficulty(subcommands: Subcommands) -> None:
    parser = _command(
        subcommands,
        "difficulty",
        "Keep the questions that teach: not too easy, not hopeless.",
        run_difficulty,
        [
            "videominer difficulty world/qa.jsonl --out train.jsonl",
            "videominer difficulty Video-R1-260k.json --media-root /data/Video-R1 --bad-rows skip --out train.jsonl "
            "--model Qwen/Qwen2.5-VL-7B-Instruct --policy Qwen/Qwen2.5-1.5B-Instruct --part 1/2",
        ],
        notes="Verdicts are kept as they come: run it again and it goes on where it stopped. Parts may run at once.",
    )
    parser.add_argument(
        "questions",
        metavar="QUESTIONS",
        help="a .jsonl, .json or .parquet file, a folder, or a hub dataset, owner/name:config",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.jsonl", help="gets the questions kept")
    parser.add_argument(
        "--verdicts",
        type=Path,
        metavar="FILE.jsonl",
        help="where verdicts are kept (default: beside --out, ending in .verdicts.jsonl)",
    )
    parser.add_argument("--save-trees", type=Path, metavar="DIR", help="save every tree there, for a cold start")
    parser.add_argument("--trees", type=_positive, default=8, metavar="N", help="sampled trees (default: %(default)s)")
    parser.add_argument(
        "--uniform-frames",
        type=_positive,
        default=4,
        metavar="N",
        help="uniform frames that must not solve it (default: %(default)s)",
    )
    parser.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="of the policy (default: %(default)s)"
    )
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="I/N", help="judge only every N-th question from the I-th on"
    )
    for name, text in (
        ("--split", "split of a dataset"),
        ("--layout", "plain, world, llava-video-178k, video-r1"),
        ("--media-root", "folder that relative paths of videos start from"),
        ("--bad-rows", "at a row that cannot be used: stop or skip"),
    ):
        parser.add_argument(name, metavar="NAME", help=text)
    _add_miner_arguments(parser, MINING_FLAGS)


def run_difficulty(args: argparse.Namespace) -> int:
    from lmms_videominer.training.data import DataArguments, save_questions
    from lmms_videominer.training.difficulty import DifficultyConfig, DifficultyFilter
    from lmms_videominer.training.verdicts import VerdictFile

    mining = _config(args, MINING_FLAGS)
    config = DifficultyConfig(args.trees, args.uniform_frames, args.temperature)
    where = {name: getattr(args, name) for name in ("split", "layout", "media_root", "bad_rows")}
    found = DataArguments(args.questions, **{name: value for name, value in where.items() if value}).read()
    found.log(args.questions)
    _make_folders(args.out.parent, args.save_trees)
    verdicts = VerdictFile(args.verdicts or args.out.with_suffix(".verdicts.jsonl"))
    from lmms_videominer.miner import VideoMiner

    stages = VideoMiner.from_pretrained(args.model, config=mining, device=args.device).stages
    judge = DifficultyFilter(stages, mining, verdicts, config, args.save_trees)
    report = judge.run(found.questions, args.part, progress=not args.quiet)
    for id, reason in report.failures.items():
        print(f"videominer: question {id}: {reason}", file=sys.stderr)
    save_questions(report.kept, args.out)
    print(f"{report}\nwrote {args.out}")
    return 0


# --- cold start ---------------------------------------------------------------------------------------------


def add_cold_start(subcommands: Subcommands) -> None:
    parser = _command(
        subcommands,
        "cold-start",
        "Teach a causal LM the format and a first policy, from saved trees.",
        run_cold_start,
        [
            "videominer cold-start examples/cold_start.yaml",
            "videominer cold-start examples/cold_start.yaml --lessons trees more.jsonl --output_dir policy-cold",
        ],
        notes="python -m lmms_videominer.training.cold_start --help shows every setting.",
    )
    _add_settings(parser)


def run_cold_start(args: argparse.Namespace) -> int:
    try:
        from lmms_videominer.training.cold_start import main as cold_start
    except ImportError as error:
        raise ConfigError(f"training needs {error.name}: pip install 'lmms-videominer[train]'") from error
    return cold_start([args.config, *args.settings])


# --- bench --------------------------------------------------------------------------------------------------


def add_bench(subcommands: Subcommands) -> None:
    parser = _command(
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
        type=_positive,
        nargs="+",
        default=[8],
        metavar="N",
        help="most frames handed over; several may be given (default: 8)",
    )
    parser.add_argument("--limit", type=_positive, metavar="N", help="first N questions of each task (default: all)")
    parser.add_argument(
        "--model",
        default="videominer_qwen2vl",
        metavar="NAME",
        help="model of the plugin in lmms-eval (default: %(default)s)",
    )
    parser.add_argument("--pretrained", default="", metavar="NAME", help=f"the video LLM's weights (default: {BUNDLE})")
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
    parser.add_argument("--batch-size", type=_positive, default=16, metavar="N", help="default: 16")
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


# --- doctor -------------------------------------------------------------------------------------------------


def add_doctor(subcommands: Subcommands) -> None:
    _command(
        subcommands,
        "doctor",
        "Check the installation; say what is wrong and the remedy.",
        run_doctor,
        ["videominer doctor", "videominer doctor --quiet   # only what is wrong"],
    )


def run_doctor(args: argparse.Namespace) -> int:
    from lmms_videominer.doctor import print_checks, run_checks

    return print_checks(run_checks(), only_wrong=args.quiet)


# a new subcommand is one more function here
COMMANDS = (add_mine, add_demo, add_world, add_show, add_difficulty, add_cold_start, add_train, add_bench, add_doctor)


# --- shared -------------------------------------------------------------------------------------------------


def _print(selection: Selection, right_option: int | None = None) -> None:
    from rich.console import Console

    from lmms_videominer.tree_view import print_selection

    print_selection(Console(), selection, right_option)


def _write(
    selection: Selection,
    reader: str,
    json: Path | None,
    frames_dir: Path | None,
    sheet: Path | None,
    right_option: int | None = None,
) -> None:
    from lmms_videominer.output import write_outputs

    for path in write_outputs(selection, reader, json, frames_dir, sheet, right_option):
        print(f"wrote {path}")


def _make_folders(*folders: Path | None) -> None:
    """Make the folders of the outputs before the work, not after it. Raises ``UsageError`` where that fails."""
    for folder in filter(None, folders):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: the folder cannot be made ({error.strerror})") from error


def _sheet_path(text: str) -> Path:
    if not text.lower().endswith((".jpg", ".jpeg", ".png")):
        raise argparse.ArgumentTypeError(f"{text!r} is not a picture's name: end it in .jpg or .png")
    return Path(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def _part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected I/N with 1 <= I <= N, as in 1/2")
    return int(number), int(parts)


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 1 <= minutes <= 120:
        raise argparse.ArgumentTypeError(f"{text!r}: a world video lasts 1 to 120 minutes")
    return int(minutes) if minutes.is_integer() else minutes


def _quieten(quiet: bool) -> None:
    """Our warnings on stderr, or errors only; with ``--quiet`` the progress bars of model loading go too."""
    logging.basicConfig(level=logging.ERROR if quiet else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    if quiet:
        # read when those packages are imported, which is later
        os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")
