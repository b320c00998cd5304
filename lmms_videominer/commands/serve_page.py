"""The page of ``videominer serve``. This file imports the package ``gradio``, which only that command needs.

Whatever comes from outside is set as escaped text (``show.view.inline``), or in a frame that reaches nothing of the
page. Gradio serves its own files and those in its temporary folder, which holds uploaded films and results by session.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from lmms_videominer.commands.serve_search import (
    KEPT,
    MOST_QUESTION,
    SUFFIXES,
    Done,
    Grown,
    Searches,
    SearchStopped,
    Stage,
    Strange,
    Told,
    asked,
    check_film,
)
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.models.bundle import UNKNOWN_FILM, WAY_OUT, WORLD_ONLY
from lmms_videominer.show.view.inline import STYLE, line_html, notice_html, tree_html
from lmms_videominer.show.view.notebook import framed
from lmms_videominer.store import selection_json
from lmms_videominer.store.atomic import written
from lmms_videominer.video.time_codes import clock

ABOUT = (
    "# VideoMiner\nFinds the frames of a long video that answer a question. It cuts the film into events, captions the "
    "most promising ones, and decides about each whether to keep it, look closer or drop it."
)
KEPT_S = 24 * 3600  # a file that its session left is deleted after so many seconds, at the latest
SWEPT_S = 3600  # how often that is looked after


@contextlib.contextmanager
def served(
    searches: Searches,
    films: Mapping[str, str],
    folder: Path,
    host: str | None = None,
    port: int | None = None,
    share: bool = False,
    most_waiting: int = 20,
) -> Iterator[list[str]]:
    """Serve the page until the block ends; gives its addresses.

    Args:
        searches: Searches films.
        films: Paths of the films that the page offers, by name.
        folder: The temporary folder of Gradio, as ``GRADIO_TEMP_DIR`` has it: uploaded films and results lie there.
        host, port, share: See ``videominer serve``; ``None``: as Gradio's environment says, else this machine alone.
        most_waiting: Searches that wait in line.

    Raises:
        ConfigError: The address cannot be listened on.
    """
    page = _Page(searches, films, folder).blocks
    page.queue(max_size=most_waiting, api_open=False)
    try:
        _, local, public = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            max_file_size=round(searches.limits.file_mb * 1_000_000),
            allowed_paths=[str(folder)],  # else those of the environment
            css=STYLE,
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
        )
    except OSError as error:
        raise ConfigError(f"the page cannot be served ({error}). Choose another --host or --port") from error
    try:
        yield [address for address in (local, public) if address]
    finally:
        page.close(verbose=False)


class _Sessions:
    """What each visitor's session has: an uploaded film, results, a search. They go with the session."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._films: dict[str, Path] = {}
        self._results: dict[str, Path] = {}
        self._stops: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def begin(self, session: str) -> threading.Event:
        """What stops the search that begins now."""
        with self._lock:
            self._stops[session] = threading.Event()
            return self._stops[session]

    def stop(self, session: str) -> None:
        """Stop the search of the session, if there is one."""
        with self._lock:
            if stop := self._stops.pop(session, None):
                stop.set()

    def hold(self, session: str, film: str | None) -> None:
        """The session's film is this one from now on; the one before is deleted, unless another session has it, too."""
        with self._lock:
            before = self._films.pop(session, None)
            if film is not None:
                self._films[session] = Path(film)
            if before is not None and before not in self._films.values():
                before.unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # it is not empty: the same film came under another name
                    before.parent.rmdir()

    def results(self, session: str) -> Path:
        """The folder of the session's results, whose name nobody guesses."""
        with self._lock:
            if session not in self._results:
                self._results[session] = self._folder / secrets.token_hex(16)
                self._results[session].mkdir()
            return self._results[session]

    def end(self, session: str) -> None:
        """Stop and delete all that the session has."""
        self.stop(session)
        self.hold(session, None)
        with self._lock:
            if results := self._results.pop(session, None):
                shutil.rmtree(results, ignore_errors=True)


