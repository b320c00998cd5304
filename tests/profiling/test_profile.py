"""A profile: every second counts in one stage, whatever lies within what, and in whatever thread."""

from __future__ import annotations

import contextvars
import json
import threading
import time

import pytest

from lmms_videominer.errors import CallError, SchemaError
from lmms_videominer.models.calls import called
from lmms_videominer.profiling import Profile, model, stage, staged
from lmms_videominer.profiling.profile import MOST_SLICES
from lmms_videominer.profiling.table import table_of
from lmms_videominer.profiling.trace import joined, trace_of
from lmms_videominer.store import trace_json

AS_LONG = 0.05  # seconds that one part of a test sleeps


def test_what_lies_within_a_stage_is_not_counted_in_it_again():
    profile = Profile()
    with profile.running():
        with stage("caption", 3):
            time.sleep(AS_LONG)
            with stage("decode", 12):
                time.sleep(2 * AS_LONG)
        time.sleep(AS_LONG)
    caption, decode = profile.stages["caption"], profile.stages["decode"]
    assert caption.seconds >= AS_LONG and decode.seconds >= 2 * AS_LONG
    assert (caption.calls, caption.items, decode.calls, decode.items) == (1, 3, 1, 12)
    assert profile.rest.seconds >= AS_LONG
    assert caption.seconds + decode.seconds + profile.rest.seconds == pytest.approx(profile.wall_s)


def test_a_model_counts_in_the_stage_that_calls_it_without_what_others_do_for_it():
    profile = Profile()
    with profile.running(), stage("caption"), model("video LLM"):
        time.sleep(AS_LONG)
        with stage("hand over"):
            time.sleep(AS_LONG)
    caption, hand_over = profile.stages["caption"], profile.stages["hand over"]
    assert caption.calls == 1 and AS_LONG <= caption.model_s <= caption.seconds
    assert hand_over.seconds >= AS_LONG and hand_over.model_s == 0
    assert caption.seconds + hand_over.seconds + profile.rest.seconds == pytest.approx(profile.wall_s)
    assert profile.figures()["model_s"] == pytest.approx(caption.model_s, abs=1e-6)


def test_calls_of_models_are_the_models_work_also_where_they_fail():
    def fail() -> None:
        time.sleep(AS_LONG)
        raise RuntimeError("no memory")

    profile = Profile()
    with profile.running(), stage("score"), pytest.raises(CallError):
        called("scorer", fail)
    assert profile.stages["score"].model_s >= AS_LONG
    assert not profile.stack


def test_cpu_time_of_a_stage_is_its_own_and_sleeping_has_none():
    profile = Profile()
    with profile.running():
        with stage("sleep"):
            time.sleep(AS_LONG)
        with stage("work"):
            ends = time.process_time() + AS_LONG
            while time.process_time() < ends:
                pass
    assert profile.stages["work"].cpu_s >= AS_LONG > profile.stages["sleep"].cpu_s
    assert sum(sums.cpu_s for sums in profile.stages.values()) <= profile.cpu_s


def test_threads_have_their_own_stages_and_no_cpu_second_counts_twice():
    def work() -> None:
        with stage("read ahead", 1):
            ends = time.thread_time() + AS_LONG
            while time.thread_time() < ends:
                pass

    profile = Profile()
    with profile.running(), stage("caption"):
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(work,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        unknown = threading.Thread(target=work)  # not in a copy of the context: not measured
        unknown.start()
        unknown.join()
    ahead = profile.stages["read ahead"]
    assert ahead.calls == 2 and ahead.cpu_s >= 2 * AS_LONG
    assert ahead.cpu_s + profile.stages["caption"].cpu_s <= profile.cpu_s
    assert profile.in_stages_s <= profile.wall_s
    tracks = {event["tid"] for event in trace_of(profile)["traceEvents"] if event["ph"] == "X"}
    assert len(tracks) == 3


def test_without_a_profile_nothing_is_measured_and_nothing_is_made():
    assert stage("decode", 8) is stage("caption") is model("scorer")
    profile = Profile()
    with profile.running():
        pass
    with stage("decode"):
        pass
    assert profile.stages == {} and profile.figures()["gpu_busy"] is None


def test_a_profile_goes_on_where_it_was_stopped():
    @staged("index")
    def read(path: str) -> str:
        """Read."""
        return path

    profile = Profile()
    for name in ("a", "b"):
        with profile.running():
            assert read(name) == name
        read(name)
    assert profile.stages["index"].calls == 2 and read.__doc__ == "Read."


def test_the_trace_has_a_slice_a_call_nested_in_time_and_the_figures(tmp_path):
    profile = Profile()
    with profile.running(), stage("caption", 2), model("video LLM"), stage("hand over", 8):
        time.sleep(AS_LONG)
    trace_json.save(trace_of(profile), tmp_path / "deep" / "trace.json")
    trace = trace_json.load(tmp_path / "deep" / "trace.json")
    slices = {event["name"]: event for event in trace["traceEvents"] if event["ph"] == "X"}
    assert list(slices) == ["hand over", "caption: model", "caption"]
    inner, outer = slices["hand over"], slices["caption"]
    assert outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    assert inner["dur"] >= AS_LONG * 1e6 and inner["args"]["items"] == 8  # microseconds
    assert {event["name"] for event in trace["traceEvents"] if event["ph"] == "M"} == {"process_name", "thread_name"}
    assert trace["figures"]["stages"]["caption"]["items"] == 2
    (tmp_path / "other.json").write_text(json.dumps({"traceEvents": []}))
    with pytest.raises(SchemaError, match=r"other\.json"):
        trace_json.load(tmp_path / "other.json")


def test_traces_of_several_processes_stand_below_each_other():
    profiles = [Profile(), Profile()]
    for profile in profiles:
        with profile.running(), stage("decode"):
            pass
    trace = joined([trace_of(profile) for profile in profiles], ["cold", "warm"])
    named = {e["pid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"}
    assert named == {1: "cold", 2: "warm"} and set(trace["figures"]) == {"cold", "warm"}
    assert sorted(e["pid"] for e in trace["traceEvents"] if e["ph"] == "X") == [1, 2]


def test_a_long_run_leaves_slices_out_of_the_trace_and_still_counts_them(monkeypatch):
    monkeypatch.setattr("lmms_videominer.profiling.profile.MOST_SLICES", 3)
    profile = Profile()
    with profile.running():
        for _ in range(5):
            with stage("decode"):
                pass
    assert MOST_SLICES > 3 and profile.stages["decode"].calls == 5
    trace = trace_of(profile)
    assert sum(event["ph"] == "X" for event in trace["traceEvents"]) == 3
    assert trace["figures"]["slices_left_out"] == 2


def test_the_table_has_the_stages_from_the_file_to_the_answer_and_all_in_all():
    from rich.console import Console

    profile = Profile()
    with profile.running():
        for name in ("answer", "[odd]", "decode", "caption"):
            with stage(name):
                pass
    console = Console(width=200, record=True)
    console.print(table_of(profile.figures()))
    text = console.export_text()
    places = [text.index(f" {name} ") for name in ("decode", "caption", "answer", "[odd]", "rest", "all")]
    assert places == sorted(places) and "GPU" not in text
