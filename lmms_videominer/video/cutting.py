"""Cuts parts out of a video into MP4 files of their own, with sound.

Pictures and sound are encoded again. Copied packets could only begin at a sync frame, seconds before the part; an edit
list would hide these from players that read it, and show them in the others. So a clip begins with the frame that is
shown at the start of its part, keeps the times of all frames, and plays wherever H.264 and AAC do. Its pictures stand
upright, as readers give them. Every sound track is kept, with silence where it has a gap.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lmms_videominer.errors import ConfigError, VideoError, foreign
from lmms_videominer.store.atomic import written
from lmms_videominer.types import Span
from lmms_videominer.video.containers import decoded, demuxed, open_container
from lmms_videominer.video.faults import CONVERT
from lmms_videominer.video.pyav_reader import PyAVReader
from lmms_videominer.video.reader import in_parts
from lmms_videominer.video.timing import frames_beginning_in, frames_shown_at
from lmms_videominer.video.track import Track, read_track

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_logger = logging.getLogger("lmms_videominer")

TICKS = 90_000  # of a second: a multiple of the usual frame rates
_BYTES = 2**26  # of pictures read at once
_QUALITY = {"preset": "veryfast", "crf": "18"}  # nearly without visible loss
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)  # that AAC has
_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}  # by channels; others become stereo
_BEFORE_S = 1.0  # sound is decoded from so much before the part: its first packets depend on those before
_JITTER_S = 0.02  # sound that is stated to come so much sooner or later follows directly
_CLOCK_S = 0.05  # the clocks of pictures and sound differ by more only where they were set anew
_BT709 = 1  # FFmpeg's number of the matrix, the primaries and the transfer of HD television
_LIMITED = 1  # FFmpeg's number of the range in which black is 16


def cut_out(path: str, cuts: Sequence[tuple[Span, Path]]) -> Iterator[Path]:
    """Write each span of the video to its file, and yield the file once it is whole.

    Time 0 of a clip is the start of its span. The frame shown then is its first, however long before it began; its last
    frame ends with the span.

    Args:
        path: The video.
        cuts: Spans within the video, in seconds from its first frame, and the files.

    Raises:
        VideoError: The video cannot be read, or a part of it cannot be cut out.
        ConfigError: This PyAV has no encoder for H.264 or AAC.
        OSError: A file cannot be written.
    """
    _check_encoders()
    track = read_track(path)
    sounds = _sounds(track)
    with PyAVReader(track) as reader:
        for span, target in cuts:
            with (
                written(target) as part,
                foreign(lambda reason: VideoError(path, f"cannot be cut ({reason})", CONVERT)),
            ):
                _cut(reader, sounds, span, part)
            yield target


def _check_encoders() -> None:
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    for name in ("libx264", "aac"):
        try:
            Codec(name, "w")
        except UnknownCodecError as error:
            raise ConfigError(
                f"clips need the encoder {name}, and this PyAV has none. Install PyAV from its wheels: pip install "
                "--force-reinstall av"
            ) from error


def _cut(reader: PyAVReader, sounds: Sequence[_Sound], span: Span, part: Path) -> None:
    import av

    with av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container:
        made = [_pictures(reader, span, _video_stream(container, reader))]
        made += [sound.packets(span, sound.stream_in(container)) for sound in sounds]
        # in order of time, or the muxer would hold all pictures until the sound comes
        for _, packet in heapq.merge(*made, key=lambda timed: timed[0]):
            container.mux(packet)


# --- pictures ---


def _video_stream(container: OutputContainer, reader: PyAVReader) -> VideoStream:
    height, width = reader.frame_size
    rate = Fraction(reader.info.average_fps).limit_denominator(1001)
    stream = cast("VideoStream", container.add_stream("libx264", rate=max(rate, Fraction(1)), options=_QUALITY))
    # H.264 with colours at half the resolution has even sizes
    stream.width, stream.height, stream.pix_fmt = max(width // 2 * 2, 2), max(height // 2 * 2, 2), "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, TICKS)
    context.max_b_frames = 0  # with B-frames the first picture would come late, by an edit list
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    return stream


def _pictures(reader: PyAVReader, span: Span, stream: VideoStream) -> Iterator[tuple[float, Packet]]:
    """The coded pictures of ``span``, each with its time in seconds from the start of the span."""
    times_s = reader.timestamps_s
    first = int(frames_shown_at(times_s, [span.start_s])[0])
    stop = max(frames_beginning_in(times_s, span)[1], first + 1)
    starts = np.maximum((times_s[first:stop] - span.start_s) * TICKS, 0).round().astype(np.int64)  # [n]
    ends = np.append(starts[1:], round(span.duration_s * TICKS))  # [n]
    durations = dict(zip(starts.tolist(), (ends - starts).tolist(), strict=True))
    for frame in _frames(reader, range(first, stop), starts, stream):
        for packet in stream.encode(frame):
            packet.duration = durations[packet.pts]  # or the last picture would be as long as the one before
            yield packet.pts / TICKS, packet


def _frames(reader: PyAVReader, indices: range, ticks: np.ndarray, stream: VideoStream) -> Iterator[VideoFrame | None]:
    """The frames at ``indices`` as the encoder takes them, and ``None`` at the end, which drains it."""
    from av.video.frame import VideoFrame
    from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

    reformatter, places = VideoReformatter(), iter(ticks.tolist())
    for part in in_parts(indices, reader.frame_size, _BYTES):
        for rgb in reader.frames(part):
            frame = reformatter.reformat(
                VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24"),
                width=stream.width,
                height=stream.height,
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts, frame.time_base = next(places), Fraction(1, TICKS)
            yield frame
    yield None


# --- sound ---


@dataclass(frozen=True)
class _Sound:
    """A sound track of a file, as it is coded in a clip.

    Attributes:
        path, index: The file and the track among its streams.
        zero_s: Time of the first picture on the track's clock.
        rate, layout: Samples a second, and the layout of their channels.
        language: As the file states it; empty if it does not.
    """

    path: str
    index: int
    zero_s: float
    rate: int
    layout: str
    language: str

    def stream_in(self, container: OutputContainer) -> AudioStream:
        stream = cast("AudioStream", container.add_stream("aac", rate=self.rate, layout=self.layout))
        if self.language:
            stream.metadata["language"] = self.language
        return stream

    def packets(self, span: Span, stream: AudioStream) -> Iterator[tuple[float, Packet]]:
        """The coded sound of ``span``, each packet with its time in seconds from the start of the span."""
        from av.audio.frame import AudioFrame

        place = 0
        with closing(self._samples(span)) as parts:
            for samples in parts:
                frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self.layout)
                frame.sample_rate, frame.pts, frame.time_base = self.rate, place, Fraction(1, self.rate)
                place += samples.shape[1]
                yield from _timed(stream.encode(frame))
        yield from _timed(stream.encode(None))

    def _samples(self, span: Span) -> Iterator[np.ndarray]:
        """float32 [channels, n] each: the samples of ``span`` without a gap, silence where there is no sound."""
        total, place, channels = round(span.duration_s * self.rate), 0, 1
        with closing(self._decoded(self.zero_s + span.start_s - _BEFORE_S)) as frames:
            for start_s, samples in frames:
                channels = len(samples)
                gap = round((start_s - self.zero_s - span.start_s) * self.rate) - place
                if place and abs(gap) <= _JITTER_S * self.rate:
                    gap = 0
                samples = samples[:, max(-gap, 0) :]
                silent = min(max(gap, 0), total - place)
                samples = samples[:, : total - place - silent]
                yield from _silence(channels, silent, self.rate)
                if samples.shape[1]:
                    yield samples
                place += silent + samples.shape[1]
                if place >= total:
                    return
        yield from _silence(_channels(self.layout), total - place, self.rate)

    def _decoded(self, at_s: float) -> Iterator[tuple[float, np.ndarray]]:
        """Time on the track's clock, and float32 [channels, n], of each frame from ``at_s`` on, or from before."""
        from av.audio.resampler import AudioResampler

        resampler = AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
        for frame in _audio_frames(self.path, self.index, at_s):
            for even in resampler.resample(frame):
                if even.pts is not None:
                    yield float(even.pts * even.time_base), even.to_ndarray()


