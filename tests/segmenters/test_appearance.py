from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmms_videominer.segmenters.appearance import COLOUR_BINS, DIMENSIONS, TONE_SHARE, appearances, embed
from lmms_videominer.video import open_video


def plain(*rgb: int) -> np.ndarray:
    return np.full((1, 8, 8, 3), rgb, np.uint8)


def photo(seed: int = 0) -> np.ndarray:
    """Blocks of colours of middling brightness."""
    blocks = np.random.default_rng(seed).integers(60, 200, (1, 8, 8, 3), dtype=np.uint8)
    return blocks.repeat(8, 1).repeat(8, 2)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared; 2 + 2 * TONE_SHARE where nothing is common."""
    (first, second), _ = embed(np.concatenate([a, b]))
    return float(((first - second) ** 2).sum())


def test_a_vector_is_of_length_one_and_the_share_of_tones():
    vectors, weights = embed(photo())
    assert vectors.shape == (1, DIMENSIONS)
    assert (vectors**2).sum() == pytest.approx(1 + TONE_SHARE)
    assert 0.9 < weights[0] < 1


def test_every_second_pixel_of_a_picture_with_more_than_4096_is_used(plain_video: Path):
    with open_video(plain_video) as reader:  # 64 * 96 pixels
        found, expected = appearances(reader, [3, 50]), embed(reader.frames([3, 50])[:, ::2, ::2])
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("rgb", "colours"),
    [
        # shares of red 204 / 292 and of blue 44 / 292, over 0.9 and times 11: 8.538813 and 1.841705
        ((200, 40, 40), {(8, 1): 0.073007, (8, 2): 0.388180, (9, 1): 0.085288, (9, 2): 0.453525}),
        # 259 / 267 is above 0.9, so the last bin; 4 / 267 gives 0.183104
        ((255, 0, 0), {(11, 0): 0.816896, (11, 1): 0.183104}),
        ((0, 0, 255), {(0, 11): 0.816896, (1, 11): 0.183104}),
    ],
)
def test_a_plain_picture_by_hand(rgb, colours):
    frame = plain(0, 0, 0)
    frame[0, 3, 5] = rgb  # one visible pixel: what is black counts nothing
    [vector], _ = embed(frame)
    squares = np.split(vector**2, [COLOUR_BINS**2])
    filled = [{int(i): float(part[i]) for i in np.flatnonzero(part > 1e-9)} for part in squares]
    assert {divmod(i, COLOUR_BINS): share for i, share in filled[0].items()} == pytest.approx(colours, abs=1e-5)
    # its tone is the mean, in the middle of 16 bins
    assert filled[1] == pytest.approx({7: TONE_SHARE / 2, 8: TONE_SHARE / 2}, abs=1e-5)


def test_a_black_frame_has_neither_vector_nor_weight():
    vectors, weights = embed(plain(0, 0, 0))
    assert not vectors.any() and weights.tolist() == [0]


def test_a_pixel_as_bright_as_the_half_value_counts_half():
    assert embed(plain(16, 0, 0))[1][0] == pytest.approx(0.5)


def test_other_colours_are_far_whatever_their_brightness():
    assert distance(plain(200, 40, 40), plain(40, 40, 200)) > 1.9
    assert distance(plain(200, 40, 40), plain(40, 200, 40)) > 1.9


def test_films_without_colour_differ_by_the_spread_of_their_tones():
    flat, striped = plain(120, 120, 120), plain(120, 120, 120)
    striped[:, ::2] = 30
    assert 0.3 * TONE_SHARE < distance(flat, striped) <= 2 * TONE_SHARE


@given(seed=st.integers(0, 99), gain=st.floats(0.5, 1.25))
def test_a_change_of_exposure_is_small_beside_a_change_of_colours(seed: int, gain: float):
    frame = photo(seed)
    other = photo(seed) // np.array([1, 2, 1], np.uint8)
    assert distance(frame, (frame * gain).astype(np.uint8)) < 0.2 * distance(frame, other)


@given(seed=st.integers(0, 99))
def test_neither_mirroring_nor_panning_around_changes_anything(seed: int):
    frame = photo(seed)
    assert distance(frame, frame[:, :, ::-1]) == pytest.approx(0, abs=1e-9)
    assert distance(frame, np.roll(frame, 13, axis=2)) == pytest.approx(0, abs=1e-9)


def test_a_slight_change_of_colour_is_slight_wherever_the_bins_lie():
    reds = np.concatenate([plain(red, 120, 90) for red in range(60, 220)])
    steps = np.linalg.norm(np.diff(embed(reds)[0], axis=0), axis=1)
    assert steps.max() < 0.45  # a hard bin border would be the square root of 2


def test_memory_does_not_grow_with_the_number_of_frames(plain_video: Path):
    def peak(frames: int) -> int:
        tracemalloc.start()
        try:
            appearances(reader, [i % 100 for i in range(frames)])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    with open_video(plain_video) as reader:
        peak(64)
        assert peak(512) < 1.2 * peak(64)
