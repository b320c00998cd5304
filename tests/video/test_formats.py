"""PyAV does the whole job: containers with odd clocks, seeks and codecs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from support.videos import FPS, GOP, HEIGHT, WIDTH, number_of, numbered

from lmms_videominer.video import open_video

FORMATS = {
    "b-frames.avi": "libx264",  # no presentation times in the file
    "xvid.avi": "mpeg4",
    "raw.h264": "libx264",  # no times at all, cannot seek
    "program.mpg": "mpeg2video",  # wrong times after a seek
    "transport.ts": "libx264",  # lands behind the key frame
    "quicktime.mov": "libx264",
    "vp9.webm": "libvpx-vp9",
    "open-gop.mkv": "libx265",  # frames coded after a key frame and shown before it
    "open-gop.mp4": "libx264",
}
OPTIONS = {"libx264": {"x264-params": "open-gop=1:threads=1"}, "libx265": {"x265-params": "log-level=none"}}


@pytest.fixture(scope="module", params=FORMATS)
def odd_video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("formats") / request.param
    codec = FORMATS[request.param]
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=OPTIONS.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", 2_000_000
        stream.codec_context.gop_size = GOP
        for number in range(60):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_pyav_reads_odd_containers_exactly(odd_video: Path):
    with open_video(odd_video, "pyav") as reader:
        assert reader.info.frame_count == 60
        np.testing.assert_allclose(reader.timestamps_s, np.arange(60) / FPS, atol=1.5e-3)
        assert [number_of(frame) for frame in reader.frames(range(60))] == list(range(60))
        order = np.random.default_rng(1).permutation(60).tolist()
        assert [number_of(reader.frames([index])[0]) for index in order] == order


def test_auto_reads_odd_containers_exactly(odd_video: Path):
    with open_video(odd_video) as reader:
        for asked in ([50, 0, 13, 59], [35], [22, 23, 24, 25], [47, 11]):
            assert [number_of(frame) for frame in reader.frames(asked)] == asked
