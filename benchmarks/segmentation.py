"""Measures precision, recall and F1 of segment boundaries against known scene cuts of world videos, by nuisance.

    python benchmarks/segmentation.py                        # test seeds, as in docs/segmentation.md
    python benchmarks/segmentation.py --split dev            # seeds for tuning
    python benchmarks/segmentation.py --out counts.jsonl     # resumes where it stopped
    python benchmarks/segmentation.py --minutes 15 --scan-frames 64 --scan sync --out sync.jsonl

Each segmenter cuts the whole video twice: into as many events as there are scenes, and into 16. It scans exact frames,
or those that a search takes with ``--scan sync``. The detectors of PySceneDetect (pip install scenedetect), if
installed, choose the number of cuts themselves: they read every frame, with their default settings. A boundary and a
scene cut match within one step of the scan (duration / scan_frames: 1.2 s at 5 minutes, 3.5 s at 15), and each matches
at most one other; counts are pooled over the videos of a cell.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lmms_videominer.config import NAMES
from lmms_videominer.segmenters import SEGMENTERS, get_segmenter
from lmms_videominer.segmenters.coarse import coarse_frames
from lmms_videominer.show.markdown import markdown_table
from lmms_videominer.types import Span
from lmms_videominer.video import VideoReader
from lmms_videominer.video.opening import opened
from lmms_videominer.video.reader import ReaderAround
from lmms_videominer.world.script import NUISANCES, SPLITS, Script, write_script
from lmms_videominer.world.video import encode

CONDITIONS = {"none": (), **{name: (name,) for name in NUISANCES}, "all": NUISANCES}
VIDEOS = {5: 8, 15: 4}  # minutes -> videos per cell: about 100 scene cuts each
DEFAULT_EVENTS, SCAN_FRAMES, MIN_EVENT_S = 16, 256, 0.5
LABELS = ("K = scenes", f"K = {DEFAULT_EVENTS}")
DETECTORS = ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "ThresholdDetector")


@dataclass
class Tally:
    """Counts of boundaries over the videos of one cell."""

    matched: int = 0
    found: int = 0
    true: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.matched + other.matched, self.found + other.found, self.true + other.true)

    def __str__(self) -> str:
        """Precision, recall and F1 in percent."""
        f1 = 2 * self.matched / max(self.found + self.true, 1)
        shares = self.matched / max(self.found, 1), self.matched / max(self.true, 1), f1
        return " / ".join(f"{100 * share:.0f}" for share in shares)


def matches(found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float) -> int:
    """The largest number of disjoint pairs of a boundary and a cut within ``tolerance_s``; both must be ascending."""
    count = place = 0
    for time_s in true_s:
        while place < len(found_s) and found_s[place] < time_s - tolerance_s - 1e-9:
            place += 1
        if place < len(found_s) and found_s[place] <= time_s + tolerance_s + 1e-9:
            count, place = count + 1, place + 1
    return count


class CachingReader(ReaderAround):
    """A reader that decodes the frames scanned by all segmentations of one video only once."""

    def __init__(self, reader: VideoReader):
        super().__init__(reader)
        self._cache: dict[tuple, np.ndarray] = {}

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._read("frames", indices)

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        return self._read("gray_histograms", indices)

    def _read(self, what: str, indices: Sequence[int]) -> np.ndarray:
        key = (what, *indices)
        if key not in self._cache:
            self._cache[key] = getattr(self._reader, what)(indices)
        return self._cache[key]


def segmenter_cuts(
    path: Path, scenes: int, names: Sequence[str], scan: str, scan_frames: int
) -> Iterator[tuple[str, list[float]]]:
    """The boundaries of each segmenter, in seconds, with the label of its row."""
    coarse = (lambda reader, video_id: coarse_frames(reader)) if scan == "sync" else None
    with opened(str(path), "pyav", coarse=coarse) as video:
        caching_reader, video_span = CachingReader(video.reader), Span(0.0, video.info.duration_s)
        for name in names:
            for label, events in zip(LABELS, (scenes, DEFAULT_EVENTS)):
                parts = get_segmenter(name).segment(caching_reader, [video_span], events, scan_frames, MIN_EVENT_S)
                yield f"{name}, {label}", [part.start_s for part in parts[1:]]


def detector_cuts(path: Path) -> Iterator[tuple[str, list[float]]]:
    """The cuts of PySceneDetect's detectors, in seconds; decodes the file once for all of them."""
    import scenedetect

    detectors = {name: getattr(scenedetect, name)() for name in DETECTORS}
    cuts: dict[str, set[float]] = {name: set() for name in DETECTORS}
    video = scenedetect.open_video(str(path))
    while (frame := video.read()) is not False:
        for name, detector in detectors.items():
            cuts[name].update(cut.seconds for cut in detector.process_frame(video.position, frame))
    for name, detector in detectors.items():
        cuts[name].update(cut.seconds for cut in detector.post_process(video.position))
        yield f"PySceneDetect {name}", sorted(cuts[name])


