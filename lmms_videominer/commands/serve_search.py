"""The searches of ``videominer serve``: one after the other on a thread of their own, within limits, to be stopped.

Models and caches stay on that thread, so that the page replies while it is searched. A search looks before each stage
whether it is to go on; what it made until then is in the cache.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lmms_videominer.errors import ConfigError, VideoError, VideoMinerError
from lmms_videominer.models.drawn_films import is_strange
from lmms_videominer.redaction import redacted
from lmms_videominer.show.view.inline import result_html
from lmms_videominer.show.view.notebook import MOST_PICTURES
from lmms_videominer.show.view.page import PageSettings, page_of
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.types import Node, Question, Selection
from lmms_videominer.video.containers import check_is_whole, header_duration_s
from lmms_videominer.video.opening import open_video
from lmms_videominer.video.time_codes import clock

if TYPE_CHECKING:
    from lmms_videominer.miner import VideoMiner

MOST_FILMS = 1000  # of the folder that are offered
SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"),
    *(".flv", ".ogv", ".wmv", ".mxf", ".3gp"),
)
MOST_QUESTION, MOST_OPTION, MOST_OPTIONS = 2000, 500, 26  # characters, characters, options
KEPT = "What it captioned is kept: asked again, it goes on from there"
STAGES = {
    "open": "opening the film",
    "segment": "cutting it into events",
    "caption": "captioning events",
    "embed": "comparing captions",
    "score": "looking at frames",
    "policy": "deciding",
    "answer": "answering",
}


@dataclass(frozen=True)
class Limits:
    """What one search may take.

    Attributes:
        file_mb: Size of an uploaded film, in MB.
        film_s: Length of a film, in seconds.
        search_s: Time of a search, in seconds, from when it begins; it ends at the first stage after that.
    """

    file_mb: float = 500
    film_s: float = 2 * 3600
    search_s: float = 900


@dataclass(frozen=True)
class Stage:
    """What is done now."""

    name: str


@dataclass(frozen=True)
class Grown:
    """The tree so far: the root first, each node after its parent."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class Strange:
    """The models do not know films like this one."""


@dataclass(frozen=True)
class Done:
    """The result.

    Attributes:
        selection: It names the film by its file's name alone, and no folder of this machine.
        summary: Answer, key frames and cost, as HTML.
        page: The whole page of the result.
    """

    selection: Selection
    summary: str
    page: str


Told: TypeAlias = "Stage | Grown | Strange | Done"


class SearchStopped(VideoMinerError):
    """Somebody stopped the search, or it took too long."""


class Searches:
    """Searches with one miner.

    Args:
        load: Loads the miner.
        limits: What one search may take.
    """

    def __init__(self, load: Callable[[], VideoMiner], limits: Limits):
        self.limits = limits
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="videominer")
        self._is_closed = threading.Event()
        self._miner = self._worker.submit(load).result()

    @property
    def knows_world_only(self) -> bool:
        """Whether the video LLM is one that knows the world's videos alone."""
        return getattr(self._miner.stages.vlm, "knows_world_only", False)

    def close(self) -> None:
        """Stop the searches; waits for the stage that is under way."""
        self._is_closed.set()
        self._worker.shutdown(cancel_futures=True)

    async def search(self, question: Question, stop: threading.Event) -> AsyncGenerator[Told, None]:
        """Search, once those before have ended, and tell how it goes; the result comes last.

        Args:
            stop: Stops it when set. Whoever stops iterating stops it, too.

        Raises:
            VideoMinerError: It cannot be done, was stopped, or took too long. The message names the film, not its path.
        """
        loop, given_up = asyncio.get_running_loop(), threading.Event()
        told: asyncio.Queue[Told | None] = asyncio.Queue()

        def tell(news: Told) -> None:
            loop.call_soon_threadsafe(told.put_nowait, news)

        def is_over() -> bool:
            return stop.is_set() or given_up.is_set() or self._is_closed.is_set()

        work = asyncio.wrap_future(self._worker.submit(self._searched, question, is_over, tell))
        work.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (news := await told.get()) is not None:
                yield news
            yield work.result()
        except VideoMinerError as error:
            raise type_of(error)(_without_paths(redacted(str(error)), question)) from error
        finally:
            given_up.set()
            work.cancel()

    def _searched(self, question: Question, is_over: Callable[[], bool], tell: Callable[[Told], None]) -> Done:
        started, limits = time.monotonic(), self.limits

        def serving(stage: str) -> None:
            if is_over():
                raise SearchStopped(f"The search was stopped. {KEPT}")
            if time.monotonic() - started > limits.search_s:
                raise SearchStopped(
                    f"The search took longer than {limits.search_s:g} seconds, the limit of this page. {KEPT}"
                )
            tell(Stage(STAGES.get(stage, stage)))

        serving("open")
        check_film(question.video, limits)
        if self.knows_world_only and is_strange(question.video):
            tell(Strange())
        [(_, result)] = self._miner.mine_each([question], serving=serving, grown=lambda _, nodes: tell(Grown(nodes)))
        if isinstance(result, VideoMinerError):
            raise result
        serving("reading the key frames")
        return _done(result)


