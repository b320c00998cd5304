"""Opens video files with the backend that is asked for, for single frames or for a whole search."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from lmms_videominer.config import NAMES, check_names
from lmms_videominer.errors import ConfigError
from lmms_videominer.types import Cue, VideoInfo
from lmms_videominer.video.batch_reader import BatchReader
from lmms_videominer.video.decord_reader import DecordReader
from lmms_videominer.video.guarded import GuardedReader, decoded
from lmms_videominer.video.identity import video_identity
from lmms_videominer.video.kept_frames import KeepingReader, KeptFrames
from lmms_videominer.video.pyav_reader import PyAVReader
from lmms_videominer.video.reader import VideoReader
from lmms_videominer.video.subtitles import read_cues
from lmms_videominer.video.torchcodec_reader import TorchcodecReader
from lmms_videominer.video.track import read_track

BACKENDS = NAMES["reader"]
_BY_BATCHES: dict[str, tuple[type[BatchReader], str]] = {  # and what is needed to import their libraries
    "decord": (DecordReader, "pip install decord (Linux and Windows on x86-64)"),
    "torchcodec": (
        TorchcodecReader,
        "pip install 'lmms-videominer[torchcodec]', and FFmpeg's shared libraries (apt-get install ffmpeg)",
    ),
}


def open_video(path: str | os.PathLike[str], backend: str = "auto", pixels: int = 0) -> VideoReader:
    """Open a video for random access. Use the reader as a context manager or call ``close``.

    Args:
        path: The file.
        backend: ``"decord"``, ``"torchcodec"``, ``"pyav"``, or ``"auto"``: PyAV, which reads every file rightly and is
            the fastest for sparse frames (docs/reliability.md).
        pixels: Frames are scaled down to at most as many pixels; 0: they stay as they are.

    Raises:
        VideoError: The file cannot be used; the reason is one of missing, a folder, empty, cut off, never
            finished, not a video, sound only, without frames, or damaged at its first frame.
        ConfigError: There is no such backend, or its library is not installed.
    """
    check_names([backend], BACKENDS, "reader")
    track = read_track(path)
    if backend not in _BY_BATCHES:
        return PyAVReader(track, pixels)
    reader, needed = _BY_BATCHES[backend]
    try:
        return reader(track, pixels)
    except ImportError as error:
        raise ConfigError(
            f"reader='{backend}': {backend} cannot be imported ({error}); {needed}, or use reader=pyav"
        ) from error


@dataclass(frozen=True)
class OpenVideo:
    """A video that is open for reading.

    Attributes:
        reader: Random access to its frames.
        identity: Its identity in cache keys; depends on its content, not on its path.
    """

    reader: VideoReader
    identity: str
    _cues: dict[str, tuple[Cue, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def cues(self, source: str) -> tuple[Cue, ...]:
        """What is said in it, read once.

        Args:
            source: The setting ``subtitles``.

        Raises:
            SubtitleError: See ``read_cues``.
        """
        if source not in self._cues:
            self._cues[source] = decoded(self.info.path, read_cues, self.info.path, source, self.info.duration_s)
        return self._cues[source]

    @property
    def info(self) -> VideoInfo:
        return self.reader.info

    @property
    def shown_as(self) -> str:
        """What it is in keys of what its frames give: its identity, with the size that they are scaled to, if any."""
        height, width = self.reader.frame_size
        is_scaled = (height, width) != (self.info.height, self.info.width)
        return f"{self.identity}@{width}x{height}" if is_scaled else self.identity


@contextlib.contextmanager
def opened(
    path: str,
    backend: str,
    pixels: int = 0,
    coarse: Callable[[VideoReader, str], np.ndarray] | None = None,
    kept: KeptFrames | None = None,
) -> Iterator[OpenVideo]:
    """Open the video at ``path`` for a search. Closes it on exit.

    Frames that were read last are kept in memory while the video is open.

    Args:
        backend, pixels: See ``open_video``.
        coarse: Gives the ``coarse_frames`` of a video from its reader and identity; none without.
        kept: Where frames are kept, with those of other videos.

    Raises:
        VideoError: The file cannot be used, see ``open_video``, or changes while it is opened.
        ConfigError: See ``open_video``.
    """
    kept = KeptFrames() if kept is None else kept
    with GuardedReader(open_video, path, backend, pixels) as reader:
        identity = decoded(path, video_identity, path)
        reader.check_unchanged()  # the identity is that of the file that was opened
        chosen = (lambda reader: coarse(reader, identity)) if coarse else None
        try:
            yield OpenVideo(KeepingReader(reader, kept, chosen), identity)
        finally:
            kept.forget(reader.info.path)
