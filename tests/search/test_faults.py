"""What goes wrong with one question costs that question: models, decoders and questions that fail, from end to end."""

from __future__ import annotations

import dataclasses
import io
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet
import pytest
import torch
from support.scripted import (
    ColourEmbedder,
    ColourEncoder,
    ColourScorer,
    ColourVLM,
    ReplyingLM,
    RulePolicy,
)
from support.tiny_models import tiny_qwen2_lm, tiny_qwen2_vl

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import CallError, ConfigError, ModelError, VideoError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.results import Result, as_parquet
from lmms_videominer.miner import VideoMiner
from lmms_videominer.policy.causal_lm import CausalLM
from lmms_videominer.policy.policy import Decided
from lmms_videominer.search.engine import Job, run
from lmms_videominer.search.questions import MOST_ANSWERED, MOST_SEARCHED
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.show.view.page import PageSettings, write_page
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.store.selection_json import load, save
from lmms_videominer.types import Action, Decision, Question, Reading, Selection, Usage
from lmms_videominer.video.pyav_reader import PyAVReader
from lmms_videominer.vlm.transformers_vlm import TransformersVLM

SETTINGS = {
    "search": "plain",
    "frames": 4,
    "events": 4,
    "scan_frames": 64,
    "grain_s": 0.0,
    "max_depth": 1,
    "cache_dir": "off",
}
POISON = "Where is the poison?"


def refuse(*texts: object) -> None:
    """What a model may raise that cannot bear a request."""
    if any("poison" in str(text) for text in texts):
        raise ZeroDivisionError("absolute aspect ratio must be smaller than 200")


class PickyVLM(ColourVLM):
    def generate(self, requests):
        self.calls.append(list(requests))
        refuse(*(request.prompt for request in requests))
        return super().generate(requests)


class PickyPolicy(RulePolicy):
    def __init__(self):
        super().__init__(lambda caption, depth: Action.ACCEPT, identity="")

    def complete(self, prompts, temperature, seeds):
        refuse(*prompts)
        return super().complete(prompts, temperature, seeds)


class PickyLM(ReplyingLM):
    def complete(self, prompts, temperature, seeds):
        refuse(*prompts)
        return super().complete(prompts, temperature, seeds)


class PickyEmbedder(ColourEmbedder):
    def embed(self, texts):
        refuse(*texts)
        return super().embed(texts)


class NaNEmbedder(ColourEmbedder):
    def embed(self, texts):
        vectors = super().embed(texts)
        vectors[["poison" in text for text in texts]] = np.nan
        return vectors


class EchoingVLM(ColourVLM):
    """Repeats the question in its captions, so that it reaches the embedder."""

    def generate(self, requests):
        return [f"{request.prompt[-30:]} {text}" for request, text in zip(requests, super().generate(requests))]


class PickyEncoder(ColourEncoder):
    def compare(self, features, texts):
        refuse(*texts)
        return super().compare(features, texts)


class PickyScorer(ColourScorer):
    def score(self, frames, texts):
        refuse(*texts)
        return super().score(frames, texts)


class NaNScorer(ColourScorer):
    def score(self, frames, texts):
        return super().score(frames, texts) + [np.nan if "poison" in text else 0 for text in texts]


def miner(vlm=None, policy=None, embedder=None, scorer=None, **settings) -> VideoMiner:
    config = MinerConfig(**(SETTINGS | settings))
    models = (
        vlm or ColourVLM(),
        policy or RulePolicy(lambda caption, depth: Action.ACCEPT),
        embedder or ColourEmbedder(),
    )
    return VideoMiner(build_stages(config, *models, scorer=scorer or ColourEncoder()), config)


MINERS: dict[str, Callable[[], VideoMiner]] = {
    "a captioner": lambda: miner(PickyVLM()),
    "an answerer": lambda: miner(PickyVLM(), selector="uniform"),
    "a policy": lambda: miner(policy=PickyPolicy()),
    "a language model": lambda: miner(policy=PickyLM(lambda prompt: "1"), selector="llovi"),
    "an embedder": lambda: miner(EchoingVLM(), embedder=PickyEmbedder(), clustering="event"),
    "an embedder without numbers": lambda: miner(EchoingVLM(), embedder=NaNEmbedder(), clustering="event"),
    "an embedder as policy": lambda: miner(embedder=PickyEmbedder(), policy="none"),
    "an encoder": lambda: miner(scorer=PickyEncoder(), selector="topk"),
    "a scorer": lambda: miner(scorer=PickyScorer(), selector="topk"),
    "a scorer without numbers": lambda: miner(scorer=NaNScorer(), selector="topk"),
}


