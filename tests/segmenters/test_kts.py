"""What is a cut to kernel temporal segmentation, and what is only light: on videos of tinted, moving textures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import videos

from lmms_videominer.segmenters import get_segmenter
from lmms_videominer.segmenters.kts import blip_frames, event_lengths_s, squared_shares, without_blips
from lmms_videominer.types import Span
from lmms_videominer.video import open_video

TINTS = {"red": (1.0, 0.5, 0.4), "green": (0.5, 1.0, 0.5), "blue": (0.4, 0.6, 1.0)}
FRAME_S = 1 / videos.FPS
Light = Callable[[np.ndarray, float], np.ndarray]  # a picture, float [H, W, 3], and its time to the picture as lit then


def picture(tint: str, time_s: float) -> np.ndarray:
    """float [64, 96, 3]: blocks of one tint that drift sideways."""
    tones = np.random.default_rng(7).uniform(70, 190, (8, 12)).repeat(8, 0).repeat(8, 1)
    return np.roll(tones, int(20 * time_s), axis=1)[..., None] * TINTS[tint]


def film(path: Path, scenes: list[tuple[str, float]], *lights: Light) -> Path:
    """A video of scenes, ``(tint, seconds)`` each, under ``lights``."""
    tints = [tint for tint, duration_s in scenes for _ in range(round(duration_s * videos.FPS))]
    frames = []
    for number, tint in enumerate(tints):
        frame = picture(tint, number * FRAME_S)
        for light in lights:
            frame = light(frame, number * FRAME_S)
        frames.append(np.clip(frame, 0, 255).astype(np.uint8))
    return videos.write_video(path, frames)


def flash(start_s: float, duration_s: float = 0.2) -> Light:
    """A bleached picture for a moment."""
    return lambda frame, time_s: frame * 0.2 + 200 if 0 <= time_s - start_s + 1e-9 < duration_s else frame


def dip_to_black(middle_s: float, black_s: float = 0.6, fade_s: float = 0.6) -> Light:
    return lambda frame, time_s: frame * np.clip((abs(time_s - middle_s) - black_s / 2) / fade_s, 0, 1)


def drift(frame: np.ndarray, time_s: float) -> np.ndarray:
    """Exposure that halves and comes back within 8 s, again and again."""
    return frame * (0.75 + 0.25 * np.cos(2 * np.pi * time_s / 8))


def cuts_s(path: Path, events: int, scan_frames: int = 400, min_event_s: float = 0.5) -> list[float]:
    with open_video(path) as reader:
        whole = Span(0, reader.info.duration_s)
        parts = get_segmenter("kts").segment(reader, [whole], events, scan_frames, min_event_s)
    return [part.start_s for part in parts[1:]]


def test_real_cuts_are_found_to_the_frame(tmp_path: Path):
    path = film(tmp_path / "cuts.mp4", [("red", 3), ("green", 1.4), ("blue", 4)])
    assert cuts_s(path, 3) == pytest.approx([3, 4.4], abs=1e-6)


def test_a_sparse_scan_finds_them_within_half_its_step(tmp_path: Path):
    path = film(tmp_path / "cuts.mp4", [("red", 4), ("green", 3), ("blue", 4)])
    assert cuts_s(path, 3, scan_frames=22) == pytest.approx([4, 7], abs=0.25 + 1e-6)


@pytest.mark.parametrize("length_s", [0.52, 1.0])
def test_a_real_cut_is_worth_more_than_equal_lengths_and_an_event_may_have_exactly_the_least_length(
    tmp_path: Path, length_s: float
):
    path = film(tmp_path / "cuts.mp4", [("red", 7), ("green", length_s)])
    assert cuts_s(path, 2, min_event_s=length_s) == pytest.approx([7], abs=1e-6)


@pytest.mark.parametrize("scan_frames", [400, 40])
@pytest.mark.parametrize(
    "light",
    [
        flash(1.5),
        flash(4.0, 0.4),
        dip_to_black(5.0),
        drift,
        lambda frame, time_s: dip_to_black(5.0)(flash(1.5)(drift(frame, time_s), time_s), time_s),
    ],
    ids=["flash", "long flash", "dip to black", "slow change of exposure", "all of them"],
)
def test_what_is_only_light_is_no_cut(tmp_path: Path, light: Light, scan_frames: int):
    """One real cut at 7 s, of two events: none is left for the light."""
    path = film(tmp_path / "lit.mp4", [("red", 7), ("green", 3)], light)
    assert cuts_s(path, 2, scan_frames) == pytest.approx([7], abs=5 / scan_frames + 1e-6)


@pytest.mark.parametrize("light", [flash(1.5), drift], ids=["flash", "slow change of exposure"])
def test_a_scene_in_which_nothing_happens_is_halved(tmp_path: Path, light: Light):
    path = film(tmp_path / "scene.mp4", [("red", 8)], light)
    assert cuts_s(path, 2) == pytest.approx([4], abs=0.5)


def test_a_cut_under_a_flash_is_found(tmp_path: Path):
    path = film(tmp_path / "flash.mp4", [("red", 4), ("green", 4)], flash(3.92, 0.16))
    assert cuts_s(path, 2) == pytest.approx([4], abs=0.1)


def test_a_cut_in_the_dark_is_found_where_it_is_dark(tmp_path: Path):
    path = film(tmp_path / "dark.mp4", [("red", 4), ("green", 4)], dip_to_black(4.0), flash(2.0))
    assert cuts_s(path, 2) == pytest.approx([4], abs=0.4)


def test_a_dissolve_is_one_cut(tmp_path: Path):
    def dissolve(frame: np.ndarray, time_s: float) -> np.ndarray:
        share = np.clip((time_s - 3.0) / 1.0, 0, 1)
        return share * picture("green", time_s) + (1 - share) * frame

    path = film(
        tmp_path / "dissolve.mp4",
        [("red", 4), ("green", 2), ("blue", 4)],
        lambda frame, time_s: dissolve(frame, time_s) if time_s < 4 else frame,
    )
    assert cuts_s(path, 3) == pytest.approx([3.5, 6], abs=0.25)


def test_films_without_colour_are_cut_by_their_tones(tmp_path: Path):
    def grey(frame: np.ndarray, time_s: float) -> np.ndarray:
        tones = picture("red", time_s)[..., :1]  # from 70 to 190
        return np.where(tones > 130, 200, 40) + np.zeros(3) if 3 <= time_s < 7 else tones + np.zeros(3)

    path = film(tmp_path / "grey.mp4", [("red", 10)], grey, drift, flash(5.0))
    assert cuts_s(path, 3) == pytest.approx([3, 7], abs=0.1)


def test_a_change_shorter_than_an_event_is_a_blip():
    assert blip_frames(0.5, step_s=0.04, frames=64) == 12  # 12 frames last 0.48 s
    assert blip_frames(0.5, step_s=0.125, frames=64) == 3  # 4 frames last 0.5 s, and that is an event
    assert blip_frames(0.5, step_s=3.5, frames=64) == 1
    assert blip_frames(0.0, step_s=0.04, frames=64) == 1
    assert blip_frames(3.0, step_s=1e-9, frames=64) == 1  # all of them together are no event
    assert blip_frames(2.0, step_s=0.5, frames=4) == 1  # nor are they, if they last just that long


def test_blips_are_removed_within_each_span_and_steps_stay():
    values = np.array([9, 1, 1, 5, 1, 2, 2, 7, 7, 9, 7], float)[:, None]
    owners = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1])
    assert without_blips(values, owners, 1).ravel().tolist() == [1, 1, 1, 1, 2, 2, 2, 7, 7, 7, 9]
    values, owners = np.array([1, 5, 5, 1, 5, 5], float)[:, None], np.array([0, 0, 0, 1, 1, 2])
    assert without_blips(values, owners, 1).ravel().tolist() == [5, 5, 5, 1, 5, 5]


def test_lengths_of_events_by_hand():
    union, owners, cuts = (Span(0, 3), Span(8, 10), Span(12, 13)), np.array([0, 0, 1, 1, 2]), np.array([1.5, 5, 9, 11])
    no, whole = -np.inf, np.inf
    assert event_lengths_s(union, owners, cuts).tolist() == [
        [1.5, whole, no, no, no],
        [no, 1.5, no, no, no],
        [no, no, 1, whole, no],
        [no, no, no, 1, no],
        [no, no, no, no, whole],
    ]


def test_the_share_of_an_event_is_that_of_its_frames_squared():
    shares = squared_shares(4)
    assert (shares[0, 3], shares[1, 2], shares[3, 3]) == (1, 1 / 4, 1 / 16)
