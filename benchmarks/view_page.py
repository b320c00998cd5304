"""The page of results, measured and pictured in Chromium.

    python benchmarks/view_page.py pictures RUN [--plain RUN] [--out docs]
    python benchmarks/view_page.py sizes RUN [--results 200]

RUN is a folder of ``videominer mine --manifest ... --out RUN`` on a world (``videominer world``). ``pictures`` writes
the pictures of docs/view.md, light and dark. ``sizes`` repeats the results of RUN up to a number and prints one line of
JSON: bytes of the page, seconds until it can be used, and of them those that the page's own thread computed, which do
not depend on what else the machine does. Copies share their pictures, which are decoded once; each holds its own.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from lmms_videominer.manifest.shown_rows import shown_rows
from lmms_videominer.show.view import page as pages
from lmms_videominer.show.view.page import PageSettings, write_page
from lmms_videominer.show.view.pictures import Pictures, pictures_of
from lmms_videominer.show.view.shown import Shown

LIMIT_MS = 600_000
SIZE = {"width": 1360, "height": 850}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pictures", "sizes"))
    parser.add_argument("run", type=Path)
    parser.add_argument("--plain", type=Path, help="the same questions by another search, to compare")
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--results", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"], timeout=LIMIT_MS)
        if args.what == "pictures":
            draw(browser, args.run, args.plain, args.out, Path(folder))
        else:
            print(json.dumps(measured(browser, shown_rows(args.run), args.results, Path(folder))))
        browser.close()


def draw(browser: Browser, run: Path, plain: Path | None, out: Path, folder: Path) -> None:
    rows = shown_rows(run)
    largest = max(rows, key=lambda row: (row.correct is True, len(row.selection.nodes)))
    sets: dict[str, list[Shown]] = {"view": [largest], "view_gallery": [*rows, *rows]}
    if plain:
        other = next(row for row in shown_rows(plain) if row.name == largest.name)
        sets["view_compared"] = [replace(other, label="plain"), replace(largest, label="best-first")]
    for name, results in sets.items():
        file = write_page(results, PageSettings(run.name, out=folder / f"{name}.html"))
        for scheme in ("light", "dark"):
            page = _opened(browser, file, scheme)
            if len(results) <= 2:
                page.wait_for_timeout(1000)  # the video shows its first frame
            shot = folder / "shot.png"
            page.screenshot(path=shot)
            Image.open(shot).convert("RGB").save(out / f"{name}_{scheme}.webp", quality=82, method=6)
            print(f"wrote {out / f'{name}_{scheme}.webp'}")
            page.context.close()


def measured(browser: Browser, rows: list[Shown], count: int, folder: Path) -> dict[str, Any]:
    decoded: dict[int, Pictures] = {}

    def once(shown: Shown, *rest: Any) -> Pictures:
        key = id(shown.selection)
        decoded[key] = decoded.get(key) or pictures_of(shown, *rest)
        return decoded[key]

    pages.pictures_of = once  # type: ignore[assignment]
    copies = [replace(row, name=f"{row.name} {place}") for place, row in enumerate(islice(cycle(rows), count))]
    started = time.process_time()
    file = write_page(copies, PageSettings("gallery", out=folder / "gallery.html"))
    made_s = time.process_time() - started
    page = browser.new_page(viewport=SIZE)
    page.set_default_timeout(LIMIT_MS)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    started = time.perf_counter()
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_selector("html[data-ready]")
    ready_s = time.perf_counter() - started
    metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
    return {
        "results": len(copies),
        "bytes": file.stat().st_size,
        "pictures": sum(len(pictures.by_frame) for pictures in decoded.values()) * len(copies) // len(decoded),
        "ready_s": round(ready_s, 2),
        "computed_s": round(metrics["TaskDuration"], 3),
        "script_s": round(metrics["ScriptDuration"], 3),
        "made_cpu_s": round(made_s, 2),
        "load": os.getloadavg()[0],
    }


def _opened(browser: Browser, file: Path, scheme: Any) -> Page:
    page = browser.new_context(viewport=SIZE, color_scheme=scheme).new_page()
    page.set_default_timeout(LIMIT_MS)
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-ready]")
    page.wait_for_timeout(500)
    return page


if __name__ == "__main__":
    main()
