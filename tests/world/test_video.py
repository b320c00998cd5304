"""Worlds as files: pixels, containers, questions."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest

from lmms_videominer.video import frame_indices_at, open_video
from lmms_videominer.world import render_world
from lmms_videominer.world.render import render_frame, render_times
from lmms_videominer.world.script import FPS, NUISANCES, SIZE, STATES, write_script


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    render_world(folder, 1, 2, 17, workers=1, progress=False, questions=3)
    return folder


def test_the_files_are_h264_with_a_key_frame_every_few_seconds(world):
    for path in sorted(world.glob("*.mp4")):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            keys = [float(p.pts * p.time_base) for p in container.demux(stream) if p.pts is not None and p.is_keyframe]
        assert stream.codec_context.name == "h264"
        assert np.diff(keys).max() <= 4 and 10 <= len(keys) <= 40


def test_the_pixels_in_the_file_are_those_of_the_script(world):
    row = json.loads((world / "qa.jsonl").read_text().splitlines()[0])
    script = write_script(17, 0, 1)
    with open_video(world / row["video"]) as reader:
        assert reader.info.frame_count == 60 * FPS
        times = [sum(window) / 2 for window in row["evidence"]]
        frames = reader.frames(frame_indices_at(reader, times))
    shown = render_times(script, np.floor(np.array(times) * FPS) / FPS)
    assert np.abs(frames.astype(int) - shown).mean() < 6


def test_a_second_run_writes_the_same_bytes_and_keeps_the_videos(world):
    before = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in world.glob("*.mp4")}
    questions = (world / "qa.jsonl").read_bytes()
    render_world(world, 1, 2, 17, workers=1, progress=False, questions=3)
    assert {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in world.glob("*.mp4")} == before
    assert (world / "qa.jsonl").read_bytes() == questions
    assert not list(world.glob(".*"))


def test_rendering_twice_gives_the_same_pixels():
    script = write_script(21, 0, 5, NUISANCES)
    times = np.linspace(0, 299, 40)
    assert (render_times(script, times) == render_times(script, times)).all()


def test_a_board_is_up_during_its_moment_only():
    script = write_script(21, 0, 15)
    moment = next(m for scene in script.scenes for m in scene.moments)
    before, during = (render_frame(script, t) for t in (moment.span.start_s - 0.2, moment.span.start_s + 0.2))
    assert before.shape == (SIZE, SIZE, 3) and before.dtype == np.uint8
    white = (during[:84] > 235).all(-1).sum() - (before[:84] > 235).all(-1).sum()
    assert white > 1000 or script.scene_at(moment.span.start_s).place == "snow"


def test_an_action_shows_its_two_states_in_order():
    script = write_script(21, 0, 60)
    moment = next(m for scene in script.scenes for m in scene.actions)
    first, second = (script.state_at(t).board for t in (moment.span.start_s + 0.1, moment.span.end_s - 0.1))
    assert first != second and {first, second} <= set(STATES)


@pytest.mark.parametrize("nuisance", NUISANCES)
def test_every_nuisance_changes_the_picture_and_not_the_questions(nuisance):
    plain, disturbed = write_script(30, 0, 5), write_script(30, 0, 5, (nuisance,))
    times = np.arange(0, 299, 0.25)
    assert (render_times(plain, times) != render_times(disturbed, times)).any()
    assert plain.chapters == disturbed.chapters
