from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.scripted import ColourVLM, colours_of

from lmms_videominer.errors import ModelError, VideoError
from lmms_videominer.search.option_probabilities import option_probabilities
from lmms_videominer.store.cache import open_cache
from lmms_videominer.types import KeyFrame, Question, Selection
from lmms_videominer.video.opening import open_video
from lmms_videominer.vlm.vlm import ScoringVLM

OPTIONS = ("red", "blue", "pink")


@dataclass
class ColourScoring(ColourVLM):
    """Writes a letter with a thousandth of its probability, a colour that it sees with a half, others with a tenth."""

    asked: list[list[str]] = field(default_factory=list)

    def reply_logprobs(self, request, replies):
        self.asked.append(list(replies))
        seen = colours_of(request.frames) if request.frames is not None else []
        return [math.log(0.001 if len(reply) == 1 else 0.5 if reply in seen else 0.1) for reply in replies]


@pytest.fixture(scope="module")
def film(video_dir: Path) -> str:
    from support.scripted import colour_video

    return colour_video(video_dir / "two_scenes.mp4", [("red", 2.0), ("blue", 2.0)])


def selection(film: str, *indices: int, options=OPTIONS) -> Selection:
    frames = tuple(KeyFrame(i / 10, i) for i in indices)
    return Selection(Question(film, "What is there?", tuple(options)), open_video(film).info, frames, "uniform")


def test_letter_and_text_of_an_option_add_up_and_options_sum_to_one(film):
    vlm = ColourScoring()
    [found] = option_probabilities([selection(film, 5)], vlm, open_cache("off"))
    total = 0.501 + 0.101 + 0.101
    assert found == pytest.approx((0.501 / total, 0.101 / total, 0.101 / total))
    assert vlm.asked == [["A", "red", "B", "blue", "C", "pink"]] and isinstance(vlm, ScoringVLM)


def test_equal_frames_are_asked_about_once_and_never_again(film, tmp_path):
    asked = [selection(film, 5), selection(film, 25), selection(film, 5)]
    vlm = ColourScoring()
    first = option_probabilities(asked, vlm, open_cache(str(tmp_path)))
    assert len(vlm.asked) == 2 and first[0] == first[2] != first[1]
    again = ColourScoring()
    assert option_probabilities(asked, again, open_cache(str(tmp_path))) == first and not again.asked
    option_probabilities([selection(film, 5, options=("red", "blue"))], again, open_cache(str(tmp_path)))
    assert len(again.asked) == 1  # other options are another question


def test_a_video_that_is_gone_and_a_model_that_fails_cost_their_questions(film, tmp_path):
    class Failing(ColourScoring):
        def reply_logprobs(self, request, replies):
            if "pink" in replies:
                raise RuntimeError("out of memory")
            return super().reply_logprobs(request, replies)

    copy = tmp_path / "gone.mp4"
    copy.write_bytes(Path(film).read_bytes())
    gone = selection(str(copy), 5)
    copy.unlink()
    good = selection(film, 5, options=("red", "blue"))
    found = option_probabilities([gone, selection(film, 5), good], Failing(), open_cache("off"))
    assert isinstance(found[0], VideoError) and "gone.mp4" in str(found[0])
    assert isinstance(found[1], ModelError) and "out of memory" in str(found[1]) and "What is there?" in str(found[1])
    assert found[2] == pytest.approx((0.501 / 0.602, 0.101 / 0.602))


def test_replies_that_are_all_but_impossible_still_give_probabilities(film):
    class Sure(ColourScoring):
        def reply_logprobs(self, request, replies):
            return [-2000.0 if reply == "blue" else -3000.0 for reply in replies]

    [found] = option_probabilities([selection(film, 5)], Sure(), open_cache("off"))
    assert found == pytest.approx((0.0, 1.0, 0.0))


@pytest.mark.parametrize("logprob", [math.nan, -math.inf, math.inf])
def test_log_probabilities_that_are_no_numbers_cost_their_question_and_are_not_kept(film, tmp_path, logprob):
    class Broken(ColourScoring):
        def reply_logprobs(self, request, replies):
            return [logprob] * len(replies) if "pink" in replies else super().reply_logprobs(request, replies)

    asked = [selection(film, 5), selection(film, 5, options=("red", "blue"))]
    broken, good = option_probabilities(asked, Broken(), open_cache(str(tmp_path)))
    assert isinstance(broken, ModelError) and "no probabilities" in str(broken) and "What is there?" in str(broken)
    assert good == pytest.approx((0.501 / 0.602, 0.101 / 0.602))
    [found] = option_probabilities(asked[:1], ColourScoring(), open_cache(str(tmp_path)))
    assert sum(found) == pytest.approx(1.0)


def test_an_impossible_option_has_no_probability(film):
    class Certain(ColourScoring):
        def reply_logprobs(self, request, replies):
            return [0.0 if reply in ("A", "red") else -math.inf for reply in replies]

    assert option_probabilities([selection(film, 5)], Certain(), open_cache("off")) == [(1.0, 0.0, 0.0)]
