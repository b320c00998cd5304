"""Frames on their way to a backbone."""

from __future__ import annotations

import av
import cv2
import decord
import numpy as np
import pytest

from lmms_videominer.lmms.handover import write_lossless


@pytest.mark.parametrize("shape", [(6, 64, 96, 3), (3, 65, 97, 3), (1, 48, 50, 3)])
def test_a_clip_is_bit_exact_in_every_decoder(shape, tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    path = str(tmp_path / "clip.mp4")

    write_lossless(path, frames, 2.0)

    reader = decord.VideoReader(path)
    np.testing.assert_array_equal(reader.get_batch(range(len(reader))).asnumpy(), frames)
    assert reader.get_avg_fps() == 2.0
    with av.open(path) as container:
        decoded = list(container.decode(video=0))
        assert all(frame.key_frame for frame in decoded)
        np.testing.assert_array_equal([frame.to_ndarray(format="rgb24") for frame in decoded], frames)
    capture, opened = cv2.VideoCapture(path), []
    while (read := capture.read())[0]:
        opened.append(read[1][..., ::-1])
    np.testing.assert_array_equal(opened, frames)
