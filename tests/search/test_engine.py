"""The engine: what waits longest is served first, in one batch, and every search pays for itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.scripted import ColourEmbedder, ColourVLM, RulePolicy, always

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, ModelError, VideoError
from lmms_videominer.policy.policy import Part
from lmms_videominer.policy.prompt import policy_prompt
from lmms_videominer.search.engine import Job, run, run_each
from lmms_videominer.search.wishes import Ask, Caption, Case, Decide, Embed, Found, Search
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.selector import Selector
from lmms_videominer.types import Action, KeyFrame, Question, Selection, Span, Usage

CONFIG = MinerConfig(search="plain", frames=1, clustering="event", cache_dir="off")


@dataclass
class Scripted(Selector):
    """Makes the wishes that stand in the question's text, a letter each, and keeps the replies."""

    stages: Any
    config: MinerConfig = CONFIG
    replies: dict[str, list[Any]] = field(default_factory=dict)

    name = "scripted"

    @property
    def settings_by_name(self) -> dict[str, Any]:
        return {}

    @classmethod
    def needs(cls, config: MinerConfig) -> frozenset[str]:
        return frozenset({"vlm", "policy", "embedder"})

    def search(self, case: Case) -> Search:
        text = case.question.text
        wishes = {
            "c": Caption((case.whole,), 1, (text,)),
            "e": Embed((text, text)),
            "d": Decide((Part(text, "a scene in red", 1, 3),), keys=("0.0",)),
            "a": Ask((policy_prompt(text, text, 1, 3),)),
        }
        for letter in text:
            if letter == "!":
                raise ConfigError(f"{text} is refused")
            self.replies.setdefault(text, []).append((yield wishes[letter]))
        return Found(())


@pytest.fixture
def method() -> Scripted:
    stages = build_stages(CONFIG, ColourVLM(), always(Action.ACCEPT), ColourEmbedder())
    return Scripted(stages)


def stages_served(method: Scripted, film: str, *texts: str) -> list[str]:
    served: list[str] = []
    run(method, [Job(Question(film, text)) for text in texts], serving=served.append)
    return served[1:]  # the first opens the videos


def test_what_is_waited_for_longest_is_served_first_so_that_searches_meet_again(method, film):
    # after the captions one search waits for a decision and the other, as long, for vectors: these come first
    assert stages_served(method, film, "cd", "ced") == ["caption", "embed", "policy"]


def test_a_search_ahead_of_the_others_waits_no_longer_than_they_do(method, film):
    # "dd" waits for its second decision since the first turn, "cccd" for its captions since the second
    assert stages_served(method, film, "dd", "cccd") == ["caption", "policy", "caption", "policy", "caption", "policy"]


def test_what_many_wait_for_is_one_call_of_the_model(method, film):
    stages_served(method, film, "cd", "ced", "c", "ccc")
    assert [len(call) for call in method.stages.vlm.calls] == [4]  # the repeats are in the cache
    assert len(method.replies["ccc"]) == 3 and method.replies["ccc"][0] == method.replies["ccc"][2]


def test_each_search_pays_for_its_own_calls_and_shares_the_seconds(method, film):
    first, second = run(method, [Job(Question(film, text)) for text in ("cd", "e")])
    assert (first.usage.vlm_calls, first.usage.policy_calls, first.usage.embeddings) == (1, 1, 0)
    assert (second.usage.vlm_calls, second.usage.policy_calls, second.usage.embeddings) == (0, 0, 2)
    assert set(first.usage.seconds) == {"open", "caption", "policy"} and set(second.usage.seconds) == {"open", "embed"}
    assert first.usage.seconds["open"] == second.usage.seconds["open"] > 0


def test_replies_come_in_the_order_of_what_was_wished_for(method, film):
    stages_served(method, film, "ced", "d")
    (caption,), vectors, (decision,) = method.replies["ced"]
    assert caption.span.start_s == 0.0 and caption.caption.startswith("a scene in")
    assert vectors.shape == (2, 6) and np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert decision.action is Action.ACCEPT and "Question: ced\n" in decision.prompt


