"""``videominer mine`` with rules for models, in a process that kills itself at its n-th moment.

Moments are calls of the video LLM, files that are about to get their name, trees that have it, and lines, of which half
is written then.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lmms_videominer.cli import main
from lmms_videominer.config import MinerConfig
from lmms_videominer.manifest import run_folder
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.selector import Selector
from lmms_videominer.types import Action
from lmms_videominer.vlm.vlm import VLMRequest
from support.scripted import ColourEmbedder, ColourVLM, RulePolicy

SETTINGS = ("search=plain", "frames=4", "events=6", "scan_frames=64", "grain_s=0", "max_depth=2", "clustering=none")


class Moments:
    """Kills the process at the n-th moment; never at 0."""

    def __init__(self, last: int):
        self.last, self.count = last, 0

    def passes(self) -> bool:
        """Whether the process outlives this moment."""
        self.count += 1
        return self.count != self.last

    def pass_or_die(self) -> None:
        if not self.passes():
            os.kill(os.getpid(), signal.SIGKILL)


def loaded(moments: Moments, log: Path):
    """What stands in for ``VideoMiner.from_pretrained``; ``log`` gets the number of frames of every request."""

    class MortalVLM(ColourVLM):
        def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
            moments.pass_or_die()
            with log.open("a") as file:
                file.writelines(f"{len(request.frames)} {request.prompt!r}\n" for request in requests)
            return super().generate(requests)

    def load(model: str, *, config: MinerConfig, device: str | None = None) -> VideoMiner:
        policy = RulePolicy(lambda caption, depth: Action.CONTINUE if depth < 2 else Action.ACCEPT, identity="rule")
        return VideoMiner(build_stages(config, MortalVLM(), policy, ColourEmbedder()), config)

    return load


def die_while_writing(moments: Moments) -> None:
    append, save, replace = run_folder.append_lines, run_folder.save, os.replace

    def appended(path: str, lines: Iterable[bytes]) -> None:
        text = b"".join(lines)
        if not moments.passes():
            with open(path, "ab") as file:
                file.write(text[: len(text) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        append(path, [text])

    def saved(*arguments: object) -> None:
        save(*arguments)
        moments.pass_or_die()

    def replaced(part: str, target: str) -> None:
        moments.pass_or_die()
        replace(part, target)

    run_folder.append_lines, run_folder.save, os.replace = appended, saved, replaced


def run(last: int, log: Path, arguments: Sequence[str]) -> int:
    moments = Moments(last)
    VideoMiner.from_pretrained = loaded(moments, log)
    Selector.questions_at_once = 2  # several batches of few rows
    die_while_writing(moments)
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    return main(["mine", *arguments, *settings, "--quiet"])


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]))
