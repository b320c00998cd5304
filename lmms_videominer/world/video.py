"""Writes worlds to files: H.264 in mp4 with a key frame every four seconds, and ``qa.jsonl``."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lmms_videominer.store.atomic import written
from lmms_videominer.types import Cue
from lmms_videominer.world.narration import narrate, write_srt
from lmms_videominer.world.questions import SPOKEN, write_questions
from lmms_videominer.world.render import frame_times, render_frame
from lmms_videominer.world.script import FPS, SIZE, Script, write_script
from lmms_videominer.world.text_track import add_text_track, text_packets

GOP = 4 * FPS  # frames


def encode(script: Script, path: Path, cues: Sequence[Cue] = ()) -> None:
    """Render ``script`` to ``path`` (H.264, yuv420p, mp4) atomically.

    Args:
        cues: What is said, as a text track; none: there is no such track.
    """
    import av

    with written(path) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.gop_size = GOP
        stream.codec_context.thread_count = 1  # videos are rendered in parallel
        stream.options = {"preset": "veryfast", "crf": "20"}
        if cues:
            container.mux(text_packets(add_text_track(container), cues))
        for time_s in frame_times(script):
            frame = av.VideoFrame.from_ndarray(render_frame(script, float(time_s)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _video_name(seed: int, index: int, minutes: float, features: Sequence[str]) -> str:
    return "-".join([f"world-{seed}-{index:03d}-{minutes:g}min", *features]) + ".mp4"


def _render_one(
    index: int,
    folder: Path,
    minutes: float,
    seed: int,
    questions: int,
    nuisances: tuple[str, ...],
    kinds: tuple[str, ...],
) -> list[dict[str, Any]]:
    script = write_script(seed, index, minutes, nuisances)
    cues = narrate(script) if SPOKEN in kinds else ()
    name = _video_name(seed, index, minutes, (*nuisances, SPOKEN) if cues else nuisances)
    if not (folder / name).exists():
        encode(script, folder / name, cues)
    if cues:
        write_srt(cues, (folder / name).with_suffix(".srt"))
    return [
        q.row(script, f"{q.kind}{n}" if kinds else n, name)
        for n, q in enumerate(write_questions(script, questions, kinds))
    ]


def render_world(
    folder: str | os.PathLike,
    minutes: float,
    videos: int,
    seed: int,
    workers: int | None = None,
    progress: bool = True,
    questions: int = 10,
    nuisances: Sequence[str] = (),
    kinds: Sequence[str] = (),
) -> Path:
    """Write videos and their questions; existing videos are kept.

    Args:
        folder: The folder to write to, created if missing.
        minutes: Length of each video, 1 to 120.
        videos: Number of videos.
        seed: World seed; video ``i`` is drawn from ``(seed, i, minutes)``.
        workers: Number of parallel processes; by default one per core.
        progress: Show a progress bar.
        questions: Questions per video (fewer if its scenes do not allow as many).
        nuisances: Any of ``script.NUISANCES``.
        kinds: Kinds of questions, any of ``questions.ALL_KINDS``; empty: those of the tasks. With ``spoken`` the
            videos have a text track, and the same as SRT beside them.

    Returns:
        Path of ``qa.jsonl``, written last and atomically: if it exists, the world is complete.

    Raises:
        ConfigError: A kind is unknown.
    """
    folder = Path(folder)
    # reject bad arguments before anything is written or any process starts
    write_questions(write_script(seed, 0, minutes, tuple(nuisances)), 1, tuple(kinds))
    folder.mkdir(parents=True, exist_ok=True)
    render = partial(
        _render_one,
        folder=folder,
        minutes=minutes,
        seed=seed,
        questions=questions,
        nuisances=tuple(nuisances),
        kinds=tuple(kinds),
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    # spawn: the caller may have threads (torch, decoders) that do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max(min(workers or cores, videos), 1), mp_context=context) as pool:
        bar = tqdm(
            pool.map(render, range(videos)),
            total=videos,
            desc=f"Rendering {minutes:g}-minute videos",
            unit="video",
            disable=not progress,
        )
        rows = [row for video_rows in bar for row in video_rows]
    path = folder / "qa.jsonl"
    with written(path) as part:
        part.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