@pytest.mark.parametrize("text", ["c!", "!"])
def test_a_search_that_refuses_its_question_costs_no_other(method, film, text, tmp_path):
    refused, absent, whole, empty = run(
        method,
        [
            Job(Question(film, text)),
            Job(Question(str(tmp_path / "absent.mp4"), "c")),
            Job(Question(film, "cd")),
            Job(Question(film, " ")),
        ],
    )
    assert isinstance(refused, ConfigError) and "is refused" in str(refused)
    assert isinstance(absent, VideoError) and isinstance(empty, ConfigError)
    assert isinstance(whole, Selection) and whole.usage.policy_calls == 1


def test_a_policy_that_gives_too_few_decisions_is_named(method, film):
    class Short:
        identity = ""

        def decide(self, parts, temperature, seeds):
            return []

    method.stages = build_stages(CONFIG, ColourVLM(), Short(), ColourEmbedder())
    with pytest.raises(ModelError, match="the policy gave 0 replies to 1 requests"):
        run(method, [Job(Question(film, "d"))])


class Careless(Scripted):
    """A search that is written wrongly, as the question says."""

    def search(self, case: Case) -> Any:
        if case.question.text == "no generator":
            return Found(())
        return self.wrong(case)

    def wrong(self, case: Case) -> Search:
        if case.question.text == "no wish":
            yield "a caption, please"
        if case.question.text == "nothing found":
            return None
        frames = tuple(KeyFrame(i / 10, i) for i in range(case.config.frames + 1))
        return Found(frames)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("no generator", "search.. must be a generator"),
        ("no wish", "yields the wishes of search.wishes, not 'a caption, please'"),
        ("nothing found", "must return Found, it returned None"),
        ("too many frames", "chose 2 frames, more than 1"),
    ],
)
def test_a_search_that_is_written_wrongly_says_how_to_write_it(method, film, mistake, message):
    with pytest.raises((TypeError, ValueError), match=message):
        run(Careless(method.stages), [Job(Question(film, mistake))])


def test_searches_that_ask_more_often_than_their_step_are_stopped(method, film):
    with pytest.raises(RuntimeError, match="more often than in step: 1 times"):
        run(method, [Job(Question(film, "dd"))], decisions_in_step=1)


def test_an_empty_question_is_refused_before_its_video_is_opened(method, tmp_path):
    [error] = run(method, [Job(Question(str(tmp_path / "absent.mp4"), " "))])
    assert isinstance(error, ConfigError) and "the question is empty" in str(error)


def test_no_job_opens_nothing_and_asks_nobody(method):
    assert run(method, []) == []


@pytest.mark.parametrize(("texts", "asked"), [((), [0, 0, 0]), (("d",), [1, 0, 0]), (("dd", "d"), [2, 1, 0])])
def test_processes_in_step_ask_the_policy_equally_often_whatever_they_have_to_decide(method, film, texts, asked):
    policy = RulePolicy(lambda caption, depth: Action.ACCEPT, identity="")
    method.stages = build_stages(CONFIG, ColourVLM(), policy, ColourEmbedder())
    run(method, [Job(Question(film, text)) for text in texts], decisions_in_step=3)
    assert [len(call) for call in policy.calls] == asked


def test_in_step_a_search_with_more_to_do_before_its_decision_is_waited_for(method, film):
    policy = RulePolicy(lambda caption, depth: Action.ACCEPT, identity="")
    method.stages = build_stages(CONFIG, ColourVLM(), policy, ColourEmbedder())
    run(method, [Job(Question(film, text)) for text in ("dd", "ccdced")], decisions_in_step=2)
    assert [len(call) for call in policy.calls] == [2, 2]


def test_decisions_of_two_seeds_and_of_two_nodes_are_drawn_apart(film):
    policy = RulePolicy(lambda caption, depth: Action.ACCEPT)
    stages = build_stages(CONFIG, ColourVLM(), policy, ColourEmbedder())
    method = Scripted(stages, MinerConfig(search="plain", frames=1, cache_dir="off", temperature=1.0))
    run(method, [Job(Question(film, "d"), seed=seed) for seed in (1, 2, 1)])
    [(first, second, again)] = policy.seeds
    assert first == again != second


