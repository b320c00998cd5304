"""A film of which seven seconds cannot be decoded: every selector goes on, and its result counts the substitutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import videos
from support.scripted import ColourEmbedder, ColourEncoder, ColourVLM, finder

from lmms_videominer.config import MinerConfig
from lmms_videominer.miner import VideoMiner
from lmms_videominer.segmenters import SEGMENTERS
from lmms_videominer.selectors import SELECTORS
from lmms_videominer.selectors.building import build_stages
from lmms_videominer.selectors.settings import configured
from lmms_videominer.types import Question, Selection, Span

DAMAGED = range(130, 200)  # of 200; those before show yellow from frame 120 on, and the last of them serves
BASE = MinerConfig(frames=4, events=4, scan_frames=40, caption_frames=2, clustering="none", judge="policy", grain_s=0)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory, film: str) -> str:
    return str(videos.write_damaged(tmp_path_factory.mktemp("damaged") / "film.mp4", Path(film), *DAMAGED))


def mine(video: str, name: str, *texts: str, **settings) -> tuple[list[Selection], ColourVLM]:
    config, vlm = configured(BASE, selector=name, **settings), ColourVLM()
    stages = build_stages(config, vlm, finder("yellow"), ColourEmbedder(), scorer=ColourEncoder())
    questions = [Question(video, text, evidence=(Span(12.5, 15.0),)) for text in texts or ("What is yellow?",)]
    results = VideoMiner(stages, config).mine_batch(questions)
    assert all(isinstance(result, Selection) for result in results)
    return results, vlm


def lost_key_frames(selection: Selection) -> int:
    return sum(frame.frame_index in DAMAGED for frame in selection.key_frames)


@pytest.mark.parametrize("reader", ["pyav", "auto"])
@pytest.mark.parametrize("name", SELECTORS)
def test_the_result_counts_the_damaged_frames_that_it_was_made_with(name, reader, damaged, film):
    [selection], _ = mine(damaged, name, reader=reader)
    counted = selection.usage.frames_substituted
    if name == "none":
        assert counted == 0
    elif name in ("uniform", "oracle"):  # they look at no frame but those for the answer
        assert counted == lost_key_frames(selection) > 0
    else:
        assert counted > lost_key_frames(selection)

    [whole], _ = mine(film, name, reader=reader)
    assert whole.usage.frames_substituted == 0


@pytest.mark.parametrize("name", SELECTORS)
def test_what_comes_from_the_cache_counts_as_it_did_when_it_was_made(name, damaged):
    [first], _ = mine(damaged, name)
    [second], asked = mine(damaged, name)
    assert not asked.calls and second.usage.frames_decoded == 0
    assert second.usage.frames_substituted == first.usage.frames_substituted


@pytest.mark.parametrize("name", SELECTORS)
def test_questions_asked_together_count_as_each_would_alone(name, damaged):
    texts = ("What is yellow?", "Which sign is yellow?")
    alone = [mine(damaged, name, text, cache_dir="off")[0][0] for text in texts]
    together, _ = mine(damaged, name, *texts, cache_dir="off")
    assert [s.usage.frames_substituted for s in together] == [s.usage.frames_substituted for s in alone]


@pytest.mark.parametrize("segmenter", SEGMENTERS)
def test_scanned_frames_captioned_frames_and_key_frames_are_counted_each(segmenter, damaged):
    [selection], _ = mine(damaged, "videominer", search="plain", segmenter=segmenter, max_depth=1)
    captioned = {round(time_s * 10) for node in selection.nodes for e in node.events for time_s in e.frame_times_s}
    scanned = len(DAMAGED) * 40 // 200
    expected = scanned + len(captioned & {*DAMAGED}) + lost_key_frames(selection)
    assert selection.usage.frames_substituted == expected
