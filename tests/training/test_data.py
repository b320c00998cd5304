from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from datasets import Dataset

from lmms_videominer.errors import ConfigError
from lmms_videominer.manifest.layouts import split_options
from lmms_videominer.training.data import load_questions, read_questions, save_questions
from lmms_videominer.types import Span
from lmms_videominer.verdict import option_letter

PLAIN = {"id": "q1", "video": "a.mp4", "question": "What is seen?", "options": ["a dog", "a cat"], "answer": "B"}
# the row in the data card of Video-R1, without its process
VIDEO_R1 = {
    "problem_id": 2,
    "problem": "What appears on the screen in Russian during the missile's ascent?",
    "data_type": "video",
    "problem_type": "multiple choice",
    "options": [
        "A. A YouTube subscription notification",
        "B. A military command",
        "C. A warning message",
        "D. A weather update",
    ],
    "solution": "<answer>A</answer>",
    "data_source": "LLaVA-Video-178K/30_60_s_youtube_v0_1",
    "path": "./LLaVA-Video-178K/liwei_youtube_videos/videos/youtube_video_2024/ytb_7nRmsEw7nsE.mp4",
}
LLAVA_VIDEO = "academic_source/Charades/RW587.mp4"


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": speaker, "value": value} for pair in pairs for speaker, value in zip(("human", "gpt"), pair)]


def llava(*pairs: tuple[str, str], video: str = LLAVA_VIDEO, id: str = "RW587") -> dict:
    return {"id": id, "conversations": turns(*pairs), "data_source": "0_30_s_academic_v0_1", "video": video}


