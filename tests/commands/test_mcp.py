"""``videominer mcp``, called by the SDK's own client: in this process, with models by rule, and as a program."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult
from PIL import Image
from support.scripted import ColourEmbedder, ColourEncoder, ColourVLM, colours_of, finder

from lmms_videominer.cli import main
from lmms_videominer.commands.mcp_tools import Miners, server_of
from lmms_videominer.config import MinerConfig
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.types import Span
from lmms_videominer.video.time_codes import clock_span
from lmms_videominer.world import render_world

CONFIG = MinerConfig(
    search="plain", frames=4, events=4, scan_frames=64, clustering="none", grain_s=0.0, cache_dir="off"
)
ASKED = {"video": "films/film.mp4", "question": "What is there?", "options": ["a lake", "a scene in yellow"]}


@pytest.fixture
def root(film, tmp_path) -> Path:
    folder = tmp_path / "root"
    (folder / "films").mkdir(parents=True)
    (folder / "films" / "film.mp4").write_bytes(Path(film).read_bytes())
    (tmp_path / "private.mp4").write_bytes(Path(film).read_bytes())
    (folder / "link.mp4").symlink_to(tmp_path / "private.mp4")
    return folder


@pytest.fixture
def loaded(monkeypatch) -> list[tuple[str, object]]:
    """Names load models that follow rules and look for yellow; the selectors that were loaded, with the video LLM."""
    made: list[tuple[str, object]] = []

    def load(model="", *, config, vlm=None, policy=None, embedder=None, scorer=None, device=None):
        vlm = vlm or ColourVLM()
        made.append((config.selector, vlm))
        return VideoMiner(build_stages(config, vlm, finder("yellow"), ColourEmbedder(), scorer=ColourEncoder()), config)

    monkeypatch.setattr(VideoMiner, "from_pretrained", load)
    return made


def talk(root: Path, talking: Callable, config: MinerConfig = CONFIG):
    """What ``talking(client)`` gives, with a client of a server on ``root``."""

    async def connected():
        async with Client(server_of(root, Miners("videominer-world", config))) as client:
            return await talking(client)

    return asyncio.run(connected())


def call(root: Path, tool: str, **arguments) -> CallToolResult:
    return talk(root, lambda client: client.call_tool(tool, arguments))


def refusal(root: Path, tool: str, **arguments) -> str:
    result = call(root, tool, **arguments)
    assert result.is_error
    return result.content[0].text


def test_the_tools_say_what_they_are_for_and_what_they_take(root):
    tools = {tool.name: tool for tool in talk(root, lambda client: client.list_tools()).tools}
    assert set(tools) == {"mine", "index", "show"} and all(tool.description for tool in tools.values())
    takes = tools["mine"].input_schema
    assert set(takes["required"]) == {"video", "question"}
    assert {"options", "selector", "frames", "start", "end", "images"} <= set(takes["properties"])
    assert all("description" in about for about in takes["properties"].values())


def test_mine_gives_answer_times_and_accepted_parts_as_text_and_as_data(root, loaded):
    result = call(root, "mine", **ASKED)
    told = result.structured_content
    assert not result.is_error and json.loads(result.content[0].text) == told and len(result.content) == 1
    assert told["answer"] == "a scene in yellow" and told["choice"] == "B. a scene in yellow"
    [part] = told["accepted"]
    assert (part["start_s"], part["end_s"]) == pytest.approx((12.0, 15.0), abs=0.2)
    assert part["time"] == clock_span(Span(part["start_s"], part["end_s"]))
    assert len(told["key_frames"]) == 4 and all(12 <= frame["time_s"] < 15 for frame in told["key_frames"])
    assert told["video"] == "films/film.mp4"


def test_mine_sends_pictures_if_asked_to(root, loaded):
    _, *content = call(root, "mine", **ASKED, images=True).content
    assert [item.type for item in content] == ["text", "image"] * 4 and content[0].text.startswith("Frame at 0:00:12")
    pictures = [Image.open(io.BytesIO(base64.b64decode(item.data))) for item in content[1::2]]
    assert colours_of(np.stack([np.array(picture.convert("RGB")) for picture in pictures])) == ["yellow"]


def test_mine_searches_only_the_part_that_is_named(root, loaded):
    told = call(root, "mine", **ASKED, start="0:13", end=14.5).structured_content
    assert told["accepted"] == [{"start_s": 13.0, "end_s": 14.5, "time": "0:00:13.0-0:00:14.5"}]


def test_models_are_loaded_when_first_needed_and_once_for_all_calls(root, loaded):
    async def talking(client):
        await client.list_tools()
        assert not loaded
        for changes in ({}, {"frames": 2}, {"selector": "uniform"}, {"selector": "uniform", "frames": 3}, {}):
            result = await client.call_tool("mine", ASKED | changes)
            assert len(result.structured_content["key_frames"]) == changes.get("frames", 4)

    talk(root, talking)
    assert [selector for selector, _ in loaded] == ["videominer", "uniform"] and loaded[0][1] is loaded[1][1]


def test_show_prints_the_tree_of_a_result_and_of_a_stored_file(root, loaded):
    async def talking(client):
        mined = (await client.call_tool("mine", ASKED)).structured_content
        return mined, await client.call_tool("show", {"result": mined["result"]})

    mined, shown = talk(root, talking)
    text, part = shown.content[0].text, mined["accepted"][0]["time"]
    assert "Tree" in text and "accept" in text and part in text and "\x1b" not in text
    film, tree = str(root / "films" / "film.mp4"), root / "tree.json"
    VideoMiner.from_pretrained(config=CONFIG).mine(film, ASKED["question"]).save(root)
    assert part in call(root, "show", result="tree.json").content[0].text and tree.exists()


def test_index_makes_what_questions_share(root, loaded, tmp_path):
    config = MinerConfig(index=1, cache_dir=str(tmp_path / "kept"))

    async def talking(client):
        made = await client.call_tool("index", {"videos": ["films/film.mp4", "absent.mp4"]})
        return made.content[0].text.splitlines(), await client.call_tool("mine", ASKED)

    (made, failed), mined = talk(root, talking, config)
    assert made.startswith("films/film.mp4: ") and "captions made" in made and "absent.mp4: no such file" in failed
    assert not mined.is_error


def test_progress_is_reported_by_stage(root, loaded):
    heard: list[tuple[float, str]] = []

    async def hear(progress, total, message):
        heard.append((progress, message))

    talk(root, lambda client: client.call_tool("mine", ASKED, progress_callback=hear))
    assert [number for number, _ in heard] == sorted({number for number, _ in heard})
    assert {"load", "segment", "caption", "policy"} <= {stage for _, stage in heard}


@pytest.mark.parametrize("video", ["../private.mp4", "link.mp4", "/etc/passwd", "films/../../private.mp4"])
@pytest.mark.parametrize("tool", ["mine", "index", "show"])
def test_nothing_outside_the_root_is_read(root, loaded, tool, video):
    arguments = {"mine": {**ASKED, "video": video}, "index": {"videos": [video]}, "show": {"result": video}}
    told = refusal(root, tool, **arguments[tool])
    assert "outside of the folder that this server may read" in told and "--root" in told and not loaded


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n../private.mp4\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile ../private.mp4\n"),
        ("list.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ],
)
@pytest.mark.parametrize("tool", ["mine", "index"])
def test_a_file_that_names_others_is_refused(root, loaded, tool, name, content):
    (root / name).write_text(content)
    told = refusal(root, tool, **({**ASKED, "video": name} if tool == "mine" else {"videos": [name]}))
    assert f"{name}: no kind of file that holds a film by itself" in told and str(root) not in told
    assert not loaded


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"video": "films/absent.mp4"}, "no such file"),
        ({"question": " "}, "the question is empty"),
        ({"selector": "best"}, "unknown selector 'best'"),
        ({"frames": 0}, "frames=0"),
        ({"start": "1:90"}, "'1:90' is no time"),
        ({"start": 25}, "start_s=25 is not in the video, which lasts 20 s"),
    ],
)
def test_what_cannot_be_done_is_an_error_of_the_tool_with_its_reason(root, loaded, changes, told):
    assert told in refusal(root, "mine", **ASKED | changes)


def test_show_of_an_unknown_result_names_the_known_ones(root, loaded):
    async def talking(client):
        await client.call_tool("mine", ASKED)
        return await client.call_tool("show", {"result": "result-9"})

    assert "results of this server: result-1" in talk(root, talking).content[0].text


def test_without_the_package_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mcp", None)
    for name in [name for name in sys.modules if name.startswith("mcp.") or name.endswith(".mcp_tools")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["mcp"]) == 1
    assert "needs the package mcp, version 2 or newer: pip install '.[mcp]'" in capsys.readouterr().err


def test_a_root_that_is_no_folder_is_refused(tmp_path, capsys):
    assert main(["mcp", "--root", str(tmp_path / "absent")]) == 1
    assert "absent: no such folder" in capsys.readouterr().err


@pytest.mark.launches
def test_a_client_starts_the_command_and_mines_a_film_of_the_world(tmp_path):
    render_world(tmp_path, 1, 1, 17, workers=1, progress=False, questions=1)
    row = json.loads((tmp_path / "qa.jsonl").read_text().splitlines()[0])
    command = ["-m", "lmms_videominer", "mcp", "--root", str(tmp_path), "--device", "cpu"]
    env = {"HF_HUB_OFFLINE": "1", "VIDEOMINER_CACHE": str(tmp_path / "cache"), "PYTHONPATH": ":".join(sys.path)}
    asked = {"video": row["video"], "question": row["question"], "options": row["options"], "images": True}

    async def talking():
        async with Client(StdioServerParameters(command=sys.executable, args=command, env=env)) as client:
            return await client.list_tools(), await client.call_tool("mine", asked)

    tools, mined = asyncio.run(talking())
    assert {tool.name for tool in tools.tools} == {"mine", "index", "show"}
    assert mined.structured_content["choice"][0] == row["answer"]
    assert [item.type for item in mined.content[1:]] == ["text", "image"] * 8