@pytest.mark.parametrize("name", MINERS)
def test_a_model_that_fails_at_one_question_costs_that_question_and_the_others_keep_their_results(name, film):
    texts = ["Is it red?", POISON, "Is it blue?", "Is it green?"]
    results = MINERS[name]().mine_batch([Question(film, text) for text in texts])
    alone = [MINERS[name]().mine_batch([Question(film, text)])[0] for text in texts]
    assert isinstance(results[1], ModelError)
    assert re.match(rf"{re.escape(film)}, question \"{re.escape(POISON)}\": ", str(results[1]))
    assert "aspect ratio" in str(results[1]) or "NaN" in str(results[1])
    for i in (0, 2, 3):
        assert isinstance(results[i], Selection), results[i]
        assert results[i].answer and results[i].key_frames == alone[i].key_frames


@pytest.mark.parametrize("raised", [MemoryError, torch.OutOfMemoryError, SystemError, UnicodeEncodeError])
def test_a_captioner_that_cannot_bear_a_batch_is_asked_for_less_at_once(raised, film):
    class Small(ColourVLM):
        def generate(self, requests):
            if len(requests) > 1:
                raise raised("utf-8", "", 0, 1, "") if raised is UnicodeEncodeError else raised("no memory left")
            return super().generate(requests)

    result = miner(Small(), clustering="none").mine(film, "Is it red?")
    assert result == miner(clustering="none").mine(film, "Is it red?") or [node.caption for node in result.nodes] == [
        node.caption for node in miner(clustering="none").mine(film, "Is it red?").nodes
    ]
    assert result.usage.vlm_calls == 4 and result.fallbacks == ()


@dataclass
class DeadVLM(ColourVLM):
    asked: int = 0

    def generate(self, requests):
        self.asked += 1
        raise ConnectionRefusedError("the engine is dead")


def test_a_model_that_fails_at_everything_ends_the_run_at_its_first_call(film):
    dead = miner(DeadVLM(), clustering="none")
    questions = [Question(film, f"Is it red? {i}") for i in range(40)]
    with pytest.raises(ModelError, match=r"engine is dead.*plain request fails too.*in the cache"):
        dead.mine_batch(questions)
    assert dead.stages.vlm.asked <= 2 * 64 + 1  # one part of 64 requests, by halves


def test_a_policy_that_fails_at_everything_ends_the_run(film):
    class Dead(RulePolicy):
        def complete(self, prompts, temperature, seeds):
            raise RuntimeError("device-side assert")

    with pytest.raises(ModelError, match=r"device-side assert.*plain call fails too"):
        miner(policy=Dead(lambda caption, depth: Action.ACCEPT)).mine_batch(
            [Question(film, "a?"), Question(film, "b?")]
        )


@pytest.mark.parametrize("odd", [b"red", 3, ["red"], [], None], ids=repr)
@pytest.mark.parametrize("selector", ["videominer", "uniform"])
def test_a_reply_that_is_no_text_costs_its_question(odd, selector, film):
    class Odd(ColourVLM):
        def generate(self, requests):
            replies = super().generate(requests)
            return [odd if "poison" in request.prompt else text for request, text in zip(requests, replies)]

    settings = {"selector": selector, "clustering": "none"}
    result, error = miner(Odd(), **settings).mine_batch([Question(film, "Is it red?"), Question(film, POISON)])
    assert result.answer == miner(**settings).mine(film, "Is it red?").answer
    if odd is None and selector == "uniform":
        assert error.answer == "" and error.fallbacks == ("answer_missing",)
    else:
        assert isinstance(error, ModelError) and (odd is None or f"gave {type(odd).__name__} in place" in str(error))


