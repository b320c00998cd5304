"""Precision, recall and F1 of segment boundaries against the known scene cuts of world videos, by nuisance.

    python benchmarks/segmentation.py                        # test seeds, as in docs/segmentation.md
    python benchmarks/segmentation.py --split dev            # seeds to choose by

Each segmenter cuts the whole video twice: into as many events as there are scenes, and into 16. The detectors of
PySceneDetect (pip install scenedetect), where it is installed, choose the number of their cuts themselves: they read
every frame, with their defaults. A boundary and a scene cut match within one step of the scan (duration /
scan_frames: 1.2 s at 5 minutes, 3.5 s at 15), each with one other at most; counts are pooled over the videos of a cell.
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

from lmms_videominer.segmenters import SEGMENTERS, get_segmenter
from lmms_videominer.types import Span
from lmms_videominer.video import VideoReader, open_video
from lmms_videominer.world.script import NUISANCES, SPLITS, Script, write_script
from lmms_videominer.world.video import encode

CONDITIONS = {"none": (), **{name: (name,) for name in NUISANCES}, "all": NUISANCES}
VIDEOS = {5: 8, 15: 4}  # minutes -> videos of a cell: about 100 scene cuts each
DEFAULT_EVENTS, SCAN_FRAMES, MIN_EVENT_S = 16, 256, 0.5
DETECTORS = ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "ThresholdDetector")


@dataclass
class Tally:
    """Boundaries counted over the videos of one cell."""

    matched: int = 0
    found: int = 0
    true: int = 0

    def add(self, found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float) -> None:
        self.matched += matches(found_s, true_s, tolerance_s)
        self.found += len(found_s)
        self.true += len(true_s)

    def __str__(self) -> str:
        """Precision, recall and F1 in percent."""
        shares = self.matched / max(self.found, 1), self.matched / max(self.true, 1), self.f1
        return " / ".join(f"{100 * share:.0f}" for share in shares)

    @property
    def f1(self) -> float:
        return 2 * self.matched / max(self.found + self.true, 1)


def matches(found_s: Sequence[float], true_s: Sequence[float], tolerance_s: float) -> int:
    """The most pairs of a boundary and a cut no farther apart than ``tolerance_s``; each in one; both ascending."""
    count = place = 0
    for time_s in true_s:
        while place < len(found_s) and found_s[place] < time_s - tolerance_s - 1e-9:
            place += 1
        if place < len(found_s) and found_s[place] <= time_s + tolerance_s + 1e-9:
            count, place = count + 1, place + 1
    return count


class Remembering:
    """A reader that decodes what every segmentation of one video scans only once."""

    def __init__(self, reader: VideoReader):
        self.info, self.timestamps_s, self._reader = reader.info, reader.timestamps_s, reader
        self._known: dict[tuple, np.ndarray] = {}

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return self._read("frames", indices)

    def gray_histograms(self, indices: Sequence[int]) -> np.ndarray:
        return self._read("gray_histograms", indices)

    def _read(self, what: str, indices: Sequence[int]) -> np.ndarray:
        key = (what, *indices)
        if key not in self._known:
            self._known[key] = getattr(self._reader, what)(indices)
        return self._known[key]


def segmenter_cuts(path: Path, scenes: int, names: Sequence[str]) -> Iterator[tuple[str, list[float]]]:
    """The boundaries of each segmenter, in seconds, by what its row is called."""
    with open_video(path) as reader:
        remembering, whole = Remembering(reader), Span(0.0, reader.info.duration_s)
        for name in names:
            for label, events in (("K = scenes", scenes), (f"K = {DEFAULT_EVENTS}", DEFAULT_EVENTS)):
                parts = get_segmenter(name).segment(remembering, [whole], events, SCAN_FRAMES, MIN_EVENT_S)
                yield f"{name}, {label}", [part.start_s for part in parts[1:]]


def detector_cuts(path: Path) -> Iterator[tuple[str, list[float]]]:
    """The cuts of PySceneDetect's detectors, in seconds; the file is decoded once for all of them."""
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
    """Tallies by minutes, row and condition."""
    detect = importlib.util.find_spec("scenedetect") is not None
    if not detect:
        print("PySceneDetect is not installed, its rows are left out: pip install scenedetect", file=sys.stderr)
    tallies: dict[tuple[int, str, str], Tally] = {}
    for script, condition in tqdm(list(_scripts(arguments)), unit="video"):
        path = folder / f"{script.seed}-{script.index}-{script.minutes:g}min-{condition}.mp4"
        if not path.exists():
            encode(script, path)
        true_s = [scene.span.start_s for scene in script.scenes[1:]]
        rows = list(segmenter_cuts(path, len(script.scenes), arguments.segmenters))
        for row, found_s in rows + (list(detector_cuts(path)) if detect else []):
            tally = tallies.setdefault((int(script.minutes), row, condition), Tally())
            tally.add(found_s, true_s, script.duration_s / SCAN_FRAMES)
    return tallies


def _scripts(arguments: argparse.Namespace) -> Iterator[tuple[Script, str]]:
    seed = SPLITS[arguments.split][500_000]
    for minutes in arguments.minutes:
        for condition in arguments.nuisances:
            for index in range(arguments.videos or VIDEOS[minutes]):
                yield write_script(seed, index, minutes, CONDITIONS[condition]), condition


def table(tallies: dict[tuple[int, str, str], Tally], minutes: int, conditions: Sequence[str]) -> str:
    """The rows of one length as Markdown."""
    lines = [f"| {minutes} minutes | " + " | ".join(conditions) + " |", "|---" * (len(conditions) + 1) + "|"]
    for row in dict.fromkeys(row for length, row, _ in tallies if length == minutes):
        lines.append(f"| {row} | " + " | ".join(str(tallies[minutes, row, name]) for name in conditions) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="seeds (default: %(default)s)")
    parser.add_argument("--minutes", type=int, nargs="+", default=list(VIDEOS), choices=list(VIDEOS))
    parser.add_argument("--videos", type=int, help=f"videos of a cell (default: {VIDEOS}, by minutes)")
    parser.add_argument("--nuisances", nargs="+", default=list(CONDITIONS), choices=list(CONDITIONS))
    parser.add_argument("--segmenters", nargs="+", default=list(SEGMENTERS), choices=list(SEGMENTERS))
    parser.add_argument("--folder", type=Path, help="keeps the rendered videos; absent: a temporary one")
    parser.add_argument("--out", type=Path, help="JSON file for the counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        tallies = measure(arguments, folder)
    print("Precision / recall / F1 in percent.\n")
    print("\n\n".join(table(tallies, minutes, arguments.nuisances) for minutes in arguments.minutes))
    if arguments.out:
        rows = [{"minutes": minutes, "row": row, "nuisance": name, "f1": tally.f1, **asdict(tally)}
                for (minutes, row, name), tally in tallies.items()]
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
