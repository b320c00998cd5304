"""A Hugging Face Space: the page of ``videominer serve`` (docs/serve.md).

The variable VIDEOMINER_SERVE has the arguments, as in ``--model Qwen/Qwen2.5-VL-3B-Instruct --max-minutes 30``. Without
it the bundled models serve, with films of the world, which are all that they know.
"""

from __future__ import annotations

import os
import shlex
import sys

from lmms_videominer.cli import main

FILMS = "films"


def arguments() -> list[str]:
    """The arguments of ``videominer serve``; makes the films that go with those of the bundled models."""
    if given := os.environ.get("VIDEOMINER_SERVE", ""):
        return shlex.split(given)
    if code := main(["world", FILMS, "--minutes", "5", "--videos", "2", "--seed", "3000000"]):
        sys.exit(code)
    return ["--root", FILMS]


if __name__ == "__main__":
    sys.exit(main(["serve", *arguments()]))
