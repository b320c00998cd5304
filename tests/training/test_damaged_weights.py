"""Lists of shards that are foreign or damaged are told, not raised."""

from __future__ import annotations

import pytest

from lmms_videominer.training.checkpoints import damage, damaged_file


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"weight_map": []}', '{"weight_map": {"a": 3}}', "[" * 10**5]
)
def test_a_damaged_list_of_shards_is_named(text, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    assert damaged_file(tmp_path) == "model.safetensors.index.json is damaged"


def test_a_state_nested_without_end_is_told(tmp_path):
    (tmp_path / "trainer_state.json").write_text("[" * 10**5)
    assert "cannot be read" in damage(tmp_path)
