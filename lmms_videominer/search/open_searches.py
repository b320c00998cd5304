"""How many searches are open at once: as many as fill the engines that serve the models, and as memory holds.

**What fills an engine.** An engine serves so many requests at once: ``vlm_batch_size`` captions of one forward pass,
``policy_batch_size`` decisions, ``server_requests`` requests to a server, lmms-eval's batch size of a backbone. That is
its width. The engine of searches serves one kind of wish at a time, for all that wait for it, and those that wait bring
one request each at least: a wave has up to ``wave`` captions for each moment that is sought, and one decision for each
of its clusters. So as many searches as its width fill an engine; of several models, the widest counts.

**What memory holds.** A search itself is small, its open video is not. A reader holds ``PIXEL_BYTES`` for each pixel of
a picture: PyAV and torchcodec the references and what their threads work on, decord the pictures that it decoded ahead
as well, in RGB. The index takes 16 bytes a frame. No video is opened while those that are open hold a ``SHARE`` of the
memory that was available at first. Frames on their way to a model do not count: they are bounded for each call
(``video.parts.MAX_BYTES``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoError
from lmms_videominer.search.stages import Stages
from lmms_videominer.segmenters.coarse import known_coarse_frames
from lmms_videominer.store.cache import Cache
from lmms_videominer.types import VideoInfo
from lmms_videominer.video.kept_frames import KeptFrames
from lmms_videominer.video.opening import OpenVideo, opened

# measured at 1280x720, H.264: 21 and 348 MB a video, torchcodec's less than PyAV's; others as decord
PIXEL_BYTES = {"pyav": 24.0, "torchcodec": 24.0, "decord": 400.0}
INDEX_BYTES = 16  # of one frame
SHARE = 0.25  # of the available memory, for open videos
MOST_ON_ONE = 64  # questions on one video that begin together


def fill(stages: Stages) -> int:
    """How many searches fill the engines of ``stages``."""
    return max(at_once(model) for model in (stages.vlm, stages.policy, stages.language_model))


def at_once(model: object) -> int:
    """How many requests a model serves at once, as it says itself; one after the other if it does not."""
    return max(1, getattr(model, "at_once", 1))


def held_bytes(video: VideoInfo) -> float:
    """How much memory an open video holds, about."""
    each = PIXEL_BYTES.get(video.backend, max(PIXEL_BYTES.values()))
    return each * video.width * video.height + INDEX_BYTES * video.frame_count


def bytes_for_videos() -> float:
    """How much memory open videos may hold, from what is available now."""
    return SHARE * available_bytes()


def available_bytes() -> int:
    """The memory that this process can take without swapping, also within the limit of a container."""
    import psutil

    available = psutil.virtual_memory().available
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    return available if limit is None or used is None else max(0, min(available, limit - used))


def _number(path: Path) -> int | None:
    """The number in a file of the kernel; ``None`` for none, or ``max``."""
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


class OpenVideos:
    """The videos that searches are open on, each once.

    Args:
        config: How they are read, and which of their frames a coarse scan may take.
        cache: Where that is kept.
        stack: Closes those that are still open in the end.
    """

    def __init__(self, config: MinerConfig, cache: Cache, stack: contextlib.ExitStack):
        coarse = partial(known_coarse_frames, cache=cache) if config.scan == "sync" else None
        kept = KeptFrames()
        self._open = partial(opened, backend=config.reader, pixels=config.caption_pixels, coarse=coarse, kept=kept)
        self._stack = stack
        self._closers: dict[str, contextlib.ExitStack] = {}
        self._held: dict[str, OpenVideo | VideoError] = {}
        self._room_bytes = bytes_for_videos()

    def have_room(self) -> bool:
        """Whether there is memory for another video."""
        held = (held_bytes(video.info) for video in self._held.values() if isinstance(video, OpenVideo))
        return sum(held) < self._room_bytes

    def opened(self, path: str) -> OpenVideo | VideoError:
        """The video at ``path``, or its error."""
        if path not in self._held:
            self._closers[path] = self._stack.enter_context(contextlib.ExitStack())
            try:
                self._held[path] = self._closers[path].enter_context(self._open(path))
            except VideoError as error:
                self._held[path] = error
        return self._held[path]

    def close_unused(self, used: Iterable[str]) -> None:
        """Close the videos that are not among ``used``."""
        kept = set(used)
        for path in [path for path in self._held if path not in kept]:
            del self._held[path]
            self._closers.pop(path).close()


def together(videos: Sequence[str], most: int = MOST_ON_ONE) -> Iterator[list[int]]:
    """Positions in ``videos``, those of one video together, in order of its first; at most ``most`` at a time."""
    by_video: dict[str, list[int]] = {}
    for i, video in enumerate(videos):
        by_video.setdefault(video, []).append(i)
    for members in by_video.values():
        for start in range(0, len(members), most):
            yield members[start : start + most]
