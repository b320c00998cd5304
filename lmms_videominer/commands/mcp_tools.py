"""The tools of ``videominer mcp``. This file imports the package ``mcp``, which only that command needs.

Models and caches stay on one thread of their own, so that the server replies while it mines, and mines one video after
the other. The transport gives handlers no stdout to write to: what is printed goes to stderr.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import Field

from lmms_videominer import __version__
from lmms_videominer.commands.indexing import line_of
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoError, VideoMinerError
from lmms_videominer.models.resolve import resolve
from lmms_videominer.redaction import redacted
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors.settings import configured
from lmms_videominer.types import Question, Selection
from lmms_videominer.verdict import chosen_option, option_letter
from lmms_videominer.video.containers import check_is_whole
from lmms_videominer.video.time_codes import clock, clock_span, seconds

if TYPE_CHECKING:
    from lmms_videominer.miner import VideoMiner
    from lmms_videominer.selectors.indexing import Indexed

T = TypeVar("T")
Tell = Callable[[str], None]  # says what is done now
Time = float | str | None

INSTRUCTIONS = (
    "Finds the frames of long videos that answer a question, and answers from them. Call mine with a video and a "
    "question; it takes seconds to minutes. Call index first if several questions on one video will follow. show "
    "explains a result: which parts of the video were looked at, and what was decided about them."
)
MOST_RESULTS = 100  # kept for show
MAX_PIXELS = 200_000  # of a picture that is sent
WIDTH = 140  # characters of a tree as text

VideoArgument = Annotated[str, Field(description="Path of the video file, relative to the root folder.")]


class Miners:
    """A miner for each selector, loaded when first asked for; they share the video LLM, the embedder and the scorer.

    Args:
        model: The video LLM or the bundle, by name or folder.
        config: The settings where a call says nothing else.
        device: See ``VideoMiner.from_pretrained``.
    """

    def __init__(self, model: str, config: MinerConfig, device: str | None = None):
        self._model, self.config, self._device = model, config, device
        self._stages: dict[str, Stages] = {}

    def miner(self, selector: str = "", frames: int | None = None) -> VideoMiner:
        """A ``VideoMiner`` with this selector and this number of key frames.

        Raises:
            ConfigError: The selector is unknown, or the number is out of range.
            ModelError: A model cannot be loaded.
        """
        from lmms_videominer.miner import VideoMiner

        frames = self.config.frames if frames is None else frames
        config = configured(self.config, selector=selector or self.config.selector, frames=frames)
        if config.selector not in self._stages:
            self._stages[config.selector] = self._loaded(config)
        return VideoMiner(self._stages[config.selector], config)

    def _loaded(self, config: MinerConfig) -> Stages:
        """The stages of ``config.selector``."""
        from lmms_videominer.miner import VideoMiner

        if not self._stages:
            return VideoMiner.from_pretrained(self._model, config=config, device=self._device).stages
        names, others = resolve(self._model, config), list(self._stages.values())
        return VideoMiner.from_pretrained(
            vlm=others[0].vlm,
            policy=names.policy,
            embedder=next((each.embedder for each in others if each.embedder), names.embedder),
            scorer=next((each.scorer for each in others if each.scorer), names.scorer),
            config=config,
            device=self._device,
        ).stages


def server_of(root: Path, miners: Miners) -> MCPServer:
    """The server, whose tools read nothing outside ``root``."""
    tools = _Tools(root.resolve(), miners)
    server = MCPServer("videominer", instructions=INSTRUCTIONS, version=__version__, log_level="WARNING")
    for tool in (tools.mine, tools.index, tools.show):
        server.add_tool(tool, structured_output=False)
    return server


class _Tools:
    """The tools; their docstrings are what clients are told of them."""

    def __init__(self, root: Path, miners: Miners):
        self._root, self._miners = root, miners
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="videominer")
        self._results: OrderedDict[str, Selection] = OrderedDict()
        self._numbers = itertools.count(1)

    async def mine(
        self,
        video: VideoArgument,
        question: Annotated[str, Field(description="What to look for, without answer options.")],
        context: Context,
        options: Annotated[list[str], Field(description="Answer options in order, without letters.")] = [],  # noqa: B006
        selector: Annotated[str, Field(description="How frames are chosen; empty: as the server is set.")] = "",
        frames: Annotated[int | None, Field(description="Most key frames; null: as the server is set.")] = None,
        start: Annotated[Time, Field(description="Search from here: seconds, m:ss or h:mm:ss.")] = None,
        end: Annotated[Time, Field(description="Search up to here; null: to the end.")] = None,
        images: Annotated[bool, Field(description="Also return the key frames as pictures.")] = False,
    ) -> CallToolResult:
        """Find the key frames of a video for a question, and answer the question from them.

        Returns the answer, the times of the key frames, the parts of the video that were accepted, and the name of the
        result for show.
        """
        asked = Question(self._film(video), question, tuple(options), (), _time(start) or 0.0, _time(end))
        selection = await self._at_work(lambda tell: self._mined(asked, selector, frames, tell), context)
        name = f"result-{next(self._numbers)}"
        self._results[name] = selection
        if len(self._results) > MOST_RESULTS:
            self._results.popitem(last=False)
        told = {"result": name, "video": video, **_told(selection)}
        content: list[ContentBlock] = [TextContent(type="text", text=json.dumps(told, ensure_ascii=False, indent=1))]
        if images:
            content += await self._at_work(lambda tell: _pictures(selection), context)
        return CallToolResult(content=content, structured_content=told)

    async def index(
        self,
        videos: Annotated[list[str], Field(description="Paths of video files, relative to the root folder.")],
        context: Context,
    ) -> str:
        """Prepare videos for several questions: what all questions on a video share is made once and kept."""
        paths = [self._film(video) for video in videos]
        results = await self._at_work(lambda tell: self._indexed(paths), context)
        lines = [_index_line(video, result) for video, result in zip(videos, results, strict=True)]
        if all(isinstance(result, VideoMinerError) for result in results):
            raise ToolError("\n".join(lines) or "name at least one video")
        return "\n".join(lines)

    async def show(
        self,
        result: Annotated[str, Field(description="The result that mine named, or the path of a stored one (JSON).")],
        context: Context,
    ) -> str:
        """The tree of a result as text: parts of the video, what was decided about each, key frames, answer, cost."""
        from rich.console import Console

        from lmms_videominer.show.terminal import print_selection

        selection = self._results.get(result)
        if selection is None:
            selection = await self._at_work(lambda tell: self._stored(result), context)
        text = io.StringIO()
        print_selection(Console(file=text, width=WIDTH, color_system=None), selection)
        return text.getvalue()

    def _path(self, name: str) -> str:
        """The file of that name below the root.

        Raises:
            ToolError: It lies outside.
        """
        try:
            path = (self._root / name).resolve()
        except (OSError, ValueError, RuntimeError) as error:  # a NUL, or links in a circle
            raise ToolError(f"{name!r}: no path of a file ({error})") from error
        if not path.is_relative_to(self._root):
            raise ToolError(
                f"{name}: outside of the folder that this server may read, {self._root}. Name a file in it, or start "
                "the server with another --root"
            )
        return os.fspath(path)

    def _film(self, name: str) -> str:
        """The video file of that name below the root.

        Raises:
            ToolError: It lies outside, or names files that may.
        """
        path = self._path(name)
        if os.path.isfile(path) and os.access(path, os.R_OK) and os.path.getsize(path):
            try:
                check_is_whole(path)
            except VideoError as error:
                raise ToolError(str(error).replace(path, name)) from error
        return path

    def _mined(self, question: Question, selector: str, frames: int | None, tell: Tell) -> Selection:
        tell("load")
        miner = self._miners.miner(selector, frames)
        [(_, result)] = miner.mine_each([question], serving=tell)
        if isinstance(result, VideoMinerError):
            raise result
        return result

    def _indexed(self, paths: Sequence[str]) -> list[Indexed | VideoMinerError]:
        from lmms_videominer.miner import VideoMiner
        from lmms_videominer.selectors.indexing import with_captions

        miner = self._miners.miner("videominer")
        return VideoMiner(miner.stages, with_captions(miner.config)).index(paths)

    def _stored(self, name: str) -> Selection:
        from lmms_videominer.store import selection_json

        path = self._path(name)
        try:
            return selection_json.load(path)
        except OSError as error:
            known = f"; results of this server: {', '.join(self._results)}" if self._results else ""
            raise ConfigError(f"{name}: no result and no file of one ({error.strerror}){known}") from error

    async def _at_work(self, call: Callable[[Tell], T], context: Context) -> T:
        """What ``call`` gives, on the thread of the models; it stops at the next thing it tells if the client gives up.

        Raises:
            ToolError: What it was asked for cannot be done.
        """
        loop, is_given_up, numbers = asyncio.get_running_loop(), threading.Event(), itertools.count(1)

        def tell(stage: str) -> None:
            if is_given_up.is_set():
                raise _GivenUp
            asyncio.run_coroutine_threadsafe(context.report_progress(next(numbers), None, stage), loop)

        try:
            return await asyncio.wrap_future(self._worker.submit(call, tell))
        except VideoMinerError as error:
            raise ToolError(redacted(str(error))) from error
        finally:
            is_given_up.set()


class _GivenUp(Exception):
    """The client no longer waits."""


def _index_line(video: str, result: Indexed | VideoMinerError) -> str:
    return redacted(str(result)) if isinstance(result, VideoMinerError) else line_of(video, result)


def _time(given: Time) -> float | None:
    if not isinstance(given, str):
        return given
    try:
        return seconds(given)
    except ValueError as error:
        raise ToolError(str(error)) from error


def _told(selection: Selection) -> dict[str, Any]:
    """What a client is told of a selection, as JSON has it."""
    chosen = chosen_option(selection.answer, selection.question.options)
    return {
        "answer": selection.answer,
        "choice": None if chosen is None else f"{option_letter(chosen)}. {selection.question.options[chosen]}",
        "key_frames": [{"time_s": f.time_s, "time": clock(f.time_s, 2)} for f in selection.key_frames],
        "accepted": [
            {"start_s": span.start_s, "end_s": span.end_s, "time": clock_span(span)} for span in selection.accepted
        ],
        "fallbacks": list(selection.fallbacks),
    }


def _pictures(selection: Selection) -> Sequence[ContentBlock]:
    """The key frames, each after its time."""
    content: list[ContentBlock] = []
    for item in selection.to_messages("openai", MAX_PIXELS)[0]["content"][:-1]:  # the last is the question
        if item["type"] == "text":
            content.append(TextContent(type="text", text=item["text"]))
        else:
            kind, _, data = item["image_url"]["url"].removeprefix("data:").partition(";base64,")
            content.append(ImageContent(type="image", data=data, mime_type=kind))
    return content
