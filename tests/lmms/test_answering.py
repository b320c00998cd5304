"""Requests left to the backbone whole, where one broken video stops it: each sample is then asked by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from lmms_eval.api.instance import GenerationResult, Instance, unwrap_generation_output

from lmms_videominer import errors
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import CallError
from lmms_videominer.lmms.answering import Answerer
from lmms_videominer.lmms.backbone_vlm import BackboneVLM
from lmms_videominer.lmms.driver import Driver
from lmms_videominer.lmms.profiles import PROFILES, UNLISTED, Profile
from lmms_videominer.lmms.records import in_one_line, needs_a_look, summarise
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.vlm.vlm import VLMRequest

SHOWN = [["good.mp4"], ["broken.mp4"], ["good.mp4"], ["other.mp4"], ["good.mp4", "broken.mp4"], ["a picture.png"]]
ROWS = [{"question": f"what is in part {number}?", "shown": shown} for number, shown in enumerate(SHOWN)]


def raises_value_error(outputs: list[str]) -> None:
    raise ValueError("this video cannot be read")


def ends_the_process(outputs: list[str]) -> None:
    raise SystemExit("this video cannot be read")


def adds_an_empty_output(outputs: list[str]) -> None:
    """As llava_hf of lmms-eval 0.7 does, before it goes on with the request."""
    outputs.append("")


@dataclass
class FragileBackbone:
    """Answers with what it is asked and when it is to stop; ``calls`` holds the documents of every call."""

    at_broken: Callable[[list[str]], None]
    also_broken: str = ""
    task_dict: dict = field(default_factory=lambda: {"tiny": {"test": ROWS}})
    calls: list[list[int]] = field(default_factory=list)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        self.calls.append([request.args[3] for request in requests])
        outputs: list[str] = []
        for request in requests:
            context, settings, shows, doc_id, task, split = request.args
            if {*shows(self.task_dict[task][split][doc_id])} & {"broken.mp4", self.also_broken}:
                self.at_broken(outputs)
            outputs.append(f"{context} until {settings.pop('until', 'forgotten')}")
        return outputs


METADATA = {"task": "tiny", "doc_id": 0, "repeats": 1}


def request(doc_id: int) -> Instance:
    arguments = (f"ask {doc_id}", {"until": "stop"}, lambda row: row["shown"], doc_id, "tiny", "test")
    return Instance("generate_until", arguments, 0, {"task": "tiny", "doc_id": doc_id, "repeats": 1})


def answerer(backbone: FragileBackbone | Service, selector: str = "uniform", profile: Profile = UNLISTED) -> Answerer:
    config = MinerConfig(selector=selector, frames=4, cache_dir="off")
    chosen = get_selector(selector, build_stages(config, None), config)
    return Answerer(Driver(backbone, profile, True), chosen, config, 4, lambda *_: "")


def texts(answering: Answerer, *documents: int) -> list[str]:
    return [unwrap_generation_output(output)[0] for output in answering.generate([request(i) for i in documents])]


@pytest.mark.parametrize("at_broken", [raises_value_error, ends_the_process, adds_an_empty_output])
def test_each_sample_is_asked_by_itself_and_the_broken_one_is_counted_and_logged_once(at_broken, caplog):
    backbone = FragileBackbone(at_broken)
    answering = answerer(backbone)
    good_0, broken, good_2, good_3 = texts(answering, 0, 1, 2, 3)

    assert backbone.calls == [[0, 1, 2, 3], [0], [1], [2], [3], [1]]  # the broken one once more, as the last resort
    assert [good_0, good_2, good_3] == [f"ask {i} until stop" for i in (0, 2, 3)] and broken == ""
    assert [note.how for note in answering.notes] == ["uniform", "fallback", "uniform", "uniform"]
    assert summarise(answering.notes)["tiny"]["broken_videos"] == 1
    assert sum("broken.mp4 is not mined" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("nothing", [None, GenerationResult(None)], ids=repr)
def test_an_output_that_is_nothing_is_no_answer(nothing):
    class Silent(FragileBackbone):
        def generate_until(self, requests):
            outputs = super().generate_until(requests)
            return [nothing if made.args[3] == 1 else text for made, text in zip(requests, outputs)]

    silent = Silent(raises_value_error, task_dict={"tiny": {"test": ROWS[:1] * 4}})
    answering = answerer(silent)
    assert texts(answering, 0, 1, 2) == ["ask 0 until stop", "", "ask 2 until stop"]
    assert [note.empty for note in answering.notes] == [False, True, False]
    vlm = BackboneVLM(answering.driver, "silent")
    assert vlm.generate([VLMRequest("What?")] * 3)[1] == ""


def test_a_single_broken_sample_does_not_end_the_run():
    answering = answerer(FragileBackbone(raises_value_error))
    assert texts(answering, 1) == [""]
    assert answering.notes[0].empty and "cannot be read" in answering.notes[0].problem


def test_a_broken_video_among_several_of_one_document_or_beside_pictures_does_not_end_the_run():
    answering = answerer(FragileBackbone(raises_value_error))
    assert texts(answering, 4, 5, 1) == ["", "ask 5 until stop", ""]
    assert [note.how for note in answering.notes] == ["fallback", "passed", "fallback"]


@pytest.mark.parametrize(("documents", "said"), [((5,), [""]), ((0, 5), ["ask 0 until stop", ""])])
def test_a_picture_that_stops_the_backbone_costs_its_sample_alone(documents, said):
    answering = answerer(FragileBackbone(raises_value_error, also_broken="a picture.png"))
    assert texts(answering, *documents) == said
    assert (answering.notes[-1].how, answering.notes[-1].empty) == ("fallback", True)


def questions(*videos: Path) -> list[dict]:
    """Documents whose evidence is known, one a video."""
    return [
        {"question": f"what {number}?", "shown": [str(video)], "evidence": [[0.5, 3.5]]}
        for number, video in enumerate(videos)
    ]


class DeadBackbone(FragileBackbone):
    """Fails on whatever it is asked."""

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise RuntimeError("CUDA error: device-side assert triggered")


@pytest.mark.parametrize("selector", ["uniform", "oracle"])
@pytest.mark.parametrize("documents", [(0,), (0, 1, 3)])
def test_a_backbone_that_answers_nothing_at_all_ends_the_run(selector, documents, plain_video):
    rows = questions(*[plain_video] * 4)
    answering = answerer(DeadBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), selector)
    with pytest.raises(
        errors.ModelError, match=r"none of \d samples was answered.*a plain request fails, too.*device-side"
    ):
        texts(answering, *documents)


@dataclass
class TouchyBackbone(FragileBackbone):
    """Refuses a question whatever is shown with it, in a batch with others as well as by itself."""

    at_broken: Callable[[list[str]], None] = raises_value_error
    refused: str = "ask 1"

    def generate_until(self, requests: list[Instance]) -> list[str]:
        contexts = [request.args[0] for request in requests]
        self.calls.append(contexts)
        if self.refused in contexts:
            self.at_broken([])
        return [f"answer to {context}" for context in contexts]


@pytest.mark.parametrize("at_broken", [raises_value_error, ends_the_process])
def test_what_the_backbone_refuses_costs_its_sample_and_the_others_are_answered_from_their_frames(
    at_broken, plain_video
):
    rows = questions(*[plain_video] * 4)
    backbone = TouchyBackbone(at_broken, task_dict={"tiny": {"test": rows}})
    answering = answerer(backbone, "oracle")
    assert texts(answering, 0, 1, 2, 3) == ["answer to ask 0", "", "answer to ask 2", "answer to ask 3"]
    assert [note.how for note in answering.notes] == ["mined", "fallback", "mined", "mined"]
    assert "cannot be read" in answering.notes[1].problem and answering.notes[1].empty
    assert backbone.calls == [[f"ask {i}" for i in range(4)], *([f"ask {i}"] for i in (0, 1, 2, 3, 1))]


class FailingService(TouchyBackbone):
    """Says instead of an answer that a request failed."""

    def generate_until(self, requests: list[Instance]) -> list[str]:
        self.calls.append([request.args[0] for request in requests])
        failed = "[LMMS_EVAL_REQUEST_FAILED after 5 retries] 429"
        return [failed if c == self.refused else f"answer to {c}" for c in self.calls[-1]]


@pytest.mark.parametrize("selector", ["uniform", "oracle"])
def test_a_failed_request_is_no_answer_and_answers_of_the_same_call_are_kept(selector, plain_video):
    rows = questions(*[plain_video] * 3)
    backbone = FailingService(task_dict={"tiny": {"test": rows}})
    answering = answerer(backbone, selector)
    assert texts(answering, 0, 1, 2) == ["answer to ask 0", "", "answer to ask 2"]
    assert answering.notes[1].empty and "REQUEST_FAILED" in answering.notes[1].problem
    assert [call for call in backbone.calls if "ask 0" in call] == [["ask 0", "ask 1", "ask 2"]]


class SilentBackbone(TouchyBackbone):
    """Gives an empty answer to a question, always or only beside others."""

    always: bool = True

    def generate_until(self, requests: list[Instance]) -> list[str]:
        self.calls.append([request.args[0] for request in requests])
        silent = self.always or len(requests) > 1
        return ["" if c == self.refused and silent else f"answer to {c}" for c in self.calls[-1]]


@pytest.mark.parametrize(("always", "said"), [(False, "answer to ask 1"), (True, "")])
def test_an_empty_answer_is_asked_for_once_more_and_counted(always, said, plain_video):
    rows = questions(*[plain_video] * 3)
    backbone = SilentBackbone(task_dict={"tiny": {"test": rows}})
    backbone.always = always
    answering = answerer(backbone, "oracle")
    assert texts(answering, 0, 1, 2) == ["answer to ask 0", said, "answer to ask 2"]
    assert backbone.calls == [["ask 0", "ask 1", "ask 2"], ["ask 1"]]
    note = next(note for note in answering.notes if note.doc_id == 1)
    assert (note.how, note.empty, note.fallbacks) == ("mined", always, ("answer_missing",) * always)


def raises(error: BaseException) -> Callable[[object], list[str]]:
    def shows(row: object) -> list[str]:
        raise error

    return shows


@pytest.mark.parametrize("selector", ["uniform", "oracle"])
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({0: None}, "gives no text for it, but NoneType"),
        ({0: 7}, "gives no text for it, but int"),
        ({2: raises(KeyError("video"))}, "KeyError: 'video'"),
        ({2: raises(SystemExit("no such video"))}, "SystemExit: no such video"),
        ({2: lambda row: 1 / 0}, "ZeroDivisionError"),
        ({3: 99}, "IndexError"),
    ],
)
def test_what_a_task_does_wrong_costs_its_sample(selector, changed, reason, plain_video):
    rows = questions(*[plain_video] * 3)
    requests = [request(i) for i in range(3)]
    requests[1].arguments = tuple(changed.get(place, value) for place, value in enumerate(requests[1].arguments))
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), selector)
    outputs = [unwrap_generation_output(output)[0] for output in answering.generate(requests)]
    assert [outputs[0], outputs[2]] == ["ask 0 until stop", "ask 2 until stop"]
    note = answering.notes[1]
    assert note.how == "fallback" and reason in note.problem


def test_an_empty_question_costs_its_sample_also_by_itself():
    rows = [{"question": "", "shown": ["good.mp4"]}]
    empty = request(0)
    empty.arguments = (" ", *empty.arguments[1:])
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), "oracle")
    answering.generate([empty])
    assert [(n.how, n.problem) for n in answering.notes] == [("fallback", "good.mp4: the question is empty")]


def test_a_decoder_that_fails_in_any_way_costs_its_sample(plain_video, cuts_video, monkeypatch):
    from lmms_videominer.video.pyav_reader import PyAVReader

    frames = PyAVReader.frames

    def failing(reader, indices):
        if reader.info.path == str(cuts_video):
            raise MemoryError("no room for the picture")
        return frames(reader, indices)

    monkeypatch.setattr(PyAVReader, "frames", failing)
    rows = questions(plain_video, cuts_video, plain_video)
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), "oracle")
    answering.config = replace(answering.config, reader="pyav")
    assert texts(answering, 0, 1, 2) == [f"ask {i} until stop" for i in range(3)]
    assert [note.how for note in sorted(answering.notes, key=lambda n: n.doc_id)] == ["mined", "fallback", "mined"]
    assert "MemoryError: no room" in next(note.problem for note in answering.notes if note.problem)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "read-only")])
def test_a_tree_that_cannot_be_written_leaves_the_answer_and_is_counted(error, plain_video, caplog):
    rows = questions(*[plain_video] * 3)
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), "oracle")

    def save(*_: object) -> str:
        raise error

    answering._save = save
    assert texts(answering, 0, 1, 2) == [f"ask {i} until stop" for i in range(3)]
    assert [(n.how, n.tree, n.fallbacks) for n in answering.notes] == [("mined", "", ("tree_not_saved",))] * 3
    assert summarise(answering.notes)["all"]["trees_not_saved"] == 3
    assert sum("cannot be written" in record.getMessage() for record in caplog.records) == 1


def test_a_fault_of_the_package_itself_ends_the_run(plain_video, monkeypatch):
    rows = questions(*[plain_video] * 2)
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), "oracle")
    monkeypatch.setattr(answering, "_finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        texts(answering, 0, 1)


def test_the_run_is_told_in_one_line():
    answering = answerer(FragileBackbone(raises_value_error))
    texts(answering, 0, 1, 5)
    assert in_one_line(summarise(answering.notes)) == "3 samples: uniform 1, passed 1, fallback 1, empty 1"
    assert needs_a_look(summarise(answering.notes)) and not needs_a_look(summarise(answering.notes[:1]))


def test_an_answer_that_names_no_option_is_counted(plain_video):
    row = {"question": "what?", "shown": [str(plain_video)], "options": ["a cat", "a dog"], "evidence": [[0, 1]]}
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": [row]}}), "oracle")
    context = "what?\nA. a cat\nB. a dog\nAnswer with the option's letter from the given choices directly."
    asked = Instance("generate_until", (context, {}, lambda row: row["shown"], 0, "tiny", "test"), 0, METADATA)
    answering.generate([asked])  # the backbone repeats the question
    assert answering.notes[0].fallbacks == ("unread_answer",)
    summary = summarise(answering.notes)
    assert summary["all"]["unread_answers"] == 1 and "unread answers 1" in in_one_line(summary)


def test_a_damaged_key_frame_is_counted_in_the_note(damaged_video):
    rows = [{"question": "what?", "shown": [str(damaged_video)], "evidence": [[2.0, 2.04]]}]
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), "oracle")
    texts(answering, 0)
    assert 50 in answering.notes[0].frames and answering.notes[0].logged()["frames_substituted"] == 1
    assert summarise(answering.notes)["tiny"]["frames_substituted"] == 1


def test_a_video_that_cannot_be_decoded_is_the_backbones_and_the_others_are_mined(plain_video, undecodable_video):
    evidence = [[1.9, 2.2]]
    rows = [
        {"question": "what?", "shown": [str(path)], "evidence": evidence} for path in (plain_video, undecodable_video)
    ]
    answering = answerer(FragileBackbone(raises_value_error, task_dict={"tiny": {"test": rows}}), "oracle")

    assert texts(answering, 0, 1) == ["ask 0 until stop", "ask 1 until stop"]
    assert {note.doc_id: note.how for note in answering.notes} == {0: "mined", 1: "fallback"}
    assert "undecodable.mp4: the file is damaged" in next(note.problem for note in answering.notes if note.doc_id == 1)


@dataclass
class Service:
    """A backbone that says ``text`` to everything, and of what it was told to say at least; ``least`` by call."""

    text: str
    max_new_tokens: int = 4096
    task_dict: dict = field(default_factory=dict)
    least: list[int] = field(default_factory=list)

    def generate_until(self, requests: list[Instance]) -> list[str]:
        self.least.append(self.max_new_tokens)
        return [self.text] * len(requests)


FAILURES = ["[LMMS_EVAL_REQUEST_FAILED after 5 retries] 429", "Video one.mp4\ntwo.mp4 can not load, check the source"]


@pytest.mark.parametrize("said", FAILURES)
def test_what_a_backbone_says_in_the_place_of_an_answer_is_no_caption(said):
    vlm = BackboneVLM(Driver(Service(said), UNLISTED, True), "service")
    [reply] = vlm.generate([VLMRequest("What is seen?", None, 96)])
    assert isinstance(reply, CallError) and str(reply) == f"the backbone gave no reply: {said}"


def test_the_frames_that_an_answer_was_given_from_are_stored(plain_video):
    documents = {"tiny": {"test": [{"question": "what?", "shown": [str(plain_video)]}]}}
    answering, saved = answerer(Service("a red square", task_dict=documents), profile=PROFILES["llava_hf"]), []
    answering._save = lambda selection, *_: saved.append(selection) or ""
    assert texts(answering, 0) == ["a red square"]
    assert len(saved) == 1 and answering.notes[0].frames


def test_lone_surrogates_that_a_backbone_says_are_replaced_in_answers_trees_and_errors(plain_video):
    documents = {"tiny": {"test": [{"question": "what?", "shown": [str(plain_video)]}]}}
    answering, saved = answerer(Service("a red \ud83d", task_dict=documents), profile=PROFILES["llava_hf"]), []
    answering._save = lambda selection, *_: saved.append(selection) or ""
    assert texts(answering, 0) == [saved[0].answer] == ["a red \ufffd"]
    failing = BackboneVLM(Driver(Service(f"{FAILURES[0]} \ud83d"), UNLISTED, True), "service")
    [reply] = failing.generate([VLMRequest("What is seen?", None, 96)])
    assert isinstance(reply, CallError) and str(reply).endswith("429 \ufffd")


@pytest.mark.parametrize("said", FAILURES)
def test_a_service_that_gives_no_answer_at_all_ends_the_run_and_nothing_is_stored(said, plain_video):
    documents = {"tiny": {"test": [{"question": "what?", "shown": [str(plain_video)]}]}}
    answering, saved = answerer(Service(said, task_dict=documents), profile=PROFILES["llava_hf"]), []
    answering._save = lambda selection, *_: saved.append(selection) or ""
    with pytest.raises(errors.ModelError, match="the backbone gave no answer"):
        texts(answering, 0)
    assert not saved


def test_a_caption_is_as_short_as_asked_where_the_backbone_has_a_least_length():
    service = Service(" a red square ")
    vlm = BackboneVLM(Driver(service, PROFILES["vllm"], True), "vllm")
    assert vlm.generate([VLMRequest("What is seen?", None, 96)]) == ["a red square"]
    assert service.least == [96] and service.max_new_tokens == 4096