class _Page:
    """The components and what they do.

    Attributes:
        blocks: The page.
    """

    def __init__(self, searches: Searches, films: Mapping[str, str], folder: Path):
        self._searches, self._offered, self._sessions = searches, films, _Sessions(folder)
        limits = searches.limits
        takes = f"up to {limits.file_mb:g} MB and {clock(limits.film_s)}"
        with gr.Blocks(title="VideoMiner", analytics_enabled=False, delete_cache=(SWEPT_S, KEPT_S)) as self.blocks:
            gr.Markdown(ABOUT)
            if searches.knows_world_only:
                gr.HTML(notice_html(f"{WORLD_ONLY}; of any other film they tell nothing. {WAY_OUT}."), js_on_load=None)
            with gr.Row():
                with gr.Column(scale=2, min_width=320):
                    self._film = gr.File(label=f"Film, {takes}", file_types=list(SUFFIXES), type="filepath")
                    self._listed = gr.Dropdown(
                        list(films), value=None, label="Or one of these films", visible=bool(films), interactive=True
                    )
                    self._text = gr.Textbox(label="Question", lines=2, max_lines=6, max_length=MOST_QUESTION)
                    self._options = gr.Textbox(label="Options, one a line (may be left empty)", lines=4, max_lines=26)
                    with gr.Row():
                        start = gr.Button("Search", variant="primary")
                        stop = gr.Button("Stop", variant="stop")
                with gr.Column(scale=3, min_width=320):
                    self._status, self._tree = _text_block("status"), _text_block("tree")
            self._summary, self._view = _text_block("summary"), _text_block("view")
            with gr.Row():
                self._page_file = gr.DownloadButton("Download this view", visible=False)
                self._tree_file = gr.DownloadButton("Download the result as JSON", visible=False)
            self._listen(start, stop)

    def _listen(self, start: gr.Button, stop: gr.Button) -> None:
        private: dict[str, Any] = {"api_visibility": "private"}
        results = [self._status, self._tree, self._summary, self._view, self._page_file, self._tree_file]
        self._film.upload(self._uploaded, self._film, [self._status, self._listed], queue=False, **private)
        self._film.clear(self._cleared, None, self._status, queue=False, **private)
        self._listed.input(self._cleared_for_listed, None, [self._film, self._status], queue=False, **private)
        searching = gr.on(
            [start.click, self._text.submit],
            self._search,
            [self._film, self._listed, self._text, self._options],
            results,
            concurrency_limit=1,  # one model, one search
            trigger_mode="once",
            show_progress="full",
            show_progress_on=self._status,
            **private,
        )
        stop.click(self._stop, None, self._status, cancels=[searching], queue=False, **private)
        self.blocks.unload(self._end)

    def _uploaded(self, film: str | None, request: gr.Request) -> tuple[str, None]:
        self._sessions.hold(_session(request), film)
        try:
            check_film(film or "", self._searches.limits)
        except VideoMinerError as error:
            return notice_html(str(error).replace(film or "", Path(film or "").name), wrong=True), None
        return line_html("The film is here. Ask a question."), None

    def _cleared(self, request: gr.Request) -> str:
        self._sessions.stop(_session(request))
        self._sessions.hold(_session(request), None)
        return ""

    def _cleared_for_listed(self, request: gr.Request) -> tuple[None, str]:
        return None, self._cleared(request)

    async def _search(
        self, film: str | None, listed: str | None, text: str, options: str, request: gr.Request
    ) -> AsyncIterator[dict[Any, Any]]:
        session = _session(request)
        hidden = gr.DownloadButton(visible=False)
        yield {
            **dict.fromkeys((self._tree, self._summary, self._view), ""),
            **dict.fromkeys((self._page_file, self._tree_file), hidden),
            self._status: line_html("Waiting for the model …"),
        }
        try:
            path = film or self._offered.get(listed or "")
            if path is None:
                raise ConfigError("There is no film yet: drop one, or choose one from the list")
            question, strange = asked(path, text, options), ""
            async with contextlib.aclosing(self._searches.search(question, self._sessions.begin(session))) as news:
                async for told in news:
                    if isinstance(told, Strange):
                        strange = notice_html(f"{UNKNOWN_FILM}. {WAY_OUT}.")
                    yield self._shown(told, strange, session)
        except SearchStopped as error:
            yield {self._status: notice_html(str(error))}
        except VideoMinerError as error:
            yield {self._status: notice_html(str(error), wrong=True)}

    def _shown(self, told: Told, strange: str, session: str) -> dict[Any, Any]:
        if isinstance(told, Grown):
            return {self._tree: tree_html(told.nodes)}
        if not isinstance(told, Done):
            now = told.name if isinstance(told, Stage) else "looking at the film"
            return {self._status: strange + line_html(f"Searching: {now} …")}
        folder = self._sessions.results(session)
        page, tree = folder / "view.html", folder / "tree.json"
        with written(page) as part:
            part.write_text(told.page, encoding="utf-8")
        selection_json.save(told.selection, tree)
        return {
            self._status: line_html("Done."),
            self._tree: tree_html(told.selection.nodes) if told.selection.nodes else "",
            self._summary: told.summary,
            self._view: framed(told.page),
            self._page_file: gr.DownloadButton(value=str(page), visible=True),
            self._tree_file: gr.DownloadButton(value=str(tree), visible=True),
        }

    def _stop(self, request: gr.Request) -> str:
        self._sessions.stop(_session(request))
        return notice_html(f"The search was stopped. {KEPT}.")

    def _end(self, request: gr.Request) -> None:
        self._sessions.end(_session(request))


def _session(request: gr.Request) -> str:
    return str(request.session_hash)


def _text_block(name: str) -> gr.HTML:
    return gr.HTML("", elem_id=f"videominer-{name}", js_on_load=None)
