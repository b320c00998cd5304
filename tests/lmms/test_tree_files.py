"""Trees of a run lie in its folder, one file a sample, whatever tasks and documents are called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from lmms_eval.api.instance import Instance
from support.mined import mined_selection

from lmms_videominer.lmms.wrapper import VideoMinerModel
from lmms_videominer.store.selection_json import load

NAMES = ["tiny", "a/b", "a_b", "a b", "../../x", "/etc", "x" * 300, "..", "a\0b"]
IDS = [12, "fFjv93ACGo8-1", "a/b", "a_b", "../x", "y" * 300, ""]


def test_every_sample_has_its_own_tree_below_the_folder(tmp_path):
    folder = tmp_path / "out" / "trees"
    model = SimpleNamespace(_trees=folder, is_simple=True)
    paths = []
    for task in NAMES:
        for doc_id in IDS:
            arguments = ("ask", {}, lambda document: [], doc_id, task, "test")
            metadata = {"task": task, "doc_id": doc_id, "repeats": 1}
            instance = Instance("generate_until", arguments, 0, metadata)
            paths.append(Path(VideoMinerModel._save(model, mined_selection(), instance)))
    assert len(set(paths)) == len(NAMES) * len(IDS)
    assert {path.resolve() for path in tmp_path.rglob("*") if path.is_file()} == {path.resolve() for path in paths}
    assert all(folder.resolve() in path.resolve().parents and load(path) for path in paths)
    assert paths[:2] == [folder / "tiny" / "12.json", folder / "tiny" / "fFjv93ACGo8-1.json"]
