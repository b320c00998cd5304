"""Put trained models together as a bundle with model cards: ``python -m lmms_videominer.world.pack``."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from lmms_videominer.models.bundle import CHECKPOINTS
from lmms_videominer.show.markdown import markdown_table

LEFT_OUT = ("training.pt", "log.jsonl", "trainer_state.json", "training_args.bin", "trees", "checkpoint-*", "finished")
HALVED = ("vlm", "policy", "start")  # stored in half precision; their config.json has them loaded in single
# settings of a lmms-eval backbone that this video LLM needs: its input is 84x84
VLM_ARGS = {"min_pixels": 84 * 84, "max_pixels": 84 * 84}

_CARD = """---
license: apache-2.0
library_name: {library}
---

# {title}

{what}

- Data: worlds drawn by `lmms_videominer.world` from the `train` range of seeds (world seed {world}); nothing else.
- {how}
- Size: {size:.1f} MB.

{log}

It knows the world alone. Use it to try the package and to test; for real videos name a real model.
"""

_MODELS = {
    "vlm": (
        "transformers",
        "The world's video LLM",
        11,
        "train_vlm",
        "A Qwen2-VL that captions, answers and, as text only, decides about the videos of `docs/world.md`.",
    ),
    "policy": ("transformers", "The world's policy", 12, "train_policy", "A Qwen2 that decides about nodes."),
    "start": (
        "transformers",
        "The policy that training starts from",
        12,
        "train_policy",
        "A Qwen2 that reads and compares as the policy does, but leaves most replies without an action and drops "
        "much that is worth a closer look: what T-GRPO mends.",
    ),
    "embedder": (
        "sentence-transformers",
        "The world's caption embedder",
        13,
        "train_embedder",
        "A BERT whose cosine similarity says how much the frames of two captions have in common.",
    ),
    "scorer": (
        "transformers",
        "The world's CLIP",
        14,
        "train_clip",
        "A CLIP that says how well a frame fits a question, for the selectors that go by such scores.",
    ),
}

_EVALUATED = {
    "": "the share of replies that are right to the last token, teacher\nforced",
    "scorer": "the share of the evidence that the 8 best frames of a 5-minute video, at\none a second, hold, by "
    "kind of question",
}


def pack(sources: dict[str, Path], out: Path, flags: dict[str, str], how: dict[str, str]) -> None:
    """Copy each model's files into ``out`` without what only training needs, and write cards and ``bundle.json``.

    Args:
        sources: The folder of each part, as its training script has left it. Other parts of a bundle that is there
            already stay.
        flags: What each training script was given.
        how: Said on the card in place of the command, where a model came of more than one.
    """
    out.mkdir(parents=True, exist_ok=True)
    for part, source in sources.items():
        target = out / part
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*LEFT_OUT))
        if part in HALVED:
            halve(target / "model.safetensors")
        (target / "README.md").write_text(_card(part, source, target, flags.get(part, ""), how.get(part, "")))
    before = json.loads((out / "bundle.json").read_text()) if (out / "bundle.json").exists() else {}
    entries = before | {part: part for part in sources} | {"vlm_args": VLM_ARGS}
    (out / "bundle.json").write_text(json.dumps(entries, indent=2) + "\n")


def halve(path: Path) -> None:
    """Store the weights of a safetensors file in half precision."""
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    save_file(
        {name: value.half() if value.is_floating_point() else value for name, value in weights.items()},
        path,
        metadata={"format": "pt"},
    )


def _card(part: str, source: Path, target: Path, flags: str, how: str) -> str:
    library, title, world, script, what = _MODELS[part]
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
    command = f"python -m lmms_videominer.world.{script} FOLDER {flags}".strip()
    return _CARD.format(
        library=library,
        title=title,
        world=world,
        what=what,
        how=how or f"Trained by `{command}`.",
        size=size,
        log=_rollouts(source) or _evaluations(source, _EVALUATED.get(part, _EVALUATED[""])),
    )


def _evaluations(source: Path, said: str) -> str:
    """The records of ``log.jsonl`` that hold an evaluation, as Markdown; empty where there are none.

    Args:
        said: What was measured.
    """
    path = source / "log.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    measured = [r for r in records if set(r) - {"step", "loss", "seconds"}]
    if not measured:
        return ""
    kinds = sorted({kind for r in measured for kind in r} - {"step", "loss", "seconds"})
    table = _table(measured, {kind: kind for kind in kinds})
    return f"Measured during training on worlds of the `dev` range: {said}.\n\n{table}"


def _rollouts(source: Path) -> str:
    """The rollouts of T-GRPO that ``trainer_state.json`` tells of, as Markdown; empty where it does not."""
    path = source / "trainer_state.json"
    history = json.loads(path.read_text())["log_history"] if path.exists() else []
    shown = {
        "tree/reward": "R_tree",
        "reward": "reward",
        "reading/strict": "format",
        "action/accept": "accept",
        "action/continue": "continue",
        "action/delete": "delete",
        "tree/nodes": "decisions a tree",
        "completions/mean_length": "tokens",
        "kl": "KL",
    }
    measured = [entry for entry in history if "tree/reward" in entry]
    return f"Rollouts of training, at temperature 1:\n\n{_table(measured, shown)}" if measured else ""


def _table(records: list[dict[str, Any]], columns: dict[str, str]) -> str:
    return markdown_table(
        ["step", *columns.values()],
        [[str(r["step"]), *(f"{r[k]:.3g}" if k in r else "" for k in columns)] for r in records],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for part in _MODELS:
        parser.add_argument(f"--{part}", type=Path, help="folder written by its training script")
        parser.add_argument(f"--{part}-flags", default="", help="flags it was trained with, for its card")
        parser.add_argument(f"--{part}-how", default="", help="said on its card in place of the one command")
    parser.add_argument("--out", type=Path, default=CHECKPOINTS)
    arguments = vars(parser.parse_args())
    parts = [part for part in _MODELS if arguments[part] is not None]
    pack(
        {part: arguments[part] for part in parts},
        arguments["out"],
        {part: arguments[f"{part}_flags"] for part in parts},
        {part: arguments[f"{part}_how"] for part in parts},
    )


if __name__ == "__main__":
    main()
