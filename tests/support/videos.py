"""Real video files for the tests, made on the fly with PyAV: small H.264 whose frames tell their own number."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT, FPS, GOP = 96, 64, 25, 12
VFR_TIMES_S = np.cumsum([0.0] + [0.5 if i % 10 == 9 else 0.04 for i in range(99)])  # of the fixture vfr_video
CUTS_S = (1.0, 2.6, 4.0)  # of the fixture cuts_video
_BITS, _BAR = 8, 16  # the number is a bar code along the lower edge, one block of 12x16 pixels a bit


def numbered(number: int, seed: int = 7) -> np.ndarray:
    """uint8 [64, 96, 3]: a texture that moves with ``number``, and the number in bars."""
    blocks = np.random.default_rng(seed).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
    frame = np.roll(blocks.repeat(8, 0).repeat(8, 1), number * 2, axis=1)
    bits = [number >> bit & 1 for bit in range(_BITS)]
    frame[-_BAR:] = 255 * np.repeat(bits, WIDTH // _BITS)[None, :, None]
    return frame


def number_of(frame: np.ndarray) -> int:
    """The number that ``numbered`` wrote into a frame, after compression."""
    bars = frame[-_BAR:].reshape(_BAR, _BITS, WIDTH // _BITS, 3).mean(axis=(0, 2, 3)) > 127
    return int(sum(1 << bit for bit, on in enumerate(bars) if on))


def plain_color(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, dtype=np.uint8)


def write_video(
    path: Path,
    frames: Iterable[np.ndarray],
    times_s: Sequence[float] | None = None,
    start_s: float = 0.0,
    colorspace: int | None = None,
) -> Path:
    """H.264 with B-frames and a key frame at least every 12 frames; 25 fps unless ``times_s`` says otherwise."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = GOP
        stream.codec_context.time_base = Fraction(1, 1000)
        if colorspace:
            stream.codec_context.colorspace = colorspace
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if colorspace:
                frame = frame.reformat(format="yuv420p", dst_colorspace=colorspace)
            frame.pts = round(1000 * (start_s + (times_s[number] if times_s is not None else number / FPS)))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_sound(path: Path, seconds: float = 1.0, rate: int = 16000) -> Path:
    """AAC: a tone of 440 Hz, no pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        wave = np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_with_sound(
    path: Path, numbers: Iterable[int], tones: Sequence[Tone], start_s: float = 0.0, rate: int = FPS
) -> Path:
    """Numbered frames, and a sound track a tone."""
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "g": str(GOP)})
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        tracks = [container.add_stream(tone.codec, rate=tone.rate, layout=tone.layout) for tone in tones]
        for track, tone in zip(tracks, tones, strict=True):
            track.metadata["language"] = tone.language
        packets = []
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
            frame.pts, frame.time_base = place + round(start_s * rate), Fraction(1, rate)
            packets += pictures.encode(frame)
        packets += pictures.encode()
        for track, tone in zip(tracks, tones, strict=True):
            wave = tone.wave()
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout=tone.layout)
            frame.sample_rate, frame.time_base = tone.rate, Fraction(1, tone.rate)
            frame.pts = round((start_s + tone.begins_s) * tone.rate)
            packets += [*track.encode(frame), *track.encode()]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


@dataclass(frozen=True)
class Tone:
    """A sound track that is silent but for a tone from ``on_s`` to ``off_s``, in seconds from the first picture."""

    on_s: float
    off_s: float
    length_s: float = 4.0
    begins_s: float = 0.0
    language: str = "und"
    codec: str = "aac"
    rate: int = 48000
    layout: str = "mono"

    def wave(self) -> np.ndarray:
        """float32 [channels, n]."""
        times_s = self.begins_s + np.arange(round((self.length_s - self.begins_s) * self.rate)) / self.rate
        loud = (times_s >= self.on_s) & (times_s < self.off_s)
        wave = (0.5 * np.sin(2 * np.pi * 440 * times_s) * loud).astype(np.float32)
        return np.repeat(wave[None], av.AudioLayout(self.layout).nb_channels, axis=0)


def loud_s(path: Path, track: int = 0) -> tuple[float, float]:
    """From when to when a sound track is loud, in seconds from its container's first picture."""
    with av.open(str(path)) as container:
        zero_s = float(container.streams.video[0].start_time * container.streams.video[0].time_base)
        stream = container.streams.audio[track]
        times_s, loud = [], []
        for frame in container.decode(stream):
            samples = (
                frame.to_ndarray().astype(np.float32).reshape(-1, frame.samples)
                if frame.format.is_planar
                else (frame.to_ndarray().astype(np.float32).reshape(frame.samples, -1).T)
            )
            times_s.append(frame.time - zero_s + np.arange(frame.samples) / frame.sample_rate)
            loud.append(np.abs(samples).max(axis=0) > 0.2)
    at_s = np.concatenate(times_s)[np.concatenate(loud)]
    return float(at_s[0]), float(at_s[-1])


