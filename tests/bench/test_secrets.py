"""A key among the model arguments reaches the service, and stands nowhere else."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from http.server import ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from support.cells import InProcess
from support.service import Handler, completion, running

from lmms_videominer.bench.command import comparison_of, run_comparison
from lmms_videominer.bench.evaluating import _in_environment
from lmms_videominer.bench.load_tasks import Request
from lmms_videominer.bench.plan import plan_cells, settings_of
from lmms_videominer.bench.running import ask_tasks
from lmms_videominer.bench.variants import parse_variants
from lmms_videominer.cli import _parser, main
from lmms_videominer.errors import ConfigError
from lmms_videominer.lmms import construct
from lmms_videominer.lmms.arguments import SECRETS

KEY = "canary-7f3a9c51"


class Service(ThreadingHTTPServer):
    """Chat completions for those with ``KEY``; others are told which key they came with."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), KeyedHandler)
        self.keys: set[str] = set()
        self.refuses = False


class KeyedHandler(Handler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        given = self.headers["Authorization"]
        self.server.keys.add(given)
        refusal = {"error": {"message": f"Incorrect API key provided: {given}", "code": "invalid_api_key"}}
        refuses = self.server.refuses
        data = json.dumps(refusal if refuses else completion("B")).encode()
        self.send(401 if refuses else 200, "application/json", data)


@pytest.fixture
def service():
    with running(Service()) as service:
        yield service


class Watched(InProcess):
    """Keeps the words of every command line, which other users of the machine can read."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def __call__(self, command: Sequence[str], log: Path) -> int:
        self.words += command
        return super().__call__(command, log)


def files_with(folder: Path, text: str) -> list[Path]:
    """The files below ``folder`` that hold ``text``, in their name, their bytes or their cells."""
    found = [path for path in folder.rglob("*") if text in path.name]
    for path in folder.rglob("*"):
        if path.is_file():
            cells = pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else ""
            if text.encode() in path.read_bytes() or text in cells:
                found.append(path)
    return found


def compared(out: Path, tasks: Path, service: Service, *arguments: str) -> tuple[int, Watched]:
    address = f"base_url=http://127.0.0.1:{service.server_port}/v1"
    argv = ["bench", "--model", "videominer_openai", "--tasks", "tiny_video", "--include-path", str(tasks)]
    argv += ["--selectors", "oracle", "--frames", "2", "--limit", "2", "--out", str(out), "--model-args"]
    argv += ["model=served", address, "max_retries=1", *arguments]
    execute = Watched()
    return run_comparison(comparison_of(_parser().parse_args(argv)), progress=True, execute=execute), execute


@pytest.mark.evaluates
def test_a_key_reaches_the_service_and_stands_nowhere_else(service, tasks, tmp_path, capfd, caplog):
    status, executed = compared(tmp_path, tasks, service, f"api_key={KEY}")
    assert (status, executed.ran) == (0, ["oracle"])
    assert service.keys == {f"Bearer {KEY}"}
    assert files_with(tmp_path, KEY) == [] and KEY not in " ".join(executed.words)
    assert KEY not in caplog.text + "".join(capfd.readouterr())
    assert (tmp_path / "report.md").is_file() and (tmp_path / "results.parquet").is_file()

    for arguments in (["api_key=another-canary"], []):  # the same cell
        status, executed = compared(tmp_path, tasks, service, *arguments)
        assert (status, executed.ran) == (0, [])
    assert len(pd.read_parquet(tmp_path / "results.parquet")) == 2


@pytest.mark.evaluates
def test_a_key_that_the_service_repeats_is_hidden_in_the_log(service, tasks, tmp_path, capfd):
    service.refuses = True
    with pytest.raises(ConfigError, match="no finished cell"):
        compared(tmp_path, tasks, service, f"api_key={KEY}")
    assert service.keys == {f"Bearer {KEY}"}
    assert files_with(tmp_path, KEY) == []
    assert "***" in next(tmp_path.glob("cells/*/log.txt")).read_text()
    assert KEY not in "".join(capfd.readouterr())


ARGUMENTS = ["model=m", "base_url=https://me:{}@host/v1?token={}", "hf_token={}", "azure_ad_token={}", "password={},{}"]


def cell_with(secret: str):
    arguments = [argument.format(secret, secret) for argument in ARGUMENTS]
    settings = settings_of("videominer_openai", "", arguments)
    [cell] = plan_cells(settings, ["tiny_video"], parse_variants(["uniform"]), [4])
    return cell


def test_a_cell_is_the_same_with_another_secret_or_none():
    settings = settings_of("videominer_openai", "", ["model=m", "base_url=https://host/v1"])
    [bare] = plan_cells(settings, ["tiny_video"], parse_variants(["uniform"]), [4])
    one, other = cell_with(KEY), cell_with("other-secret")
    assert one.key == other.key == bare.key
    assert one.identity == bare.identity and one.settings.common_text == bare.settings.common_text
    command = " ".join(one.command(Path("out"), Path("cache")))
    assert KEY not in command + one.name + json.dumps(one.identity) + one.settings.common_text
    assert f"{KEY},{KEY}" in one.settings.secret_values and KEY in one.settings.secret_values


def test_a_request_for_tasks_has_the_names_of_secrets_alone(tmp_path):
    request = Request.of(tmp_path, cell_with(KEY).settings, ["tiny_video"], True)
    request.save()
    assert KEY not in request.file.read_text()
    assert set(request.passed) == {"model", "base_url", "hf_token", "azure_ad_token", "password"}
    assert request.reply == Request.of(tmp_path, cell_with("another").settings, ["tiny_video"], True).reply


def test_an_unknown_argument_that_is_a_secret_is_refused_by_name_alone(tmp_path, in_process, tasks):
    settings = settings_of("videominer_qwen2vl", "", [f"slack_token={KEY}"], include_path=str(tasks))
    with pytest.raises(ConfigError, match="slack_token") as refused:
        ask_tasks(tmp_path, settings, ["tiny_video"], execute=in_process)
    assert KEY not in str(refused.value) and files_with(tmp_path, KEY) == []


@pytest.mark.parametrize(
    "argv",
    [
        ["--selectors", f"uniform:api_key={KEY}"],
        ["--selectors", "uniform", "--model", f"api_key={KEY}"],
        ["--selectors", "uniform", f"--api_key={KEY}"],
        ["--selectors", "uniform", "--model-args", f"trees_dir=https://me:{KEY}@host"],
    ],
)
def test_no_message_repeats_a_secret(argv, tmp_path, capsys):
    try:
        status = main(["bench", "--tasks", "t", "--out", str(tmp_path), *argv])
    except SystemExit as end:
        status = end.code
    assert status in (1, 2)
    told = capsys.readouterr().err
    assert told and KEY not in told and "***" in told


def test_secrets_are_in_no_key_under_lmms_eval():
    from lmms_eval.models.chat.openai import OpenAICompatible

    from lmms_videominer.lmms.hooks import _without_secrets

    profile = construct.profile_of("openai")
    names = ("api_key", "token", "azure_ad_token", "password")
    bare = construct.identity(OpenAICompatible, profile, {"model": "m"})
    for name in names:
        assert construct.identity(OpenAICompatible, profile, {"model": "m", name: KEY}) == bare
    address = construct.identity(OpenAICompatible, profile, {"model": "m", "base_url": f"https://me:{KEY}@host"})
    assert KEY not in address
    assert _without_secrets(f"model=m,api_key={KEY}") == {"model": "m"} == _without_secrets("model=m,token=x")
    assert _without_secrets("model=m") == "model=m"


def test_a_cell_gets_no_secrets_that_are_not_its_own(monkeypatch):
    monkeypatch.setenv(SECRETS, "of the user's shell")
    with _in_environment({}):
        assert SECRETS not in os.environ
    with _in_environment({"api_key": KEY}):
        assert json.loads(os.environ[SECRETS]) == {"api_key": KEY}
    assert os.environ[SECRETS] == "of the user's shell"
