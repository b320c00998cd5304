"""A film mined by models behind a server: one captions and answers, the other decides (docs/servers.md).

    transformers serve --port 8000
    python examples/served_models.py FILM "question" --url http://localhost:8000/v1

Any server with OpenAI's chat completions does. By default both models are the bundled ones, which know only films like
those of ``videominer world``; ``transformers serve`` loads them from their folders.
"""

from __future__ import annotations

import argparse

from lmms_videominer import VideoMiner
from lmms_videominer.models.bundle import CHECKPOINTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film")
    parser.add_argument("question")
    parser.add_argument("--option", dest="options", action="append", default=[])
    parser.add_argument("--url", default="http://localhost:8000/v1")
    parser.add_argument("--model", default=str(CHECKPOINTS / "vlm"), help="the video LLM, as the server calls it")
    parser.add_argument("--policy", default=str(CHECKPOINTS / "policy"), help="the language model that decides")
    parser.add_argument("--embedder", default=str(CHECKPOINTS / "embedder"), help="small, and loaded here")
    parser.add_argument("--scorer", default=str(CHECKPOINTS / "scorer"), help="small, and loaded here")
    arguments = parser.parse_args()
    miner = VideoMiner.from_pretrained(
        f"openai:{arguments.model}@{arguments.url}",
        policy=f"openai:{arguments.policy}@{arguments.url}",
        embedder=arguments.embedder,
        scorer=arguments.scorer,
        grain_s=0,  # search short films, too
        max_vlm_calls=20,
    )
    selection = miner.mine(arguments.film, arguments.question, arguments.options)
    times = ", ".join(f"{frame.time_s:.1f}" for frame in selection.key_frames)
    print(f"{selection.answer}\nkey frames at {times} s")
    print(f"{selection.usage.vlm_calls} captions, {selection.usage.policy_calls} decisions by the server")


if __name__ == "__main__":
    main()
