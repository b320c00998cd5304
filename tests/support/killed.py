"""A run that its system kills: another process, which mines until the n-th call of a model."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lmms_videominer.config import MinerConfig
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.types import Action, Question
from lmms_videominer.vlm.vlm import VLMRequest
from support.scripted import ColourEmbedder, ColourVLM, RulePolicy

PART = 4
QUESTIONS = ["Is it red?", "Is it green?", "Is it blue?"]
SETTINGS = {
    "search": "plain",
    "frames": 4,
    "events": 7,
    "scan_frames": 64,
    "grain_s": 0.0,
    "max_depth": 1,
    "clustering": "none",
}


class MortalVLM(ColourVLM):
    """Serves ``PART`` requests at once, writes down how many it served, and is killed in its n-th call."""

    def __init__(self, log: Path, dies_at: int):
        super().__init__()
        self.log, self.dies_at = log, dies_at

    def parts(self, requests: Sequence[VLMRequest]) -> list[list[int]]:
        positions = list(range(len(requests)))
        return [positions[start : start + PART] for start in range(0, len(positions), PART)]

    def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
        with self.log.open("a") as log:
            log.write(f"{len(requests)}\n")
        if len(self.calls) + 1 == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().generate(requests)


def mined(film: str, cache: str, log: Path, dies_at: int) -> list:
    config = MinerConfig(**SETTINGS, cache_dir=cache)
    policy = RulePolicy(lambda caption, depth: Action.ACCEPT, identity="")
    miner = VideoMiner(build_stages(config, MortalVLM(log, dies_at), policy, ColourEmbedder()), config)
    return miner.mine_batch([Question(film, text) for text in QUESTIONS])


if __name__ == "__main__":
    mined(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
