"""What questions on one video share: plain captions, and an index made before any question is asked."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from support.scripted import ColourEmbedder, ColourEncoder, ColourScorer, ColourVLM, RulePolicy, colour_video

from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.selectors.indexing import Indexed
from lmms_videominer.types import Action, Question, Selection
from lmms_videominer.vlm.prompts import PLAIN_TOPIC, caption_prompt

SETTINGS = {
    "search": "best-first",
    "wave": 2,
    "reach": 0.0,
    "frames": 4,
    "events": 4,
    "scan_frames": 64,
    "caption_frames": 2,
    "max_depth": 2,
    "grain_s": 1.0,
    "clustering": "none",
}
# 64 s: the first cut has the square root of its seconds, 8 events, and these are its scenes
FILM = [("red", 9), ("green", 7), ("blue", 8), ("black", 8), ("red", 9), ("yellow", 7), ("green", 8), ("white", 8)]
SEARCHES = {"best-first": {}, "plain": {"search": "plain", "events": 8, "grain_s": 0.0}}
YELLOW = "What is yellow?"


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> str:
    return colour_video(tmp_path_factory.mktemp("films") / "film.mp4", FILM)


def miner(cache: Path, scorer=None, **settings) -> VideoMiner:
    """Looks closer at yellow, and accepts it there."""
    policy = RulePolicy(closer, "closer at yellow", sought="a scene in yellow")
    models = {"vlm": ColourVLM(), "embedder": ColourEmbedder(), "scorer": scorer or ColourEncoder()}
    return VideoMiner.from_pretrained(**models, policy=policy, **(SETTINGS | {"cache_dir": str(cache)} | settings))


def closer(caption: str, depth: int) -> Action:
    if depth and "yellow" not in caption:
        return Action.DELETE
    return Action.ACCEPT if depth == 2 else Action.CONTINUE


def mine(mined: VideoMiner, film: str, text: str = YELLOW) -> Selection:
    return mined.mine(film, text, answer=False)


def index(mined: VideoMiner, film: str) -> Indexed:
    [indexed] = mined.index([film])
    assert isinstance(indexed, Indexed), indexed
    return indexed


def prompts(mined: VideoMiner) -> list[str]:
    return [request.prompt for call in mined.stages.vlm.calls for request in call]


def events_at(selection: Selection, depth: int) -> int:
    return sum(len(node.events) for node in selection.nodes if node.depth == depth)


# plain captions


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("levels", [0, 1, 2])
def test_captions_of_the_first_levels_do_not_know_the_question(film, tmp_path, search, levels):
    mined = miner(tmp_path, index=levels, **SEARCHES[search])
    selection = mine(mined, film)
    plain = sum(events_at(selection, depth) for depth in range(1, levels + 1))
    asked = [prompt for prompt in prompts(mined) if YELLOW in prompt]
    assert events_at(selection, 1) and events_at(selection, 2)
    assert len(asked) == events_at(selection, 1) + events_at(selection, 2) - plain
    assert prompts(mined).count(caption_prompt(PLAIN_TOPIC)) == plain


def test_questions_of_one_run_share_the_plain_captions_of_a_video(film, tmp_path):
    mined = miner(tmp_path, index=1)
    texts = [YELLOW, "Where is yellow?", "Who wears yellow?"]
    first, *others = mined.mine_batch([Question(film, text) for text in texts], answer=False)
    assert first.usage.vlm_calls == events_at(first, 1) + events_at(first, 2) and not first.usage.vlm_calls_cached
    for other in others:
        assert (other.usage.vlm_calls, other.usage.vlm_calls_cached) == (events_at(other, 2), events_at(other, 1))


def test_levels_are_not_negative():
    with pytest.raises(ConfigError, match="index=-1"):
        miner(Path(), index=-1)


# an index made beforehand


@pytest.mark.parametrize("search", SEARCHES)
def test_a_question_after_an_index_makes_no_caption_of_the_first_level(film, tmp_path, search):
    indexed = index(miner(tmp_path, index=1, **SEARCHES[search]), film)
    assert (indexed.usage.vlm_calls, indexed.usage.policy_calls, len(indexed.events)) == (8, 0, 8)
    assert [event.caption for event in indexed.events] == [f"a scene in {colour}" for colour, _ in FILM]
    later = miner(tmp_path, index=1, **SEARCHES[search])
    selection = mine(later, film)
    assert (selection.usage.vlm_calls, selection.usage.vlm_calls_cached) == (
        events_at(selection, 2),
        events_at(selection, 1),
    )
    assert caption_prompt(PLAIN_TOPIC) not in prompts(later)


@pytest.mark.parametrize("search", SEARCHES)
def test_the_tree_is_the_same_with_and_without_an_index_made_beforehand(film, tmp_path, search):
    settings = {"index": 1, **SEARCHES[search]}
    index(miner(tmp_path / "warm", **settings), film)
    warm, cold = (mine(miner(tmp_path / name, **settings), film) for name in ("warm", "cold"))
    assert warm.nodes == cold.nodes and warm.key_frames == cold.key_frames
    assert warm.usage.vlm_calls < cold.usage.vlm_calls


def test_frames_of_the_first_scan_are_encoded_once(film, tmp_path):
    indexed = index(miner(tmp_path / "warm", index=1), film)
    warm, cold = (mine(miner(tmp_path / name, index=1), film) for name in ("warm", "cold"))
    assert indexed.usage.scores == SETTINGS["scan_frames"] == cold.usage.scores - warm.usage.scores


@pytest.mark.parametrize("scorer", [ColourScorer(), None])
def test_a_scorer_that_reads_the_text_too_has_no_features_to_keep(film, tmp_path, scorer):
    indexed = index(miner(tmp_path, scorer=scorer, index=1), film)
    assert (indexed.usage.scores == 0) is isinstance(scorer, ColourScorer) and indexed.usage.vlm_calls == 8


def test_two_levels_hold_every_caption_that_a_question_asks_for(film, tmp_path):
    indexed = index(miner(tmp_path, index=2), film)
    assert indexed.usage.vlm_calls == len(indexed.events) > 16
    selection = mine(miner(tmp_path, index=2), film)
    assert events_at(selection, 2) and selection.usage.vlm_calls == 0


def test_at_the_limit_of_captions_the_events_are_spread_over_the_video(film, tmp_path):
    mined = miner(tmp_path, index=2, max_vlm_calls=4)
    indexed = index(mined, film)
    assert indexed.usage.vlm_calls == 4
    starts = [event.span.start_s for event in indexed.events]
    assert starts[-1] > 50 and min(b - a for a, b in itertools.pairwise(starts)) > 10


def test_without_levels_the_cut_and_the_features_are_made_but_no_captions(film, tmp_path):
    mined = miner(tmp_path)
    indexed = index(mined, film)
    assert [event.caption for event in indexed.events] == [None] * 8
    assert indexed.usage.scores and not indexed.usage.vlm_calls and not mined.stages.vlm.calls


def test_a_second_index_makes_nothing(film, tmp_path):
    first, second = (index(miner(tmp_path, index=1), film) for _ in range(2))
    assert second.events == first.events
    assert (second.usage.vlm_calls, second.usage.vlm_calls_cached, second.usage.frames_decoded) == (0, 8, 0)


def test_a_bad_video_is_an_error_in_its_place_and_the_others_go_on(film, tmp_path):
    error, indexed = miner(tmp_path / "cache", index=1).index([tmp_path / "absent.mp4", film])
    assert isinstance(error, VideoError) and "absent.mp4" in str(error)
    assert isinstance(indexed, Indexed) and len(indexed.events) == 8


def test_a_video_that_is_not_searched_needs_no_index(tmp_path):
    short = colour_video(tmp_path / "short.mp4", [("red", 2)])
    mined = miner(tmp_path / "cache", index=1, search="plain", grain_s=4.0)
    assert index(mined, short).events == () and not mined.stages.vlm.calls


def test_an_index_is_refused_for_a_selector_that_has_no_use_for_it(film, tmp_path):
    mined = VideoMiner.from_pretrained(vlm=ColourVLM(), selector="uniform", cache_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="selector=uniform: an index is of use to selector=videominer"):
        mined.index([film])
