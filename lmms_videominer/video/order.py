"""Presentation order and times of the frames of a stream: from its packets, or by decoding it where those mislead."""

from __future__ import annotations

import logging
import os
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lmms_videominer.video import clocks
from lmms_videominer.video.containers import decoded, demuxed, open_container, stream_of

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_logger = logging.getLogger("lmms_videominer")

NO_TIME = np.iinfo(np.int64).min  # stands for a time that is not stated, as in FFmpeg

_DEFAULT_FPS = Fraction(25)
_DECODING_TIMES = ("avi", "asf", "rm")  # containers with decoding times only: with B-frames FFmpeg guesses the pts
_UNSEEKABLE = ("mpeg", "_pipe", "gif")  # program streams, joined pictures: right until a seek
_EDITED = ("mov,mp4,m4a,3gp,3g2,mj2",)  # containers whose edit lists say when frames are shown, whatever the clock
_UNMARKED = ("h261", "h263")  # codecs of which FFmpeg may say that every frame is a key frame
_SAMPLE = 48  # frames decoded to see whether one packet is one frame, where that is in doubt
_MOST_UNTIMED = 0.5  # the largest share of frames without a time for which the times of the others count
_FINER = 1000  # parts of a tick that tell frames apart which state the same time
_FIELD = 0.75  # a packet shorter than this share of the longest may be one field of two
_MOST_COUNTED = 64  # files whose counts are kept
_counted_files: dict[tuple[str, int, int, int], list[int | None]] = {}


class Packets(NamedTuple):
    """What the packets of a stream state, in coded order.

    Attributes:
        pts, dts: int64 [n]: times of showing and decoding, in ticks; ``NO_TIME`` if not stated.
        is_key: bool [n]: decoding can start here.
        is_discard: bool [n]: decoded, because others refer to it, but not shown.
        durations: int64 [n]: ticks that each is shown; 0 if unknown.
    """

    pts: np.ndarray
    dts: np.ndarray
    is_key: np.ndarray
    is_discard: np.ndarray
    durations: np.ndarray

    def where(self, chosen: np.ndarray | slice) -> Packets:
        """The packets that a mask or a slice chooses."""
        return Packets(*(column[chosen] for column in self))


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


def frames_of(path: str, container: str, stream: VideoStream, packets: Packets, first: VideoFrame) -> Frames:
    """The frames of ``stream``. Where one packet may not be one frame, the file is decoded once, and this is logged.

    Args:
        path: The file.
        container: FFmpeg's name of its format.
        stream: The stream.
        packets: Its packets, the first a key frame.
        first: Its first decoded frame.
    """
    fps = stream.average_rate or stream.guessed_rate or _DEFAULT_FPS
    delayed = bool(stream.codec_context.has_b_frames)
    if delayed and container in _DECODING_TIMES:
        return _counted_without_pts(path, stream, packets, fps)
    time_base = float(stream.time_base or 1 / fps)
    numbered = container.endswith(_UNSEEKABLE) or not _keys_hold(stream, packets, first)
    is_timed = packets.pts != NO_TIME
    if not is_timed.all():
        if not is_timed.any() and not first.interlaced_frame:
            return _numbered(int((~packets.is_discard).sum()), fps)
        if not (is_timed.any() and packets.is_key[np.argmax(is_timed)]):
            return _counted_without_pts(path, stream, packets, fps)
        return _counted(path, stream, _by_packets(packets.where(is_timed), time_base, fps, container, numbered), fps)
    frames = _by_packets(packets, time_base, fps, container, numbered)
    several_edits = container in _EDITED and bool((np.diff(_filled(packets.dts)) < 0).any())
    if several_edits or not (np.diff(frames.ticks) > 0).all():
        return _counted(path, stream, frames._replace(seekable=False), fps)
    in_coded_order = delayed and bool((np.diff(packets.pts) > 0).all())  # with B-frames, no pts can say so
    if not (first.interlaced_frame or in_coded_order) or _packets_are_frames(path, stream, packets, frames):
        return frames
    if in_coded_order:
        return _counted_without_pts(path, stream, packets, fps)
    return _counted(path, stream, frames, fps)


def _keys_hold(stream: VideoStream, packets: Packets, first: VideoFrame) -> bool:
    """Whether decoding gives the same from a key frame as from the start."""
    if first.format.name == "pal8":  # a palette holds until the next one
        return False
    return stream.codec_context.name not in _UNMARKED or not packets.is_key.all()


