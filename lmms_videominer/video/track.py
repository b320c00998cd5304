"""The index of a video: the presentation time of every frame, and what readers need to find it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from lmms_videominer.errors import VideoError
from lmms_videominer.types import VideoInfo
from lmms_videominer.video import faults
from lmms_videominer.video.containers import (
    decoded,
    demuxed,
    open_container,
    packets_from,
    picture_stream,
    picture_streams,
    stream_of,
)
from lmms_videominer.video.display import Display, display_of
from lmms_videominer.video.order import NO_TIME, Frames, Packets, frames_of, has_open_gops

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet as AvPacket
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_WHOLE = ("mov,mp4,m4a,3gp,3g2,mj2",)  # containers that are never cut out of others without an edit list


_IDR = 5  # type of the coded slices at which H.264 decoding starts with a whole picture
_HEVC_LAYERS = 21  # the byte of an HEVC header in MP4 that has the number of temporal layers
_NEAR = 4  # packets after a seek among which the key frame must be
_ROWS = 1024  # packets held as Python numbers at once: these take six times the memory of the columns


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
        open_gops: Frames near a key frame refer to what is before it: those coded after it but shown before (usual
            in HEVC and broadcast), or itself, where it is not whole (intra refresh).
        sync_frames: int64 [m], ascending: those of the frames that refer to no other, as far as the file tells.
        skips: A decoder that passes over frames which no other refers to gives the others unchanged.
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
    sync_frames: np.ndarray
    skips: bool
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


def _packets(container: InputContainer, stream: VideoStream, path: str) -> Packets:
    """The packets of the stream, from the first key frame on."""
    shows = _SHOWS.get(stream.codec_context.name)
    rows = (
        (packet.pts, packet.dts, packet.is_keyframe, packet.is_discard, packet.duration or 0)
        for packet in demuxed(container, stream)
        if packet.size and (not shows or shows(packet))
    )
    parts = [_columns([])]
    while part := list(islice(rows, _ROWS)):
        parts.append(_columns(part))
    if cut := faults.cut_off(path):
        raise cut
    packets = Packets(*map(np.concatenate, zip(*parts)))
    if packets.is_discard.all():
        raise VideoError(path, "its video stream holds no frame (zero duration)", faults.AGAIN)
    if container.format.name in _WHOLE or not packets.is_key.any():
        packets.is_key[0] = True  # a key frame that is damaged, or of a format that does not mark them
    return packets.where(slice(int(np.argmax(packets.is_key)), None))  # the frames before lack their reference


def _columns(rows: list[tuple[int | None, int | None, bool, bool, int]]) -> Packets:
    stated = chain.from_iterable(rows)
    try:
        flat = np.fromiter(stated, dtype=np.int64, count=5 * len(rows))
    except TypeError:  # a time is not stated
        flat = np.array([NO_TIME if value is None else value for row in rows for value in row], dtype=np.int64)
    pts, dts, is_key, is_discard, durations = np.ascontiguousarray(flat.reshape(-1, 5).T)
    return Packets(pts, dts, is_key.astype(bool), is_discard.astype(bool), durations)


_SHOWS: dict[str, Callable[[AvPacket], bool]] = {  # where packets may hold no picture, or one that others only refer to
    "vp8": lambda packet: bool(bytes(packet)[0] & 0x10),
    "theora": lambda packet: not bytes(packet)[0] & 0x80,
}


def _first_frame(path: str, stream_index: int) -> VideoFrame:
    with open_container(path) as container:  # reopened: a raw stream cannot seek back to its start
        stream = stream_of(container, stream_index)
        frame = next(decoded(stream, demuxed(container, stream)), None)
    if frame is None:
        raise faults.damaged(path, 0.0)
    return frame


def _track(path: str, container: InputContainer, stream: VideoStream, packets: Packets, first: VideoFrame) -> Track:
    frames = frames_of(path, container.format.name, stream, packets, first)
    times_s = (frames.ticks - frames.ticks[0]).astype(np.float64) * frames.time_base
    display = display_of(first)
    width, height = display.size(first.width, first.height)
    is_refreshed = _is_refreshed(container, stream, frames)
    is_sync = np.isin(frames.pts, frames.key_pts) & (frames.seekable and not is_refreshed)
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
        open_gops=has_open_gops(packets) or is_refreshed,
        sync_frames=np.flatnonzero(is_sync),
        skips=frames.seekable and _marks_unreferenced(stream),
        first=first,
    )


def _is_refreshed(container: InputContainer, stream: VideoStream, frames: Frames) -> bool:
    """Whether H.264 decoding gives whole pictures only some frames after a key frame; the second one tells."""
    if stream.codec_context.name != "h264" or not frames.seekable or len(frames.key_pts) < 2:
        return False
    key_pts = int(frames.key_pts[1])
    packets = islice(packets_from(container, stream, key_pts), _NEAR)
    key = next((bytes(packet) for packet in packets if packet.pts == key_pts), b"")
    return bool(key) and _IDR not in _unit_types(key, stream.codec_context.extradata or b"")


def _marks_unreferenced(stream: VideoStream) -> bool:
    """Whether the pictures that the stream marks as unreferenced are so for all others.

    In HEVC the mark holds among pictures of the same temporal layer.
    """
    context = stream.codec_context
    if context.name == "hevc":
        header = context.extradata or b""
        return len(header) > _HEVC_LAYERS and header[0] == 1 and header[_HEVC_LAYERS] >> 3 & 7 == 1
    return context.name == "h264"


def _unit_types(coded: bytes, extradata: bytes) -> Iterator[int]:
    """The types of the units of an H.264 picture, each after a start code or, if ``extradata`` says so, its length."""
    if extradata[:1] != b"\1":
        yield from (unit[0] & 0x1F for unit in coded.split(b"\0\0\1")[1:] if unit)
        return
    prefix, at = (extradata[4] & 3) + 1, 0
    while at + prefix < len(coded):
        yield coded[at + prefix] & 0x1F
        at += prefix + int.from_bytes(coded[at : at + prefix], "big")
