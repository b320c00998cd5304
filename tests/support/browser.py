"""A real browser for the tests of pages: Chromium as Debian ships it, driven by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.marks import needs

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
AXE = Path(__file__).parent / "axe" / "axe.min.js"  # axe-core 4.10.3 (MPL-2.0), as the npm registry has it
PATIENCE_MS = 120_000  # for one step, also on a busy machine
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@contextmanager
def launched() -> Iterator[Any]:
    """The browser. Without one, a test fails and says what to install: it must not pass by looking at nothing."""
    needs("browses")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.fail("tests of pages need playwright: pip install '.[test]'")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.fail("tests of pages need a browser: apt-get install chromium, or name one in CHROMIUM")
    unboxed = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has no sandbox
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=unboxed, timeout=PATIENCE_MS)
        yield browser
        browser.close()


class Opened:
    """A page that is open in ``browser``, with what it said on its console and asked for.

    Attributes:
        page: That of playwright.
        said: Errors and messages of the console.
        asked: Addresses of all its requests.
    """

    def __init__(self, browser: Any, file: Path | str, width: int = 1280, height: int = 900, **context: Any):
        self.context = browser.new_context(viewport={"width": width, "height": height}, **context)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page, self.said, self.asked = self.context.new_page(), list[str](), list[str]()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file if isinstance(file, str) else file.absolute().as_uri())

    def faults(self) -> list[str]:
        """What axe-core finds wrong with the page as it is, one line a fault."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        run = "rules => axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']})"
        found: Sequence[Any] = self.page.evaluate(run, list(RULES))["violations"]
        return [
            f"{fault['id']}: {node['html']}: {node['failureSummary']}" for fault in found for node in fault["nodes"]
        ]
