"""Clocks that go back or jump, as in recordings that were joined: where they do, and the time without it."""

from __future__ import annotations

import numpy as np

_JUMP_S = 10.0  # a gap from which a broadcast's clock is taken to have been set anew, as FFmpeg does
_FAR_S = 30 * 3600.0  # the same for files
_USUAL_GAPS = 20  # a gap below so many usual ones is none
BACK_S = 0.5  # going back by less, at a frame where decoding cannot start, is an inaccuracy
_JUMPING = ("mpegts", "mpeg", "hls", "ogg")


def may_jump(container: str) -> bool:
    """Whether clocks in files of this format (FFmpeg's name) may be set anew midway."""
    return container in _JUMPING


def breaks(dts: np.ndarray, is_key: np.ndarray, time_base: float) -> np.ndarray:
    """int64 [b]: the packets at which the clock has gone back.

    Args:
        dts: int64 [n]: times of decoding, in coded order.
        is_key: bool [n].
        time_base: Seconds a tick.
    """
    gaps = np.diff(dts)  # [n - 1]
    return np.flatnonzero((gaps < 0) & (is_key[1:] | (gaps * time_base < -BACK_S))) + 1


def rebased(pts: np.ndarray, starts: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """int64 [n]: presentation times at which each part begins where the one before it ends.

    Args:
        pts: int64 [n]: presentation times in coded order.
        starts: The packets with which parts begin, apart from the first.
        durations: int64 [n]: ticks that each frame is shown; 0 if unknown.
    """
    out = pts.copy()
    bounds = [0, *starts.tolist(), len(pts)]
    for begin, start, stop in zip(bounds, bounds[1:], bounds[2:], strict=False):
        before = out[begin:start]
        last = int(np.argmax(before))
        shown = int(durations[begin + last]) or _usual_step(before)
        out[start:stop] += int(before[last]) + shown - int(pts[start:stop].min())
    return out


def without_jumps(ticks: np.ndarray, time_base: float, jumping: bool) -> np.ndarray:
    """int64 [n]: times in the order of showing, each jump as short as a usual step.

    Args:
        ticks: int64 [n], ascending.
        time_base: Seconds a tick.
        jumping: The container is one whose clock may jump forward.
    """
    gaps = np.diff(ticks)
    usual = _usual_step(ticks)
    most = max((_JUMP_S if jumping else _FAR_S) / time_base, _USUAL_GAPS * usual)
    if not len(gaps) or gaps.max() <= most:
        return ticks
    excess = np.where(gaps > most, gaps - usual, 0)
    return ticks - np.concatenate([[0], np.cumsum(excess)])


def _usual_step(ticks: np.ndarray) -> int:
    steps = np.diff(np.unique(ticks))
    return int(np.median(steps)) if len(steps) else 1
