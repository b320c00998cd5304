"""What the kinds of fault that mine share: a small world, models that are imported but not loaded, results compared."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmms_videominer.errors import VideoMinerError
from lmms_videominer.store import selection_json
from lmms_videominer.types import Question, Selection

MODEL = "videominer-world"
WORLD_SEED = 2_000_000  # the first of the test split
NOT_RESULTS = ("usage", "config")  # what a run cost, and where its cache was


def import_all() -> None:
    """Import what mining needs, once for all forked processes; no model runs here, so no threads are inherited."""
    import sentence_transformers  # noqa: F401
    import sklearn.cluster  # noqa: F401
    import torch
    import transformers
    from transformers import CLIPModel, Qwen2ForCausalLM, Qwen2VLForConditionalGeneration  # noqa: F401
    from transformers.models.auto import modeling_auto  # noqa: F401

    import lmms_videominer.commands.mining
    import lmms_videominer.miner  # noqa: F401
    from lmms_videominer.show import outputs, terminal  # noqa: F401
    from lmms_videominer.vlm import transformers_vlm  # noqa: F401

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()


def world(folder: Path, questions: int, minutes: int = 1) -> list[Question]:
    """Questions on one video of the test bed, rendered into ``folder`` where it is not there."""
    from lmms_videominer.world import render_world

    if not (folder / "qa.jsonl").exists():
        render_world(folder, minutes, videos=1, seed=WORLD_SEED, progress=False, questions=questions)
    rows = [json.loads(line) for line in (folder / "qa.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Question(str(folder / row["video"]), row["question"], tuple(row["options"])) for row in rows]


def mine(questions: Sequence[Question], cache_dir: str, **settings: Any) -> list[Selection | VideoMinerError]:
    """Mine with the bundled models, as ``videominer mine`` does; the cache is closed afterwards."""
    from lmms_videominer.miner import VideoMiner

    miner = VideoMiner.from_pretrained(MODEL, cache_dir=cache_dir, grain_s=0.0, **settings)
    try:
        return miner.mine_batch(questions)
    finally:
        miner.stages.cache.close()


def result_of(selection: Selection) -> dict[str, Any]:
    """Everything but the cost and the settings, as JSON gives it back."""
    document = json.loads(selection_json.to_json(selection))
    fallbacks = [name for name in document["fallbacks"] if not name.startswith("cache_")]
    return {name: value for name, value in document.items() if name not in NOT_RESULTS} | {"fallbacks": fallbacks}


def difference(expected: Any, found: Any, path: str = "") -> str:
    """Where two results first differ; empty if they do not."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        pairs = [(f"{path}.{name}", expected[name], found[name]) for name in expected]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = [(f"{path}[{i}]", one, other) for i, (one, other) in enumerate(zip(expected, found))]
    else:
        return "" if expected == found else f"{path}: {str(expected)[:100]} became {str(found)[:100]}"
    return next(filter(None, (difference(one, other, at) for at, one, other in pairs)), "")
