"""A profile as a trace in Chrome's format, which ui.perfetto.dev and chrome://tracing show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lmms_videominer.profiling.profile import Profile


def trace_of(profile: Profile, name: str = "videominer") -> dict[str, Any]:
    """``profile`` as a JSON object: a track per thread with its stages, nested, and one with the share of GPU time.

    Viewers pass over ``figures``, which has those of ``Profile.figures``.

    Args:
        name: What the process is called there.
    """
    left_out = {"slices_left_out": profile.slices_left_out} if profile.slices_left_out else {}
    return {
        "traceEvents": _events(profile, name),
        "displayTimeUnit": "ms",
        "figures": {**profile.figures(), **left_out},
    }


def joined(traces: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """Traces of several processes as one, each below the other under its name, all from 0 on."""
    events = []
    for process, trace in enumerate(traces, 1):
        events += [{**event, "pid": process} for event in trace["traceEvents"] if event["name"] != "process_name"]
        events.append(_meta("process_name", names[process - 1], process))
    figures = {name: trace["figures"] for name, trace in zip(names, traces, strict=True)}
    return {"traceEvents": events, "displayTimeUnit": "ms", "figures": figures}


def _events(profile: Profile, name: str) -> list[dict[str, Any]]:
    threads = {thread: number for number, thread in enumerate(dict.fromkeys(s.thread for s in profile.slices), 1)}
    events = [_meta("process_name", name)]
    events += [_meta("thread_name", f"thread {number}", tid=number) for number in threads.values()]
    for part in profile.slices:
        events.append(
            {
                "ph": "X",
                "name": f"{part.name}: model" if part.of_model else part.name,
                "cat": "model" if part.of_model else "stage",
                "ts": part.start_ns / 1000,  # microseconds
                "dur": part.duration_ns / 1000,
                "pid": 1,
                "tid": threads[part.thread],
                "args": {"items": part.items, "cpu_ms": round(part.cpu_ns / 1e6, 3)},
            }
        )
    for moment_ns, share in profile.gpu.samples:
        at = (moment_ns - profile.origin_ns) / 1000
        events.append({"ph": "C", "name": "GPU busy, %", "ts": at, "pid": 1, "args": {"busy": round(100 * share, 1)}})
    return events


def _meta(kind: str, name: str, pid: int = 1, tid: int = 0) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "ts": 0, "pid": pid, "tid": tid, "args": {"name": name}}
