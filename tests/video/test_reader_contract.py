"""One contract suite over every reader that ``open_video`` offers."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.readers import needs
from support.videos import HEIGHT, VFR_TIMES_S, WIDTH, number_of, numbered

from lmms_videominer.video import BACKENDS, VideoReader, batch_reader, open_video


@pytest.fixture(params=sorted(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    needs(request.param)
    return request.param


@pytest.fixture
def plain(plain_video: Path, backend: str):
    with open_video(plain_video, backend) as reader:
        yield reader


def numbers(frames: np.ndarray) -> list[int]:
    return [number_of(frame) for frame in frames]


def test_metadata(plain: VideoReader, plain_video: Path, backend: str):
    info = plain.info
    assert info.path == str(plain_video)
    assert info.backend == backend or (backend == "auto" and info.backend in BACKENDS)
    assert (info.width, info.height, info.frame_count) == (WIDTH, HEIGHT, 100)
    assert info.duration_s == pytest.approx(4.0)
    assert info.average_fps == pytest.approx(25.0)
    np.testing.assert_allclose(plain.timestamps_s, np.arange(100) / 25, atol=1e-9)


@pytest.mark.parametrize("name", ["plain_video", "vfr_video", "shifted_video", "one_frame_video", "damaged_video"])
def test_times_ascend_from_zero_and_there_is_one_a_frame(name: str, backend: str, request: pytest.FixtureRequest):
    with open_video(request.getfixturevalue(name), backend) as reader:
        times_s = reader.timestamps_s
        assert times_s.dtype == np.float64 and times_s.shape == (reader.info.frame_count,)
        assert times_s[0] == 0.0 and (np.diff(times_s) > 0).all() and times_s[-1] < reader.info.duration_s


def test_frames_are_the_ones_asked_for(plain: VideoReader):
    frames = plain.frames(range(100))
    assert frames.dtype == np.uint8 and frames.shape == (100, HEIGHT, WIDTH, 3)
    assert numbers(frames) == list(range(100))
    errors = [np.abs(frame.astype(int) - numbered(i)).mean() for i, frame in enumerate(frames)]
    assert max(errors) < 25  # chroma is halved and quantised; a swap of red and blue would give 60


def test_random_access_equals_sequential_decoding(plain: VideoReader):
    sequential = plain.frames(range(100))
    for index in np.random.default_rng(0).permutation(100).tolist():
        np.testing.assert_array_equal(plain.frames([index])[0], sequential[index])


def test_order_and_repeats_are_kept(plain: VideoReader):
    assert numbers(plain.frames([70, 3, 3, 99, 0, 70])) == [70, 3, 3, 99, 0, 70]


def test_sparse_and_dense_indices_together(plain: VideoReader):
    asked = [2, 30, 31, 32, 33, 60, 61, 95]
    assert numbers(plain.frames(asked)) == asked


def test_no_index(plain: VideoReader):
    assert plain.frames([]).shape == (0, HEIGHT, WIDTH, 3)
    assert plain.gray_histograms([]).shape == (0, 256)


@pytest.mark.parametrize("asked", [[5, 5, 5], (60, 2), range(10, 0, -3), np.array([7, 99]), [np.int32(4)]])
def test_indices_may_be_any_sequence_of_whole_numbers(plain: VideoReader, asked):
    assert numbers(plain.frames(asked)) == [int(index) for index in asked]
    assert plain.gray_histograms(asked).shape == (len(asked), 256)


def test_what_is_returned_belongs_to_the_caller(plain: VideoReader):
    frames, histograms = plain.frames([4, 4, 9]), plain.gray_histograms([4, 9])
    kept = frames.copy(), histograms.copy()
    frames[0], histograms[:] = 0, 0
    np.testing.assert_array_equal(frames[1], kept[0][1])
    np.testing.assert_array_equal(plain.frames([4, 4, 9]), kept[0])
    np.testing.assert_array_equal(plain.gray_histograms([4, 9]), kept[1])


def test_every_opening_reads_the_same(plain_video: Path, backend: str):
    asked = [99, 0, 41, 41, 12]
    readings = []
    for _ in range(2):
        with open_video(plain_video, backend) as reader:
            readings.append((reader.frames(asked), reader.gray_histograms(asked), reader.timestamps_s, reader.info))
    for one, other in zip(*readings, strict=True):
        np.testing.assert_array_equal(one, other)


def test_readers_of_one_file_do_not_disturb_each_other(plain_video: Path, backend: str):
    orders = [np.random.default_rng(seed).permutation(100)[:30].tolist() for seed in range(4)]

    def read(order: list[int]) -> list[int]:
        with open_video(plain_video, backend) as reader:
            return [number_of(reader.frames([index])[0]) for index in order]

    with ThreadPoolExecutor(len(orders)) as threads:
        assert list(threads.map(read, orders)) == orders


def test_nothing_is_substituted_in_a_sound_file(plain: VideoReader):
    assert plain.substituted == 0
    plain.frames(range(100))
    assert plain.substituted == 0


@pytest.mark.parametrize("index", [-1, 100])
def test_index_out_of_range(plain: VideoReader, index: int):
    for read in (plain.frames, plain.gray_histograms):
        with pytest.raises(IndexError, match=rf"no frame {index}, there are 100"):
            read([0, index])


def test_histograms_equal_opencv(plain: VideoReader):
    asked = [40, 7, 7, 93]
    expected = []
    for frame in plain.frames(asked):
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        expected.append(cv2.calcHist([gray], [0], None, [256], [0, 256]).ravel() / gray.size)
    np.testing.assert_allclose(plain.gray_histograms(asked), expected, atol=1e-7)
    np.testing.assert_allclose(plain.gray_histograms(asked).sum(axis=1), 1.0, atol=1e-12)


def test_variable_frame_rate_has_true_timestamps(vfr_video: Path, backend: str):
    with open_video(vfr_video, backend) as reader:
        np.testing.assert_allclose(reader.timestamps_s, VFR_TIMES_S, atol=1e-3)
        assert reader.info.duration_s == pytest.approx(VFR_TIMES_S[-1] + 0.04, abs=1e-3)
        assert reader.info.average_fps == pytest.approx(100 / reader.info.duration_s)
        assert numbers(reader.frames([9, 10, 55, 99])) == [9, 10, 55, 99]


def test_time_starts_at_the_first_frame(shifted_video: Path, backend: str):
    with open_video(shifted_video, backend) as reader:
        np.testing.assert_allclose(reader.timestamps_s, np.arange(100) / 25, atol=1e-3)
        assert reader.info.duration_s == pytest.approx(4.0, abs=2e-3)
        assert numbers(reader.frames([0, 50])) == [0, 50]


def test_single_frame_video(one_frame_video: Path, backend: str):
    with open_video(one_frame_video, backend) as reader:
        assert reader.info.frame_count == 1
        assert reader.info.duration_s == pytest.approx(0.04)
        assert numbers(reader.frames([0, 0])) == [5, 5]


def test_rotation_is_applied(rotated_video: Path, plain_video: Path, backend: str):
    with open_video(rotated_video, backend) as turned, open_video(plain_video, backend) as upright:
        assert (turned.info.width, turned.info.height) == (HEIGHT, WIDTH)
        np.testing.assert_array_equal(turned.frames([8])[0], np.rot90(upright.frames([8])[0], -1))


@pytest.mark.parametrize("name", ["plain_video", "rotated_video"])
def test_frames_are_scaled_to_a_number_of_pixels(name: str, backend: str, request: pytest.FixtureRequest):
    path = request.getfixturevalue(name)
    with open_video(path, backend) as whole, open_video(path, backend, pixels=WIDTH * HEIGHT // 4) as small:
        assert whole.frame_size == (whole.info.height, whole.info.width)
        assert small.frame_size == (whole.info.height // 2, whole.info.width // 2) and small.info == whole.info
        frames, expected = small.frames([40, 7, 40]), whole.frames([40, 7, 40])
        means = expected.reshape(3, small.frame_size[0], 2, small.frame_size[1], 2, 3).mean(axis=(2, 4))
        assert frames.shape == means.shape and np.abs(frames - means).mean() < 20  # colours are halved in width again
        assert np.abs(frames[:1] - means[1:2]).mean() > 40
        assert small.frames([]).shape == (0, *small.frame_size, 3)
        np.testing.assert_array_equal(small.gray_histograms([9]), whole.gray_histograms([9]))


def test_damage_costs_the_damaged_frame_only(damaged_video: Path, backend: str, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING, "lmms_videominer")
    with open_video(damaged_video, backend) as reader:
        assert numbers(reader.frames([0, 20, 80, 99])) == [0, 20, 80, 99]
        assert reader.substituted == 0
        lost, before, other = reader.frames([50, 49, 10])  # of two neighbours, the earlier serves
        np.testing.assert_array_equal(lost, before)
        assert number_of(other) == 10
        assert reader.gray_histograms(range(100)).shape == (100, 256)
        np.testing.assert_array_equal(reader.frames([50])[0], before)
        assert reader.substituted == 1
    told = [record for record in caplog.records if "the nearest frame serves" in record.getMessage()]
    assert len(told) == 1 and "damaged.mp4: the file is damaged: the frame at 2.00 s" in told[0].getMessage()


def test_reading_goes_on_after_close(plain: VideoReader):
    plain.frames([1])
    plain.close()
    assert numbers(plain.frames([2])) == [2]


@pytest.mark.parametrize("name", ["plain_video", "vfr_video", "shifted_video", "rotated_video", "hd_color_video"])
def test_backends_agree_on_every_pixel_and_time(name: str, backend: str, request: pytest.FixtureRequest):
    path = request.getfixturevalue(name)
    ours, other = open_video(path, backend), open_video(path, "pyav")
    np.testing.assert_array_equal(ours.timestamps_s, other.timestamps_s)
    everything = range(ours.info.frame_count)
    np.testing.assert_array_equal(ours.frames(everything), other.frames(everything))
    np.testing.assert_array_equal(ours.gray_histograms(everything), other.gray_histograms(everything))


def test_hd_colors_are_true(hd_color_video: Path, backend: str):
    with open_video(hd_color_video, backend) as reader:
        error = np.abs(reader.frames([10])[0].astype(int) - numbered(10)).mean(axis=(0, 1))
    assert error.max() < 10  # read with the matrix of standard definition it is above 12


def test_decord_holds_a_chunk_of_frames_at_most(plain_video: Path, monkeypatch: pytest.MonkeyPatch):
    decord = pytest.importorskip("decord")
    sizes = []
    get_batch = decord.VideoReader.get_batch
    monkeypatch.setattr(
        decord.VideoReader, "get_batch", lambda self, indices: sizes.append(len(indices)) or get_batch(self, indices)
    )
    with open_video(plain_video, "decord") as reader:
        whole = reader.gray_histograms(range(100))
        monkeypatch.setattr(batch_reader, "_CHUNK_BYTES", 7 * HEIGHT * WIDTH * 3)
        np.testing.assert_array_equal(reader.gray_histograms(range(100)), whole)
    assert sizes == [1, 100] + [7] * 14 + [2]


def test_decord_reads_while_its_bridge_makes_tensors(plain_video: Path):
    decord = pytest.importorskip("decord")
    pytest.importorskip("torch")
    decord.bridge.set_bridge("torch")  # process-wide: lmms-eval models do this
    try:
        with open_video(plain_video, "decord") as reader:
            frames = reader.frames([4, 2])
    finally:
        decord.bridge.set_bridge("native")
    assert isinstance(frames, np.ndarray) and numbers(frames) == [4, 2]