def test_usages_add_up_field_by_field_and_stage_by_stage():
    first = Usage(vlm_calls=2, prompt_tokens=5, seconds={"open": 1.0, "caption": 2.0})
    second = Usage(vlm_calls=1, answer_calls=1, seconds={"caption": 0.5, "policy": 4.0})
    added = Usage(vlm_calls=3, answer_calls=1, prompt_tokens=5, seconds={"open": 1.0, "caption": 2.5, "policy": 4.0})
    assert first + second == added and sum([first, second], Usage()) == added
    assert first == Usage(vlm_calls=2, prompt_tokens=5, seconds={"open": 1.0, "caption": 2.0})


def test_a_span_is_captioned_with_the_topic_that_is_wished_for(method, film):
    stages_served(method, film, "c")
    [[request]] = method.stages.vlm.calls
    assert "c" in request.prompt and request.frame_times_s == (pytest.approx(Span(0, 20).duration_s / 2, abs=0.2),)


@pytest.fixture
def films(film, tmp_path) -> list[str]:
    """Copies of a film."""
    copies = [tmp_path / f"{name}.mp4" for name in "abc"]
    for copy in copies:
        copy.write_bytes(Path(film).read_bytes())
    return [str(copy) for copy in copies]


def test_a_search_that_ends_makes_room_for_another_and_its_result_comes_at_once(method, films):
    served: list[str] = []
    jobs = [Job(Question(film, text)) for film, text in zip(films, ("c", "ccccd", "c"))]
    each = run_each(method, jobs, 2, serving=served.append)
    assert next(each)[0] == 0 and served == ["open", "open", "caption"]  # the first is over, the second goes on
    assert [position for position, _ in each] == [2, 1] and served.count("open") == 3
    assert served[3] == "open"  # in the place of the first


def test_results_that_come_one_by_one_are_those_of_searches_that_run_together(method, films):
    jobs = [Job(Question(film, text)) for film in films for text in ("cd", "ced", "c!", "dd")]
    whole = [str(result) if isinstance(result, ConfigError) else result.nodes for result in run(method, jobs)]
    for at_once in (1, 3, 100):
        each = dict(run_each(method, jobs, at_once))
        made = [str(each[i]) if isinstance(each[i], ConfigError) else each[i].nodes for i in range(len(jobs))]
        assert made == whole


def test_questions_on_one_video_begin_together_and_their_video_is_opened_once(method, films):
    served: list[str] = []
    jobs = [Job(Question(film, text)) for text in ("cd", "ce") for film in films]
    ended = [i for i, _ in run_each(method, jobs, 1, serving=served.append)]
    assert [sorted(ended[i : i + 2]) for i in (0, 2, 4)] == [[0, 3], [1, 4], [2, 5]]
    assert served.count("open") == 3


def test_no_video_is_opened_beyond_the_memory_for_open_ones(method, films, monkeypatch):
    monkeypatch.setattr("lmms_videominer.search.open_searches.SHARE", 0.0)
    served: list[str] = []
    jobs = [Job(Question(film, "c")) for film in films]
    assert [i for i, _ in run_each(method, jobs, 8, serving=served.append)] == [0, 1, 2]
    assert served == ["open", "caption"] * 3  # one after the other: one is always open


def test_what_has_ended_is_finished_several_at_a_time_and_before_others_begin(method, films):
    """Answers wait as wishes do: not for what others wish later, and not for those that are not begun."""
    finished: list[int] = []

    def finish(results):
        finished.append(len(results))
        return results

    jobs = [Job(Question(film, text)) for film in films for text in ("c", "c")]
    served: list[str] = []
    each = run_each(method, jobs, 2, finish=finish, serving=served.append)
    assert [next(each)[0], next(each)[0]] == [0, 1] and served == ["open", "caption"]
    assert [position for position, _ in each] == [2, 3, 4, 5] and finished == [2, 2, 2]


def test_whoever_stops_asking_stops_the_work(method, films):
    each = run_each(method, [Job(Question(film, "ccd")) for film in films], 1)
    next(each)
    each.close()
    assert len(method.replies["ccd"]) == 3 and method.stages.policy is not None
    assert list(run_each(method, [], 4)) == []