def _timed(packets: Sequence[Packet]) -> Iterator[tuple[float, Packet]]:
    return ((float(packet.pts * packet.time_base), packet) for packet in packets)


def _silence(channels: int, count: int, rate: int) -> Iterator[np.ndarray]:
    """``count`` silent samples, a second at a time."""
    for start in range(0, count, rate):
        yield np.zeros((channels, min(rate, count - start)), np.float32)


def _channels(layout: str) -> int:
    from av.audio.layout import AudioLayout

    return AudioLayout(layout).nb_channels


def _audio_frames(path: str, index: int, at_s: float) -> Iterator[AudioFrame]:
    """The frames of a sound track from one that is not after ``at_s``, or from its first."""
    import av

    for is_sought in (True, False):
        with open_container(path) as container:
            stream: Any = container.streams[index]
            if is_sought:
                try:
                    container.seek(round(at_s / stream.time_base), stream=stream)
                except av.FFmpegError:
                    continue
            frames: Any = decoded(stream, demuxed(container, stream))
            first = next(frames, None)
            if is_sought and (first is None or first.time is None or first.time > at_s):
                continue  # it landed too late, or the sound begins there: read it from its start
            if first is not None:
                yield first
                yield from frames
            return


def _sounds(track: Track) -> list[_Sound]:
    """The sound tracks of a file.

    Raises:
        VideoError: The clock of the file was set anew midway, so that its sound cannot be placed.
    """
    with open_container(track.path) as container:
        audio = [stream for stream in container.streams.audio if stream.codec_context is not None]
        if lost := len(container.streams.audio) - len(audio):
            _logger.warning("%s: %d sound tracks are left out: no decoder for their codec", track.path, lost)
        if not audio:
            return []
        zero_s = _zero_s(track, container.streams[track.stream_index])
        return [
            _Sound(
                track.path,
                stream.index,
                zero_s,
                stream.rate if stream.rate in _RATES else 48000,
                _LAYOUTS.get(stream.channels, "stereo"),
                stream.metadata.get("language", ""),
            )
            for stream in audio
        ]


def _zero_s(track: Track, stream: Any) -> float:
    """The time of the first picture on the clock that pictures and sound share, in seconds."""
    time_base = float(stream.time_base)
    if track.numbered:  # the pictures state no times that hold
        return (stream.start_time or 0) * time_base
    stated_s = track.pts * time_base
    if np.abs(stated_s - stated_s[0] - track.times_s).max() > _CLOCK_S:
        reason = "its clock was set anew midway, so its sound cannot be placed"
        raise VideoError(track.path, reason, f"{CONVERT}, and mine that file")
    return float(stated_s[0])
