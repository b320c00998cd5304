"""One film from Python: its key frames, the answer, and what comes next.

    python examples/one_film.py FILM "question" --option "an answer" --option another --model Qwen/Qwen2-VL-7B-Instruct

Without FILM it renders one of a minute, which the bundled models know.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lmms_videominer import VideoMiner
from lmms_videominer.world import render_world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", nargs="?")
    parser.add_argument("question", nargs="?", default="What is shown?")
    parser.add_argument("--option", dest="options", action="append", default=[])
    parser.add_argument("--model", default="videominer-world")
    parser.add_argument("--out", type=Path, default=Path("found"), help="folder for what is found")
    arguments = parser.parse_args()
    film, question, options = arguments.film, arguments.question, arguments.options
    if film is None:
        film, question, options = rendered(arguments.out)

    miner = VideoMiner.from_pretrained(arguments.model, frames=8, grain_s=0)  # 0: search short films, too
    selection = miner.mine(film, question, options)

    print(f"{question} {selection.answer}")
    for frame, picture in zip(selection.key_frames, selection.images()):
        print(f"  {frame.time_s:.1f} s, {picture.width} x {picture.height} pixels, of {frame.node_id}")
    print(f"{selection.usage.vlm_calls} captions, {selection.usage.policy_calls} decisions")
    for path in (*selection.save(arguments.out), *selection.clips(arguments.out / "clips")):
        print(f"wrote {path}")
    (turn,) = selection.to_messages("openai")  # what you would send to a video LLM of your own
    print(f"a message of {len(turn['content'])} parts")


def rendered(folder: Path) -> tuple[Path, str, list[str]]:
    """A film of a minute, and a question on it with its options."""
    rows = render_world(folder, minutes=1, videos=1, seed=3_000_000, questions=1, progress=False)
    row = json.loads(rows.read_text(encoding="utf-8"))
    return folder / row["video"], row["question"], row["options"]


if __name__ == "__main__":
    main()
