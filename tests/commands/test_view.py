"""``videominer view`` on what every part of the package leaves, from arguments to pages."""

from __future__ import annotations

import json
import re
import webbrowser
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from support.mined import mined_selection

from lmms_videominer.cli import main
from lmms_videominer.lmms.shown_samples import write_samples_page
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.run_folder import RunFolder
from lmms_videominer.store.selection_json import save


def index_of(page: Path) -> dict:
    return json.loads(re.search(r'id="index">(.*?)</script>', page.read_text())[1])


@pytest.fixture
def tree(tmp_path) -> Path:
    save(mined_selection(), tmp_path / "desert.json")
    return tmp_path / "desert.json"


def test_a_tree_gets_its_page_beside_it(tree, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    assert main(["view", str(tree), "--open", "--quiet"]) == 0
    page = tree.with_suffix(".html")
    assert capsys.readouterr().out == f"wrote {page}\n" and opened == [page.as_uri()]
    assert index_of(page)["results"][0]["name"] == "desert"


def test_two_trees_get_one_page(tree, tmp_path):
    save(replace(mined_selection(), answer="A"), tmp_path / "other.json")
    out = tmp_path / "pages" / "two.html"
    assert main(["view", str(tree), str(tmp_path / "other.json"), "--out", str(out), "--quiet"]) == 0
    assert [result["answer"] for result in index_of(out)["results"]] == ["C", "A"]


def test_a_run_of_many_rows_tells_right_from_wrong(tmp_path):
    folder, selection = RunFolder(tmp_path / "mined"), mined_selection()
    question = selection.question
    rows = [
        QuestionRow(id, "v.mp4", question.text, question.options, answer) for id, answer in [("a", "C"), ("b", "D")]
    ]
    with folder.locked():
        folder.begin({"schema": 1}, rows)
        for row in rows:
            folder.add(row, selection)
        folder.finish(rows)
    assert main(["view", str(tmp_path / "mined"), "--quiet"]) == 0
    results = index_of(tmp_path / "mined" / "view.html")["results"]
    assert [(result["name"], result["correct"]) for result in results] == [("a", True), ("b", False)]


def test_a_changed_line_of_a_run_reads_nothing_outside_its_folder(tree, tmp_path, capsys):
    folder, selection = RunFolder(tmp_path / "mined"), mined_selection()
    row = QuestionRow("a", "v.mp4", selection.question.text, selection.question.options, "C")
    with folder.locked():
        folder.begin({"schema": 1}, [row])
        changed = replace(folder.add(row, selection), tree="../desert.json")
    (tmp_path / "mined" / "results.jsonl").write_text(json.dumps(asdict(changed)) + "\n")
    assert main(["view", str(tmp_path / "mined"), "--quiet"]) == 1
    assert "none of its results has a tree" in capsys.readouterr().err


def logged_run(folder: Path) -> Path:
    """A file of samples as lmms-eval logs them: one with a tree, one without, one that is no sample."""
    selection = replace(mined_selection(), answer="C")
    stored = folder / "videominer" / "videominer-12345678" / "films" / "0.json"
    save(selection, stored)
    samples = [
        {"doc_id": 0, "target": "C", "doc": {"kind": "sign"}, "token_counts": [{"videominer": {"tree": str(stored)}}]},
        {"doc_id": 1, "target": "A", "token_counts": [{"videominer": {"how": "passed"}}]},
        {"doc_id": 2, "token_counts": "none"},
    ]
    file = folder / "model" / "20261129_samples_films.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    return file


def test_logged_samples_get_a_page_beside_them_also_after_they_have_moved(tmp_path):
    run = tmp_path / "run"
    page = write_samples_page(logged_run(run))
    assert page == run / "model" / "20261129_view_films.html"
    [result] = index_of(page)["results"]
    assert (result["name"], result["kind"], result["correct"]) == ("films 0", "sign", True)
    run.rename(tmp_path / "moved")
    assert main(["view", str(tmp_path / "moved"), "--quiet"]) == 0
    assert len(index_of(tmp_path / "moved" / "view.html")["results"]) == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["absent.json"], "absent.json: cannot be read"),
        (["empty"], "empty: holds no result"),
        (["other.json"], "other.json: "),
        (["tree.json", "--video", "gone.mp4"], "--video gone.mp4: no such file"),
    ],
)
def test_what_cannot_be_shown_is_told(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text('{"schema_version": 5, "x": "</script>"}')
    save(mined_selection(), tmp_path / "tree.json")
    assert main(["view", *arguments, "--quiet"]) == 1
    assert told in capsys.readouterr().err and not list(tmp_path.glob("*.html"))


def test_a_folder_leaves_out_what_only_claims_to_be_a_tree(tree, tmp_path, caplog):
    (tmp_path / "broken.json").write_text('{"schema_version": 99}')
    (tmp_path / "settings.json").write_text("{}")
    assert main(["view", str(tmp_path), "--quiet"]) == 0
    assert [result["name"] for result in index_of(tmp_path / "view.html")["results"]] == ["desert"]
    assert "broken.json" in caplog.text and "settings.json" not in caplog.text


def test_no_pictures_and_the_first_results_alone(tree, tmp_path):
    save(mined_selection(), tmp_path / "second.json")
    assert main(["view", str(tmp_path), "--most", "1", "--pictures", "0", "--quiet"]) == 0
    assert [result["name"] for result in index_of(tmp_path / "view.html")["results"]] == ["desert"]
