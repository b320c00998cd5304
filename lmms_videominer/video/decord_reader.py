"""Reads videos with decord, as most video LLMs do. Wheels exist for Linux and Windows on x86-64."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmms_videominer.video.batch_reader import BatchReader
from lmms_videominer.video.containers import file_address
from lmms_videominer.video.picture import is_full_range

_CLOCK_ERROR_S, _CLOCK_ERROR = 2e-3, 1e-6  # absolute and relative: decord's timestamps are float32
_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "flv")  # where decord 0.6 seeks rightly (measured)


class DecordReader(BatchReader):
    """Takes pixels from decord, which itself averages a variable frame rate."""

    backend = "decord"

    def _opened(self, address: str, threads: int) -> Any:
        import decord

        return decord.VideoReader(address, ctx=decord.cpu(0), num_threads=threads)

    def _batch(self, unique: list[int]) -> np.ndarray:
        batch = self._open_handle().get_batch(unique)
        # decord's own array, or the tensor that it returns once another library has called ``decord.bridge``
        return batch.asnumpy() if hasattr(batch, "asnumpy") else np.asarray(batch)

    def _failures(self) -> tuple[type[Exception], ...]:
        from decord import DECORDError

        return DECORDError, RuntimeError

    def _index_mismatch(self) -> str:
        handle, count = self._open_handle(), self.info.frame_count
        if len(handle) != count:
            return f"it finds {len(handle)} frames where the file has {count}"
        times_s = np.asarray(handle.get_frame_timestamp(range(count)))[:, 0].astype(np.float64)
        matches = np.allclose(times_s - times_s[0], self.timestamps_s, rtol=_CLOCK_ERROR, atol=_CLOCK_ERROR_S)
        return "" if matches else "its timestamps differ from those of the file"

    def _numbering_fault(self) -> str:
        track = self._track
        if not file_address(track.path):
            return "the name of the file is not UTF-8"
        if track.container == "mpegts":
            return "in MPEG-TS it seeks past the first key frame"
        if track.container not in _CONTAINERS:
            return f"it may misplace the frames of {track.container} files"
        if track.picture_streams > 1:
            return f"the file has {track.picture_streams} video streams, and it may read another one"
        if track.open_gops:  # after a seek the decoder drops their leading frames, but decord still counts them
            return "the file has open GOPs"
        if not track.seekable:
            return f"the frames of this {track.container} file have no timestamps that hold"
        if track.first.pts != track.pts[0]:
            return "the first picture is damaged"
        coded_as = track.first.format
        if is_full_range(track.first) and not (coded_as.name.startswith("yuvj") or coded_as.is_rgb):
            return "it does not know the range of its colours"
        return ""
