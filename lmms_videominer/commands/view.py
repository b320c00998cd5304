"""``videominer view``: results in a browser."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.commands.arguments import Subcommands, command, positive
from lmms_videominer.errors import ConfigError
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from lmms_videominer.show.view.shown import Shown

PAGE = "view.html"


def add_view(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "view",
        "Show results in a browser: one, two side by side, or all of a run.",
        run_view,
        [
            "videominer view tree.json --open",
            "videominer view plain.json best-first.json --out compared.html",
            "videominer view mined",
            "videominer view policy-tgrpo/trees/step-000048",
        ],
        notes="The page is one HTML file that needs no network. docs/view.md describes it.",
    )
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULT",
        help="files written by mine --json; folders written by mine --out, bench, training, or lmms-eval with "
        "--log_samples",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE.html", help="the page (default: beside the result, or in the folder)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    parser.add_argument(
        "--video", type=Path, metavar="PATH", help="where the video is now: the file, or the folder that it is in"
    )
    parser.add_argument(
        "--pictures", type=_pictures, metavar="N", help="most pictures of one result; 0: none (default: up to 240)"
    )
    parser.add_argument("--most", type=positive, metavar="N", help="first N results (default: 1000)")


def _pictures(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number, or 0")
    return int(text)


def run_view(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from lmms_videominer.show.view.page import MOST_RESULTS, PageSettings, write_page

    if args.video and not args.video.exists():
        raise ConfigError(f"--video {args.video}: no such file or folder")
    results = [shown for path in args.results for shown in shown_in(path)]
    if args.most:
        results = results[: args.most]
    first = args.results[0]
    title = first.stem if len(args.results) == 1 else "Results"
    out = args.out or _page_of(first, alone=len(args.results) == 1)
    settings = PageSettings(title or "Results", args.pictures, place=args.video, out=out)
    with tqdm(total=min(len(results), MOST_RESULTS), desc="view", disable=args.quiet or len(results) < 3) as bar:
        page = write_page(results, settings, bar.update)
    if len(results) > MOST_RESULTS:
        print(f"videominer: the page shows the first {MOST_RESULTS} of {len(results)} results", file=sys.stderr)
    print(printable(f"wrote {page}"))
    if args.open:
        import webbrowser

        if not webbrowser.open(page.absolute().as_uri()):
            raise ConfigError(f"no browser could be opened. Open {page} by hand")
    return 0


def _page_of(result: Path, alone: bool) -> Path:
    """The page of ``result``: in the folder that it is, or beside the file under its name, or of several files."""
    if result.is_dir():
        return result / PAGE
    return result.with_suffix(".html") if alone else result.parent / PAGE


def shown_in(path: Path) -> list[Shown]:
    """The results in a file or a folder, by what wrote it.

    Raises:
        ConfigError: There are none, or they cannot be read.
        SchemaError: The file holds something else.
    """
    from lmms_videominer.bench.shown_cells import is_comparison
    from lmms_videominer.lmms.shown_samples import sample_files, shown_samples
    from lmms_videominer.manifest.shown_rows import is_run, shown_rows
    from lmms_videominer.show.view.found import tree_in
    from lmms_videominer.training.reward_file import shown_trees

    if not path.is_dir():
        return shown_samples(path) if path.suffix == ".jsonl" else [tree_in(path)]
    if is_run(path):
        return _some(path, shown_rows(path))
    if is_comparison(path):
        return _some(path, _compared(path))
    logged = [shown for file in sample_files(path) for shown in shown_samples(file)]
    return logged or shown_trees(path)


def _some(path: Path, shown: list[Shown]) -> list[Shown]:
    if not shown:
        raise ConfigError(f"{path}: none of its results has a tree to show")
    return shown


def _compared(out: Path) -> list[Shown]:
    from lmms_videominer.bench.report import read_all, require_report_packages
    from lmms_videominer.bench.shown_cells import shown_cells

    require_report_packages()
    table, refused = read_all(out)
    for line in refused:
        print(printable(f"videominer: {line}"), file=sys.stderr)
    return [] if table is None else shown_cells(out, table)
