"""Loss, reward and gradient norm of the first steps of examples/train_world.yaml, as JSON on standard output.

    python benchmarks/first_losses.py train-world/qa.jsonl > losses.json
    python benchmarks/first_losses.py train-world/qa.jsonl --against losses.json

The code that is imported is the code that runs, with its own example: ``PYTHONPATH`` chooses another. The questions
are made by ``videominer world train-world --minutes 5 --videos 60 --questions 5 --seed 5151``. The cache is empty, and
the policy is written nowhere but to a folder that is deleted. Figures of a rollout are logged with its first step; a
rollout is learnt from in four steps. ``--against`` compares with what was printed before: exit code 1 where a figure
differs that both log. Any other argument goes to the training run: ``--advantages paper --fallback_reward paper`` are
the settings of the paper.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEPT = ("step", "loss", "reward", "grad_norm")
# logged beside, and never the same: seconds, and sums over the run
VARYING = ("seconds/", "step_time", "train_", "epoch", "total_flos")


def root() -> Path:
    """The folder of the code that is imported, with its examples."""
    import lmms_videominer

    return Path(str(lmms_videominer.__file__)).absolute().parent.parent


def train(questions: Path, steps: int, others: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The log of a training run of so many steps, with ``others`` as settings, one entry a step."""
    with tempfile.TemporaryDirectory(prefix="first-losses-") as folder:
        out = Path(folder) / "policy"
        settings = {
            "questions": questions.absolute(),
            "output_dir": out,
            "max_steps": steps,
            "save_strategy": "no",
            "disable_tqdm": True,
        }
        flags = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        flags += others
        command = [sys.executable, "-m", "lmms_videominer", "train", str(root() / "examples/train_world.yaml"), *flags]
        apart = {
            "VIDEOMINER_CACHE": str(Path(folder) / "cache"),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": str(root()),
        }
        environment = {"OMP_NUM_THREADS": "1", **os.environ, **apart}
        print(f"training with {root()}", file=sys.stderr)
        # not in this folder: what is there would be imported first
        subprocess.run(command, check=True, env=environment, cwd=folder, stdout=sys.stderr)
        history = json.loads((out / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return [entry for entry in history if "loss" in entry]


def kept(entry: dict[str, Any]) -> dict[str, Any]:
    """What is asked for first, then all else that does not vary from run to run."""
    rest = {name: value for name, value in entry.items() if name not in KEPT and not name.startswith(VARYING)}
    return {**{name: entry.get(name) for name in KEPT}, "else": rest}


def alike(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> bool:
    """Whether all figures are the same that were logged before; later code may log more."""
    known = [
        {**entry, "else": {name: value for name, value in entry["else"].items() if name in earlier["else"]}}
        for earlier, entry in zip(before, now)
    ]
    return len(before) == len(now) and json.dumps(before, sort_keys=True) == json.dumps(known, sort_keys=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path, help="qa.jsonl of the training world")
    parser.add_argument("--steps", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--against", type=Path, metavar="FILE.json", help="printed before, with the same steps")
    arguments, others = parser.parse_known_args()
    found = [kept(entry) for entry in train(arguments.questions, arguments.steps, others)]
    print(json.dumps(found, indent=1))
    if arguments.against is None:
        return 0
    before = json.loads(arguments.against.read_text(encoding="utf-8"))
    same = alike(before, found)
    print(f"{'the same as' if same else 'NOT the same as'} {arguments.against}", file=sys.stderr)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
