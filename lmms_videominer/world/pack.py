"""Pack trained models into a bundle with model cards: ``python -m lmms_videominer.world.pack``."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from lmms_videominer.models.bundle import CHECKPOINTS
from lmms_videominer.show.markdown import markdown_table

LEFT_OUT = (
    "training.pt",
    "log.jsonl",
    "trainer_state.json",
    "training_args.bin",
    "trees",
    "checkpoint-*",
    "finished",
    "sound",
)
HALVED = ("vlm", "policy", "start")  # stored in half precision; config.json makes them load in single precision
# lmms-eval backbone arguments that this video LLM needs: its input is 84x84
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

It was trained on the world only. Use it to try the package and for tests; for real videos, choose a real model.
"""

_MODELS = {
    "vlm": (
        "transformers",
        "The world's video LLM",
        11,
        "train_vlm",
        "A Qwen2-VL that captions, answers questions, and captions and judges in one reply, for the videos of "
        "`docs/world.md`.",
    ),
    "policy": (
        "transformers",
        "The world's policy",
        12,
        "train_policy",
        "A Qwen2 that makes the policy's decisions about nodes.",
    ),
    "start": (
        "transformers",
        "The initial policy for training",
        12,
        "train_policy",
        "A Qwen2 that reads and compares like the policy, but ends most replies without an action and deletes "
        "many nodes that are worth a closer look. T-GRPO corrects both.",
    ),
    "embedder": (
        "sentence-transformers",
        "The world's caption embedder",
        13,
        "train_embedder",
        "A BERT whose cosine similarity estimates how much the frames of two captions have in common.",
    ),
    "scorer": (
        "transformers",
        "The world's CLIP",
        14,
        "train_clip",
        "A CLIP that scores how well a frame matches a question, for the selectors based on such scores.",
    ),
}

_EVALUATED = {
    "": "the share of replies that are correct in every token (teacher\nforcing)",
    "scorer": "the share of the evidence that is covered by the 8 best frames of a\n5-minute video, sampled at one "
    "frame per second, by kind of question",
}


def pack(sources: dict[str, Path], out: Path, flags: dict[str, str], how: dict[str, str]) -> None:
    """Copy each model's files to ``out``, except those needed for training only, and write cards and ``bundle.json``.

    Args:
        sources: The folder of each part, as written by its training script. Other parts of an existing bundle
            are kept.
        flags: The flags of each training script.
        how: How each model was trained, for its card; needed if that took more than one command.
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


def _evaluations(source: Path, metric: str) -> str:
    """The evaluations in ``log.jsonl``, as Markdown; empty if there are none.

    Args:
        metric: What was measured.
    """
    path = source / "log.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    measured = [r for r in records if set(r) - {"step", "loss", "seconds"}]
    if not measured:
        return ""
    kinds = sorted({kind for r in measured for kind in r} - {"step", "loss", "seconds"})
    table = _table(measured, {kind: kind for kind in kinds})
    return f"Measured during training on worlds of the `dev` range: {metric}.\n\n{table}"


def _rollouts(source: Path) -> str:
    """The T-GRPO rollouts recorded in ``trainer_state.json``, as Markdown; empty if there are none."""
    path = source / "trainer_state.json"
    history = json.loads(path.read_text())["log_history"] if path.exists() else []
    columns = {
        "tree/reward": "R_tree",
        "reward": "reward",
        "reading/strict": "format",
        "action/accept": "accept",
        "action/continue": "continue",
        "action/delete": "delete",
        "tree/nodes": "decisions per tree",
        "completions/mean_length": "tokens",
        "kl": "KL",
    }
    measured = [entry for entry in history if "tree/reward" in entry]
    return f"Rollouts of training, at temperature 1:\n\n{_table(measured, columns)}" if measured else ""


def _table(records: list[dict[str, Any]], columns: dict[str, str]) -> str:
    return markdown_table(
        ["step", *columns.values()],
        [[str(r["step"]), *(f"{r[k]:.3g}" if k in r else "" for k in columns)] for r in records],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for part in _MODELS:
        parser.add_argument(f"--{part}", type=Path, help="folder written by its training script")
        parser.add_argument(f"--{part}-flags", default="", help="flags of its training script, for its card")
        parser.add_argument(
            f"--{part}-how", default="", help="how it was trained, for its card, instead of the command"
        )
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
