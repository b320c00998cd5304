"""A bundle may bring a scorer of its own."""

from __future__ import annotations

import json

import pytest

from lmms_videominer.errors import ModelError
from lmms_videominer.models.bundle import find_bundle


@pytest.fixture
def bundle(tmp_path):
    for part in ("vlm", "policy", "embedder"):
        (tmp_path / part).mkdir()

    def write(**more: str):
        (tmp_path / "bundle.json").write_text(json.dumps({p: p for p in ("vlm", "policy", "embedder")} | more))
        return tmp_path

    return write


def test_a_bundle_without_a_scorer_leaves_it_to_the_default(bundle):
    assert find_bundle(bundle()).scorer == ""


def test_a_bundles_scorer_is_its_folder_and_must_be_there(bundle):
    folder = bundle(scorer="clip")
    with pytest.raises(ModelError, match="the bundle's scorer is missing"):
        find_bundle(folder)
    (folder / "clip").mkdir()
    assert find_bundle(folder).scorer == str(folder / "clip")
