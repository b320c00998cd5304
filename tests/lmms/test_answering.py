"""Requests left to the backbone whole, where one broken video stops it: each sample is then asked by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from lmms_eval.api.instance import Instance, unwrap_generation_output

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import CallError
from lmms_videominer.lmms.answering import Answerer
from lmms_videominer.lmms.backbone_vlm import BackboneVLM
from lmms_videominer.lmms.driver import Driver
from lmms_videominer.lmms.profiles import PROFILES, UNLISTED, Profile
from lmms_videominer.lmms.records import summarise
from lmms_videominer.selectors import get_selector
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.vlm.vlm import VLMRequest

SHOWN = [["good.mp4"], ["broken.mp4"], ["good.mp4"], ["other.mp4"], ["good.mp4", "broken.mp4"], ["a picture"]]
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


def test_a_single_broken_sample_does_not_end_the_run():
    answering = answerer(FragileBackbone(raises_value_error))
    assert texts(answering, 1) == [""]
    assert answering.notes[0].empty and "cannot be read" in answering.notes[0].problem


def test_a_broken_video_among_several_of_one_document_or_beside_pictures_does_not_end_the_run():
    answering = answerer(FragileBackbone(raises_value_error))
    assert texts(answering, 4, 5, 1) == ["", "ask 5 until stop", ""]
    assert [note.how for note in answering.notes] == ["fallback", "passed", "fallback"]


@pytest.mark.parametrize("documents", [(5,), (0, 5)])
def test_an_error_that_no_video_explains_propagates(documents):
    with pytest.raises(ValueError, match="cannot be read"):
        texts(answerer(FragileBackbone(raises_value_error, also_broken="a picture")), *documents)


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


@pytest.mark.parametrize(("said", "stored"), [("a red square", 1), *((said, 0) for said in FAILURES)])
def test_frames_that_no_answer_was_given_from_are_not_stored(said, stored, plain_video):
    documents = {"tiny": {"test": [{"question": "what?", "shown": [str(plain_video)]}]}}
    answering, saved = answerer(Service(said, task_dict=documents), profile=PROFILES["llava_hf"]), []
    answering._save = lambda selection, _: saved.append(selection) or ""
    assert texts(answering, 0) == [said]
    assert len(saved) == stored and bool(answering.notes[0].frames) == bool(stored)


def test_a_caption_is_as_short_as_asked_where_the_backbone_has_a_least_length():
    service = Service(" a red square ")
    vlm = BackboneVLM(Driver(service, PROFILES["vllm"], True), "vllm")
    assert vlm.generate([VLMRequest("What is seen?", None, 96)]) == ["a red square"]
    assert service.least == [96] and service.max_new_tokens == 4096
