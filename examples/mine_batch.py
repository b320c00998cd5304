"""Several questions on one video in one go: the frontier of all trees is captioned and decided together:

python examples/mine_batch.py VIDEO "first question" "second question" [--model NAME]
"""

from __future__ import annotations

import argparse

from lmms_videominer import VideoMiner
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.types import Question


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video")
    parser.add_argument("questions", nargs="+")
    parser.add_argument("--model", default="videominer-world")
    arguments = parser.parse_args()
    miner = VideoMiner.from_pretrained(arguments.model)
    results = miner.mine_batch([Question(arguments.video, text) for text in arguments.questions], progress=True)
    for text, result in zip(arguments.questions, results):
        if isinstance(result, VideoMinerError):
            print(f"{text}\n  {result}")
            continue
        times = ", ".join(f"{frame.time_s:.1f}" for frame in result.key_frames)
        print(f"{text}\n  {result.answer}\n  key frames at {times} s, {result.usage.vlm_calls} captions made")


if __name__ == "__main__":
    main()