LETTERED = (
    "<image>\nWhat does the person hold?\nA. A broom\nB. A phone\nC. A pan\nD. A book\n"
    "Please respond with only the letter of the correct answer.",
    "B.",
)
IN_FULL = (
    "Why does she turn?\nOptions:\nA. to leave\nB. to wave\nC. to sit\nD. to look\nE. to sing\n"
    "Please provide your answer by stating the letter followed by the full option.",
    "E. to sing.",
)
OPEN = ("<image>\nWhat is the man doing?", "He is sweeping the floor.")


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the videos that the rows above name."""
    for name in ("a.mp4", LLAVA_VIDEO, VIDEO_R1["path"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


# what comes out


def test_a_jsonl_file_becomes_a_dataset_of_fixed_types(folder):
    rows = [PLAIN, {**PLAIN, "id": "q2", "options": [], "answer": "a dog", "evidence": [[1, 2.5]], "end_s": 9}]
    dataset = load_questions(lines(folder / "train.jsonl", *rows))
    assert dataset.column_names == ["id", "video", "question", "options", "answer", "evidence", "start_s", "end_s"]
    assert dataset[0] == {**PLAIN, "video": str(folder / "a.mp4"), "evidence": [], "start_s": 0.0, "end_s": None}
    assert dataset[1]["end_s"] == 9.0 and dataset[1]["evidence"] == [[1.0, 2.5]] and dataset[1]["options"] == []


@pytest.mark.parametrize("answer", ["B", "b", "B.", "(B)", "a cat", "B. a cat", "A CAT"])
def test_the_right_option_may_be_told_by_letter_or_text(folder, answer):
    found = read_questions(lines(folder / "train.jsonl", {**PLAIN, "answer": answer}))
    assert found.questions[0].answer == "B"


def test_letters_that_stand_in_the_options_are_taken_off(folder):
    found = read_questions(lines(folder / "train.jsonl", {**PLAIN, "options": ["A. a dog", "B. a cat"]}))
    assert found.questions[0].options == ("a dog", "a cat")


def test_a_letter_that_is_part_of_an_option_stays(folder):
    found = read_questions(
        lines(folder / "train.jsonl", {**PLAIN, "options": ["B. Brecht", "T. Mann"], "answer": "T. Mann"})
    )
    assert found.questions[0].options == ("B. Brecht", "T. Mann") and found.questions[0].answer == "B"


def test_rows_without_an_id_get_one_that_does_not_depend_on_their_place(folder):
    other = {**PLAIN, "question": "And now?"}
    rows = [{key: value for key, value in row.items() if key != "id"} for row in (PLAIN, other)]
    one = read_questions(lines(folder / "one.jsonl", *rows)).questions
    two = read_questions(lines(folder / "two.jsonl", *reversed(rows))).questions
    assert {q.text: q.id for q in one} == {q.text: q.id for q in two} and len({q.id for q in one}) == 2


def test_the_questions_of_a_rendered_world_are_taken_as_they_are(tmp_path):
    from lmms_videominer.world import render_world

    path = render_world(tmp_path / "world", 1, 1, 3_000_005, workers=1, progress=False, questions=3)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = read_questions(path.parent).questions
    assert [q.id for q in found] == [row["id"] for row in rows]
    assert [q.answer for q in found] == [row["answer"] for row in rows]
    assert found[0].evidence == tuple(Span(*span) for span in rows[0]["evidence"])
    assert all(Path(q.video).is_file() for q in found)


def test_kept_questions_can_be_written_and_read_again(folder):
    found = read_questions(lines(folder / "train.jsonl", PLAIN, {**PLAIN, "id": "ö", "evidence": [[0, 1]]})).questions
    save_questions(found, folder / "elsewhere" / "kept.jsonl")
    assert read_questions(folder / "elsewhere" / "kept.jsonl").questions == found


def test_a_dataset_on_disk_and_a_parquet_file_are_read_too(folder):
    dataset = Dataset.from_list([{**PLAIN, "video": str(folder / "a.mp4")}])
    dataset.save_to_disk(str(folder / "saved"))
    dataset.to_parquet(str(folder / "rows.parquet"))
    for source in ("saved", "rows.parquet"):
        assert [q.id for q in read_questions(folder / source).questions] == ["q1"]


# public sets


def test_video_r1_rows(folder):
    image = {**VIDEO_R1, "problem_id": 3, "data_type": "image", "path": "./Math/1.png"}
    free = {
        **VIDEO_R1,
        "problem_id": 4,
        "problem_type": "free-form",
        "options": [],
        "solution": "<answer>He leaves.</answer>",
    }
    (folder / "Video-R1-260k.json").write_text(json.dumps([VIDEO_R1, image, free], indent=2))
    found = read_questions(folder / "Video-R1-260k.json")
    [question] = found.questions
    assert (question.id, question.answer) == ("video-r1.2", "A")
    assert question.options == (
        "A YouTube subscription notification",
        "A military command",
        "A warning message",
        "A weather update",
    )
    assert Path(question.video).is_file() and "/./" not in question.video
    assert found.left_out == {"rows whose data_type is 'image'": 1, "questions without options": 1}


def test_open_questions_of_public_sets_are_kept_when_asked_for(folder):
    row = {**VIDEO_R1, "problem_type": "numerical", "options": [], "solution": "<answer>3</answer>"}
    [question] = read_questions(lines(folder / "r1.jsonl", row), open_questions=True).questions
    assert (question.options, question.answer) == ((), "3")


def test_llava_video_178k_rows_give_one_question_for_every_pair_of_turns(folder):
    (folder / "mc_qa_processed.json").write_text(json.dumps([llava(LETTERED, IN_FULL), llava(OPEN)]))
    found = read_questions(folder / "mc_qa_processed.json")
    first, second = found.questions
    assert (first.text, first.options, first.answer) == (
        "What does the person hold?",
        ("A broom", "A phone", "A pan", "A book"),
        "B",
    )
    assert (second.text, second.answer, len(second.options)) == ("Why does she turn?", "E", 5)
    assert first.video == str(folder / LLAVA_VIDEO)
    assert found.left_out == {"questions without options": 1}


def test_llava_ids_are_unique_though_those_of_its_rows_are_not(folder):
    found = read_questions(lines(folder / "mc.jsonl", llava(LETTERED, IN_FULL), llava(LETTERED)))
    assert [q.id for q in found.questions] == [
        "0_30_s_academic_v0_1.RW587.0",
        "0_30_s_academic_v0_1.RW587.1",
        "0_30_s_academic_v0_1.RW587.0~2",
    ]


def test_llava_videos_are_found_below_the_root_of_the_whole_set(folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    inside = root / "0_30_s_academic_v0_1" / LLAVA_VIDEO
    inside.parent.mkdir(parents=True)
    inside.touch()
    [question] = read_questions(lines(folder / "mc.jsonl", llava(LETTERED)), media_root=str(root)).questions
    assert question.video == str(inside)


def test_options_are_found_under_a_question_that_has_a_lettered_line_itself():
    text = "A. and B. talk.\nWhat about?\nA. food\nB. sport\nAnswer with the letter."
    assert split_options(text) == ("A. and B. talk.\nWhat about?", ["food", "sport"])


# bad input


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"question": ""}, "question is ''"),
        ({"video": None}, "video is None"),
        ({"options": "a dog, a cat"}, "It must be a list of texts"),
        ({"options": ["a dog"]}, "options holds 1"),
        ({"options": ["a dog", 3]}, "one of them is not text"),
        ({"options": ["a dog", "A dog"]}, "two are the same"),
        ({"answer": "C"}, "answer 'C' is not one of the options a dog, a cat. Write a letter from A to B"),
        ({"answer": None}, "answer is None"),
        ({"evidence": [[5, 1]]}, "evidence is [[5, 1]]"),
        ({"video": "b.mp4"}, "video b.mp4 is not at"),
        ({"id": "q0"}, "id 'q0' already occurs at"),
    ],
)
def test_a_bad_row_is_named_with_its_file_and_line(folder, change, told):
    path = lines(folder / "train.jsonl", {**PLAIN, "id": "q0"}, {**PLAIN, **change})
    with pytest.raises(ConfigError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path}:2: ") and told in str(caught.value)
    assert "bad_rows=skip" in str(caught.value)


def test_a_bad_row_of_an_indented_array_is_named_by_the_line_that_it_begins_at(folder):
    path = folder / "r1.json"
    path.write_text(json.dumps([VIDEO_R1, {**VIDEO_R1, "problem_id": 9, "solution": "A"}], indent=2))
    line = path.read_text().split("\n").index("  {", 2) + 1
    with pytest.raises(ConfigError, match=rf"r1\.json:{line}: solution is 'A'\. It must hold <answer>"):
        read_questions(path)


@pytest.mark.parametrize(
    "bad",
    [
        llava(LETTERED, ("What?\nA. x\nB. y", "none of them")),
        {**llava(LETTERED), "conversations": turns(LETTERED)[:1]},
        {**llava(LETTERED), "conversations": turns(LETTERED)[::-1]},
    ],
)
def test_bad_llava_rows_are_named_or_skipped_and_counted(folder, bad, caplog):
    path = lines(folder / "mc.jsonl", llava(IN_FULL), bad)
    with pytest.raises(ConfigError, match=r"mc\.jsonl:2: "):
        read_questions(path)
    with caplog.at_level(logging.WARNING):
        dataset = load_questions(path, bad_rows="skip")
    assert len(dataset) >= 1 and "1 bad rows are skipped, the first:" in caplog.text and "mc.jsonl:2" in caplog.text


def test_a_line_that_is_not_json_is_named(folder):
    path = folder / "train.jsonl"
    path.write_text(json.dumps(PLAIN) + "\n\n{'id': 1}\n")
    with pytest.raises(ConfigError, match=r"train\.jsonl:3: not JSON"):
        read_questions(path)


def test_a_file_that_is_cut_off_is_told_so(folder):
    text = json.dumps([VIDEO_R1, VIDEO_R1], indent=2)
    (folder / "r1.json").write_text(text[: len(text) * 2 // 3])
    with pytest.raises(ConfigError, match=r"r1\.json:\d+: not JSON .*cut off"):
        read_questions(folder / "r1.json")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"source": "none.jsonl"}, "none.jsonl: cannot be read"),
        ({"source": "no-such/set"}, "no-such/set: the dataset cannot be loaded"),
        ({"layout": "vide-r1"}, "unknown layout 'vide-r1'; did you mean 'video-r1'?"),
        ({"bad_rows": "ignore"}, "bad_rows='ignore': one of stop, skip"),
        ({"media_root": "nowhere"}, "media_root=nowhere: no such folder"),
    ],
)
def test_arguments_that_cannot_be_are_refused(folder, arguments, told):
    source = arguments.pop("source", lines(folder / "train.jsonl", PLAIN))
    with pytest.raises(ConfigError) as caught:
        read_questions(source, **arguments)
    assert told in str(caught.value)


def test_a_source_without_a_question_for_training_says_what_it_held(folder):
    path = lines(folder / "oe.jsonl", llava(OPEN))
    with pytest.raises(ConfigError, match=r"no question can be used \(1 questions without options\).*open_questions"):
        read_questions(path)


def test_all_letters_name_their_options(folder):
    options = [f"option {i}" for i in range(26)]
    rows = [{**PLAIN, "id": str(i), "options": options, "answer": option_letter(i)} for i in range(26)]
    assert [q.answer for q in read_questions(lines(folder / "many.jsonl", *rows)).questions] == [
        option_letter(i) for i in range(26)
    ]
