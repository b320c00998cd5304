"""Measures the root scan of an hour of 1280x720 against ffmpeg decoding the film and against decord.

    taskset -c 0 python benchmarks/scan.py --out benchmarks/results/scan.jsonl --ffmpeg /usr/bin/ffmpeg
    taskset -c 0 python benchmarks/scan.py --codecs h264 --keys 10 --turns 3
    taskset -c 0 python benchmarks/scan.py --codecs vp9 av1 --piece 2 --turns 1    # smaller; as far as it goes

A row has the CPU seconds of one turn of one film, each measurement in a process of its own, one after the other,
beginning with another one in each turn. All films have one turn before any has the next:

    scan     open the film and read the frames that the root scan takes, as a search does (``scan=sync``)
    exact    the same at evenly spaced frames (``scan=exact``)
    ffmpeg   decode the whole film to nothing
    decord   open the film with decord and read the evenly spaced frames by ``get_batch``; "-" where it cannot, as AV1

A film is one clip over and over, so what reads it from end to end costs a piece of it its share: all but ``scan`` are
measured on the first ``--piece`` minutes, at the frames that the hour's scan has there, and taken times their share; so
is ``scan`` where the hour has too few key frames to be scanned at these. The table has medians of the turns, as ratios
to ffmpeg. Rows without ``apart_s`` are of other frames of the piece, and do not count.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lmms_videominer.segmenters.coarse import FEWEST
from lmms_videominer.show.markdown import markdown_table

SIZE, FPS, MINUTES, FRAMES = (1280, 720), 24, 60, 256
CODECS = {
    "h264": ("libx264", "mp4", {"preset": "veryfast", "bf": "2", "sc_threshold": "0"}),
    "hevc": ("libx265", "mp4", {"preset": "ultrafast", "x265-params": "log-level=none:scenecut=0"}),
    "vp9": ("libvpx-vp9", "mkv", {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"}),
    "av1": ("libsvtav1", "mkv", {"preset": "12", "crf": "35", "svtav1-params": "scd=0"}),
}
KEYS_S = (1, 10, 60)
SHORTEST_S = 10  # seconds of a clip, at least
APART_S = 60 * MINUTES / FRAMES  # frames of the scan
WHAT = ("scan", "exact", "ffmpeg", "decord")
READ = """
import logging, sys, time
logging.disable(logging.WARNING)
import av, numpy
from lmms_videominer.segmenters.appearance import appearances
from lmms_videominer.segmenters.coarse import coarse_frames
from lmms_videominer.segmenters.scan import scan
from lmms_videominer.types import Span
from lmms_videominer.video.opening import opened
path, frames, apart_s, plan = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
began = time.process_time()
def coarse(reader, video_id):
    return coarse_frames(reader)
with opened(path, "pyav", 200_000, coarse if plan == "scan" else None) as video:
    reader = video.reader
    indices, _ = scan(reader, [Span(0.0, min(frames * apart_s, reader.info.duration_s))], frames)
    appearances(reader, indices.tolist())
    print(time.process_time() - began, len(reader.coarse_frames))
