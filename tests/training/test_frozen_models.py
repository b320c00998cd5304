"""The models that training keeps frozen, by name."""

from __future__ import annotations

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
