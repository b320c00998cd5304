"""The index of a video: the presentation time of every frame, and what readers need to find it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import VideoInfo
from lmms_videominer.video import faults
from lmms_videominer.video.containers import (
    decoded,
    demuxed,
    open_container,
    picture_stream,
    picture_streams,
    stream_of,
)
from lmms_videominer.video.display import Display, display_of
from lmms_videominer.video.order import Packet, frames_of, has_open_gops

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet as AvPacket
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_WHOLE = ("mov,mp4,m4a,3gp,3g2,mj2",)  # containers that are never cut out of others without an edit list


@dataclass(frozen=True)
class Track:
    """The frames of one file, in presentation order. Both readers use it, so they agree on time.

    Attributes:
        path: The file.
        container: FFmpeg's name of its format.
        stream_index: The stream that every reader reads, among all streams of the container.
        picture_streams: How many video streams the container has, cover art apart.
        times_s: float64 [n], increasing, first 0: presentation time of each frame.
        pts: int64 [n]: the same as the packets state it, in the stream's time base. Increasing if ``seekable``.
        key_pts: int64 [k], increasing: decoding can start here. The first is not after the first frame.
        duration_s: End of the last frame.
        width, height: Pixels as displayed, rotation applied.
        display: From the coded picture to the displayed one.
        seekable: Frames are identified by their pts; otherwise by reading from the start.
        numbered: Frames are identified by counting only: the file states no presentation times that hold.
        open_gops: Some frames are coded after a key frame but shown before it (usual in HEVC and broadcast).
        first: The first frame that can be decoded.
    """

    path: str
    container: str
    stream_index: int
    picture_streams: int
    times_s: np.ndarray
    pts: np.ndarray
    key_pts: np.ndarray
    duration_s: float
    width: int
    height: int
    display: Display
    seekable: bool
    numbered: bool
    open_gops: bool
    first: VideoFrame = field(repr=False, compare=False)

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


def read_track(path: str | os.PathLike[str]) -> Track:
    """Index the best video stream of ``path`` by reading its packets (0.05 s for an hour of small video).

    Where one packet may not be one frame, the frames are counted by decoding the file once; this is logged.

    Raises:
        VideoError: The file is missing, empty, cut off, not a video, or has no pictures that can be decoded;
            the reason says which.
    """
    path = os.fsdecode(path)
    faults.check_file(path)
    with open_container(path) as container:
        stream = picture_stream(container, path)
        packets = _packets(container, stream, path)
        track = _track(path, container, stream, packets, _first_frame(path, stream.index))
    return track


def _packets(container: InputContainer, stream: VideoStream, path: str) -> list[Packet]:
    """The packets of the stream in coded order, from the first key frame on."""
    shows = _shows_a_picture if stream.codec_context.name == "vp8" else None
    make = partial(tuple.__new__, Packet)  # there are a hundred thousand, and this takes a third of the time
    packets: list[Packet] = [
        make((packet.pts, packet.dts, packet.is_keyframe, packet.is_discard, packet.duration or 0))
        for packet in demuxed(container, stream)
        if packet.size and (not shows or shows(packet))
    ]
    if cut := faults.cut_off(path):
        raise cut
    if all(packet.is_discard for packet in packets):
        raise VideoError(path, "its video stream holds no frame (zero duration)", faults.AGAIN)
    start = next((i for i, packet in enumerate(packets) if packet.is_key), None)
    if start is None:
        raise faults.damaged(path, 0.0, "it holds no key frame")
    if container.format.name in _WHOLE:  # it began with a key frame, which is damaged: others serve
        return [packets[0]._replace(is_key=True), *packets[1:]]
    return packets[start:]  # a stream cut out of another: the frames before lack their reference


def _shows_a_picture(packet: AvPacket) -> bool:
    """Whether a VP8 packet is shown: some hold a picture that others only refer to."""
    return bool(bytes(packet)[0] & 0x10)


def _first_frame(path: str, stream_index: int) -> VideoFrame:
    with open_container(path) as container:  # reopened: a raw stream cannot seek back to its start
        stream = stream_of(container, stream_index)
        frame = next(decoded(stream, demuxed(container, stream)), None)
    if frame is None:
        raise faults.damaged(path, 0.0)
    return frame


def _track(
    path: str, container: InputContainer, stream: VideoStream, packets: list[Packet], first: VideoFrame
) -> Track:
    frames = frames_of(path, container.format.name, stream, packets, first)
    times_s = (frames.ticks - frames.ticks[0]).astype(np.float64) * frames.time_base
    display = display_of(first)
    width, height = display.size(first.width, first.height)
    return Track(
        path=path,
        container=container.format.name,
        stream_index=stream.index,
        picture_streams=len(picture_streams(container)),
        times_s=times_s,
        pts=frames.pts,
        key_pts=frames.key_pts,
        duration_s=float(times_s[-1]) + frames.last_s,
        width=width,
        height=height,
        display=display,
        seekable=frames.seekable,
        numbered=frames.numbered,
        open_gops=has_open_gops(packets),
        first=first,
    )
