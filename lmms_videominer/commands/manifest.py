"""``videominer mine`` on many rows: the questions of a file, or one question on several videos."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.commands.arguments import UsageError, check_question, check_videos, positive, share
from lmms_videominer.config import MinerConfig
from lmms_videominer.models.bundle import NOT_A_WORLD_VIDEO, WAY_OUT
from lmms_videominer.profiling import stage
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from lmms_videominer.errors import VideoMinerError
    from lmms_videominer.manifest.layouts import QuestionRow
    from lmms_videominer.manifest.mining import Add, Bar
    from lmms_videominer.manifest.results import Result
    from lmms_videominer.miner import VideoMiner
    from lmms_videominer.types import Selection

PRINTED_WIDTH = 140  # characters, if stdout is not a terminal
MOST_NAMED = 10  # failed rows that are named on stderr


def add_many_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments for many rows."""
    parser.add_argument(
        "--manifest",
        metavar="QUESTIONS",
        help="file of questions, one JSON object a row: video, question, options, answer, id (docs/manifest.md)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the results of a manifest or of several videos; a run that was stopped resumes there",
    )
    parser.add_argument("--media-root", metavar="DIR", help="root of relative paths in the manifest (default: its own)")
    parser.add_argument(
        "--bad-rows", choices=("stop", "skip"), help="what to do with a row that cannot be used (default: stop)"
    )
    parser.add_argument(
        "--ray",
        nargs="?",
        const="local",
        metavar="ADDRESS",
        help="mine on a Ray cluster (auto, HOST:6379), or without an address on a Ray started on this machine; "
        "needs the package ray (docs/scale.md)",
    )
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="--ray: workers, each with its models (default: one per GPU)"
    )
    parser.add_argument(
        "--worker-gpus", type=share, metavar="G", help="--ray: GPUs of a worker, as 1, 0.5 or 0 (default: 1 if any)"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what is to do, with an estimate, and stop")


def is_one_video(args: argparse.Namespace) -> bool:
    """Whether the command line asks one question on one video, whose result is printed whole.

    Raises:
        UsageError: Its arguments do not go together.
    """
    _check_ray(args)
    if args.manifest:
        _check_manifest(args)
        return False
    if not args.videos:
        raise UsageError("name a VIDEO and a --question, or a --manifest")
    if args.question is None:
        raise UsageError("--question is missing: what should be looked for?")
    check_question(args.question, args.options)
    if args.end is not None and args.end <= (args.start or 0.0):
        raise UsageError(f"--end {args.end:g} s is not after --start {args.start or 0.0:g} s")
    for flag in ("media_root", "bad_rows"):
        if getattr(args, flag):
            raise UsageError(f"--{flag.replace('_', '-')} belongs to --manifest")
    if len(args.videos) == 1 and not args.out and not args.dry_run:
        if args.ray:
            raise UsageError("--ray is for many rows: name a --manifest")
        return True
    _check_no_single_outputs(args)
    return False


def _check_ray(args: argparse.Namespace) -> None:
    for flag in ("workers", "worker_gpus"):
        if getattr(args, flag) is not None and not args.ray:
            raise UsageError(f"--{flag.replace('_', '-')} belongs to --ray")
    if args.ray and args.profile:
        raise UsageError("--profile measures this process, not the workers of --ray: leave one of them out")


def _check_manifest(args: argparse.Namespace) -> None:
    if args.videos or args.question is not None or args.options:
        raise UsageError(
            "--manifest has the videos and the questions in its rows: leave VIDEO, --question and --option out"
        )
    if args.start is not None or args.end is not None:
        raise UsageError(
            "--manifest has the parts to search in its rows, as start_s and end_s: leave --start, --end out"
        )
    if not (args.out or args.dry_run):
        raise UsageError("--manifest needs --out DIR, the folder for the results")
    _check_no_single_outputs(args)


def _check_no_single_outputs(args: argparse.Namespace) -> None:
    for flag in ("json", "frames_dir", "clips_dir", "sheet"):
        if getattr(args, flag):
            raise UsageError(
                f"--{flag.replace('_', '-')} is for one question on one VIDEO. --out DIR keeps every tree; "
                "videominer show TREE.json draws sheets and writes frames and clips of it"
            )


def run_many(args: argparse.Namespace, config: MinerConfig) -> int:
    """Mine all rows; 0 if each has a result, 1 if some failed."""
    from lmms_videominer.manifest.run_folder import RunFolder, run_of

    rows, skipped = _rows(args)
    folder, run = (RunFolder(args.out), run_of(args.model, config)) if args.out else (None, {})
    if folder:
        folder.check(run, rows)  # before anything is written there
    if args.dry_run:
        from lmms_videominer.commands.dry_run import print_plan

        print_plan(rows, folder, config, args.model)
        return 0
    if folder is None:
        results = _mined_here(args, config, rows)
    else:
        with folder.locked():
            folder.begin(run, rows)
            _mine(args, config, folder.left(rows), folder.add, len(rows))
            results = folder.finish(rows)
    _tell(args, results, skipped)
    return int(any(result.error for result in results))


def _rows(args: argparse.Namespace) -> tuple[list[QuestionRow], int]:
    """The rows, and how many of the manifest are skipped."""
    from lmms_videominer.manifest.layouts import QuestionRow
    from lmms_videominer.manifest.reading import Source

    if not args.manifest:
        asked = (args.question, tuple(args.options), "", ())
        part = (args.start or 0.0, args.end)
        return [QuestionRow(video, video, *asked, video, *part) for video in dict.fromkeys(args.videos)], 0
    found = Source(
        args.manifest,
        media_root=args.media_root or "",
        open_questions=True,
        bad_rows=args.bad_rows or "stop",
        with_answers=False,
        with_videos=False,
    ).read()
    found.log(args.manifest)
    return found.questions, len(found.bad)


def _mined_here(args: argparse.Namespace, config: MinerConfig, rows: Sequence[QuestionRow]) -> list[Result]:
    """The results of ``rows``, which are written nowhere."""
    from lmms_videominer.manifest.results import Result

    results: dict[str, Result] = {}

    def keep(row: QuestionRow, result: Selection | VideoMinerError) -> None:
        results[row.id] = Result.of(row, result)

    _mine(args, config, rows, keep, len(rows))
    return [results[row.id] for row in rows]


def _mine(args: argparse.Namespace, config: MinerConfig, left: Sequence[QuestionRow], add: Add, total: int) -> None:
    """Mine what is left of ``total`` rows; models are loaded only if there is a video for them."""
    from lmms_videominer.manifest.mining import Bar, mine_rows, without_video

    faults = without_video(left)
    there = [row for row in left if row.video not in faults]
    check_videos(args.model, [row.video for row in there])
    miner = _loaded(args, config) if there and not args.ray else None
    with Bar(total, total - len(left), shown=bool(left) and not args.quiet) as bar:
        for row in left:
            if row.video in faults:
                add(row, faults[row.video])
                bar.done(failed=True)
        if miner:
            mine_rows(miner, there, add, bar=bar)
        elif there:
            _mine_on_ray(args, config, there, add, bar)


def _mine_on_ray(
    args: argparse.Namespace, config: MinerConfig, rows: Sequence[QuestionRow], add: Add, bar: Bar
) -> None:
    from lmms_videominer.manifest.on_ray import Cluster, mine_rows_on_ray

    cluster = Cluster(args.ray, args.workers or 0, args.worker_gpus)
    mine_rows_on_ray(args.model, config, rows, add, cluster=cluster, bar=bar, device=args.device, quiet=args.quiet)


def _loaded(args: argparse.Namespace, config: MinerConfig) -> VideoMiner:
    with stage("load"):
        from lmms_videominer.miner import VideoMiner

        return VideoMiner.from_pretrained(args.model, config=config, device=args.device)


def _tell(args: argparse.Namespace, results: Sequence[Result], skipped: int) -> None:
    """Print what came of the rows: a table for several videos, else counts; failures on stderr."""
    from lmms_videominer.manifest.run_folder import COSTS, PARQUET, RESULTS, TREES

    failed = [result for result in results if result.error]
    if not args.manifest:
        _print_table(results)
    for result in failed[:MOST_NAMED]:
        row = f"row {result.id}: " if args.manifest else ""
        print(printable(f"videominer: {row}{result.error}"), file=sys.stderr)
    if len(failed) > MOST_NAMED:
        where = f", see error in {args.out / RESULTS}" if args.out else ""
        print(printable(f"videominer: {len(failed) - MOST_NAMED} more rows failed{where}"), file=sys.stderr)
    if args.manifest:
        counts = [f"{len(results) - len(failed)} mined", f"{len(failed)} failed"]
        counts += [f"{skipped} bad ones skipped"] if skipped else []
        print(f"{len(results)} rows: {', '.join(counts)}")
        known = [result.correct for result in results if result.correct is not None]
        if known:
            print(f"{sum(known)} of {len(known)} answers are right ({100 * sum(known) / len(known):.1f} %)")
    if strange := sum(NOT_A_WORLD_VIDEO in result.fallbacks for result in results):
        print(f"{strange} of {len(results)} are on films that the bundled models do not know. {WAY_OUT}")
    if args.out:
        print(printable(f"wrote {args.out}: {RESULTS}, {PARQUET}, {COSTS}, {TREES}"))
        if failed:
            print("the same command tries the failed rows again")


def _print_table(results: Sequence[Result]) -> None:
    """A line per video: its answer, the times of its key frames, its captions."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from lmms_videominer.video.time_codes import clock

    table = Table("video", "answer", "key frames", "captions")
    names = [Path(result.video).name for result in results]
    if len(set(names)) < len(names):
        names = [result.video for result in results]
    for name, result in zip(names, results, strict=True):
        times = " ".join(clock(time_s) for time_s in result.times_s)
        answer = "failed" if result.error else result.answer or ""
        cells = (name, answer, times, "" if result.error else str(result.captions))
        table.add_row(*(Text(printable(text)) for text in cells))  # a plain string would be read as markup
    Console(highlight=False, width=None if sys.stdout.isatty() else PRINTED_WIDTH).print(table)
