from __future__ import annotations

import math

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lmms_videominer.segmenters.distance import bhattacharyya_distances


def test_by_hand():
    rows = np.array([[0.5, 0.5, 0, 0], [0.25, 0.25, 0.5, 0], [0.25, 0.25, 0.5, 0]])
    # sqrt(1/8) + sqrt(1/8) = 1/sqrt(2), so D = ln(2) / 2; then equal neighbours
    np.testing.assert_allclose(bhattacharyya_distances(rows), [math.log(2) / 2, 0], atol=1e-15)


def test_equal_neighbours_are_never_below_zero():
    for bins in range(1, 257):  # the rounded sum of equal shares is on either side of 1
        [distance] = bhattacharyya_distances(np.full((2, bins), 1 / bins))
        assert 0 <= distance < 1e-12 and not np.signbit(distance)


def test_disjoint_histograms_are_infinitely_far(recwarn):
    assert bhattacharyya_distances(np.eye(3)).tolist() == [math.inf, math.inf]
    assert not recwarn.list


def test_one_or_no_frame_has_no_neighbours():
    assert bhattacharyya_distances(np.ones((1, 1))).shape == (0,)
    assert bhattacharyya_distances(np.empty((0, 256))).shape == (0,)


counts = arrays(np.int64, (2, 256), elements=st.integers(0, 1000)).filter(lambda h: (h.sum(axis=1) > 0).all())


@given(counts)
def test_parity_with_opencv(histograms: np.ndarray):
    rows = histograms / histograms.sum(axis=1, keepdims=True)
    ours = bhattacharyya_distances(rows)[0]
    theirs = cv2.compareHist(*rows.astype(np.float32), cv2.HISTCMP_BHATTACHARYYA)
    assert ours >= 0
    # D = -ln(1 - d^2), compared as 1 - exp(-D) = d^2: OpenCV takes float32
    np.testing.assert_allclose(-np.expm1(-ours), theirs**2, atol=2e-5)
