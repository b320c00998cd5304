"""Reads videos with torchcodec, which decodes with the FFmpeg libraries of the system."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmms_videominer.video.batch_reader import BatchReader
from lmms_videominer.video.containers import file_address
from lmms_videominer.video.display import Display

_CLOCK_ERROR_S = 1e-6  # rounding only: both read the same ticks
_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv")  # where it seeks rightly (measured)
_TURNS = (Display(), Display(True, True, False), Display(False, True, True), Display(True, False, True))


class _OtherFrameError(Exception):
    """A frame is missing: torchcodec gives the next one in its place, with the time of that."""


class TorchcodecReader(BatchReader):
    """Takes pixels from torchcodec, and checks the time of each."""

    backend = "torchcodec"

    def _opened(self, address: str, threads: int) -> Any:
        return _decoder_class()(
            address,
            stream_index=self._track.stream_index,
            dimension_order="NHWC",
            num_ffmpeg_threads=threads,
            device="cpu",
            seek_mode="exact",
        )

    def _batch(self, unique: list[int]) -> np.ndarray:
        handle = self._open_handle()
        batch = handle.get_frames_at(unique)
        times_s = batch.pts_seconds.numpy() - handle.metadata.begin_stream_seconds  # [n]
        others = np.flatnonzero(np.abs(times_s - self.timestamps_s[unique]) > _CLOCK_ERROR_S)
        if others.size:
            raise _OtherFrameError(f"no frame at {self.timestamps_s[unique[others[0]]]:.2f} s")
        return batch.data.numpy()

    def _failures(self) -> tuple[type[Exception], ...]:
        return RuntimeError, ValueError, IndexError, _OtherFrameError

    def _index_mismatch(self) -> str:
        handle, count = self._open_handle(), self.info.frame_count
        if len(handle) != count:
            return f"it finds {len(handle)} frames where the file has {count}"
        turns = round((handle.metadata.rotation or 0) / 90) % 4
        return "" if _TURNS[turns] == self._track.display else "it turns its pictures otherwise"

    def _numbering_fault(self) -> str:
        track = self._track
        if not file_address(track.path):
            return "the name of the file is not UTF-8"
        if track.container not in _CONTAINERS:
            return f"it may misplace the frames of {track.container} files"
        if not track.seekable:
            return f"the frames of this {track.container} file have no timestamps that hold"
        if not len(track.sync_frames):
            return "its key frames are no whole pictures"
        return ""


def _decoder_class() -> Any:
    """torchcodec's decoder of videos; ``ImportError`` if it is not installed, or finds no FFmpeg."""
    try:
        import torchcodec
    except RuntimeError as error:  # of releases that need FFmpeg to be imported
        raise ImportError(str(error)) from error
    if torchcodec.ffmpeg_major_version is None:
        raise ImportError("it finds no FFmpeg")
    return torchcodec.decoders.VideoDecoder
