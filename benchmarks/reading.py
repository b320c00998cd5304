"""Measures what it costs to open a film and to read frames of it: here and in an older checkout, or by reader.

    git worktree add ../before COMMIT
    python benchmarks/reading.py --before ../before
    python benchmarks/reading.py --readers pyav decord torchcodec --out benchmarks/results/reading.jsonl

The first opens an hour of 320x240 and reads 256 frames. The second reads 20 minutes of 1280x720 (H.264, of
``benchmarks/scan.py``), with a key frame every 10 s and every second: 256 frames, evenly spaced, and 96 that follow
each other; at full size, and scaled to 200,000 pixels. Spaced frames are read of ``--piece`` minutes, as far apart, and
taken times 20 / piece.

All take turns in fresh processes, so that load on the machine meets all alike. Figures are medians of CPU seconds;
a ratio below 1 means that this checkout is faster, or that the reader is faster than the first.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import scan

from lmms_videominer.show.markdown import markdown_table

HERE = Path(__file__).resolve().parents[1]
BACKENDS = ("pyav", "decord")
SECONDS, MINUTES, FPS, SIZE, FRAMES = 60, 60, 25, (320, 240), 256
MEASURED = f"""
import logging, sys, time
logging.disable(logging.WARNING)
from lmms_videominer.video import open_video
path, backend = sys.argv[1:]
with open_video(path, backend) as reader:  # imports, and the file into the system's memory
    reader.frames([0])
started = time.process_time()
for _ in range(3):
    open_video(path, backend).close()
opened = time.process_time()
with open_video(path, backend) as reader:
    count = reader.info.frame_count
    begun = time.process_time()
    reader.frames([count * i // {FRAMES} for i in range({FRAMES})])
print((opened - started) / 3, time.process_time() - begun)
"""

BY_READER = """
import logging, sys, time
logging.disable(logging.WARNING)
from lmms_videominer.video import open_video
path, backend, pixels, spaced, following = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
with open_video(path, backend, pixels) as reader:
    reader.frames([0])
clock, times = time.process_time, []
for what in ("spaced", "following"):
    began = clock()
    with open_video(path, backend, pixels) as reader:
        times.append(clock() - began)
        count = reader.info.frame_count
        spread = [int((i + 0.5) * count / spaced) for i in range(spaced)]
        asked = spread if what == "spaced" else list(range(count // 3, count // 3 + following))
        began = clock()
        for start in range(0, len(asked), 16):
            reader.frames(asked[start : start + 16])
        times.append(clock() - began)
print(*times)
"""
BY_READER_MINUTES, FOLLOWING, KEYS_S, PIXELS = 20, 96, (10, 1), (0, 200_000)


def write_hour(path: Path) -> None:
    """One minute of H.264 with B-frames, 320x240 at 25 fps, sixty times over."""
    minute = path.with_name("minute.mp4")
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1] // 8, SIZE[0] // 8, 3), dtype=np.uint8)
    picture = noise.repeat(8, 0).repeat(8, 1)
    with av.open(str(minute), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "bf": "2", "g": "125"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for number in range(SECONDS * FPS):
            frame = av.VideoFrame.from_ndarray(np.roll(picture, 2 * number, axis=1), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(minute)) as old, av.open(str(path), "w") as new:
        source = old.streams.video[0]
        stream = new.add_stream_from_template(source)
        assert source.time_base is not None
        for turn in range(MINUTES):
            old.seek(0)
            for packet in old.demux(source):
                if packet.size and packet.pts is not None and packet.dts is not None:
                    later = round(turn * SECONDS / source.time_base)
                    packet.pts, packet.dts, packet.stream = packet.pts + later, packet.dts + later, stream
                    new.mux(packet)


def measured(checkout: Path, film: Path, backend: str) -> tuple[float, float]:
    """CPU seconds of ``open_video`` and of reading 256 frames, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MEASURED, str(film), backend]
    opening, reading = subprocess.check_output(command, env=environment, cwd=film.parent, text=True).split()
    return float(opening), float(reading)


def by_reader(readers: list[str], arguments: argparse.Namespace, folder: Path) -> list[dict]:
    """One row for each reader, film, size and turn."""
    rows: list[dict] = []
    turns, piece, out = arguments.turns, arguments.piece, arguments.out
    for key_s in arguments.keys:
        clip, film = folder / f"clip-{key_s}.mp4", folder / f"film-{key_s}.mp4"
        scan.write_clip(clip, "h264", key_s)
        scan.write_film(film, clip, 60 * piece)
        spaced = round(FRAMES * piece / BY_READER_MINUTES)
        for turn in range(turns):
            for pixels in PIXELS:
                for reader in readers[turn % len(readers) :] + readers[: turn % len(readers)]:
                    command = [sys.executable, "-c", BY_READER, film, reader, pixels, spaced, FOLLOWING]
                    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
                    said = subprocess.check_output([str(part) for part in command], env=environment, text=True)
                    opening, spread, _, dense = map(float, said.split())
                    figures = {"open": opening, "spaced": spread * FRAMES / spaced, "following": dense}
                    rounded = {name: round(seconds, 3) for name, seconds in figures.items()}
                    rows.append({"reader": reader, "key_s": key_s, "pixels": pixels, "piece": piece, **rounded})
                    if out:
                        with out.open("a") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    return rows


def by_reader_table(rows: list[dict], readers: list[str]) -> str:
    lines = []
    for key_s in dict.fromkeys(row["key_s"] for row in rows):
        for pixels in PIXELS:
            for what in ("open", "spaced", "following"):
                medians = [
                    statistics.median(
                        row[what]
                        for row in rows
                        if (row["reader"], row["key_s"], row["pixels"]) == (reader, key_s, pixels)
                    )
                    for reader in readers
                ]
                cells = [f"{median:.2f} ({median / medians[0]:.2f})" for median in medians]
                lines.append([str(key_s), str(pixels or "all"), what, *cells])
    return markdown_table(["key frame every, s", "pixels", "what", *(f"{name}, CPU s" for name in readers)], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--before", type=Path, help="a checkout of the commit to compare with")
    what.add_argument("--readers", nargs="+", choices=("pyav", "decord", "torchcodec"), help="the readers to compare")
    parser.add_argument("--turns", type=int, default=5, help="processes for each figure (default: 5)")
    parser.add_argument("--keys", type=int, nargs="+", default=KEYS_S, help="seconds between key frames, for --readers")
    parser.add_argument("--piece", type=float, default=5.0, help="minutes of film for --readers (default: 5)")
    parser.add_argument("--out", type=Path, help="JSONL file to which --readers adds its rows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.readers:
            rows = by_reader(arguments.readers, arguments, Path(folder))
            print(by_reader_table(rows, arguments.readers))
        else:
            print(before_table(arguments.before, arguments.turns, Path(folder)))


def before_table(checkout: Path, turns: int, folder: Path) -> str:
    """What opening and reading an hour took in ``checkout``, and what they take here."""
    film, rows = folder / "hour.mp4", []
    write_hour(film)
    for backend in BACKENDS:
        pairs = [[measured(side.resolve(), film, backend) for side in (checkout, HERE)] for _ in range(turns)]
        for what, name in enumerate(("open_video", f"{FRAMES} frames")):
            before, after = (statistics.median(pair[side][what] for pair in pairs) for side in (0, 1))
            ratio = statistics.median(pair[1][what] / pair[0][what] for pair in pairs)
            rows.append([backend, name, f"{before:.3f}", f"{after:.3f}", f"{ratio:.2f}"])
    return markdown_table(["reader", "what", "before, s", "after, s", "ratio"], rows)


if __name__ == "__main__":
    main()
