"""Formats times for people, and reads theirs. Conversion between times and frame indices is in ``timing``, not here."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from lmms_videominer.types import Span

_MOST_DECIMALS = 12
_CLOCK = re.compile(r"(?:\d+(?::[0-5]?\d)?:(?=[0-5]?\d(?:\.|$)))?\d+(?:\.\d*)?", re.ASCII)  # below 60 after a colon
SHORT_SPAN_S = 10.0  # below this, whole seconds are too coarse


def clock(time_s: float, decimals: int = 0) -> str:
    """``h:mm:ss`` with ``decimals`` decimals of the second, rounded: ``clock(3725.04, 1) == "1:02:05.0"``."""
    scaled = time_s * 10**decimals
    # rounded before the split, or 59.99 s would read 0:00:60
    units = round(scaled) if math.isfinite(scaled) else int(time_s) * 10**decimals
    seconds, fraction = divmod(units, 10**decimals)
    text = f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:0{decimals}d}" if decimals else text


def seconds(text: str) -> float:
    """The time that people write as seconds, minutes or hours: ``90``, ``1:30``, ``0:01:30.5``.

    Raises:
        ValueError: It is no such time.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no time: write seconds, m:ss or h:mm:ss, as in 90, 1:30 or 0:01:30.5")
    *larger, own = match[0].split(":")
    return sum(60 ** (i + 1) * int(part) for i, part in enumerate(reversed(larger))) + float(own)


def clock_span(span: Span) -> str:
    """``0:01:00-0:02:30``; with tenths of a second if the span is short."""
    decimals = 1 if span.duration_s < SHORT_SPAN_S else 0
    return f"{clock(span.start_s, decimals)}-{clock(span.end_s, decimals)}"


def clock_spans(spans: Sequence[Span], most: int = 3) -> str:
    """The first ``most`` spans and the number of the others."""
    others = len(spans) - most
    text = ", ".join(clock_span(span) for span in spans[:most])
    return f"{text} and {others} more" if others > 0 else text


def file_stamp(time_s: float, decimals: int = 3) -> str:
    """``00h01m02.400s``: sorts by time as a file name, without characters that file systems reject."""
    hours, minutes, seconds = clock(time_s, decimals).split(":")
    return f"{int(hours):02d}h{minutes}m{seconds}s"


def file_stamps(times_s: Sequence[float]) -> list[str]:
    """A ``file_stamp`` for each time, all with as many decimals as tell different times apart, three at least."""
    apart = len(set(times_s))
    for decimals in range(3, _MOST_DECIMALS):
        stamps = [file_stamp(time_s, decimals) for time_s in times_s]
        if len(set(stamps)) == apart:
            return stamps
    return [file_stamp(time_s, _MOST_DECIMALS) for time_s in times_s]


def is_file_stamp(text: str) -> bool:
    """Whether ``text`` is what ``file_stamp`` gives for some time."""
    return re.fullmatch(r"\d{2,}h[0-5]\dm[0-5]\d\.\d{3,}s", text) is not None
