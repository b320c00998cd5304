"""The models that training keeps frozen, by name."""

from __future__ import annotations

from contextlib import closing

import pytest

pytest.importorskip("trl")

from lmms_videominer.models.resolve import resolve
from lmms_videominer.scoring.pretrained import load_scorer
from lmms_videominer.training import run as training_run


def test_all_models_of_a_bundle_serve_in_training(tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text(f"video_llm: videominer-world\noutput_dir: {tmp_path}\nuse_cpu: true\nbf16: false\n")
    run = training_run.parse([str(file)])
    names, stages = resolve("videominer-world", run.mining), training_run._stages(run)
    assert stages.scorer.identity == load_scorer(str(names.scorer), "cpu").identity
    assert stages.vlm is not None and stages.embedder is not None


def test_training_may_share_the_cache_of_a_server(redis_store, tmp_path):
    file = tmp_path / "train.yaml"
    settings = ["video_llm: videominer-world", f"output_dir: {tmp_path}", "use_cpu: true", "bf16: false", "look: none"]
    file.write_text("\n".join([*settings, f"cache_dir: {redis_store.place}"]))
    with closing(training_run._stages(training_run.parse([str(file)])).cache) as cache:
        cache.put_many("caption", {"k": "a red disc"})
    assert redis_store.get("caption", "k")[0] == b'"a red disc"'
