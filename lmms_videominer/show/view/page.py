"""Makes the page: one HTML file with its style, its script and its data, which asks no network for anything.

What comes from outside, texts of videos, questions and models, is data of the script, in JSON that no markup can end;
the script sets it as text. For readers without JavaScript the numbers stand in tables, escaped. The page's own policy
(Content-Security-Policy) allows its one script and its one style, by their hashes, pictures in the page, and the video.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from lmms_videominer.errors import ConfigError, SchemaError
from lmms_videominer.show.printable import printable
from lmms_videominer.show.view.data import detail_of, summary_of
from lmms_videominer.show.view.pictures import Pictures, pictures_of
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.show.view.tables import tables
from lmms_videominer.store.atomic import written

SCRIPTS = ("text.js", "parts.js", "timeline.js", "node.js", "result.js", "compare.js", "gallery.js", "start.js")
WIDTH, WIDTH_OF_MANY = 256, 144  # pixels of a picture, on a page of a few results and of many
MANY = 8  # results, from which on a page has smaller pictures and no prompts
MOST_PICTURES = 3000  # of a page: about 15 MB
MOST_OF_ONE = 240  # pictures of one result
MOST_RESULTS = 1000


@dataclass(frozen=True)
class PageSettings:
    """What goes into a page.

    Attributes:
        title: Its title.
        pictures: Most pictures of one result; ``None``: as many as ``MOST_OF_ONE`` and ``MOST_PICTURES`` allow.
        decode: Read the videos; else only the pictures that a run has left are shown.
        place: Where the videos have been moved to, see ``Shown.video_file``.
        out: The file that the page is for: where the video is at hand, its address is relative to it. ``None``: the
            page is no file, and plays no video.
    """

    title: str
    pictures: int | None = None
    decode: bool = True
    place: Path | None = None
    out: Path | None = None

    def most_pictures(self, results: int) -> int:
        """Of one of ``results``."""
        most = min(MOST_OF_ONE, MOST_PICTURES // max(1, results))
        return most if self.pictures is None else self.pictures


def write_page(results: Sequence[Shown], settings: PageSettings, progress: Callable[[], object] | None = None) -> Path:
    """Write the page of ``results`` to ``settings.out``.

    Raises:
        ConfigError: The file cannot be written.
        SchemaError: See ``page_of``.
    """
    if settings.out is None:
        raise ValueError("a page that is written needs settings.out")
    text = page_of(results, settings, progress)
    try:
        with written(settings.out) as part:
            part.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{settings.out}: cannot be written ({error.strerror}). Choose another --out.") from error
    return settings.out


def page_of(results: Sequence[Shown], settings: PageSettings, progress: Callable[[], object] | None = None) -> str:
    """The page of up to ``MOST_RESULTS`` of ``results``: of one by itself, of two compared, of more a gallery.

    Args:
        progress: Called after each result.

    Raises:
        SchemaError: A number of a result is not finite.
    """
    shown = list(results[:MOST_RESULTS])
    many = len(shown) > MANY
    details: list[str] = []
    for result in shown:
        most, width = settings.most_pictures(len(shown)), WIDTH_OF_MANY if many else WIDTH
        pictures = pictures_of(result, most, width, settings.place, settings.decode)
        details.append(_script_of(f"result-{len(details)}", _detail(result, pictures, settings, prompts=not many)))
        if progress:
            progress()
    summaries = [summary_of(result) for result in shown]
    index = {"title": printable(settings.title), "left_out": len(results) - len(shown), "results": summaries}
    style, script = _asset("style.css"), "".join(map(_asset, SCRIPTS))
    return Template(_asset("page.html")).substitute(
        policy=escape(_policy(style, script)),
        title=escape(printable(settings.title)),
        style=style,
        script=script,
        tables=tables(shown),
        data="\n".join([_script_of("index", index), *details]),
    )


def address_of(video: Path, out: Path) -> str:
    """The address of ``video`` on the page ``out``: relative, so that both can be moved together; empty if there is
    no such file."""
    try:
        if not video.is_file():
            return ""
        relative = os.path.relpath(video.absolute(), out.absolute().parent)
    except ValueError:  # on another drive, or no file's name
        return video.absolute().as_uri() if "\0" not in str(video) else ""
    return "./" + quote(relative.replace(os.sep, "/"), errors="surrogatepass")


def _detail(result: Shown, pictures: Pictures, settings: PageSettings, prompts: bool) -> dict[str, Any]:
    source = address_of(result.video_file(settings.place), settings.out) if settings.out else ""
    return detail_of(result, pictures, source, prompts)


def _script_of(name: str, value: Any) -> str:
    return f'<script type="application/json" id="{name}">{embedded(value)}</script>'


def embedded(value: Any) -> str:
    """``value`` as JSON that ends no script element and starts no comment in one, whatever texts it has.

    Raises:
        SchemaError: A number is not finite.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise SchemaError(f"a result has no JSON form: {error}") from error
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(style: str, script: str) -> str:
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "media-src 'self' file:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
