"""Measures what it costs to open an hour of film and to read 256 frames of it, here and in an older checkout.

    git worktree add ../before COMMIT
    python benchmarks/reading.py --before ../before

Both take turns in fresh processes, so that load on the machine meets both alike. Figures are medians of CPU seconds;
a ratio below 1 means that this checkout is faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the commit to compare with")
    parser.add_argument("--turns", type=int, default=5, help="processes for each figure (default: 5)")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "hour.mp4"
        write_hour(film)
        for backend in BACKENDS:
            pairs = [
                [measured(checkout.resolve(), film, backend) for checkout in (arguments.before, HERE)]
                for _ in range(arguments.turns)
            ]
            for what, name in enumerate(("open_video", f"{FRAMES} frames")):
                before, after = (statistics.median(pair[side][what] for pair in pairs) for side in (0, 1))
                ratio = statistics.median(pair[1][what] / pair[0][what] for pair in pairs)
                rows.append([backend, name, f"{before:.3f}", f"{after:.3f}", f"{ratio:.2f}"])
    print(markdown_table(["reader", "what", "before, s", "after, s", "ratio"], rows))


if __name__ == "__main__":
    main()
