"""How calls and memory of a search grow with the length of the video, from 5 minutes to 4 hours.

    python benchmarks/growth.py --out outputs/growth

Asks ten questions on each of two videos a length, each video in a process of its own. Prints captions and decisions a
question, with the exponent of a power law fitted to them, and the most memory beyond that of the loaded models, which
is what the process has after one question on another film, of a minute. The film of four hours is one of an hour whose
scenes are four times as long, and its moments as short as ever.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from evaluate_policy import line_of

from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.settings import from_strings
from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.types import Question, Span
from lmms_videominer.world.questions import write_questions
from lmms_videominer.world.script import Chapter, Moment, Scene, Script, write_script
from lmms_videominer.world.video import encode

SEED = 1_910_000  # of the dev range
LONGEST = 60.0  # minutes of a script whose scenes are as the world draws them
MINUTES = (5, 15, 60, 240)
BRIEF = 1.0  # minutes of the film that is asked about first


def film(index: int, minutes: float) -> Script:
    """A script of any length."""
    script = write_script(SEED, index, min(minutes, LONGEST))
    return script if minutes <= LONGEST else _stretched(script, minutes / LONGEST)


def _stretched(script: Script, factor: float) -> Script:
    def span(of: Span) -> Span:
        return Span(of.start_s * factor, of.end_s * factor)

    def moment(of: Moment, scene: Scene) -> Moment:
        start_s = scene.span.start_s * factor + (of.span.start_s - scene.span.start_s) * factor
        return replace(of, span=Span(start_s, start_s + of.span.duration_s))

    chapters = tuple(
        Chapter(
            span(chapter.span),
            chapter.place,
            tuple(
                replace(scene, span=span(scene.span), moments=tuple(moment(m, scene) for m in scene.moments))
                for scene in chapter.scenes
            ),
            chapter.seed,
        )
        for chapter in script.chapters
    )
    return replace(script, minutes=script.minutes * factor, chapters=chapters)


class Peak(threading.Thread):
    """Samples the memory of this process; ``most`` is the largest, in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done, self.most = threading.Event(), resident_mb()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.most = max(self.most, resident_mb())


def resident_mb() -> float:
    """The memory that this process has now, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def rendered(index: int, minutes: float, folder: Path) -> Path:
    """The film of that length; it is rendered if ``folder`` lacks it."""
    path = folder / f"film-{index}-{minutes:g}min.mp4"
    if not path.exists():
        encode(film(index, minutes), path)
    return path


def measure(index: int, minutes: float, arguments: argparse.Namespace) -> None:
    """Mine the questions on one video, with an empty cache on disk; print what they cost as JSON."""
    path, script = rendered(index, minutes, arguments.out), film(index, minutes)
    cache = tempfile.TemporaryDirectory()
    settings = dict(pair.split("=", 1) for pair in [*arguments.set, f"cache_dir={cache.name}", "reader=pyav"])
    miner = VideoMiner.from_pretrained(arguments.model, config=from_strings(settings), policy=arguments.policy or None)
    written = write_questions(script, 10)
    asked = [Question(str(path), q.text, q.options, q.evidence) for q in written]
    first = write_questions(film(0, BRIEF), 1)[0]  # what libraries keep after a first call belongs to the models
    miner.mine_batch([Question(str(rendered(0, BRIEF, arguments.out)), first.text, first.options)])
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # else what was freed, and not given back, would hide what comes
    before = resident_mb()
    peak = Peak()
    peak.start()
    results = miner.mine_batch(asked)
    peak.done.set()
    rows = [
        line_of(q.row(script, n, path.name), result)
        | {"looked": result.usage.scores + result.usage.scores_cached, "peak_mb": peak.most - before}
        for n, (q, result) in enumerate(zip(written, results, strict=True))
    ]
    print(json.dumps(rows))
    cache.cleanup()


def report(rows: list[dict[str, Any]]) -> str:
    """A table by length, and the exponents."""
    lengths = sorted({row["minutes"] for row in rows})
    names = ("vlm_calls", "policy_calls", "looked", "correct", "recall", "peak_mb")
    means = {m: [float(np.mean([row[name] for row in rows if row["minutes"] == m])) for name in names] for m in lengths}
    heads = ["minutes", "captions", "decisions", "frames looked at", "right", "recall", "MB beyond the models"]
    table = markdown_table(heads, [[f"{m:g}", *(f"{value:.2f}" for value in means[m])] for m in lengths])
    lines = [
        f"{name}: exponent {np.polyfit(np.log(lengths), np.log([means[m][k] for m in lengths]), 1)[0]:.2f}"
        for k, name in enumerate(heads[1:3])
    ]
    return "\n".join([table, "", *lines])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the films and of the rows")
    parser.add_argument("--minutes", type=float, nargs="+", default=list(MINUTES))
    parser.add_argument("--videos", type=int, default=2)
    parser.add_argument("--model", default="videominer-world", help="a bundle, or a video LLM")
    parser.add_argument("--policy", default="", help="policy to use (default: the bundle's)")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of the search")
    parser.add_argument("--one", type=int, help="measure only this video, in this process")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.one is not None:
        measure(arguments.one, arguments.minutes[0], arguments)
        return
    rows: list[dict[str, Any]] = []
    for minutes in arguments.minutes:
        for index in range(arguments.videos):
            rendered(index, minutes, arguments.out)
            command = [sys.executable, __file__, *sys.argv[1:], "--minutes", f"{minutes:g}", "--one", str(index)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows += json.loads(done.stdout.strip().splitlines()[-1])
    (arguments.out / "rows.json").write_text(json.dumps(rows))
    print(report(rows))


if __name__ == "__main__":
    main()
