"""The README's table: accuracy, evidence recall and calls of each way to choose frames, through lmms-eval itself.

    python benchmarks/world_table.py --out outputs/world --minutes 15 60

Each cell is one run of the lmms-eval command line; a cell whose results exist already is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SELECTORS = ("none", "uniform", "videominer", "oracle")


def run_cell(out: Path, minutes: int, selector: str, arguments: argparse.Namespace) -> Path:
    """Run one task with one selector; returns the folder of its results."""
    folder = out / f"{minutes}min-{selector}"
    if list(folder.rglob("*_results.json")):
        return folder
    model_args = [
        f"pretrained={arguments.pretrained}",
        f"selector={selector}",
        f"frames={arguments.frames}",
        *arguments.model_args,
    ]
    command = [
        sys.executable,
        "-m",
        "lmms_eval",
        "--model",
        arguments.model,
        "--model_args",
        ",".join(model_args),
        "--tasks",
        f"videominer_world_{minutes}min",
        "--batch_size",
        str(_batch_size(selector, arguments)),
        "--log_samples",
        "--output_path",
        str(folder),
    ]
    if arguments.limit:
        command += ["--limit", str(arguments.limit)]
    started = time.time()
    # on a busy machine decord gives up too early at the end of a file, and with it the plain backbone
    subprocess.run(command, check=True, env={"DECORD_EOF_RETRY_MAX": "1000000", **os.environ, "HF_HUB_OFFLINE": "1"})
    if not list(folder.rglob("*_results.json")):
        raise SystemExit(f"{' '.join(command)} left no results in {folder}; see its output above")
    (folder / "seconds.json").write_text(json.dumps({"seconds": round(time.time() - started, 1)}))
    return folder


def _batch_size(selector: str, arguments: argparse.Namespace) -> int:
    """1 for uniform frames, where the backbone chooses: lmms-eval's qwen2_vl limits the first video of a batch only."""
    return 1 if selector == "uniform" else arguments.batch_size


def read_cell(folder: Path, minutes: int) -> dict[str, Any]:
    """Accuracy by kind from lmms-eval's results, recall and calls from the plugin's summary."""
    results = json.loads(sorted(folder.rglob("*_results.json"))[-1].read_text())
    scores = results["results"][f"videominer_world_{minutes}min"]
    cell = {
        name.split(",")[0]: value
        for name, value in scores.items()
        if name.startswith("accuracy") and "stderr" not in name
    }
    summaries = sorted(folder.rglob("videominer_summary.json"))
    if summaries:
        cell.update(json.loads(summaries[-1].read_text())["tasks"]["all"])
    seconds = folder / "seconds.json"
    if seconds.exists():
        cell.update(json.loads(seconds.read_text()))
    return cell


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def table(cells: dict[tuple[int, str], dict[str, Any]]) -> str:
    """The cells as Markdown."""
    lines = [
        "| minutes | frames from | questions | accuracy | sign | action | order | count | evidence recall "
        "| VLM calls | policy calls | seconds |",
        "|" + "---|" * 12,
    ]
    for (minutes, selector), cell in cells.items():
        row = [str(minutes), selector, str(cell.get("samples", "")), _percent(cell.get("accuracy"))]
        row += [_percent(cell.get(f"accuracy_{kind}")) for kind in ("sign", "action", "order", "count")]
        row += [_percent(cell.get("evidence_recall"))]
        row += [_number(cell.get(f"{kind}_calls_per_sample")) for kind in ("vlm", "policy")]
        row += [_number(cell.get("seconds"))]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--minutes", type=int, nargs="+", default=[15, 60], choices=[1, 5, 15, 60])
    parser.add_argument("--selectors", nargs="+", default=list(SELECTORS))
    parser.add_argument("--model", default="videominer_qwen2vl")
    parser.add_argument("--pretrained", default="videominer-world")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--model-args", nargs="*", default=[], help="more model arguments, name=value")
    arguments = parser.parse_args()
    cells = {}
    for minutes in arguments.minutes:
        for selector in arguments.selectors:
            cells[minutes, selector] = read_cell(run_cell(arguments.out, minutes, selector, arguments), minutes)
    print(table(cells))


if __name__ == "__main__":
    main()
