"""The harness of ``benchmarks/faults.py``: what goes wrong in a case is counted as that, and nothing hides it."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from lmms_videominer.errors import VideoError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def idle_machine(monkeypatch):
    """Limits are not stretched, whatever else runs."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


def good():
    from fault_kinds.running import SURVIVED, Result

    return Result(SURVIVED)


def segfaults():
    faulthandler.disable()
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs():
    time.sleep(60)


def raises():
    raise ValueError("a fault of the program")


def prints_a_traceback_and_goes_on():
    import traceback

    try:
        raises()
    except ValueError:
        traceback.print_exc()
    return good()


def leaves_without_a_result():
    os._exit(0)


def exits():
    sys.exit(3)


def raises_on_purpose():
    raise VideoError("film.mp4", "is damaged", "Download it again")  # not caught: no command would print it so


@pytest.mark.parametrize(
    ("work", "outcome"),
    [
        (good, "survived"),
        (segfaults, "crashed"),
        (hangs, "hung"),
        (raises, "traceback"),
        (prints_a_traceback_and_goes_on, "traceback"),
        (leaves_without_a_result, "traceback"),
        (exits, "traceback"),
        (raises_on_purpose, "traceback"),
    ],
)
def test_what_a_process_does_is_its_outcome(tmp_path, work, outcome):
    from fault_kinds.running import isolated

    assert isolated(work, limit_s=2.0, folder=tmp_path / "case").outcome == outcome


def test_a_hung_case_takes_what_it_started_along(tmp_path):
    from fault_kinds.running import isolated

    def starts_another():
        if pid := os.fork():
            (tmp_path / "pid").write_text(str(pid))
        time.sleep(60)

    assert isolated(starts_another, limit_s=1.0, folder=tmp_path / "case").outcome == "hung"
    time.sleep(0.2)
    stat = Path(f"/proc/{(tmp_path / 'pid').read_text()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (("film.mp4", "the file is cut off", "Copy it again"), "told"),
        (("other.mp4", "the file is cut off", "Copy it again"), "unclear"),
        (("film.mp4", "?", ""), "unclear"),
    ],
)
def test_an_error_is_told_clearly_if_it_names_the_file_and_a_reason(message, outcome):
    from fault_kinds.running import told

    assert told(VideoError(*message), "film.mp4").outcome == outcome


def test_results_that_differ_anywhere_differ():
    from fault_kinds.mining import difference

    one = {"frames": [1, 2], "nodes": [{"caption": "a"}]}
    assert difference(one, json.loads(json.dumps(one))) == ""
    assert difference(one, {"frames": [1, 3], "nodes": [{"caption": "a"}]}) == ".frames[1]: 2 became 3"
    assert difference(one, {"frames": [1], "nodes": [{"caption": "a"}]})
    assert difference(one, {"frames": [1, 2], "nodes": []})
    assert difference(one, {"frames": [1, 2]})


def test_requests_made_again_after_a_kill_are_counted():
    from fault_kinds.kills import _asked_again

    undisturbed = {"a 8": 1, "b 8": 1, "c 8": 2}
    assert _asked_again(undisturbed, {"a 8": 2, "b 8": 1, "c 8": 3}, 8) == {"again": 2, "part": 8, "asked": 4}


@pytest.fixture
def case(tmp_path):
    """A kind of fault of four cases: two good ones, one that crashes, one that gives a wrong result."""
    from fault_kinds.running import LOST, Fault, Result

    class Four(Fault):
        name, count, limit_s = "four", 4, 5.0

        def prepare(self, folder):
            folder.mkdir(exist_ok=True)

        def title(self, number):
            return f"number {number}"

        def run(self, number, folder):
            (tmp_path / "ran").open("a").write(f"{number}\n")
            if number == 2:
                segfaults()
            return Result(LOST, "other frames") if number == 3 else good()

    return Four(0)


def test_rows_resume_and_the_table_counts_every_case(tmp_path, case):
    import faults

    out = tmp_path / "rows.jsonl"
    faults.run_all(case, 3, out, "abc")
    with out.open("a") as file:
        file.write('{"commit": "abc", "kind": "four", "case"')  # killed while writing
    faults.run_all(case, 4, out, "abc")
    rows = faults.read(out)
    assert (tmp_path / "ran").read_text().split() == ["0", "1", "2", "3"]
    assert [row["outcome"] for row in rows] == ["survived", "survived", "crashed", "lost"]
    assert [faults.wrong(row) for row in rows] == [False, False, True, True]
    assert "| four | 4 | 2 | 1 | 0 | 0 | 0 | 0 | 1 | 0 |" in faults.table(rows)


def test_more_captions_again_than_a_part_is_wrong():
    import faults

    row = {"outcome": "survived", "kind": "kills", "commit": "abc", "cpu_seconds": 1.0, "more": {"again": 9, "part": 8}}
    assert faults.wrong(row) and not faults.wrong(row | {"more": {"again": 8, "part": 8}})
    assert "at most 9, where a part has 8; more than a part's after 1 of 1 kills" in faults.table([row])


@pytest.mark.parametrize("reader", ["decord", "pyav"])
def test_every_film_is_read_before_it_is_damaged(tmp_path, monkeypatch, reader):
    from fault_kinds import videos

    fault = videos.DamagedVideos(0, reader)
    fault.prepare(tmp_path / "films")
    monkeypatch.setattr(videos, "MUTATIONS", {"none": lambda data, rng, suffix, other: data})
    for number in range(len(fault.films)):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        result = fault.run(number, folder)
        assert result.outcome == "survived", result
        assert result.more == {"backend": reader, "frames": videos.FRAMES, "substituted": 0}


def test_the_same_case_is_the_same_mutant(tmp_path):
    import numpy as np
    from fault_kinds.videos import MUTATIONS

    data = np.random.default_rng(1).bytes(5000) + b"moov" + bytes(3000)
    for name, mutation in MUTATIONS.items():
        one, same, other = (mutation(data, np.random.default_rng([0, seed]), ".mp4", data) for seed in (5, 5, 6))
        assert one == same and (one != data or other != data), name
