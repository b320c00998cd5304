"""``videominer mine --ray``: the rows of a run without Ray, also after a kill; real Ray, real models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from lmms_videominer.cli import main
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.on_ray import PART_ROWS, Cluster, RayMiner, _connected, _resources, _unpacked, parts_of
from lmms_videominer.manifest.run_folder import PARQUET, RESULTS, RUN, TREES
from lmms_videominer.miner import VideoMiner
from lmms_videominer.store import selection_json
from lmms_videominer.types import Question, Selection
from lmms_videominer.world import render_world

ROOT = Path(__file__).parents[1]
WAITS_S = 1800.0  # Ray and two workers, each with torch and transformers, on a busy machine


def row(number: int, video: str) -> QuestionRow:
    return QuestionRow(f"{video}-{number}", video, f"What of {number}?", (), "")


def keys_by_video(parts, rows):
    return [{rows[key].video for key in part} for part in parts]


def test_a_part_has_whole_videos_and_each_row_is_in_one():
    rows = dict(enumerate(row(i, f"film {i % 40}") for i in range(1000)))
    parts = parts_of(rows, workers=2)
    assert sorted(key for part in parts for key in part) == list(range(1000))
    assert sum(map(len, keys_by_video(parts, rows))) == 40  # no video is in two
    assert all(len(part) <= PART_ROWS for part in parts)


def test_few_rows_keep_all_workers_busy_and_many_on_one_video_stay_together():
    few = dict(enumerate(row(i, f"film {i}") for i in range(8)))
    assert len(parts_of(few, workers=4)) == 8
    one = dict(enumerate(row(i, "film") for i in range(500)))
    assert parts_of(one, workers=4) == [list(range(500))]


def sent_by(worker: RayMiner, *items: dict) -> list[dict]:
    return [json.loads(text) for out in worker({"part": [json.dumps(list(items))]}) for text in out["sent"]]


def asked(film: str) -> dict:
    return asdict(Question(film, "What is yellow?", ("a disc", "the scene")))


def test_a_worker_sends_each_result_whole_and_the_errors_of_single_rows(film):
    config = MinerConfig(selector="uniform", cache_dir="off")
    worker = RayMiner("videominer-world", config, "cpu")
    sent = sent_by(worker, {"row": 7, "question": asked(film)}, {"row": 9, "question": asked("gone.mp4")})
    results = {item["row"]: _unpacked(item) for item in sent}
    [alone] = VideoMiner.from_pretrained(config=config, device="cpu").mine_batch([Question(**asked(film))])
    assert isinstance(results[7], Selection)
    assert (results[7].answer, results[7].key_frames) == (alone.answer, alone.key_frames)
    assert isinstance(results[9], VideoMinerError) and "gone.mp4: no such file" in str(results[9])


def test_a_worker_without_its_models_says_why_the_run_ends(film):
    worker = RayMiner("/no/such/model", MinerConfig(cache_dir="off"), "cpu")
    [sent] = sent_by(worker, {"row": 0, "question": asked(film)})
    assert "/no/such/model" in sent["fatal"]


def test_without_the_package_the_error_names_the_extra(film, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    path = tmp_path / "questions.jsonl"
    path.write_text(json.dumps({"video": film, "question": "What is yellow?"}) + "\n")
    assert main(["mine", "--manifest", str(path), "--out", str(tmp_path / "out"), "--ray", "--quiet"]) == 1
    assert "pip install 'lmms-videominer[ray]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--workers", "2"], "--workers belongs to --ray"),
        (["--worker-gpus", "1"], "--worker-gpus belongs to --ray"),
        (["--ray", "--worker-gpus", "1.5"], "a part of one"),
        (["--ray", "--workers", "0"], "at least 1"),
        (["--ray", "--profile"], "--profile measures this process"),
    ],
)
def test_what_does_not_go_together_is_refused(more, reason, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["mine", "--manifest", "questions.jsonl", "--out", str(tmp_path / "out"), *more])
    assert stopped.value.code == 2 and reason in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_one_question_on_one_video_is_not_for_ray(capsys):
    with pytest.raises(SystemExit):
        main(["mine", "film.mp4", "--question", "Who?", "--ray"])
    assert "--ray is for many rows" in capsys.readouterr().err


@pytest.fixture(scope="module")
def manifest(tmp_path_factory) -> Path:
    """Four questions on four films of a minute."""
    world = tmp_path_factory.mktemp("world")
    return render_world(world, 1, 4, 3_000_005, workers=1, progress=False, questions=1)


def command(manifest: Path, out: Path, cache: Path) -> list[str]:
    argv = [sys.executable, "-m", "lmms_videominer", "mine", "--manifest", str(manifest), "--out", str(out), "--quiet"]
    return [*argv, "--ray", "--workers", "2", "--device", "cpu", "--set", f"cache_dir={cache}"]


def environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "RAY_worker_register_timeout_seconds": "600"}


def lines(out: Path) -> list[bytes]:
    path = out / RESULTS
    return path.read_bytes().splitlines() if path.exists() else []


def trees(out: Path) -> dict[str, tuple]:
    selections = {path.name: selection_json.load(path) for path in (out / TREES).iterdir()}
    return {name: (s.key_frames, s.nodes, s.answer, s.question) for name, s in selections.items()}


def kill_at_the_first_line(argv: list[str], out: Path, log: Path) -> None:
    with log.open("wb") as file:
        process = subprocess.Popen(argv, env=environment(), stdout=file, stderr=subprocess.STDOUT)
        ends_s = time.monotonic() + WAITS_S
        while not lines(out) and process.poll() is None and time.monotonic() < ends_s:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, log.read_text()[-3000:]


@pytest.mark.launches
def test_two_workers_that_are_killed_and_started_again_leave_the_bytes_of_a_run_without_ray(manifest, tmp_path):
    pytest.importorskip("ray", reason="the package ray is not installed: pip install 'ray[data]'")
    plain, shared = tmp_path / "plain", tmp_path / "shared"
    arguments = ["--manifest", str(manifest), "--out", str(plain), "--quiet", "--device", "cpu"]
    assert main(["mine", *arguments, "--set", f"cache_dir={tmp_path / 'plain-cache'}"]) == 0
    argv = command(manifest, shared, tmp_path / "cache")
    kill_at_the_first_line(argv, shared, tmp_path / "log")
    before = lines(shared)
    assert 0 < len(before) < 4  # rows stream: they are written before the last one is known
    ended = subprocess.run(argv, env=environment(), capture_output=True, text=True, timeout=WAITS_S)
    assert ended.returncode == 0, ended.stderr[-3000:]
    for name in (RESULTS, PARQUET, RUN):
        assert (shared / name).read_bytes() == (plain / name).read_bytes()
    assert trees(shared) == trees(plain)
    costs = [json.loads(line)["id"] for line in (shared / "costs.jsonl").read_text().splitlines()]
    assert len(costs) == len(set(costs)) == 4  # what was done before the kill was not mined again


@pytest.mark.launches
def test_a_cluster_that_is_not_there_and_one_that_is_too_small_are_told():
    ray = pytest.importorskip("ray", reason="the package ray is not installed: pip install 'ray[data]'")
    nowhere = _connected(Cluster("ray://nowhere"), quiet=True)
    with pytest.raises(ConfigError, match="--ray ray://nowhere: Ray cannot be reached"), nowhere:
        pass
    here = Cluster(workers=3)
    with _connected(here, quiet=True):
        assert _resources(here) == (3, {"num_cpus": 1.0, "num_gpus": float("GPU" in ray.cluster_resources())})
        with pytest.raises(ConfigError, match=r"3 workers with 64 GPUs each need 192, .*lower --workers"):
            _resources(Cluster(workers=3, gpus=64))
    assert not ray.is_initialized()
