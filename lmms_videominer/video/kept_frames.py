"""Frames that were read last, kept in memory: the scan's are looked at again when they are compared with a question."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from lmms_videominer.video.reader import NO_FRAMES, ReaderAround, VideoReader, in_parts

MAX_BYTES = 2**28  # of all videos of a run: more than the scan of one, scaled to 200,000 pixels
_READ_BYTES = 2**26  # read at once beside frames that are kept


class KeptFrames:
    """Frames by video and index, up to ``max_bytes``; those that were not asked for longest leave first."""

    def __init__(self, max_bytes: int = MAX_BYTES):
        self._max_bytes, self._bytes = max_bytes, 0
        self._frames: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()

    def get(self, video: str, index: int) -> np.ndarray | None:
        """uint8 [H, W, 3]; ``None`` if it is not kept."""
        frame = self._frames.get((video, index))
        if frame is not None:
            self._frames.move_to_end((video, index))
        return frame

    def keep(self, video: str, index: int, frame: np.ndarray) -> None:
        """Keep a copy of ``frame``, uint8 [H, W, 3], which is not kept yet."""
        self._frames[video, index] = frame.copy()
        self._bytes += frame.nbytes
        while self._bytes > self._max_bytes:
            self._bytes -= self._frames.popitem(last=False)[1].nbytes

    def forget(self, video: str) -> None:
        """Keep no frames of ``video``."""
        for key in [key for key in self._frames if key[0] == video]:
            self._bytes -= self._frames.pop(key).nbytes


class KeepingReader(ReaderAround):
    """The frames of ``reader``, each decoded once as long as it is kept, and the frames that a coarse scan may take.

    Args:
        reader: Reads what is not kept.
        kept: What is kept, also of other videos.
        coarse: Gives ``coarse_frames`` of the reader, when they are first asked for.
    """

    def __init__(
        self, reader: VideoReader, kept: KeptFrames, coarse: Callable[[VideoReader], np.ndarray] | None = None
    ):
        super().__init__(reader)
        self._kept, self._coarse = kept, coarse

    @cached_property
    def coarse_frames(self) -> np.ndarray:
        return self._coarse(self) if self._coarse else NO_FRAMES

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        asked = [int(index) for index in indices]
        known = {index: self._kept.get(self.info.path, index) for index in set(asked)}
        missing = sorted(index for index, frame in known.items() if frame is None)
        if missing == asked:
            return self._read(missing)
        out = np.empty((len(asked), *self.frame_size, 3), dtype=np.uint8)
        for place, index in enumerate(asked):
            if (frame := known[index]) is not None:
                out[place] = frame
        for part in in_parts(missing, self.frame_size, _READ_BYTES):
            read = self._read(part)
            for place, index in enumerate(asked):
                if index in part:
                    out[place] = read[part.index(index)]
        return out

    def _read(self, indices: Sequence[int]) -> np.ndarray:
        frames = self._reader.frames(indices)
        for index, frame in zip(indices, frames, strict=True):
            self._kept.keep(self.info.path, index, frame)
        return frames