def write_turned(path: Path, source: Path) -> Path:
    """A copy of an MP4 whose header says: show a quarter turn clockwise (as phones held upright do)."""
    data = bytearray(source.read_bytes())
    matrix = data.find(b"tkhd") + 44
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30)
    path.write_bytes(data)
    return path


def write_cut_off(path: Path, source: Path, share: float = 0.5) -> Path:
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def write_damaged(path: Path, source: Path, *numbers: int) -> Path:
    """A copy in which the bytes of the coded pictures shown at the places ``numbers`` are overwritten."""
    shutil.copy(source, path)
    with av.open(str(source)) as container:
        packets = sorted((p for p in container.demux(video=0) if p.size), key=lambda packet: packet.pts)
        lost = [(packets[number].pos, packets[number].size) for number in numbers]
    with path.open("r+b") as file:
        for start, size in lost:
            file.seek(start)
            file.write(bytes(size))
    return path


def write_moov_first(path: Path, source: Path) -> Path:
    """A copy of an MP4 with its index in front, as files for streaming have it."""
    with av.open(str(source)) as old, av.open(str(path), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return path


def write_pictures(path: Path, pictures: np.ndarray, codec: str = "libx264") -> Path:
    """uint8 [n, H, W, 3] in any codec, 8 a second, with a key frame at least every 12 pictures."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=8)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.bit_rate, stream.codec_context.gop_size, stream.codec_context.thread_count = 500_000, GOP, 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def write_coded(
    path: Path,
    numbers: Iterable[int],
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    start_s: float = 0.0,
    rate: int = FPS,
    **made: object,
) -> Path:
    """Frames that tell their numbers, in any container and codec; ``made`` goes to the container."""
    with av.open(str(path), "w", **made) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = *size, "yuv420p", 2_000_000
        stream.codec_context.gop_size = GOP
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24").reformat(*size, format="yuv420p")
            frame.pts, frame.time_base = place + round(start_s * rate), Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_palette(path: Path, numbers: Iterable[int]) -> Path:
    """Uncompressed gray in 256 colours."""
    palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1)
    palette[:, 0] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "pal8"
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray((numbered(number)[..., 0].copy(), palette), format="pal8")
            frame.pts, frame.time_base = place, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_cut(path: Path, source: Path, number: int) -> Path:
    """A copy without re-encoding whose edit list begins at frame ``number``, wherever in its group of pictures."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for packet in packets:  # or the muxer's edit list ends one frame too early
            packet.duration = packets[1].dts - packets[0].dts
        start = sorted(packet.pts for packet in packets)[number]
        keys = [place for place, packet in enumerate(packets) if packet.is_keyframe and packet.pts <= start]
        for packet in packets[keys[-1] :]:
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, stream
            new.mux(packet)
    return path


def write_edits(path: Path, source: Path, edits: Sequence[tuple[int, int]]) -> Path:
    """A copy of an MP4 whose edit list shows frames ``first <= i < stop`` of each of ``edits``, one after the other."""
    with av.open(str(source)) as container:
        frame = round(1 / container.streams.video[0].time_base) // FPS
        late = -min(packet.dts for packet in container.demux(video=0) if packet.size)  # of the first picture
    entries = [
        struct.pack(">IiI", (stop - first) * 1000 // FPS, late + first * frame, 1 << 16) for first, stop in edits
    ]
    body = struct.pack(">II", 0, len(entries)) + b"".join(entries)
    data = bytearray(source.read_bytes())
    at = data.find(b"edts") - 4
    old_size = int.from_bytes(data[at : at + 4], "big")
    edited = struct.pack(">I4sI4s", len(body) + 16, b"edts", len(body) + 8, b"elst") + body
    for box in (b"moov", b"trak"):  # they hold it, and lie behind the pictures
        start = data.find(box) - 4
        size = int.from_bytes(data[start : start + 4], "big") + len(edited) - old_size
        data[start : start + 4] = size.to_bytes(4, "big")
    data[at : at + old_size] = edited
    path.write_bytes(data)
    return path


def write_cut_at_key(path: Path, source: Path, key: int) -> Path:
    """A copy from key frame ``key`` on at the times of the edit: what is shown before it has none that MKV can hold."""
    with av.open(str(source)) as old, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        first = [place for place, packet in enumerate(packets) if packet.is_keyframe][key]
        start = packets[first].pts
        for packet in packets[first:]:
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, stream
            new.mux(packet)
    return path


def write_joined(path: Path, sources: Sequence[Path]) -> Path:
    path.write_bytes(b"".join(source.read_bytes() for source in sources))
    return path


def write_latin1_tag(path: Path, source: Path) -> Path:
    """A copy of an MP4 whose handler is named in Latin-1."""
    path.write_bytes(source.read_bytes().replace(b"VideoHandler", b"Vid\xe9oHandler"))
    return path


def write_matrix(path: Path, source: Path, a: int, b: int, c: int, d: int) -> Path:
    """A copy of an MP4 whose header says: show the point (x, y) at (a x + c y, b x + d y), moved into view."""
    data = bytearray(source.read_bytes())
    matrix = data.find(b"tkhd") + 44
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def write_filtered(path: Path, source: Path, filter_text: str) -> Path:
    """A copy whose packets went through a bitstream filter of FFmpeg."""
    from av.bitstream import BitStreamFilterContext

    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        bitstream = BitStreamFilterContext(filter_text, old.streams.video[0])
        packets = [packet for packet in old.demux(video=0) if packet.size]
        for packet in packets:  # or the muxer's edit list ends one frame too early
            packet.duration = packets[1].dts - packets[0].dts
        for packet in packets:
            for changed in bitstream.filter(packet):
                changed.stream = stream
                new.mux(changed)
    return path


def write_streams(path: Path, films: Sequence[Sequence[int]]) -> Path:
    """One container with a video stream for each of ``films``."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=FPS) for _ in films]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for stream, numbers in zip(streams, films, strict=True):
            for place, number in enumerate(numbers):
                frame = av.VideoFrame.from_ndarray(numbered(number), format="rgb24")
                frame.pts, frame.time_base = place, Fraction(1, FPS)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


def write_sizes(path: Path, parts: Sequence[Path]) -> Path:
    """The packets of several films of one codec, and of any sizes, in one stream."""
    with av.open(str(parts[0])) as first, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(first.streams.video[0])
        start = 0
        for part in parts:
            with av.open(str(part)) as old:
                end = start
                for packet in old.demux(video=0):
                    if packet.size:
                        packet.pts, packet.dts, packet.stream = packet.pts + start, packet.dts + start, stream
                        end = max(end, packet.pts + 40)
                        new.mux(packet)
            start = end
    return path


def write_levels(path: Path, levels: Sequence[int], bits: int, colorspace: int, color_range: int, codec: str) -> Path:
    """One frame a second of gray luma ``levels`` of eight bits, in stripes, with the colours' range and matrix told."""
    luma = np.repeat(np.array(levels) << (bits - 8), 64 // len(levels) * 2)[None].repeat(32, 0)
    chroma = np.full((16, luma.shape[1]), 128 << (bits - 8))
    planes = np.concatenate([luma, chroma]).astype(np.uint8 if bits == 8 else "<u2")
    pix_fmt = "yuv420p" if bits == 8 else "yuv420p10le"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1, options={"crf": "1", "x265-params": "log-level=none"})
        stream.width, stream.height, stream.pix_fmt = luma.shape[1], 32, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = colorspace, color_range
        for number in range(3):
            frame = av.VideoFrame(luma.shape[1], 32, pix_fmt)
            for plane, values in zip(frame.planes, (planes[:32], planes[32:40], planes[40:48]), strict=True):
                rows = np.zeros((plane.height, plane.line_size // planes.itemsize), planes.dtype)
                rows[:, : plane.width] = values.reshape(-1)[:1].repeat(plane.width) if plane.height != 32 else values
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 1)
            frame.colorspace, frame.color_range = colorspace, color_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