def has_open_gops(packets: Packets) -> bool:
    """Whether frames are coded after a key frame but shown before it."""
    pts, is_key = (column[packets.pts != NO_TIME] for column in (packets.pts, packets.is_key))
    key_at = np.maximum.accumulate(np.where(is_key, np.arange(len(pts)), 0))  # the last key frame coded before
    return bool((~is_key & (pts < pts[key_at])).any())


def _by_packets(packets: Packets, time_base: float, fps: Fraction, container: str, numbered: bool) -> Frames:
    """One packet is one frame. Where the clock was set anew, the parts follow each other. Times may repeat."""
    pts, dts, is_key, is_discard, durations = packets
    edited = container in _EDITED
    breaks = clocks.breaks(_filled(dts), is_key, time_base) if not edited else np.empty(0, dtype=np.int64)
    ticks = clocks.rebased(pts, breaks, durations) if len(breaks) else pts
    at = np.argsort(ticks, kind="stable")
    at = at[np.argmax(is_key[at]) :]  # frames shown before the first key frame lack their reference
    key_pts = np.unique(pts[at[is_key[at]]])
    at = at[~is_discard[at]]
    shown = ticks[at] if edited else clocks.without_jumps(ticks[at], time_base, clocks.may_jump(container))
    duration = int(durations[at[-1]])
    last_s = duration * time_base if duration > 0 else _usual_s(shown, time_base, fps)
    seekable = not (numbered or len(breaks)) and int(shown[-1] - shown[0]) == int(ticks[at[-1]] - ticks[at[0]])
    return Frames(shown, pts[at], key_pts, time_base, last_s, seekable, numbered)


def _filled(times: np.ndarray) -> np.ndarray:
    """int64 [n]: those that are not stated stand still."""
    is_stated = times != NO_TIME
    at = np.where(is_stated, np.arange(len(times)), np.argmax(is_stated))
    return times[np.maximum.accumulate(at)]


def _numbered(count: int, fps: Fraction) -> Frames:
    ticks = np.arange(count, dtype=np.int64)
    frame_s = float(1 / fps)
    return Frames(ticks, ticks, ticks[:1], frame_s, frame_s, seekable=False, numbered=True)


def _counted_without_pts(path: str, stream: VideoStream, packets: Packets, fps: Fraction) -> Frames:
    """As many frames as decoding gives, shown at the times of decoding, or at the frame rate if those do not fit."""
    count = len(_all_pts(path, stream.index))
    ticks = np.where(packets.dts == NO_TIME, packets.pts, packets.dts)
    if stream.time_base is None or NO_TIME in ticks or len(ticks) != count or (np.diff(ticks) <= 0).any():
        return _numbered(count, fps / 2 if count < _FIELD * len(ticks) else fps)  # the rate may be that of the fields
    time_base = float(stream.time_base)
    return _numbered(count, fps)._replace(ticks=ticks, time_base=time_base, last_s=_usual_s(ticks, time_base, fps))


def _counted(path: str, stream: VideoStream, frames: Frames, fps: Fraction) -> Frames:
    """The frames that decoding gives, at the times that they carry; those that share a time, or state
    none, share the time to the next.

    If the clock goes back by more than a little, they are shown at the frame rate.
    """
    stated = np.array([NO_TIME if time is None else time for time in _all_pts(path, stream.index)], dtype=np.int64)
    if stated[0] == NO_TIME or np.mean(stated == NO_TIME) > _MOST_UNTIMED:
        return _numbered(len(stated), fps)
    pts = _filled(stated)
    if (np.diff(pts) > 0).all():
        return frames._replace(ticks=pts, pts=pts, last_s=_usual_s(pts, frames.time_base, fps))
    ticks = np.maximum.accumulate(pts)
    if (ticks - pts).max() * frames.time_base > clocks.BACK_S:
        return _numbered(len(pts), fps)
    ticks, time_base = _spread(ticks) * _FINER, frames.time_base / _FINER
    ticks = ticks.round().astype(np.int64)
    return Frames(ticks, ticks, ticks[:1], time_base, _usual_s(ticks, time_base, fps), seekable=False, numbered=True)


def _spread(ticks: np.ndarray) -> np.ndarray:
    """float64 [n], increasing, of times that never go back: equal ones are spread up to the next."""
    new = np.flatnonzero(np.concatenate([[True], np.diff(ticks) > 0]))  # the first of those that are equal
    times = ticks[new].astype(np.float64)
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return np.interp(np.arange(len(ticks)), np.append(new, len(ticks)), np.append(times, times[-1] + usual))


def _packets_are_frames(path: str, stream: VideoStream, packets: Packets, frames: Frames) -> bool:
    durations = packets.durations[packets.durations > 0]
    if len(durations) and durations.min() < _FIELD * durations.max():
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
