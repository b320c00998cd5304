"""Presentation order and times of the frames of a stream: from its packets, or by decoding it where those mislead."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lmms_videominer.video import clocks
from lmms_videominer.video.containers import decoded, demuxed, open_container, stream_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_logger = logging.getLogger("lmms_videominer")

_DEFAULT_FPS = Fraction(25)
_DECODING_TIMES = ("avi", "asf", "rm")  # containers with decoding times only: with B-frames FFmpeg guesses the pts
_UNSEEKABLE = ("mpeg", "_pipe")  # program streams, joined pictures: the pts are right until a seek
_SAMPLE = 48  # frames decoded to see whether one packet is one frame, where that is in doubt
_FIELD = 0.75  # a packet shorter than this share of the longest may be one field of two
_MOST_COUNTED = 64  # files whose counts are kept
_counted_files: dict[tuple[str, int, int, int], list[int | None]] = {}


class Packet(NamedTuple):
    """What a packet states; ``is_discard``: it is decoded, because others refer to it, but not shown."""

    pts: int | None
    dts: int | None
    is_key: bool
    is_discard: bool
    duration: int


class Frames(NamedTuple):
    """Frames in presentation order.

    Attributes:
        ticks: int64 [n], increasing: times from any start, in units of ``time_base`` seconds.
        pts: int64 [n]: the times that the decoded frames carry; they may go back where the clock does.
        key_pts: int64 [k], increasing: decoding can start here.
        time_base: Seconds a tick.
        last_s: How long the last frame is shown.
        seekable: Frames are identified by their pts; otherwise by reading from the start.
        numbered: Frames are identified by counting only.
    """

    ticks: np.ndarray
    pts: np.ndarray
    key_pts: np.ndarray
    time_base: float
    last_s: float
    seekable: bool
    numbered: bool


def frames_of(path: str, container: str, stream: VideoStream, packets: list[Packet], first: VideoFrame) -> Frames:
    """The frames of ``stream``. Where one packet may not be one frame, the file is decoded once, and this is logged.

    Args:
        path: The file.
        container: FFmpeg's name of its format.
        stream: The stream.
        packets: Its packets in coded order, the first a key frame.
        first: Its first decoded frame.
    """
    fps = stream.average_rate or stream.guessed_rate or _DEFAULT_FPS
    delayed = bool(stream.codec_context.has_b_frames)
    if delayed and container in _DECODING_TIMES:
        return _counted_without_pts(path, stream, packets, fps)
    time_base = float(stream.time_base or 1 / fps)
    timed = [packet for packet in packets if packet.pts is not None]
    if len(timed) < len(packets):
        if not first.interlaced_frame:
            return _numbered(sum(not packet.is_discard for packet in packets), fps)
        if not (timed and timed[0].is_key):
            return _counted_without_pts(path, stream, packets, fps)
        return _counted(path, stream, _by_packets(timed, time_base, fps, container), fps)
    frames = _by_packets(packets, time_base, fps, container)
    in_doubt = first.interlaced_frame or (delayed and _in_coded_order(packets))
    if not in_doubt or _packets_are_frames(path, stream, packets, frames):
        return frames
    if _in_coded_order(packets):
        return _counted_without_pts(path, stream, packets, fps)
    return _counted(path, stream, frames, fps)


def has_open_gops(packets: list[Packet]) -> bool:
    """Whether frames are coded after a key frame but shown before it."""
    stated, _, key, *_ = zip(*packets, strict=True)
    if None in stated:
        packets = [packet for packet in packets if packet.pts is not None]
        return bool(packets) and has_open_gops(packets)
    pts, is_key = np.array(stated, dtype=np.int64), np.array(key)
    key_at = np.maximum.accumulate(np.where(is_key, np.arange(len(pts)), 0))  # the last key frame coded before
    return bool((~is_key & (pts < pts[key_at])).any())


def _by_packets(packets: list[Packet], time_base: float, fps: Fraction, container: str) -> Frames:
    """One packet is one frame. Where the clock was set anew, the parts follow each other."""
    stated_pts, stated_dts, key, discard, durations = zip(*packets, strict=True)
    pts = np.array(stated_pts, dtype=np.int64)
    dts = _filled(stated_dts) if None in stated_dts else np.array(stated_dts, dtype=np.int64)
    is_key, shown = np.array(key), ~np.array(discard)
    breaks = clocks.breaks(pts, dts, is_key, time_base, clocks.may_jump(container))
    ticks = clocks.rebased(pts, breaks, np.array(durations)) if len(breaks) else pts
    ticks, at = np.unique(ticks, return_index=True)
    start = int(np.argmax(is_key[at]))  # frames shown before the first key frame lack their reference
    ticks, at = ticks[start:], at[start:]
    key_pts = np.unique(pts[at[is_key[at]]])
    ticks, at = ticks[shown[at]], at[shown[at]]
    duration = packets[int(at[-1])].duration
    last_s = duration * time_base if duration > 0 else _usual_s(ticks, time_base, fps)
    numbered = container.endswith(_UNSEEKABLE)
    return Frames(ticks, pts[at], key_pts, time_base, last_s, not numbered and not len(breaks), numbered)


def _filled(dts: Sequence[int | None]) -> np.ndarray:
    """int64 [n]: those that are not stated stand still."""
    last = next((value for value in dts if value is not None), 0)
    return np.array([last := last if value is None else value for value in dts], dtype=np.int64)


def _numbered(count: int, fps: Fraction) -> Frames:
    ticks = np.arange(count, dtype=np.int64)
    frame_s = float(1 / fps)
    return Frames(ticks, ticks, ticks[:1], frame_s, frame_s, seekable=False, numbered=True)


def _counted_without_pts(path: str, stream: VideoStream, packets: list[Packet], fps: Fraction) -> Frames:
    """As many frames as decoding gives, shown at the times of decoding, or at the frame rate if those do not fit."""
    count = len(_all_pts(path, stream.index))
    frames = _numbered(count, fps)
    times = [packet.pts if packet.dts is None else packet.dts for packet in packets]
    ticks = np.array([time for time in times if time is not None], dtype=np.int64)
    if stream.time_base is None or not len(ticks) == len(times) == count or (np.diff(ticks) <= 0).any():
        return frames
    time_base = float(stream.time_base)
    return frames._replace(ticks=ticks, time_base=time_base, last_s=_usual_s(ticks, time_base, fps))


def _counted(path: str, stream: VideoStream, frames: Frames, fps: Fraction) -> Frames:
    """The frames that decoding gives, at the times that they carry."""
    pts = _all_pts(path, stream.index)
    ticks = np.array([value for value in pts if value is not None], dtype=np.int64)
    if len(ticks) < len(pts) or (np.diff(ticks) <= 0).any():
        return _numbered(len(pts), fps)
    return frames._replace(ticks=ticks, pts=ticks, last_s=_usual_s(ticks, frames.time_base, fps))


def _in_coded_order(packets: list[Packet]) -> bool:
    """Whether frames would be shown in the order in which they are coded; with B-frames, no pts can say so."""
    return all(after.pts > before.pts for before, after in pairwise(packets))  # type: ignore[operator]


def _packets_are_frames(path: str, stream: VideoStream, packets: list[Packet], frames: Frames) -> bool:
    durations = [packet.duration for packet in packets if packet.duration > 0]
    if durations and min(durations) < _FIELD * max(durations):
        return False
    sample = _decoded_pts(path, stream.index, _SAMPLE)
    return sample == frames.pts[: len(sample)].tolist()


def _all_pts(path: str, stream_index: int) -> list[int | None]:
    """The pts of all frames, by decoding a file once a process."""
    status = os.stat(path)
    key = (path, stream_index, status.st_size, status.st_mtime_ns)
    if key not in _counted_files:
        _logger.warning("%s: one packet may not be one frame; counting its frames by decoding it once", path)
        if len(_counted_files) == _MOST_COUNTED:
            del _counted_files[next(iter(_counted_files))]
        _counted_files[key] = _decoded_pts(path, stream_index)
    return _counted_files[key]


def _decoded_pts(path: str, stream_index: int, most: int | None = None) -> list[int | None]:
    """The pts of the decoded frames: of all, or of the first ``most``."""
    with open_container(path) as container:
        stream = stream_of(container, stream_index)
        frames = decoded(stream, demuxed(container, stream))
        pts: list[int | None] = [frame.pts for frame in islice(frames, most)]
    return pts


def _usual_s(ticks: np.ndarray, time_base: float, fps: Fraction) -> float:
    """As long as a typical frame is shown."""
    return float(np.median(np.diff(ticks.astype(np.float64) * time_base))) if len(ticks) > 1 else float(1 / fps)