"""
DECORD = """
import sys, time
import decord, numpy
path, frames, apart = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
began = time.process_time()
reader = decord.VideoReader(path, ctx=decord.cpu(0), num_threads=0)
reader.get_batch([int((i + 0.5) * apart) for i in range(frames)])
print(time.process_time() - began)
"""


def write_clip(path: Path, codec: str, key_s: int) -> None:
    """A texture that moves under two others that stand, with a key frame every ``key_s`` seconds."""
    encoder, _, options = CODECS[codec]
    noise = np.random.default_rng(0).integers(0, 256, (SIZE[1] // 40, SIZE[0] // 40, 3), dtype=np.uint8)
    picture = noise.repeat(40, 0).repeat(40, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.gop_size = key_s * FPS
        for number in range(max(key_s, SHORTEST_S) * FPS):
            moved = np.roll(picture, 3 * number, axis=1)
            moved[:200], moved[-120:] = picture[:200], picture[-120:]
            frame = av.VideoFrame.from_ndarray(moved, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_film(path: Path, clip: Path, seconds: float) -> None:
    """``clip`` over and over, without encoding it again."""
    with av.open(str(clip)) as old, av.open(str(path), "w") as new:
        source = old.streams.video[0]
        stream = new.add_stream_from_template(source, opaque=True)  # AV1 has no encoder of its decoder's name
        assert source.time_base is not None
        packets = [(p.pts, p.dts, p.is_keyframe, bytes(p)) for p in old.demux(source) if p.size]
        length = round(len(packets) / FPS / source.time_base)
        for turn in range(round(seconds * FPS / len(packets))):
            for pts, dts, is_key, data in packets:
                packet = av.Packet(data)
                packet.time_base, packet.pts, packet.dts = source.time_base, pts + turn * length, dts + turn * length
                packet.is_keyframe, packet.stream = is_key, stream
                new.mux(packet)


def measured(what: str, film: Path, frames: int, ffmpeg: str) -> tuple[float | None, int]:
    """CPU seconds, and the number of frames that a coarse scan may take; no seconds where decord has no decoder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "OMP_NUM_THREADS": "1"}
    if what == "ffmpeg":
        threads = str(len(os.sched_getaffinity(0)))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [ffmpeg, "-v", "error", "-threads", threads, "-i", str(film), "-map", "0:v", "-f", "null", "-"]
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 0
    decord = [DECORD, str(film), str(frames), str(APART_S * FPS)]
    code = decord if what == "decord" else [READ, str(film), str(frames), str(APART_S), what]
    done = subprocess.run([sys.executable, "-c", *code], env=environment, text=True, capture_output=True)
    if done.returncode and what == "decord":
        print(f"{film.name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None, 0
    if done.returncode:
        raise SystemExit(done.stderr)
    said = done.stdout.split()
    return float(said[0]), int(said[1]) if len(said) > 1 else 0


def median(values: list[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    return f"{statistics.median(known):.{digits}f}" if known else "-"


def ratio(turn: dict, one: str, other: str) -> float | None:
    return turn[one] / turn[other] if turn[one] is not None and turn[other] is not None else None


def table(rows: list[dict]) -> str:
    lines = []
    for codec in CODECS:
        for key_s in KEYS_S:
            turns = [row for row in rows if (row["codec"], row["key_s"]) == (codec, key_s)]
            if not turns:
                continue
            seconds = [median([turn[what] for turn in turns], 2) for what in WHAT]
            pairs = (("scan", "ffmpeg"), ("exact", "ffmpeg"), ("scan", "decord"))
            ratios = [median([ratio(turn, *pair) for turn in turns], 3) for pair in pairs]
            at = "key frames" if turns[0]["coarse"] else "exact"
            lines.append([codec, str(key_s), str(len(turns)), at, *seconds, *ratios])
    named = [f"{what}, CPU s" for what in WHAT]
    compared = ["scan / ffmpeg", "exact / ffmpeg", "scan / decord"]
    return markdown_table(["codec", "key frame every, s", "turns", "scanned at", *named, *compared], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", nargs="+", default=list(CODECS), choices=list(CODECS))
    parser.add_argument("--keys", type=int, nargs="+", default=list(KEYS_S), help="seconds between key frames")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--piece", type=float, default=6.0, help="minutes of what costs its share (default: 6)")
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="the program (default: that of the PATH)")
    parser.add_argument("--folder", type=Path, help="for the films, which are kept (default: a temporary one)")
    parser.add_argument("--out", type=Path, help="JSONL file for the rows; resumes where it stopped")
    arguments = parser.parse_args()
    if not arguments.ffmpeg:
        parser.error("there is no ffmpeg; name one with --ffmpeg")
    text = arguments.out.read_text() if arguments.out and arguments.out.exists() else ""
    rows = [row for line in text.splitlines() if (row := json.loads(line)).get("apart_s") == APART_S]
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(arguments.turns):
            for codec in arguments.codecs:
                for key_s in arguments.keys:
                    done = sum((row["codec"], row["key_s"]) == (codec, key_s) for row in rows)
                    if done > number:
                        continue
                    rows.append(turn(folder, codec, key_s, number, arguments))
                    if arguments.out:
                        with arguments.out.open("a") as file:
                            file.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))


def turn(folder: Path, codec: str, key_s: int, number: int, arguments: argparse.Namespace) -> dict:
    """Row ``number`` of a film; the films are written where they are missing."""
    ending = CODECS[codec][1]
    clip, hour, piece = (folder / f"{codec}-{key_s}-{name}.{ending}" for name in ("clip", "hour", "piece"))
    if not clip.exists():
        write_clip(clip, codec, key_s)
    for film, minutes in ((hour, MINUTES), (piece, arguments.piece)):
        if not film.exists():
            write_film(film, clip, 60 * minutes)
    row: dict = {"codec": codec, "key_s": key_s, "apart_s": APART_S, "piece": arguments.piece}
    row["threads"] = len(os.sched_getaffinity(0))
    frames = int(60 * arguments.piece / APART_S)
    first = number % len(WHAT)
    for what in WHAT[first:] + WHAT[:first]:
        whole = what == "scan" and 60 * MINUTES / key_s >= FEWEST
        times = 1.0 if whole else MINUTES / arguments.piece if what == "ffmpeg" else FRAMES / frames
        seconds, coarse = measured(what, hour if whole else piece, FRAMES if whole else frames, arguments.ffmpeg)
        row[what] = None if seconds is None else round(times * seconds, 3)
        if what == "scan":
            row["coarse"] = coarse
    return row


if __name__ == "__main__":
    main()
