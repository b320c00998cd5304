"""``videominer serve``: in a real browser on a page of its own, with models by rule; and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.browser import Opened, launched
from support.pages import HOSTILE
from support.scripted import ColourEmbedder, ColourVLM, colour_video, finder

from lmms_videominer.cli import main
from lmms_videominer.commands.serve_search import Limits, Searches, asked, check_film, films_in
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models.bundle import UNKNOWN_FILM, WORLD_ONLY
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.store import selection_json

TEMPLATES = "${window.obeyed=1}{{obeyed}}"  # what components of gradio would evaluate
OPTIONS = "a lake\na scene in yellow"
PATIENCE_S = 120


class GatedVLM(ColourVLM):
    """Waits at a gate before each call; ``says`` is told besides what is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.says, self.knows_world_only = threading.Event(), "", False
        self.gate.set()

    def generate(self, requests):
        assert self.gate.wait(PATIENCE_S)
        return [text + self.says for text in super().generate(requests)]


class Site:
    """A page that is served.

    Attributes:
        url: Its address.
        vlm: The video LLM behind it.
        folder: Where uploaded films and results lie.
        films: The folder whose films it offers.
    """

    def __init__(self, url: str, vlm: GatedVLM, folder: Path, films: Path):
        self.url, self.vlm, self.folder, self.films = url, vlm, folder, films

    def uploads(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*") if path.is_file() and path.stat().st_size)


Serve = Callable[..., Site]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture
def serve(tmp_path: Path, film: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Serves pages with models by rule that look for yellow."""
    folder, root = tmp_path / "gradio", tmp_path / "films"
    root.mkdir()
    (root / "offered.mp4").write_bytes(Path(film).read_bytes())
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(folder))
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setenv("GRADIO_HEARTBEAT_INTERVAL", "0.5")
    pytest.importorskip("gradio", reason="pip install '.[app]'")
    from lmms_videominer.commands.serve_page import served

    started: list[tuple[Searches, Any]] = []

    def serve(limits: Limits | None = None, knows_world_only: bool = False) -> Site:
        config = MinerConfig(
            search="plain", frames=4, events=2, scan_frames=64, max_depth=3, clustering="none", grain_s=0.0
        )
        vlm = GatedVLM()
        vlm.knows_world_only = knows_world_only
        stages = build_stages(config, vlm, finder("yellow"), ColourEmbedder())
        searches = Searches(lambda: VideoMiner(stages, config), limits or Limits())
        folder.mkdir(exist_ok=True)
        page = served(searches, films_in(root), folder)
        [url] = page.__enter__()
        started.append((searches, page))
        return Site(url, vlm, folder, root)

    yield serve
    for searches, page in started:
        page.__exit__(None, None, None)
        searches.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[[Site], Opened]]:
    """Opens the page as another visitor; in the end it must have asked nobody else for anything."""
    visits: list[tuple[Site, Opened]] = []

    def visit(site: Site) -> Opened:
        visits.append((site, Opened(browser, site.url)))
        return visits[-1][1]

    yield visit
    for site, shown in visits:
        shown.context.close()
        assert all(address.startswith((site.url, "data:", "blob:", "about:")) for address in shown.asked)


def ask(page: Any, film: str | None, question: str = "What is there?", options: str = OPTIONS) -> None:
    if film is not None:
        page.locator("input[type=file]").first.set_input_files(film)
        page.get_by_text("The film is here").wait_for()
    page.get_by_label("Question").fill(question)
    page.get_by_label("Options, one a line").fill(options)
    page.get_by_role("button", name="Search", exact=True).click()


def told(page: Any, name: str, words: str) -> str:
    """The text of a part of the page, once it has ``words``."""
    part = page.locator(f"#videominer-{name}").filter(has_text=words)
    part.wait_for()
    return part.inner_text()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.browses
def test_a_visitor_drops_a_film_sees_the_tree_grow_and_gets_answer_frames_and_view(serve, visit, film):
    site = serve()
    shown = visit(site)
    page, gate = shown.page, site.vlm.gate
    gate.clear()
    ask(page, film)
    told(page, "status", "captioning events")
    assert "Level 1" not in page.locator("#videominer-tree").inner_text()
    gate.set()
    tree = told(page, "tree", "Level 3")
    assert "Level 1: 1 continued, 1 deleted" in tree and re.search("accepted, 0:00:12.0-.*: a scene in yellow", tree)
    summary = told(page, "summary", "Key frames")
    assert "> B. a scene in yellow" in summary and "captions made" in summary and "policy" in summary
    pictures = page.locator("#videominer-summary img")
    assert pictures.count() == 4
    assert all(pictures.nth(i).evaluate("image => image.naturalWidth") > 0 for i in range(4))
    view = page.frame_locator("#videominer-view iframe")
    assert view.get_by_role("heading", level=1).inner_text() == "What is there?"
    with page.expect_download() as download:
        page.get_by_role("link", name="result as JSON").or_(
            page.get_by_role("button", name="result as JSON")
        ).first.click()
    selection = selection_json.load(download.value.path())
    assert selection.answer == "a scene in yellow" and selection.question.video == Path(film).name
    assert str(site.folder) not in Path(download.value.path()).read_text()


@pytest.mark.browses
def test_others_wait_and_see_their_place_and_a_search_that_is_stopped_loses_no_caption(serve, visit, film):
    site = serve()
    first, second = visit(site).page, visit(site).page
    site.vlm.gate.clear()
    ask(first, film)
    told(first, "status", "captioning events")
    ask(second, film)
    second.wait_for_function("document.body.innerText.includes('queue: 1/1')")
    first.get_by_role("button", name="Stop").click()
    told(first, "status", "The search was stopped")
    site.vlm.gate.set()
    told(second, "summary", "a scene in yellow")
    made = sum(len(call) for call in site.vlm.calls)
    first.get_by_role("button", name="Search", exact=True).click()
    told(first, "summary", "0 captions made")
    assert sum(len(call) for call in site.vlm.calls) == made


@pytest.mark.browses
def test_texts_of_visitors_and_models_are_shown_and_never_obeyed(serve, visit, film, tmp_path):
    site = serve(knows_world_only=True)
    site.vlm.says = TEMPLATES + HOSTILE  # in the part of a caption that is told while the tree grows
    hostile = tmp_path / "<img src=x onerror='window.obeyed=1'>.mp4"
    hostile.write_bytes(Path(film).read_bytes())
    page = visit(site).page
    ask(page, str(hostile), HOSTILE + TEMPLATES, f"{HOSTILE}\n{TEMPLATES}")
    tree = told(page, "tree", "Level 1")
    assert "<script>window.obeyed=1</script>" in tree and "${window.obeyed=1}{{obeyed}}" in tree
    told(page, "summary", "${window.obeyed=1}")
    frame = page.frame_locator("#videominer-view iframe")
    frame.get_by_role("heading", level=1).wait_for()
    assert [part.evaluate("window.obeyed") for part in page.frames] == [None] * len(page.frames)
    # and these models say that they do not know such films
    assert WORLD_ONLY in page.inner_text("body") and UNKNOWN_FILM in page.locator("#videominer-summary").inner_text()


@pytest.mark.browses
def test_limits_are_told_where_they_are_passed(serve, visit, film, tmp_path):
    site = serve(Limits(file_mb=0.1, film_s=10, search_s=0))
    page = visit(site).page
    page.locator("input[type=file]").first.set_input_files(film)
    assert "lasts 0:00:20, and this page takes films of up to 0:00:10" in told(page, "status", "lasts")
    short = colour_video(tmp_path / "short.mp4", [("red", 2), ("yellow", 2)])
    page = visit(site).page
    ask(page, short)
    assert "longer than 0 seconds" in told(page, "status", "took longer")
    big = tmp_path / "big.mp4"
    big.write_bytes(Path(short).read_bytes() + bytes(200_000))
    page = visit(site).page
    page.locator("input[type=file]").first.set_input_files(str(big))
    page.get_by_text(re.compile("exceed", re.IGNORECASE)).first.wait_for()
    assert "big.mp4" not in site.uploads()
    ask(page, None)
    told(page, "status", "There is no film yet")


@pytest.mark.browses
def test_films_and_results_are_deleted_when_their_session_ends(serve, visit, film):
    site = serve()
    leaving, staying = visit(site), visit(site)
    ask(leaving.page, film)
    told(leaving.page, "summary", "a scene in yellow")
    staying.page.locator("input[type=file]").first.set_input_files(film)
    staying.page.get_by_text("The film is here").wait_for()
    assert site.uploads() == [Path(film).name, "tree.json", "view.html"]
    leaving.page.close()
    until(lambda: site.uploads() == [Path(film).name])  # the same film, which somebody else has dropped, too
    staying.page.close()
    until(lambda: site.uploads() == [])
    assert (site.films / "offered.mp4").exists()


@pytest.mark.browses
def test_nothing_but_the_offered_films_can_be_read_through_the_page(serve, visit, film, tmp_path):
    site = serve()
    private = tmp_path / "private.mp4"
    private.write_bytes(Path(film).read_bytes())
    for path in (private, site.films / "offered.mp4", "/etc/passwd", site.folder / ".." / "private.mp4"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{site.url}gradio_api/file={path}")
        assert refused.value.code in (403, 404)
    config = json.load(urllib.request.urlopen(f"{site.url}config"))
    [search] = [each for each in config["dependencies"] if len(each["inputs"]) == 4]
    named = {"path": str(private), "meta": {"_type": "gradio.FileData"}}
    for place, (given, listed) in enumerate([(named, None), (None, str(private)), (None, "../private.mp4")]):
        session = {"session_hash": f"visitor{place}", "fn_index": search["id"], "trigger_id": None, "event_data": None}
        body = json.dumps({**session, "data": [given, listed, "What is there?", ""]}).encode()
        request = urllib.request.Request(f"{site.url}gradio_api/queue/join", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request)
        news = urllib.request.urlopen(f"{site.url}gradio_api/queue/data?session_hash=visitor{place}")
        lines = [json.loads(line[6:]) for line in news if line.startswith(b"data: ")]
        [done] = [line for line in lines if line["msg"] == "process_completed"]
        assert not done["success"]
    assert site.vlm.calls == []
    page = visit(site).page
    page.get_by_label("Or one of these films").click()
    page.get_by_role("option", name="offered.mp4").click()
    ask(page, None)
    told(page, "summary", "a scene in yellow")


@pytest.mark.launches
@pytest.mark.browses
def test_the_space_serves_and_leaves_nothing_behind(browser, tmp_path, film):
    pytest.importorskip("gradio", reason="pip install '.[app]'")
    root, temporary = tmp_path / "films", tmp_path / "temporary"
    root.mkdir()
    temporary.mkdir()
    (root / "film.mp4").write_bytes(Path(film).read_bytes())
    given = {"VIDEOMINER_SERVE": f"--root {root} --device cpu", "TMPDIR": str(temporary)}
    app = Path(__file__).parents[2] / "examples" / "app.py"
    process = subprocess.Popen(
        [sys.executable, str(app)], env=os.environ | given, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    try:
        said = process.stdout.readline()
        [url] = re.findall(r"http://127\.0\.0\.1:\d+/", said)
        opened = Opened(browser, url)
        opened.page.get_by_label("Or one of these films").click()
        opened.page.get_by_role("option", name="film.mp4").click()
        ask(opened.page, None, options="")
        told(opened.page, "summary", UNKNOWN_FILM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        assert not list(temporary.glob("videominer-serve-*"))
        opened.context.close()
    finally:
        process.kill()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"ffconcat version 1.0\nfile film.mp4\n", "no kind of file that holds a film by itself"),
        (
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
            "no kind of file that holds a film by itself",
        ),
    ],
)
def test_a_file_that_may_name_others_is_refused_before_they_are_opened(content, told, tmp_path):
    (tmp_path / "film.mp4").write_bytes(content)
    with pytest.raises(VideoError, match=told):
        check_film(str(tmp_path / "film.mp4"), Limits())


def test_a_playlist_is_refused_and_films_of_many_kinds_are_taken(
    film, shifted_video, transport_stream, cut_off_video, tmp_path
):
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:20,\n{film}\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError, match="no kind of file that holds a film by itself"):
        check_film(str(playlist), Limits())
    for taken in (film, shifted_video, transport_stream):
        check_film(str(taken), Limits())
    with pytest.raises(VideoError, match="cut"):
        check_film(str(cut_off_video), Limits())


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        (" ", "", "The question is empty"),
        ("What?", "one", "a single option"),
        ("?" * 2001, "", "Up to 2000 characters"),
        ("What?", "\n".join("abcdefghijklmnopqrstuvwxyzA"), "up to 26 options"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(text, options, told):
    with pytest.raises(ConfigError, match=told):
        asked("film.mp4", text, options)
    assert asked("film.mp4", " What? ", " a \n\n b\n").options == ("a", "b")


def test_the_offered_films_are_those_of_the_folder_and_of_no_other(film, tmp_path):
    root = tmp_path / "root"
    (root / "below").mkdir(parents=True)
    with pytest.raises(ConfigError, match="no film in it"):
        films_in(root)
    (root / "below" / "film.MP4").write_bytes(b"film")
    (root / "letter.txt").write_bytes(b"text")
    (root / "link.mp4").symlink_to(film)
    assert films_in(root) == {"below/film.MP4": str((root / "below" / "film.MP4").resolve())}


def test_without_the_package_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    monkeypatch.delitem(sys.modules, "lmms_videominer.commands.serve_page", raising=False)
    for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED", "GRADIO_HEARTBEAT_INTERVAL"):
        monkeypatch.setenv(name, "")  # put back afterwards
    assert main(["serve"]) == 1
    assert "needs the package gradio: pip install '.[app]'" in capsys.readouterr().err


def test_a_root_that_is_no_folder_is_refused(tmp_path, capsys):
    assert main(["serve", "--root", str(tmp_path / "absent")]) == 1
    assert "absent: no such folder" in capsys.readouterr().err
