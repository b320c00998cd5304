"""Pages in a real browser: what a reader sees, does and reads, and that nothing from outside is obeyed."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import pytest
from support.browser import Opened, launched
from support.pages import HOSTILE, OPTIONS, QUESTION, film, gallery, group, hostile, mined

from lmms_videominer.show.printable import printable
from lmms_videominer.show.view.page import PageSettings, write_page
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.types import Selection

pytestmark = pytest.mark.browses
Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def red(folder: Path) -> Selection:
    """A search that finds the red scene."""
    return mined(film(folder), "red")


@pytest.fixture(scope="module")
def green(folder: Path, red: Selection) -> Selection:
    """A search that takes the green scene for the one that is sought."""
    return dataclasses.replace(mined(red.question.video, "green", max_depth=1), answer="B")


@pytest.fixture
def opened(browser: Any, folder: Path, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Writes a page of results and opens it; in the end it must have said nothing and asked for nothing but itself."""
    pages: list[Opened] = []

    def open(results: Sequence[Shown], **context: Any) -> Opened:
        out = folder / f"{request.node.name[:60].replace('/', '_')}-{len(pages)}.html"
        write_page(results, PageSettings("Results of a run", out=out))
        pages.append(Opened(browser, out, **context))
        return pages[-1]

    yield open
    for shown in pages:
        shown.context.close()
        assert shown.said == []
        assert all(address.startswith(("file:", "data:", "about:")) for address in shown.asked)


def right(selection: Selection) -> Shown:
    return Shown(selection, "row 1", kind="sign", target="A", correct=True)


def block(page: Any, words: str) -> Any:
    return page.get_by_role("button", name=re.compile(rf"^(Node|The whole).*{words}")).first


def chosen(page: Any) -> str:
    return page.get_by_role("region", name="The chosen node", exact=True).inner_text()


