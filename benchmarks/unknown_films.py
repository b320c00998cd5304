"""Whether the bundled models tell the films that they know from others: false alarms and misses.

    python benchmarks/unknown_films.py FILM_OR_PICTURE ...

Sets of pictures of world films over every split, several lengths, every nuisance and codec are encoded, opened and
judged as ``videominer mine`` does; so are FFmpeg's test sources, and the films and pictures that are named. Films that
are no squares are told by that alone; their square cuts, as large as the world's pictures, show what the pixels tell.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageSequence

from lmms_videominer.models.drawn_films import FITS, LOOKS, SIDE, is_strange, is_world_video, robot_share
from lmms_videominer.video import open_video
from lmms_videominer.world.render import render_times
from lmms_videominer.world.script import NUISANCES, SPLITS, write_script

MINUTES = (1, 5, 15, 60)
CODECS: dict[str, tuple[str, dict[str, str]]] = {
    "H.264": ("libx264", {"preset": "veryfast", "crf": "20"}),
    "H.264 at 150 kbit/s": ("libx264", {"preset": "ultrafast", "b": "150k"}),
    "H.265": ("libx265", {"crf": "35", "preset": "ultrafast", "x265-params": "log-level=none"}),
    "VP9": ("libvpx-vp9", {"crf": "45", "b": "0", "deadline": "realtime", "cpu-used": "8"}),
    "AV1": ("libsvtav1", {"preset": "12", "crf": "45"}),
    "MPEG-4": ("mpeg4", {"qscale": "8", "flags": "+qscale", "global_quality": "944"}),
    "MJPEG": ("mjpeg", {"qmin": "10", "qmax": "20"}),
}
SIZES = (SIDE, 84, 480)  # films may have been scaled
SOURCES = (
    *(f"{name}=size=SIZE:rate=8" for name in ("testsrc", "testsrc2", "mandelbrot", "smptebars", "rgbtestsrc", "life")),
    *(f"color={colour}:size=SIZE:rate=8" for colour in ("black", "white", "red", "gray")),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("others", nargs="*", type=Path, metavar="FILM_OR_PICTURE")
    parser.add_argument("--sets", type=int, default=4, metavar="N", help="by split, length, nuisance (default: 4)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _measure_world(Path(folder) / "film.mkv", arguments.sets)
        _measure_others(Path(folder) / "film.mkv", arguments.others)


def _measure_world(film: Path, sets: int) -> None:
    alarms, shares, judged = [], [], 0
    for case, (split, minutes, nuisances, n) in enumerate(_cases(sets)):
        codec, size = list(CODECS)[case % len(CODECS)], SIZES[case // len(CODECS) % len(SIZES)]
        script = write_script(SPLITS[split].start + case, n, minutes, nuisances)
        offset = np.random.default_rng(case).random()
        times_s = (np.arange(LOOKS) + offset) * script.duration_s / LOOKS
        encode(film, render_times(script, times_s), *CODECS[codec], size=size)
        is_known, best = _judged(film)
        shares.append(best)
        judged += 1
        if not is_known or is_strange(str(film)):
            alarms.append(f"{split} {minutes} min {'+'.join(nuisances)} {codec} {size}: {best:.2f}")
    print(f"world: {len(alarms)} false alarms in {judged} sets of {LOOKS} pictures (fits from {FITS})")
    print(f"best share of a set: least {min(shares):.2f}, 1 % below {np.quantile(shares, 0.01):.2f}", *alarms, sep="\n")


def _cases(sets: int) -> Iterator[tuple[str, int, tuple[str, ...], int]]:
    for split in SPLITS:
        for minutes in MINUTES:
            for nuisances in ((), *((name,) for name in NUISANCES), NUISANCES):
                for n in range(sets):
                    yield split, minutes, nuisances, n


def _measure_others(film: Path, others: list[Path]) -> None:
    missed, shares, whole, cuts = [], [], 0, 0
    for other in others:
        pictures = list(_pictures(other))
        if other.suffix.lower() not in Image.registered_extensions():
            whole += 1
            missed += [] if is_strange(str(other)) else [str(other)]
        for name, cut in _square(pictures):
            encode(film, cut, *CODECS["H.264"], size=SIDE)
            cuts += 1
            shares.append(_judged(film)[1])
            missed += [] if is_strange(str(film)) else [f"{other} {name}"]
    for source in SOURCES:
        encode(film, np.stack(list(_generated(source))), *CODECS["H.264"], size=SIDE)
        cuts += 1
        shares.append(_judged(film)[1])
        missed += [] if is_strange(str(film)) else [source]
    print(f"others: {len(missed)} missed of {whole} films as they are and {cuts} square ones of the world's size")
    print(f"best share of a set: most {max(shares):.2f}, 1 % above {np.quantile(shares, 0.99):.2f}", *missed, sep="\n")


def _judged(film: Path) -> tuple[bool, float]:
    with open_video(film) as reader:
        frames = reader.frames(range(reader.info.frame_count))
        return is_world_video(reader), max(robot_share(frame) for frame in frames)


def _pictures(path: Path) -> Iterator[np.ndarray]:
    """Pictures of a film over its length, or of a picture's file."""
    if path.suffix.lower() in Image.registered_extensions():
        with Image.open(path) as image:
            yield from (np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image))
        return
    with open_video(path) as reader:
        count = reader.info.frame_count
        yield from reader.frames(sorted({i * count // LOOKS for i in range(LOOKS)}))


def _square(pictures: list[np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Square cuts from the sides, the middle and within, each scaled to the world's size."""
    least = min(min(picture.shape[:2]) for picture in pictures)
    for name, side, place in (
        ("first", 1, 0),
        ("middle", 1, 0.5),
        ("last", 1, 1),
        ("half", 0.5, 0.5),
        ("third", 1 / 3, 0.7),
    ):
        edge = max(8, int(least * side))
        yield name, np.stack([_cut(picture, edge, place) for picture in pictures])


def _cut(picture: np.ndarray, edge: int, place: float) -> np.ndarray:
    top, left = (int(max(0, length - edge) * place) for length in picture.shape[:2])
    return np.asarray(Image.fromarray(picture[top : top + edge, left : left + edge]).resize((SIDE, SIDE)))


def _generated(source: str) -> Iterator[np.ndarray]:
    graph = av.filter.Graph()
    name, _, options = source.replace("SIZE", f"{SIDE}x{SIDE}").partition("=")
    start, end = graph.add(name, options), graph.add("buffersink")
    start.link_to(end)
    graph.configure()
    for _ in range(LOOKS):
        yield graph.vpull().to_ndarray(format="rgb24")


def encode(path: Path, pictures: np.ndarray, codec: str, options: dict[str, str], *, size: int) -> None:
    """Write pictures, uint8 [n, H, W, 3], one a second, each a key frame, as ``size`` x ``size`` to a Matroska file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.width = stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size, stream.options, stream.codec_context.thread_count = 1, options, 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
