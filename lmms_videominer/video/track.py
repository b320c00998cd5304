"""The index of a video: the presentation time of every frame, read from the packets without decoding them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import VideoInfo
from lmms_videominer.video import faults

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_DEFAULT_FPS = Fraction(25)
_DECODING_TIMES = ("avi",)  # containers with decoding times only: with B-frames FFmpeg guesses the pts
_UNSEEKABLE = ("mpeg",)  # program streams: the pts are right from the start but wrong after a seek
_TEXT_FORMATS = ("tty",)  # FFmpeg renders any .txt file as a video of its letters


@dataclass(frozen=True)
class Track:
    """The frames of one file, in presentation order. Both readers use it, so they agree on time.

    Attributes:
        path: The file.
        container: FFmpeg's name of its format.
        times_s: float64 [n], increasing, first 0: presentation time of each frame.
        pts: int64 [n]: the same in the stream's time base, from the stream's own start.
        is_key: bool [n]: decoding can start here; the first is always True.
        duration_s: End of the last frame.
        width, height: Pixels as displayed, rotation applied.
        quarter_turns: Counter-clockwise quarter turns from the coded picture to the displayed one.
        seekable: Frames are identified by their pts; otherwise only by counting from the start.
        open_gops: Some frames are coded after a key frame but shown before it (usual in HEVC and broadcast).
    """

    path: str
    container: str
    times_s: np.ndarray
    pts: np.ndarray
    is_key: np.ndarray
    duration_s: float
    width: int
    height: int
    quarter_turns: int
    seekable: bool
    open_gops: bool

    def info(self, backend: str) -> VideoInfo:
        count = len(self.times_s)
        return VideoInfo(self.path, self.duration_s, count, count / self.duration_s, self.width, self.height, backend)

    def check_indices(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """int64 [len(indices)]; raises ``IndexError`` if one is not in ``[0, frame_count)``."""
        targets = np.asarray(indices, dtype=np.int64).reshape(-1)
        outside = targets[(targets < 0) | (targets >= len(self.times_s))]
        if outside.size:
            raise IndexError(
                f"{self.path}: no frame {outside[0]}, there are {len(self.times_s)} (0 to {len(self.times_s) - 1})"
            )
        return targets


@dataclass(frozen=True)
class _Packet:
    pts: int | None
    is_key: bool
    duration: int


def read_track(path: str | os.PathLike[str]) -> Track:
    """Index the best video stream of ``path`` by reading its packets (0.05 s for an hour of small video).

    Raises:
        VideoError: The file is missing, empty, cut off, damaged, not a video, or has no pictures;
            the reason says which.
    """
    path = os.fspath(path)
    faults.check_file(path)
    with open_container(path) as container:
        stream = picture_stream(container, path)
        packets = _packets(container, stream, path)
        track = _track(path, container.format.name, stream, packets, _first_frame(path))
    return track


def open_container(path: str) -> InputContainer:
    """Open ``path`` with PyAV; if that fails, raise the ``VideoError`` that gives the reason."""
    import av

    try:
        return av.open(path)
    except av.FFmpegError as error:
        raise faults.not_a_video(path, error.strerror) from error


def picture_stream(container: InputContainer, path: str) -> VideoStream:
    """The stream that FFmpeg plays; ``VideoError`` if there is none (cover art does not count) or no decoder for it."""
    from av.stream import Disposition

    if container.format.name in _TEXT_FORMATS:
        raise VideoError(path, "not a video but text", "Give a video file")
    pictures = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not pictures:
        what = "holds sound only, no pictures" if container.streams.audio else "holds neither pictures nor sound"
        raise VideoError(path, f"the file {what}", "Name a file that has a video stream")
    best = container.streams.best("video")
    stream = best if best in pictures else pictures[0]
    if stream.codec_context is None:
        raise VideoError(path, "this FFmpeg has no decoder for its video codec", faults.CONVERT)
    return stream


def decode_threads(width: int, height: int) -> int:
    """Decoder threads, 0 for automatic. Below 320x240, threads cost more than they save (measured)."""
    return 1 if width * height < 320 * 240 else 0


def _packets(container: InputContainer, stream: VideoStream, path: str) -> list[_Packet]:
    import av

    packets = []
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_discard:
                packets.append(_Packet(packet.pts, packet.is_keyframe, packet.duration or 0))
    except av.FFmpegError as error:
        raise faults.cut_off(path) or faults.damaged(path, 0.0, error.strerror) from error
    if cut := faults.cut_off(path):
        raise cut
    while packets and not packets[0].is_key:  # a stream cut out of another: these frames lack their reference
        del packets[0]
    if not packets:
        raise VideoError(path, "its video stream holds no frame (zero duration)", faults.AGAIN)
    return packets


def _first_frame(path: str) -> VideoFrame:
    import av

    try:
        with open_container(path) as container:  # reopened: a raw stream cannot seek back to its start
            for frame in container.decode(picture_stream(container, path)):
                return frame
    except av.FFmpegError as error:
        raise faults.damaged(path, 0.0, error.strerror) from error
    raise faults.damaged(path, 0.0)


def _track(path: str, name: str, stream: VideoStream, packets: list[_Packet], first: VideoFrame) -> Track:
    fps = stream.average_rate or stream.guessed_rate or _DEFAULT_FPS
    pts_guessed = name in _DECODING_TIMES and stream.codec_context.has_b_frames
    has_pts = not pts_guessed and all(packet.pts is not None for packet in packets)
    time_base = stream.time_base if has_pts and stream.time_base else 1 / fps
    pts, is_key = _presentation_order(packets) if has_pts else _numbered_by_position(packets)
    times_s = (pts - pts[0]).astype(np.float64) * float(time_base)
    quarter_turns = round(first.rotation / 90) % 4
    width, height = (first.height, first.width) if quarter_turns % 2 else (first.width, first.height)
    last_s = _last_frame_s(packets, times_s, float(time_base), float(fps)) if has_pts else float(time_base)
    seekable = has_pts and name not in _UNSEEKABLE
    end_s = float(times_s[-1]) + last_s
    return Track(path, name, times_s, pts, is_key, end_s, width, height, quarter_turns, seekable, _open_gops(packets))


def _presentation_order(packets: list[_Packet]) -> tuple[np.ndarray, np.ndarray]:
    pts, first_at = np.unique(np.array([packet.pts for packet in packets], dtype=np.int64), return_index=True)
    is_key = np.array([packet.is_key for packet in packets])[first_at]
    start = int(np.argmax(is_key))  # frames shown before the first key frame lack their reference
    return pts[start:], is_key[start:]


def _open_gops(packets: list[_Packet]) -> bool:
    key_pts = 0
    for packet in packets:
        if packet.pts is None:
            continue
        if packet.is_key:
            key_pts = packet.pts
        elif packet.pts < key_pts:
            return True
    return False


def _numbered_by_position(packets: list[_Packet]) -> tuple[np.ndarray, np.ndarray]:
    is_key = np.zeros(len(packets), dtype=bool)
    is_key[0] = True
    return np.arange(len(packets), dtype=np.int64), is_key


def _last_frame_s(packets: list[_Packet], times_s: np.ndarray, time_base: float, fps: float) -> float:
    """How long the last frame is shown, in seconds: as the container says, else as long as a typical frame."""
    last = max(packets, key=lambda packet: packet.pts or 0)
    if last.duration > 0:
        return last.duration * time_base
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / fps
