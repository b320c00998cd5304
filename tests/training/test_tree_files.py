"""Trees that training and the difficulty filter save: one file a tree, in the folder, whatever questions are called."""

from __future__ import annotations

from types import SimpleNamespace

from support.mined import mined_selection

from lmms_videominer.training.metrics import save_trees


def test_ids_that_look_alike_have_files_of_their_own(tmp_path):
    ids = ["12", "fFjv93ACGo8-1", "a/b", "a_b", "a b", "../x", "/etc/x", "a\0b", "z" * 300, "z" * 299, "..", "日本"]
    rollouts = [
        SimpleNamespace(question_id=id, tree=tree, correct=True, selection=mined_selection())
        for id in ids
        for tree in range(2)
    ]
    paths = save_trees(rollouts, tmp_path / "out" / "trees")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(files) == sorted(set(paths)) and len(files) == len(rollouts)
    assert {path.parent for path in files} == {tmp_path / "out" / "trees"}
    assert [path.name for path in paths[:3]] == [
        "12.tree-0.right.json",
        "12.tree-1.right.json",
        "fFjv93ACGo8-1.tree-0.right.json",
    ]
