"""Computes which uniform frames a plain backbone samples from a video, by its own rule.

Used for the record of ``selector=uniform``, which leaves sampling to the backbone, and for videos too short for a
search.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.selectors.settings import flat
from lmms_videominer.types import KeyFrame, Question, Selection, VideoInfo


def linspace_indices(frame_count: int, average_fps: float, wanted: int) -> np.ndarray:
    """int64 [wanted]: the frames that LLaVA-style loaders sample."""
    return np.linspace(0, frame_count - 1, wanted, dtype=int)


def qwen_indices(frame_count: int, average_fps: float, wanted: int) -> np.ndarray:
    """int64 [<= wanted]: two frames per second by qwen_vl_utils, at most 768, then ``np.linspace`` over these."""
    import torch
    from qwen_vl_utils.vision_process import smart_nframes

    count = smart_nframes({}, total_frames=frame_count, video_fps=average_fps)
    sampled = torch.linspace(0, frame_count - 1, count).round().long().numpy()  # the library's own rounding
    return sampled[np.unique(np.linspace(0, count - 1, wanted, dtype=int))]


def even_indices(frame_count: int, average_fps: float, wanted: int) -> np.ndarray:
    """int64 [<= wanted, at least 2]: an even number of frames at equal distances, by qwen_vl_utils."""
    import torch

    count = max(2, min(wanted, frame_count) // 2 * 2)
    return torch.linspace(0, frame_count - 1, count).round().long().numpy()  # the library's own rounding


def rounded_indices(frame_count: int, average_fps: float, wanted: int) -> np.ndarray:
    """int64 [<= wanted + 1, at least 2]: as ``even_indices``, for twice ``wanted / 2`` rounded (ties to even)."""
    return even_indices(frame_count, average_fps, round(wanted / 2) * 2)


def second_indices(frame_count: int, average_fps: float, wanted: int) -> np.ndarray:
    """int64 [<= wanted]: one frame per second; if those are too many, ``np.linspace`` over all frames."""
    seconds = np.arange(0, frame_count, max(1, round(average_fps)))
    return seconds if len(seconds) <= wanted else linspace_indices(frame_count, average_fps, wanted)


_SAMPLERS: dict[str, Callable[[int, float, int], np.ndarray]] = {
    "linspace": linspace_indices,
    "qwen": qwen_indices,
    "even": even_indices,
    "rounded": rounded_indices,
    "seconds": second_indices,
}


def plain_frames(sampling: str, video: str, wanted: int, reader: str = "auto") -> tuple[KeyFrame, ...]:
    """The frames of ``video`` that a backbone with this sampling takes; none if the sampling is unknown.

    Raises:
        VideoError: The video cannot be used.
    """
    return _sample(sampling, video, wanted, reader)[1] if sampling in _SAMPLERS else ()


def plain_selection(sampling: str, question: Question, wanted: int, config: MinerConfig) -> Selection | None:
    """The frames that a backbone with this sampling takes by itself, as the record of ``selector=uniform``.

    Its ``config`` has ``wanted`` as the number of frames. ``None`` if the sampling is unknown.

    Raises:
        VideoError: The video cannot be used.
    """
    if sampling not in _SAMPLERS:
        return None
    video, key_frames = _sample(sampling, question.video, wanted, config.reader)
    settings = {**flat(config), "frames": wanted}
    return Selection(question, video, key_frames, config.selector, config=settings, seed=config.seed)


def _sample(sampling: str, video: str, wanted: int, reader: str) -> tuple[VideoInfo, tuple[KeyFrame, ...]]:
    from lmms_videominer.video import open_video

    video_reader = open_video(video, reader)
    try:
        info, times = video_reader.info, video_reader.timestamps_s
    finally:
        video_reader.close()
    indices = _SAMPLERS[sampling](info.frame_count, info.average_fps, wanted)
    return info, tuple(KeyFrame(float(times[i]), int(i)) for i in indices)


def with_plain_frames(selection: Selection, sampling: str, reader: str = "auto") -> Selection:
    """A selection that needed no search, with the frames that the backbone would take by itself at the same budget.

    Any other selection is returned unchanged. So is one for a backbone with unknown sampling, or for a video with no
    more frames than the budget.

    Raises:
        VideoError: The video can no longer be used.
    """
    budget = selection.config["frames"]
    if [node.note for node in selection.nodes] != ["short"] or selection.video.frame_count <= budget:
        return selection
    frames = plain_frames(sampling, selection.question.video, budget, reader)
    if not frames:
        return selection
    return replace(selection, key_frames=tuple(replace(frame, node_id=selection.nodes[0].id) for frame in frames))