def until(page: Any, condition: str) -> None:
    """Wait until a condition in JavaScript holds; the page's policy forbids playwright's own way, which evaluates."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(200)
    pytest.fail(f"never: {condition}")


def test_a_result_tells_its_question_its_answer_and_where_it_came_from(opened, red):
    page = opened([right(red)]).page
    assert page.get_by_role("heading", level=1).inner_text() == QUESTION
    assert page.get_by_role("list", name="Options").inner_text().split("\n") == [
        *("A", OPTIONS[0], "answered, right"),
        *("B", OPTIONS[1]),
    ]
    assert "The answer is right" in page.inner_text("main")
    times = page.get_by_role("list", name="Key frames").first.get_by_role("button")
    assert times.count() == len(red.key_frames)
    assert "in the evidence" in times.first.get_attribute("aria-label")
    pictures = page.locator(".strip img")
    assert pictures.count() == len(red.key_frames)
    assert all(pictures.nth(i).evaluate("image => image.naturalWidth") > 0 for i in range(pictures.count()))


def test_a_node_opens_with_its_frames_its_caption_and_the_words_of_the_policy(opened, red):
    page = opened([right(red)]).page
    block(page, "delete").click()
    text = chosen(page)
    assert "a scene in blue" in text and "it shows a scene in blue" in text and "delete" in text
    assert "Captions of its cluster of 2 events" in text  # both blue scenes, far apart in time
    assert page.locator(".chosen .pictures img").count() >= 2
    block(page, "accept").click()
    assert "a scene in red" in chosen(page)
    assert page.locator(".block[aria-pressed=true]").count() == 1


def test_the_timeline_zooms_and_moves_and_comes_back(opened, red):
    page = opened([right(red)]).page
    part, told = block(page, "accept"), page.locator(".zoom .range")
    before, whole = part.bounding_box()["width"], told.inner_text()
    page.get_by_role("button", name="Zoom in").click()
    assert told.inner_text() != whole
    part.dblclick()
    assert part.bounding_box()["width"] > 3 * before
    zoomed = told.inner_text()
    track = page.locator(".axis").bounding_box()
    page.mouse.move(track["x"] + 300, track["y"] - 12)
    page.mouse.down()
    page.mouse.move(track["x"] + 200, track["y"] - 12, steps=4)
    page.mouse.up()
    assert told.inner_text() != zoomed
    part.focus()
    page.keyboard.press("0")
    assert told.inner_text() == whole and abs(part.bounding_box()["width"] - before) < 2
    page.keyboard.press("+")
    page.keyboard.press("+")
    assert told.inner_text() != whole


def test_the_keyboard_walks_the_tree(opened, red):
    page = opened([right(red)]).page
    focused = "document.activeElement.dataset.node"
    block(page, "accept").focus()
    start = page.evaluate(focused)
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == start.rpartition(".")[0]
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    beside = page.evaluate(focused)
    assert beside != start and f"Node {beside}" in chosen(page)
    assert page.locator(".block[tabindex='0']").count() == 1  # one stop of the tab key for the whole tree


def test_a_click_seeks_in_the_video(opened, red):
    page = opened([right(red)]).page
    until(page, "document.querySelector('video').readyState >= 1")
    page.get_by_role("button", name=re.compile("^Key frame 2 at")).first.click()
    until(page, f"Math.abs(document.querySelector('video').currentTime - {red.key_frames[1].time_s}) < 0.01")


def test_without_its_video_a_result_stands_with_a_reason(opened, red, tmp_path):
    gone = str(tmp_path / "gone.mp4")
    moved = dataclasses.replace(red, question=dataclasses.replace(red.question, video=gone))
    page = opened([right(moved)]).page
    assert "gone.mp4: no such file" in page.inner_text(".heading")
    assert not page.locator("video").count() and not page.locator("img").count()
    assert "a scene in red" in chosen(page)


def test_two_results_stand_side_by_side_with_what_differs_marked(opened, red, green):
    shown = [right(red), Shown(green, "row 1", target="A", correct=False)]
    page = opened(shown).page
    rows = {
        row.split("\t")[0]: row.split("\t")[1:] for row in page.locator(".differences tbody").inner_text().split("\n")
    }
    assert rows["right"] == ["right", "wrong", "≠ differs"]
    assert rows["max_depth"][2] == "≠ differs" and "frames" not in rows
    assert page.locator(".block.differs").count() >= 2
    assert "B decided" in page.locator(".block.differs").first.get_attribute("aria-label")
    widths = "[...document.querySelectorAll('.timeline')].map(t => t.querySelector('[data-action=accept]').offsetWidth)"
    before = page.evaluate(widths)
    page.get_by_role("button", name="Zoom in").click()
    after = page.evaluate(widths)
    assert all(wide > narrow for wide, narrow in zip(after, before, strict=True))  # one zoom for both


def test_a_gallery_filters_orders_opens_and_compares(opened, red):
    page = opened(gallery(red, 24)).page
    status, rows = page.get_by_role("status"), page.locator(".gallery > li")
    assert status.inner_text() == "24 of 24 results" and "12 of 24" in page.inner_text(".heading")
    page.get_by_label("answer").select_option("wrong")
    assert status.inner_text() == "12 of 24 results" and rows.count() == 12
    page.get_by_label("kind").select_option("order")
    assert status.inner_text() == "4 of 24 results"
    page.get_by_label("length").select_option("2 to 10 minutes")
    assert status.inner_text() == "4 of 24 results"
    page.get_by_label("kind").select_option("all")
    page.get_by_label("answer").select_option("all")
    page.get_by_label("fallback").select_option("any")
    assert status.inner_text() == "2 of 24 results"
    page.get_by_label("search").fill("row 16")
    assert status.inner_text() == "1 of 24 results"
    rows.first.locator(".open").click()
    assert page.get_by_role("heading", level=1).inner_text() == QUESTION and page.url.endswith("#result=16")
    page.go_back()
    assert status.inner_text() == "1 of 24 results"  # the filters are as they were
    page.get_by_label("search").fill("")
    page.get_by_label("fallback").select_option("all")
    page.get_by_label("length").select_option("all")
    compare = page.locator(".compare-picked")
    assert compare.is_disabled()
    page.get_by_label("Compare row 2", exact=True).check()
    page.get_by_label("Compare row 5", exact=True).check()
    compare.click()
    assert page.locator(".side-by-side").count() == 2


def test_the_pictures_of_a_gallery_come_as_its_rows_do(opened, red):
    page = opened(gallery(red, 60)).page
    page.locator(".thumbs img").first.wait_for()
    assert page.evaluate("document.querySelectorAll('.thumbs img').length") < 60 * len(red.key_frames)
    page.locator(".gallery > li").last.scroll_into_view_if_needed()
    page.locator(".gallery > li").last.locator("img").first.wait_for()


def test_a_group_of_training_shows_rewards_by_part_and_advantages(opened, red):
    page = opened(group(red)).page
    table = page.get_by_role("region", name=re.compile("The trees of step-000048"))
    head = table.get_by_role("columnheader").all_inner_texts()
    assert head[4:10] == ["R tree", "r format", "r length", "r action", "R total", "advantage"]
    cells = table.get_by_role("row").nth(2).get_by_role("cell").all_inner_texts()
    assert cells[3:9] == ["1.00", "1.00", "0.25", "0.90", "2.15", "+0.500"]
    table.get_by_role("button", name="tree 2").click()
    assert "advantage +1.500" in " ".join(chosen(page).split())
    page.get_by_label("Colour by").select_option("colour by advantage")
    assert page.locator(".timeline[data-colour=advantage]").count() == 1


def test_hostile_texts_are_read_and_not_obeyed(opened, red):
    bad = hostile(red)
    for results in ([Shown(bad, HOSTILE, label=HOSTILE, kind=HOSTILE, target=HOSTILE)] * count for count in (1, 2, 3)):
        shown = opened(results)
        page = shown.page
        page.wait_for_selector("html[data-ready]")
        if len(results) == 1:
            assert page.get_by_role("heading", level=1).text_content() == printable(HOSTILE)
            block(page, "delete").click()
            assert printable(HOSTILE) in chosen(page)
        assert page.evaluate("window.obeyed") is None
        assert not page.locator("img[src=x]").count()
        assert page.locator("script").count() == 2 + len(results)  # the index, the results and the page's own


def test_the_numbers_can_be_read_without_javascript(opened, red):
    page = opened([right(red)], java_script_enabled=False).page
    text = page.inner_text("main")
    assert QUESTION in text and "videominer" in text and "accept" in text and "a scene in blue" in text
    assert f"vlm calls\t{red.usage.vlm_calls}" in text
    bad = opened([Shown(hostile(red), HOSTILE)], java_script_enabled=False).page
    assert printable(HOSTILE) in bad.inner_text("main") and not bad.locator("main script, main img").count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_no_fault(opened, red, green, scheme, width):
    several = {
        "one": [right(red)],
        "two": [right(red), Shown(green, "row 1", target="A", correct=False)],
        "many": gallery(red, 9),
        "group": group(red),
    }
    for name, results in several.items():
        shown = opened(results, width=width, color_scheme=scheme)
        shown.page.wait_for_selector("html[data-ready]")
        assert shown.faults() == [], name
        assert shown.page.evaluate("document.documentElement.scrollWidth") <= width, name
        if name == "group":
            shown.page.get_by_role("button", name="tree 2").first.click()
            shown.page.get_by_label("Colour by").select_option("colour by advantage")
            assert shown.faults() == [], "coloured by advantage"


def test_a_print_has_the_whole_tree_and_no_buttons(opened, red):
    page = opened([right(red)]).page
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".tree tbody tr").count() == len(red.nodes)
    assert page.locator(".tree").is_visible() and not page.locator(".zoom").is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_a_notebook_shows_a_selection_in_a_frame(browser, red, folder):
    file = folder / "notebook.html"
    file.write_text(f"<!doctype html><title>{escape('notebook')}</title>{red._repr_html_()}", encoding="utf-8")
    shown = Opened(browser, file)
    frame = shown.page.frame_locator("iframe")
    assert frame.get_by_role("heading", level=1).inner_text() == QUESTION
    frame.locator(".block[data-action=accept]").click()
    assert "a scene in red" in frame.locator(".chosen").inner_text()
    assert frame.locator(".strip img").count() == len(red.key_frames)
    assert not [line for line in shown.said if "allow-scripts" not in line]
    shown.context.close()
