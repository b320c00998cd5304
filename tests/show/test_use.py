"""What a selection gives people to go on with: pictures, files, messages and clips, from real films."""

from __future__ import annotations

import base64
import dataclasses
import io
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from support import videos
from support.scripted import COLOURS, ColourVLM, colours_of, finder
from support.videos import Tone

from lmms_videominer import VideoMiner
from lmms_videominer.errors import ConfigError, VideoError
from lmms_videominer.store import selection_json
from lmms_videominer.types import Action, Cue, Decision, Event, KeyFrame, Node, Question, Reading, Selection, Span
from lmms_videominer.video import open_video

SETTINGS = {"search": "plain", "frames": 4, "events": 4, "scan_frames": 64, "clustering": "none", "grain_s": 0.0}


@pytest.fixture(scope="module")
def mined(film: str) -> Selection:
    """The frames of the yellow scene, from 12 to 15 s."""
    miner = VideoMiner.from_pretrained(vlm=ColourVLM(), policy=finder("yellow"), cache_dir="off", **SETTINGS)
    return miner.mine(film, "What is there?", options=("a lake", "a sun"))


@pytest.fixture(scope="module")
def numbered(video_dir: Path) -> Selection:
    """Numbered frames of a film of 4 s with sound; accepted are 1.2 to 1.8 s and 2.4 to 3 s."""
    path = videos.write_with_sound(video_dir / "sounding.mp4", range(100), [Tone(1.5, 2.7)])
    nodes = [Node("0", 0, (Event(Span(0, 4)),))]
    for i, (span, action) in enumerate(
        [((0, 1.2), Action.DELETE), ((1.2, 1.8), Action.ACCEPT), ((2.4, 3.0), Action.ACCEPT)]
    ):
        nodes.append(Node(f"0.{i}", 1, (Event(Span(*span)),), Decision(action, "", Reading.STRICT)))
    with open_video(path) as reader:
        info = reader.info
    frames = tuple(KeyFrame(index / 25, index) for index in (31, 40, 63))
    return Selection(Question(str(path), "What?"), info, frames, "videominer", tuple(nodes))


def test_images_are_the_key_frames_in_order(numbered, mined):
    assert [videos.number_of(np.array(image)) for image in numbered.images()] == [31, 40, 63]
    assert [image.size for image in mined.images()] == [(32, 32)] * 4
    assert colours_of(np.stack([np.array(image) for image in mined.images()])) == ["yellow"]


def test_images_are_scaled_to_the_pixels_allowed(numbered):
    assert [image.size for image in numbered.images(max_pixels=1000)] == [(38, 24)] * 3
    assert numbered.images(max_pixels=10**6)[0].size == (96, 64)
    with pytest.raises(ConfigError, match="max_pixels=-1"):
        numbered.images(-1)


def test_a_selection_without_key_frames_has_no_images_and_asks_the_question_alone(tmp_path):
    bare = Selection(Question("gone.mp4", "Why?"), None, (), "none")
    assert bare.images() == []
    assert bare.to_messages() == [{"role": "user", "content": [{"type": "text", "text": "Why?"}]}]


def test_messages_tell_what_is_said_as_the_prompt_for_the_answer_does():
    cue = Cue(Span(62.0, 64.0), "all is well")
    [message] = Selection(Question("gone.mp4", "Why?"), None, (), "none", said=(cue,)).to_messages()
    assert message["content"][-1]["text"] == 'What is said near these frames:\n0:01:02 "all is well"\nWhy?'


def test_a_moved_video_is_told_with_the_way_out_and_found_where_it_is_said_to_be(numbered, tmp_path):
    moved = dataclasses.replace(numbered, question=Question("/nowhere/sounding.mp4", "What?"))
    for use in (moved.images, moved.to_messages, lambda: moved.save(tmp_path), lambda: moved.clips(tmp_path)):
        with pytest.raises(VideoError, match=r"/nowhere/sounding.mp4: the video is not there\. .* video=PATH"):
            use()
    place = Path(numbered.question.video)
    assert len(moved.images(video=place)) == len(moved.images(video=place.parent)) == 3
    assert len(moved.clips(tmp_path, video=place)) == 2 and len(moved.save(tmp_path, video=place)) == 4


def test_another_film_in_its_place_is_refused(mined, numbered, tmp_path):
    for use in (mined.images, lambda video: mined.clips(tmp_path, video=video)):
        with pytest.raises(VideoError, match="not the one that was mined"):
            use(video=numbered.question.video)
    assert not list(tmp_path.iterdir())


def test_save_writes_the_frames_and_a_result_that_loads(mined, tmp_path):
    *frames, tree = mined.save(tmp_path / "new")
    assert tree == tmp_path / "new" / "tree.json" and selection_json.load(tree) == mined
    assert sorted(frames) == frames == sorted((tmp_path / "new" / "frames").iterdir())
    assert colours_of(np.stack([np.array(Image.open(path)) for path in frames])) == ["yellow"]


