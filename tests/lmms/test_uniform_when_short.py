"""Videos too short for a search, through lmms-eval: what the backbone sees is what ``selector=uniform`` shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qwen_vl_utils.vision_process import smart_nframes
from support.evaluation import PIXELS, evaluate, fallbacks_of, note_of, watching

from lmms_videominer.config import MinerConfig
from lmms_videominer.lmms.uniform_frames import plain_frames, with_plain_frames
from lmms_videominer.search.stages import Stages
from lmms_videominer.selectors import get_selector
from lmms_videominer.store.cache import open_cache
from lmms_videominer.store.selection_json import load
from lmms_videominer.types import Question

FRAMES = 6  # of 60 in 15 s


@pytest.mark.evaluates
@pytest.mark.parametrize("backbone", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "llava_hf"])
def test_every_answer_is_that_of_uniform_frames_and_nothing_else_is_asked(backbone, tiny, task, tmp_path):
    runs = {}
    for selector in ("uniform", "videominer"):
        arguments = (
            f"pretrained={tiny(backbone)},frames={FRAMES},selector={selector},search=plain{PIXELS.get(backbone, '')}"
        )
        with watching() as seen:
            samples = evaluate(tmp_path / selector, f"videominer_{backbone}", arguments, "tiny_video", task)
        runs[selector] = seen, samples

    (by_uniform, uniform), (by_mining, mined) = runs["uniform"], runs["videominer"]
    if backbone != "qwen2_5_vl":  # it is told the mean distance of the frames, and by itself that of equal parts
        assert [sample["filtered_resps"] for sample in mined] == [sample["filtered_resps"] for sample in uniform]
    assert [note_of(sample)["frames"] for sample in mined] == [note_of(sample)["frames"] for sample in uniform]
    assert len(by_mining.prompts) == len(by_mining.towers) == 3  # the answers
    assert all(any(map(given.equal, by_uniform.towers)) for given in by_mining.towers)
    for sample in mined:
        tree = load(note_of(sample)["tree"])
        assert note_of(sample)["how"] == "mined" and not fallbacks_of(sample)
        assert note_of(sample)["why"].startswith("no search: the video is too short")
        assert sample["videominer"]["tree"] == note_of(sample)["tree"]  # where people look for it
        assert Path(sample["videominer"]["pictures"]).is_file()
        assert [node.note for node in tree.nodes] == ["short"] and tree.usage.vlm_calls == tree.usage.policy_calls == 0
        assert [frame.frame_index for frame in tree.key_frames] == note_of(sample)["frames"]


def selection_of(video, **settings):
    no_models = Stages(vlm=None, segmenter=None, clusterer=None, cache=open_cache("off"))
    selector = get_selector("videominer", no_models, MinerConfig(search="plain", **settings))
    [selection] = selector.select([Question(str(video), "What is seen?")])
    return selection


def test_a_backbone_of_unknown_sampling_gets_the_frames_of_uniform_selection(videos):
    selection = selection_of(videos[0], frames=FRAMES)
    assert with_plain_frames(selection, "") == selection
    assert [frame.frame_index for frame in selection.key_frames] == [5, 15, 25, 35, 45, 55]


def test_frames_taken_by_the_backbones_rule_name_their_time_and_the_root(videos):
    frames = with_plain_frames(selection_of(videos[0], frames=FRAMES), "linspace").key_frames
    assert [frame.frame_index for frame in frames] == np.linspace(0, 59, FRAMES, dtype=int).tolist()
    assert [(frame.time_s, frame.node_id) for frame in frames] == [(frame.frame_index / 4, "0") for frame in frames]


@pytest.mark.parametrize(("wanted", "taken"), [(15, range(0, 60, 4)), (16, range(0, 60, 4)), (3, (0, 29, 59))])
def test_a_backbone_that_takes_a_frame_a_second_thins_them_where_they_are_too_many(wanted, taken, videos):
    """15 s at 4 frames a second."""
    assert [frame.frame_index for frame in plain_frames("seconds", str(videos[0]), wanted)] == list(taken)


@pytest.mark.parametrize("wanted", range(2, 13))
def test_an_odd_count_is_rounded_as_the_library_does(wanted, videos):
    taken = [frame.frame_index for frame in plain_frames("rounded", str(videos[0]), wanted)]
    assert len(taken) == smart_nframes({"nframes": wanted}, 60, 4.0) and (taken[0], taken[-1]) == (0, 59)
    floored = plain_frames("even", str(videos[0]), wanted)
    assert len(floored) == wanted // 2 * 2


@pytest.mark.parametrize("budget", [60, 64])
def test_a_video_within_the_budget_is_shown_whole_each_frame_once(videos, budget):
    selection = with_plain_frames(selection_of(videos[0], frames=budget), "linspace")
    assert [frame.frame_index for frame in selection.key_frames] == list(range(60))