def test_a_policy_that_gives_something_else_than_a_decision_costs_its_question(film):
    class Odd:
        identity = ""

        def decide(self, parts, temperature, seeds):
            accepted = Decided(Decision(Action.ACCEPT, "", Reading.STRICT), Usage())
            return ["accept" if "poison" in part.prompt else accepted for part in parts]

    result, error = miner(policy=Odd()).mine_batch([Question(film, "Is it red?"), Question(film, POISON)])
    assert result.answer == miner().mine(film, "Is it red?").answer
    assert isinstance(error, ModelError) and "gave str in place of Decided" in str(error)


@pytest.mark.parametrize("count", ["fewer", "more", "none"])
def test_a_video_llm_that_miscounts_a_batch_is_asked_for_less_at_once(count, film):
    class Miscounting(ColourVLM):
        def generate(self, requests):
            replies = super().generate(requests)
            return (
                replies if len(requests) == 1 else {"fewer": replies[1:], "more": ["x", *replies], "none": None}[count]
            )

    result = miner(Miscounting(), clustering="none").mine(film, "Is it red?")
    plain = miner(clustering="none").mine(film, "Is it red?")
    assert result.answer == plain.answer
    assert [node.caption for node in result.nodes] == [node.caption for node in plain.nodes]


def test_half_characters_in_a_reply_are_replaced(film):
    class Halved(ColourVLM):
        def generate(self, requests):
            return [f"{text} \ud83d" for text in super().generate(requests)]

    result = miner(Halved(), clustering="none").mine(film, "Is it red?")
    assert result.answer.endswith(" \ufffd") and all("\ud83d" not in (node.caption or "") for node in result.nodes)


SHAPES: dict[str, Callable[[np.ndarray], object]] = {
    "no array": lambda array: None,
    "fewer rows": lambda array: array[:-1],
    "turned": lambda array: array.T,
    "flat": lambda array: array.ravel(),
}


def giving(model: type, call: str, change: Callable[[np.ndarray], object]):
    own = getattr(model, call)
    return type("Odd", (model,), {call: lambda self, *arguments: change(own(self, *arguments))})()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("model", "call"),
    [(ColourEmbedder, "embed"), (ColourEncoder, "encode"), (ColourEncoder, "compare"), (ColourScorer, "score")],
)
def test_numbers_of_another_shape_are_an_error_that_says_so(model, call, shape, film):
    odd = giving(model, call, SHAPES[shape])
    mined = miner(embedder=odd, clustering="event") if call == "embed" else miner(scorer=odd, selector="topk")
    with pytest.raises(ModelError, match="gave numbers of shape"):
        mined.mine(film, "Is it red?")


def test_a_language_model_that_dies_later_ends_the_run_whatever_the_cache_holds_of_it(film, tmp_path):
    class Dying(PickyLM):
        dead = False

        def complete(self, prompts, temperature, seeds):
            if self.dead:
                raise RuntimeError("device-side assert")
            return super().complete(prompts, temperature, seeds)

    model = Dying(lambda prompt: "1")
    model.identity = "dying"
    mined = miner(policy=model, selector="llovi", cache_dir=str(tmp_path))
    assert isinstance(mined.mine_batch([Question(film, POISON)])[0], ModelError)
    model.dead = True
    with pytest.raises(ModelError, match=r"device-side assert.*plain call fails too"):
        mined.mine_batch([Question(film, "a?"), Question(film, "b?")])


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_who_stops_the_run_stops_it(stop, film):
    class Stopped(ColourVLM):
        def generate(self, requests):
            raise stop

    with pytest.raises(stop):
        miner(Stopped()).mine(film, "Is it red?")


def test_processes_in_step_ask_the_policy_equally_often_even_if_it_fails(film):
    @dataclass
    class Failing:
        identity: str = ""
        asked: list[int] = field(default_factory=list)

        def decide(self, parts, temperature, seeds):
            self.asked.append(len(parts))
            raise RuntimeError("out of memory")

    failing = Failing()
    selector = miner(policy=failing, clustering="none").selector
    with pytest.raises(ModelError, match="out of memory"):
        run(selector, [Job(Question(film, text)) for text in ("a?", "b?")], decisions_in_step=1)
    assert len(failing.asked) == 1


# decoders