def test_save_replaces_an_earlier_result_and_leaves_other_files(mined, numbered, tmp_path):
    numbered.save(tmp_path)
    (tmp_path / "frames" / "holiday.png").write_text("mine")
    *frames, tree = mined.save(tmp_path)
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {"holiday.png", *(f.name for f in frames)}
    assert selection_json.load(tree) == mined


def test_a_save_that_fails_midway_keeps_the_earlier_result_with_its_frames(mined, numbered, tmp_path):
    *before, tree = numbered.save(tmp_path)
    last = f"00h00m{mined.key_frames[-1].time_s:06.3f}s.png"
    (tmp_path / "frames" / last).mkdir()  # no file can come there
    with pytest.raises(ConfigError, match=r"cannot be written"):
        mined.save(tmp_path)
    assert selection_json.load(tree) == numbered and all(path.is_file() for path in before)
    assert not list(tmp_path.rglob("*.part"))


def test_openai_messages_show_each_frame_after_its_time_and_end_with_the_question(mined):
    [message] = mined.to_messages("openai")
    *shown, last = message["content"]
    assert message["role"] == "user"
    assert last == {
        "type": "text",
        "text": "What is there?\nA. a lake\nB. a sun\nAnswer with the option's letter from the given choices directly.",
    }
    times = [f"Frame at 0:00:{frame.time_s:05.2f}:" for frame in mined.key_frames]
    assert [item["text"] for item in shown[::2]] == times
    for item in shown[1::2]:
        kind, _, data = item["image_url"]["url"].partition(";base64,")
        assert item["type"] == "image_url" and kind == "data:image/jpeg"
        picture = np.array(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")).astype(int)
        assert np.abs(picture - COLOURS["yellow"]).max() < 6


def test_qwen_messages_are_what_its_processor_and_qwen_vl_utils_read(mined, tmp_path):
    from qwen_vl_utils import process_vision_info
    from support import tiny_models
    from transformers import AutoProcessor

    messages = mined.to_messages("qwen")
    images, clips = process_vision_info(messages)
    assert clips is None and len(images) == 4 and colours_of(np.stack([np.array(i) for i in images])) == ["yellow"]
    processor = AutoProcessor.from_pretrained(tiny_models.tiny_qwen2_vl(tmp_path / "vl"))
    inputs = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
    assert len(inputs["image_grid_thw"]) == 4


def test_an_unknown_style_is_refused(mined):
    with pytest.raises(ConfigError, match="unknown style 'openal'; did you mean 'openai'"):
        mined.to_messages("openal")


def test_clips_are_the_accepted_parts_with_their_sound(numbered, tmp_path):
    first, second = numbered.clips(tmp_path / "clips")
    assert [path.name for path in (first, second)] == [
        "00h00m01.200s-00h00m01.800s.mp4",
        "00h00m02.400s-00h00m03.000s.mp4",
    ]
    assert frames_of(first) == list(range(30, 45)) and frames_of(second) == list(range(60, 75))
    assert videos.loud_s(first) == pytest.approx((0.3, 0.6), abs=0.03)
    assert videos.loud_s(second) == pytest.approx((0.0, 0.3), abs=0.03)


def test_a_margin_widens_clips_within_the_video_and_joins_those_that_meet(numbered, tmp_path):
    assert [path.name for path in numbered.clips(tmp_path, margin_s=0.2)] == [
        "00h00m01.000s-00h00m02.000s.mp4",
        "00h00m02.200s-00h00m03.200s.mp4",
    ]
    [one] = numbered.clips(tmp_path, margin_s=1.25)
    assert one.name == "00h00m00.000s-00h00m04.000s.mp4" and frames_of(one) == list(range(100))
    with pytest.raises(ConfigError, match="margin_s=-1"):
        numbered.clips(tmp_path, -1)


def test_where_nothing_was_accepted_there_are_no_clips(numbered, tmp_path):
    nothing = dataclasses.replace(numbered, nodes=numbered.nodes[:2])
    assert nothing.accepted == () == nothing.clips(tmp_path / "clips") and not (tmp_path / "clips").exists()


def test_a_clip_folder_that_cannot_be_made_is_told(numbered, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file.*cannot be written"):
        numbered.clips(tmp_path / "file")


def test_a_result_that_was_stored_can_be_used_where_it_is_loaded(mined, film, tmp_path):
    shutil.copy(film, tmp_path / "copy.mp4")
    *_, tree = mined.save(tmp_path)
    assert len(selection_json.load(tree).images(video=tmp_path / "copy.mp4")) == 4


def frames_of(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [videos.number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
