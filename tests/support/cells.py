"""Cells of a tiny comparison, run in this process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from lmms_videominer.bench.command import Comparison, comparison_of
from lmms_videominer.cli import _parser
from support.evaluation import command_line
from support.marks import needs

EVIDENCE_S = ((8.0, 16.0), (40.0, 52.0))
TINY = [
    "search=plain",
    "default_action=continue",  # or what tiny policies say, which names no action, would be asked again
    "events=4",
    "scan_frames=16",
    "max_depth=1",
    "caption_tokens=4",
    "policy_tokens=4",
    "llm_tokens=16",
    "clustering=none",
]


class InProcess:
    """Runs the command lines of a comparison in this process, by the programs' own ``main``; they start in no time.

    Attributes:
        ran: The selectors of the cells that were run.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []

    def __call__(self, command: Sequence[str], log: Path) -> int:
        from lmms_eval.__main__ import cli_evaluate

        from lmms_videominer.bench import load_tasks as loading

        module, arguments = command[2], list(command[3:])
        with (
            log.open("w", encoding="utf-8") as file,
            redirect_stdout(file),
            redirect_stderr(file),
            command_line(arguments),
        ):
            if module == "lmms_videominer.bench.load_tasks":
                return loading.main(arguments)
            self.ran.append(arguments[arguments.index("--model_args") + 1].partition("selector=")[2].partition(",")[0])
            needs("evaluates")
            cli_evaluate()
            return 0


def comparison(vlm: str, tasks: Path, out: Path, *more: str) -> Comparison:
    """What ``videominer bench`` with ``more`` arguments is asked to do."""
    argv = [
        "bench",
        "--tasks",
        "tiny_video",
        "--include-path",
        str(tasks),
        "--pretrained",
        vlm,
        "--frames",
        "4",
        "--batch-size",
        "4",
        "--out",
        str(out),
        "--model-args",
        *TINY,
        *more,
    ]
    return comparison_of(_parser().parse_args(argv))