def test_a_decoder_that_raises_what_it_likes_costs_its_video(film, tmp_path, monkeypatch):
    broken, decode = str(tmp_path / "broken.mp4"), PyAVReader.frames
    Path(broken).write_bytes(Path(film).read_bytes() + b"\0")

    def frames(self, indices):
        if self.info.path == broken:
            raise RuntimeError("invalid picture buffer")
        return decode(self, indices)

    monkeypatch.setattr(PyAVReader, "frames", frames)
    for selector in ("videominer", "uniform", "topk"):
        first, error, last = miner(selector=selector, reader="pyav").mine_batch(
            [Question(film, "a?"), Question(broken, "a?"), Question(film, "b?")]
        )
        assert isinstance(error, VideoError) and "broken.mp4: its decoder failed (RuntimeError: invalid" in str(error)
        assert first.answer and last.answer


def test_a_file_that_an_opener_chokes_on_costs_itself(film, tmp_path, monkeypatch):
    from lmms_videominer.video import opening

    read = opening.read_track

    def read_track(path):
        if str(path).endswith("odd.mkv"):
            raise OverflowError("Python int too large to convert to C long")
        return read(path)

    monkeypatch.setattr(opening, "read_track", read_track)
    (tmp_path / "odd.mkv").write_bytes(b"\x1aE\xdf\xa3" + b"\xff" * 64)
    error, whole = miner().mine_batch([Question(str(tmp_path / "odd.mkv"), "a?"), Question(film, "a?")])
    assert isinstance(error, VideoError) and "odd.mkv: its decoder failed (OverflowError" in str(error)
    assert isinstance(whole, Selection)


@pytest.fixture(scope="module")
def real_vlm(tmp_path_factory) -> TransformersVLM:
    return TransformersVLM.from_pretrained(tiny_qwen2_vl(tmp_path_factory.mktemp("vlm")), device="cpu")