def check_film(path: str, limits: Limits) -> None:
    """Check a film that a visitor names, before it is searched.

    Raises:
        VideoError: It is missing, no video, may name other files, or is longer than the limit.
    """
    if not os.path.exists(path):
        raise VideoError(path, "the film is no longer there", "Choose it again")
    check_is_whole(path)
    length_s = header_duration_s(path)
    if length_s is None:  # the header states none: count
        with open_video(path) as reader:
            length_s = reader.info.duration_s
    if length_s > limits.film_s:
        raise VideoError(
            path,
            f"the film lasts {clock(length_s)}, and this page takes films of up to {clock(limits.film_s)}",
            "Cut a part out of it: ffmpeg -ss 0:10:00 -to 0:50:00 -i INPUT -c copy PART.mp4",
        )


def films_in(root: Path) -> dict[str, str]:
    """The films below ``root``, by their names relative to it: path of each, links that lead out of it left out.

    Raises:
        ConfigError: There is no such folder, or no film in it.
    """
    if not root.is_dir():
        raise ConfigError(f"--root {root}: no such folder. Name the folder of the films")
    inside = root.resolve()
    films: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file() and path.resolve().is_relative_to(inside):
            films[path.relative_to(root).as_posix()] = os.fspath(path.resolve())
    if not films:
        raise ConfigError(f"--root {root}: no film in it; names of films end in {', '.join(SUFFIXES)}")
    if len(films) > MOST_FILMS:
        raise ConfigError(f"--root {root}: {len(films)} films, more than the {MOST_FILMS} that a page can offer")
    return films


def asked(video: str, text: str, options: str) -> Question:
    """The question of a visitor.

    Args:
        video: Path of the film.
        text: The question.
        options: One a line.

    Raises:
        ConfigError: It is empty or too long, or there is a single option.
    """
    from lmms_videominer.search.questions import check_options

    lines = tuple(line.strip() for line in options.splitlines() if line.strip())
    if not text.strip():
        raise ConfigError("The question is empty: say what to look for in the film")
    if len(text) > MOST_QUESTION or len(lines) > MOST_OPTIONS or max(map(len, lines), default=0) > MOST_OPTION:
        raise ConfigError(
            f"Up to {MOST_QUESTION} characters for the question, and up to {MOST_OPTIONS} options of {MOST_OPTION} each"
        )
    check_options(lines)
    return Question(video, text.strip(), lines)


def type_of(error: VideoMinerError) -> type[VideoMinerError]:
    """``SearchStopped`` for that, else the base of all."""
    return SearchStopped if isinstance(error, SearchStopped) else VideoMinerError


def _done(selection: Selection) -> Done:
    film = Path(selection.question.video)
    selection = replace(
        selection,
        question=replace(selection.question, video=film.name),
        video=replace(selection.video, path=film.name),
        config=_without_folders(selection.config),
    )
    shown = Shown(selection, "")
    page = page_of([shown], PageSettings("VideoMiner", pictures=MOST_PICTURES, place=film))
    return Done(selection, result_html(shown, film), page)


def _without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """``config`` with the names of files and folders in place of their paths."""
    return {
        name: Path(value).name if isinstance(value, str) and os.path.isabs(value) else value
        for name, value in config.items()
    }


def _without_paths(message: str, question: Question) -> str:
    return message.replace(question.video, Path(question.video).name)