def measure(arguments: argparse.Namespace, folder: Path) -> dict[tuple[int, str, str], Tally]:
    """Tallies by minutes, row and condition; measurements in ``arguments.out`` are reused."""
    detect = importlib.util.find_spec("scenedetect") is not None
    if not detect:
        print("PySceneDetect is not installed, so its rows are omitted: pip install scenedetect", file=sys.stderr)
    rows = [f"{name}, {label}" for name in arguments.segmenters for label in LABELS]
    rows += [f"PySceneDetect {name}" for name in DETECTORS] if detect else []
    saved = _read(arguments.out)
    tallies: dict[tuple[int, str, str], Tally] = {}
    for script, condition in tqdm(list(_scripts(arguments)), unit="video"):
        name = f"{script.seed}-{script.index}-{script.minutes:g}min-{condition}"
        if any((name, row) not in saved for row in rows):
            measured = _measure_one(script, folder / f"{name}.mp4", arguments, detect)
            saved.update({(name, row): tally for row, tally in measured.items()})
            _append(arguments.out, name, measured)
        for row in rows:
            cell = int(script.minutes), row, condition
            tallies[cell] = tallies.get(cell, Tally()) + saved[name, row]
    return tallies


def _measure_one(script: Script, path: Path, arguments: argparse.Namespace, detect: bool) -> dict[str, Tally]:
    if not path.exists():
        encode(script, path)
    true_s = [scene.span.start_s for scene in script.scenes[1:]]
    how = (arguments.segmenters, arguments.scan, arguments.scan_frames)
    cuts = dict(segmenter_cuts(path, len(script.scenes), *how)) | (dict(detector_cuts(path)) if detect else {})
    tolerance_s = script.duration_s / arguments.scan_frames
    return {row: Tally(matches(cuts_s, true_s, tolerance_s), len(cuts_s), len(true_s)) for row, cuts_s in cuts.items()}


def _read(path: Path | None) -> dict[tuple[str, str], Tally]:
    """The tallies in a file written by ``_append``, by video and row."""
    lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
    return {
        (line["video"], line["row"]): Tally(line["matched"], line["found"], line["true"])
        for line in map(json.loads, lines)
    }


def _append(path: Path | None, video: str, measured: dict[str, Tally]) -> None:
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(
                json.dumps({"video": video, "row": row, **asdict(tally)}) + "\n" for row, tally in measured.items()
            )


def _scripts(arguments: argparse.Namespace) -> Iterator[tuple[Script, str]]:
    seed = SPLITS[arguments.split][500_000]
    for minutes in arguments.minutes:
        for condition in arguments.nuisances:
            for index in range(arguments.videos or VIDEOS[minutes]):
                yield write_script(seed, index, minutes, CONDITIONS[condition]), condition


def table(tallies: dict[tuple[int, str, str], Tally], minutes: int, conditions: Sequence[str]) -> str:
    """The rows for one video length as a Markdown table."""
    rows = dict.fromkeys(row for length, row, _ in tallies if length == minutes)
    return markdown_table(
        [f"{minutes} minutes", *conditions],
        [[row, *(str(tallies[minutes, row, name]) for name in conditions)] for row in rows],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="seeds (default: %(default)s)")
    parser.add_argument("--minutes", type=int, nargs="+", default=list(VIDEOS), choices=list(VIDEOS))
    parser.add_argument("--videos", type=int, help=f"videos per cell (default: {VIDEOS}, by minutes)")
    parser.add_argument("--nuisances", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--segmenters", nargs="+", default=list(SEGMENTERS), choices=list(SEGMENTERS))
    parser.add_argument("--scan", default="exact", choices=NAMES["scan"], help="frames scanned (default: %(default)s)")
    parser.add_argument("--scan-frames", type=int, default=SCAN_FRAMES, help="how many (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="folder for the rendered videos (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="JSONL file for the counts; resumes where it stopped")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        tallies = measure(arguments, folder)
    print("Precision / recall / F1 in percent.\n")
    print("\n\n".join(table(tallies, minutes, arguments.nuisances) for minutes in arguments.minutes))


if __name__ == "__main__":
    main()