def write_shape(path: Path, width: int, height: int) -> str:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(60):
            picture = np.full((height, width, 3), 40 + 60 * (i // 15), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return str(path)


@pytest.mark.parametrize(("width", "height"), [(4000, 8), (1280, 2)])
@pytest.mark.parametrize("selector", ["videominer", "uniform"])
def test_a_shape_that_the_video_llm_refuses_costs_its_video(real_vlm, film, tmp_path, width, height, selector):
    flat = write_shape(tmp_path / "flat.mp4", width, height)
    mined = miner(real_vlm, clustering="none", selector=selector, caption_tokens=4)
    first, error, last = mined.mine_batch([Question(film, "a?"), Question(flat, "a?"), Question(film, "b?")])
    assert isinstance(error, ModelError) and "flat.mp4" in str(error) and "aspect ratio" in str(error)
    assert isinstance(first, Selection) and isinstance(last, Selection)


# questions


@pytest.mark.parametrize("text", [None, 7, b"bytes", ["a", "list"], 2.5])
def test_a_question_that_is_no_text_costs_itself_and_says_so(text, film):
    first, error, last = miner().mine_batch([Question(film, "a?"), Question(film, text), Question(film, "b?")])
    assert isinstance(error, ConfigError) and f"no text, but {type(text).__name__}" in str(error)
    assert first.answer and last.answer


def test_code_units_that_are_no_text_are_replaced(real_vlm, film, tmp_path):
    policy = CausalLM.from_pretrained(tiny_qwen2_lm(tmp_path / "lm"), device="cpu", max_new_tokens=4)
    mined = miner(real_vlm, policy, clustering="none", caption_tokens=4)
    result, plain = mined.mine_batch([Question(film, "a\udcff?", ("\ud800",)), Question(film, "a?")])
    assert result.question.text == "a\ufffd?" and result.question.options == ("\ufffd",)
    assert isinstance(result, Selection) and isinstance(plain, Selection)


class HalvedVLM(ColourVLM):
    """Its captions and answers end in half an emoji."""

    def generate(self, requests):
        return [f"{text} \ud83d" for text in super().generate(requests)]


class HalvedLM(RulePolicy):
    """So does its reasoning."""

    def complete(self, prompts, temperature, seeds):
        made = super().complete(prompts, temperature, seeds)
        return [dataclasses.replace(done, text=done.text.replace("</think>", "\udc00</think>")) for done in made]


class HalvedPolicy:
    """So do its decisions, which it makes without a language model."""

    identity = "halved"

    def decide(self, parts, temperature, seeds):
        return [Decided(Decision(Action.ACCEPT, "so \udfff", Reading.STRICT, part.prompt), Usage()) for part in parts]


@pytest.mark.parametrize(
    "policy",
    [lambda: HalvedLM(lambda caption, depth: Action.ACCEPT, "halved"), HalvedPolicy],
    ids=["replies", "decides"],
)
def test_code_units_in_replies_that_are_no_text_are_replaced_before_any_file_has_them(film, tmp_path, policy):
    def mined() -> Selection:
        return miner(HalvedVLM(), policy(), cache_dir=str(tmp_path / "cache")).mine(film, "What?")

    first, again = mined(), mined()
    assert first.fallbacks == again.fallbacks == () and again.usage.vlm_calls == again.usage.answer_calls == 0
    decided = [node for node in first.nodes if node.decision]
    assert decided and all("\ufffd" in node.decision.text and "\ufffd" in node.caption for node in decided)
    assert first.answer.endswith(" \ufffd")
    save(first, tmp_path / "tree.json")
    assert load(tmp_path / "tree.json") == first
    row = QuestionRow("1", film, "What?", (), "")
    parquet = io.BytesIO(as_parquet([Result.of(row, first)]))
    assert pyarrow.parquet.read_table(parquet).column("answer").to_pylist() == [first.answer]
    page = write_page([Shown(first, "it")], PageSettings("it", decode=False, out=tmp_path / "page.html"))
    assert "\ufffd" in page.read_text(encoding="utf-8")


def test_an_exception_whose_message_is_no_text_is_told_as_text(film):
    class Failing(ColourVLM):
        def generate(self, requests):
            raise ValueError("no \ud83d here")

    with pytest.raises(ModelError, match=r"ValueError: no \\ud83d here") as caught:
        miner(Failing()).mine(film, "What?")
    assert str(caught.value).encode()


@pytest.mark.parametrize("length", [10_000, 200_000])
def test_a_long_question_is_cut_for_the_search_with_a_note_and_answered_in_bounded_time(
    real_vlm, film, tmp_path, length
):
    policy = CausalLM.from_pretrained(tiny_qwen2_lm(tmp_path / "lm"), device="cpu", max_new_tokens=4)
    text = ("Where is the red disc that the man in the hat put on the table? " * length)[: length - 5] + " Why?"
    vlm = Recording(real_vlm)
    started = time.perf_counter()
    result = miner(vlm, policy, clustering="none", caption_tokens=4).mine(film, text)
    assert time.perf_counter() - started < 60
    assert "question_cut" in result.fallbacks and result.question.text == text
    *captions, answer = vlm.prompts
    assert all(len(prompt) < MOST_SEARCHED + 200 and prompt.endswith(" Why?") for prompt in captions)
    assert answer.endswith(" Why?") and len(answer) == min(length, MOST_ANSWERED) - (length > MOST_ANSWERED)


@dataclass
class Recording:
    vlm: TransformersVLM
    prompts: list[str] = field(default_factory=list)

    @property
    def identity(self) -> str:
        return self.vlm.identity

    def generate(self, requests):
        self.prompts += [request.prompt for request in requests]
        return self.vlm.generate(requests)


def test_a_question_of_an_ordinary_length_is_asked_as_it_is(film):
    text = "What happens " * 150
    mined = miner(clustering="none")
    assert mined.mine(film, text).fallbacks == ()
    assert len(text) <= MOST_SEARCHED and text in mined.stages.vlm.calls[0][0].prompt


def test_errors_of_two_kinds_and_a_result_keep_their_places(film, tmp_path):
    kinds = [
        type(result)
        for result in miner(PickyVLM()).mine_batch(
            [
                Question(str(tmp_path / "absent.mp4"), "a?"),
                Question(film, POISON),
                Question(film, ""),
                Question(film, "a?"),
            ]
        )
    ]
    assert kinds == [VideoError, ModelError, ConfigError, Selection] and CallError not in kinds
