"""The most calls of a selector, against real selections and against sums by hand."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from support.families import ASKING, settings_for
from support.scripted import ColourEmbedder, ColourEncoder, ColourVLM, ReplyingLM, always, finder

from lmms_videominer.config import MinerConfig
from lmms_videominer.selectors import SELECTORS, get_selector, selector_class
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.selector import Calls
from lmms_videominer.selectors.settings import configured
from lmms_videominer.types import Action, Question, Span

SMALL = MinerConfig(
    frames=4, events=4, scan_frames=64, caption_frames=2, clustering="none", judge="policy", cache_dir="off"
)
SETTINGS = [
    {},
    {"max_vlm_calls": 6, "max_nodes": 5},
    {"clustering": "frame", "features": "captions"},
    {"search": "plain"},
    {"look": "none", "wave": 5},
    {"videominer_judge": "caption", "default_action": "continue"},
    {"candidate_fps": 3.0, "qframe_candidates": 9, "focus_clip_s": 1.0},
]


def spent_and_most(film: str, config: MinerConfig, policy) -> tuple[Calls, Calls]:
    stages = build_stages(config, ColourVLM(), policy, ColourEmbedder(), scorer=ColourEncoder())
    question = Question(film, "What is yellow?", ("red", "yellow"), (Span(12.0, 14.0),))
    [selection] = get_selector(config.selector, stages, config).select([question])
    usage = selection.usage
    made = Calls(
        usage.vlm_calls + usage.vlm_calls_cached,
        usage.policy_calls + usage.policy_calls_cached,
        usage.scores + usage.scores_cached,
    )
    return made, selector_class(config.selector).calls_at_most(config, selection.video.duration_s)


@pytest.mark.parametrize("changed", SETTINGS)
@pytest.mark.parametrize("name", SELECTORS)
def test_no_selector_makes_more_calls_than_its_settings_allow(name, changed, film):
    config = configured(SMALL, selector=name, **settings_for(name, changed))
    for policy in (always(Action.CONTINUE), finder("yellow")):
        made, most = spent_and_most(film, config, policy)
        assert made.vlm <= most.vlm and made.llm <= most.llm and made.scored <= most.scored, (made, most)


@pytest.mark.parametrize("features", ["captions", "scorer"])
@pytest.mark.parametrize("name", ASKING)
def test_replies_are_bounded_too(name, features, film):
    changed = {"judge": "reply", "llovi_summary_words": 50, "features": features, "max_vlm_calls": 8}
    config = configured(SMALL, selector=name, **settings_for(name, changed))
    wishes = [{"segment": segment, "description": colour} for segment in range(1, 9) for colour in ("red", "blue")]
    made, most = spent_and_most(film, config, ReplyingLM(lambda prompt: json.dumps({"frames": wishes})))
    assert made.vlm <= most.vlm <= 8 and made.llm <= most.llm


def test_a_policy_that_never_decides_reaches_the_bound(film):
    config = dataclasses.replace(SMALL, selector="videominer", search="plain", max_depth=1)
    assert spent_and_most(film, config, always(Action.CONTINUE)) == (Calls(4, 4, 0), Calls(4, 4, 0))
    config = dataclasses.replace(SMALL, selector="topk")
    assert spent_and_most(film, config, always(Action.CONTINUE)) == (Calls(0, 0, 20), Calls(0, 0, 20))


@pytest.mark.parametrize(
    ("settings", "duration_s", "calls"),
    [
        ({"search": "plain"}, math.inf, Calls(200, 200)),  # 16 + 256 + 4096 events, cut by max_vlm_calls
        ({"search": "plain", "max_depth": 1}, math.inf, Calls(16, 16)),
        ({"search": "plain", "grain_s": 4.0}, 64.0, Calls()),  # 16 events of 4 s: no search
        ({"search": "plain", "max_depth": 1, "clustering": "frame"}, math.inf, Calls(64, 64)),
        ({"search": "plain", "policy": "none"}, math.inf, Calls(200, 0)),
        # the root is decided about, too; frames of the first cut, of the cut of each node, and around the key frames
        ({}, 3600.0, Calls(200, 201, math.inf, 256 + 2 * 900 + 200 * 4 * 16 + 4 * 8)),  # and again, a frame every 4 s
        ({}, math.inf, Calls(200, 201, math.inf, math.inf)),
        ({}, 20.0, Calls(200, 201, math.inf, 256 + 200 * 4 * 16 + 4 * 8)),
        ({"max_vlm_calls": 10, "events": 8}, 10_000.0, Calls(10, 11, math.inf, 400 + 10 * 4 * 8 + 4 * 8)),
        ({"max_nodes": 7}, 3600.0, Calls(200, 8, math.inf, 256 + 2 * 900 + 200 * 4 * 16 + 4 * 8)),
        ({"policy": "none"}, 3600.0, Calls(200, 0, math.inf, 256 + 2 * 900 + 200 * 4 * 16 + 4 * 8)),
        ({"look": "none"}, 3600.0, Calls(200, 201)),
        ({"look": "none", "videominer_judge": "caption"}, 3600.0, Calls(200, 1)),  # what is sought
        ({"search": "plain", "videominer_judge": "caption"}, math.inf, Calls(200, 0)),
        ({"selector": "llovi"}, 60.0, Calls(60, 1)),
        ({"selector": "llovi", "llovi_summary_words": 500}, 3600.0, Calls(200, 2)),
        ({"selector": "llovi", "judge": "policy"}, math.inf, Calls(200, 200)),
        ({"selector": "videotree", "features": "captions"}, 3600.0, Calls(200, 3)),  # rounds of 8, 16 and 32 clusters
        ({"selector": "videotree"}, 3600.0, Calls(56, 3, 3600)),
        (
            {"selector": "videoagent", "features": "captions"},
            3600.0,
            Calls(200, 6),
        ),  # three calls after each of two looks
        ({"selector": "videoagent", "judge": "policy"}, 3600.0, Calls(17, 14, 7200, 3600)),  # 5, 9, 17 looks
        ({"selector": "aks"}, 3600.0, Calls(0, 0, 3600)),
        ({"selector": "aks"}, math.inf, Calls(0, 0, math.inf)),
        ({"selector": "topk"}, 3.0, Calls(0, 0, 8)),  # no fewer than the budget
        ({"selector": "topk", "candidate_fps": 0.5}, 3600.0, Calls(0, 0, 1800)),
        ({"selector": "qframe"}, math.inf, Calls(0, 0, 128)),
        ({"selector": "qframe"}, 60.0, Calls(0, 0, 60)),
        ({"selector": "qframe", "frames": 200}, math.inf, Calls(0, 0, 200)),
        ({"selector": "focus"}, 3600.0, Calls(0, 0, 225 * 3 + 57 * 16)),
        ({"selector": "focus", "focus_share": 0.1}, 38.0, Calls(0, 0, 8 * 3 + 4 * 5)),
        ({"selector": "focus"}, 6.0, Calls(0, 0, 8 * 3 + 4)),
        ({"selector": "focus"}, math.inf, Calls(0, 0, math.inf)),
        ({"selector": "uniform"}, math.inf, Calls()),
    ],
)
def test_bounds_by_hand(settings, duration_s, calls):
    config = configured(**settings)
    assert selector_class(config.selector).calls_at_most(config, duration_s) == calls
