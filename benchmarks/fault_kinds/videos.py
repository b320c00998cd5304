"""Damaged videos: mutants of small films of many containers, opened and read at random by one reader."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from fault_kinds.running import LOST, SURVIVED, Fault, Result, told
from lmms_videominer.errors import VideoError
from lmms_videominer.video.opening import open_video

# name of the file, format, codec, sound; sizes that decord and every codec here take
FILMS = (
    ("film.mp4", "mp4", "libx264", True),
    ("film.mkv", "matroska", "libx264", True),
    ("film.webm", "webm", "libvpx-vp9", False),
    ("film.avi", "avi", "mpeg4", False),
    ("film.mov", "mov", "libx264", False),
    ("film.flv", "flv", "flv", False),
    ("film.ts", "mpegts", "mpeg2video", True),
    ("film.wmv", "asf", "wmv2", False),
    ("film.ogv", "ogg", "libvpx", False),
    ("film.gif", "gif", "gif", False),
    ("film.m3u8", "hls", "libx264", False),
)
READ_BY_DECORD = 6  # the first of FILMS: decord is not tried on the others, which it refuses by their kind
WIDTH, HEIGHT, FPS, FRAMES, GROUP = 128, 96, 12, 36, 12
EXTREMES = (0, 1, 7, 8, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1)
# what stands before a size or a count in each container
_TAGS = {
    ".mp4": rb"moov|trak|mdia|minf|stbl|mdat|stts|stsz|stco|stss|stsc|stsd|ctts|mdhd|tkhd|mvhd|elst|avcC|edts",
    ".mkv": rb"\x18\x53\x80\x67|\x1f\x43\xb6\x75|\x16\x54\xae\x6b|\x1c\x53\xbb\x6b|\x15\x49\xa9\x66|\x1a\x45\xdf\xa3"
    rb"|\x2a\xd7\xb1|\x44\x89|\xb0|\xba|\xa3|\xae",
    ".avi": rb"RIFF|LIST|movi|idx1|avih|strh|strf|00dc|hdrl|strl",
    ".flv": rb"onMetaData|width|height|duration|FLV|\x09\x00",
    ".ts": rb"\x47",
    ".wmv": rb"\xa6\xd9\x00\xaa\x00\x62\xce\x6c|\x11\xcf\x8e\xe6\x00\xc0\x0c\x20\x53\x65|WMV2",
    ".ogv": rb"OggS|OVP80",
    ".gif": rb"GIF89a|\x21\xf9|\x2c",
    ".m3u8": rb"#EXTINF:|#EXT-X-TARGETDURATION:|film",
}
_TAGS |= {".mov": _TAGS[".mp4"], ".webm": _TAGS[".mkv"]}


class DamagedVideos(Fault):
    """Mutants read by ``reader``: right shapes, or an error that names the file."""

    count, limit_s = 450, 60.0

    def __init__(self, seed: int, reader: str):
        super().__init__(seed)
        self.reader, self.name = reader, f"videos by {reader}"
        self.films = FILMS[:READ_BY_DECORD] if reader == "decord" else FILMS

    def prepare(self, folder: Path) -> None:
        from lmms_videominer.video import decord_reader, pyav_reader  # noqa: F401 - imported once for all cases

        self.made = folder / "films"
        self.made.mkdir(parents=True, exist_ok=True)
        for name, container, codec, sound in FILMS:
            if not (self.made / name).exists():
                make_film(self.made / name, container, codec, sound)

    def title(self, number: int) -> str:
        name, mutation = self._case(number)
        return f"{name} {mutation}"

    def _case(self, number: int) -> tuple[str, str]:
        mutations = list(MUTATIONS)
        return self.films[number % len(self.films)][0], mutations[(number // len(self.films)) % len(mutations)]

    def run(self, number: int, folder: Path) -> Result:
        name, mutation = self._case(number)
        rng = np.random.default_rng([self.seed, number])
        for part in self.made.glob("film*.ts" if name.endswith(".m3u8") else name):
            shutil.copy(part, folder)
        target = folder / name
        if name.endswith(".m3u8"):  # the list, or one of its parts
            shutil.copy(self.made / name, target)
            target = folder / str(rng.choice(sorted(p.name for p in folder.glob("film*") if p.name != "film.ts")))
        other = (self.made / str(rng.choice([film[0] for film in FILMS]))).read_bytes()
        target.write_bytes(MUTATIONS[mutation](target.read_bytes(), rng, target.suffix, other))
        path = str(folder / name)
        try:
            return self._read(path, rng, mutation == "appended")
        except VideoError as error:
            return told(error, path)

    def _read(self, path: str, rng: np.random.Generator, harmless: bool) -> Result:
        with open_video(path, self.reader) as reader:
            info, times_s = reader.info, reader.timestamps_s
            if len(times_s) != info.frame_count or times_s[0] != 0 or (np.diff(times_s) <= 0).any():
                return Result(LOST, f"times that are not those of {info.frame_count} frames, from 0 and increasing")
            indices = rng.integers(0, info.frame_count, 8)
            frames = reader.frames(indices.tolist())
            if frames.shape != (8, info.height, info.width, 3) or frames.dtype != np.uint8:
                return Result(LOST, f"frames are {frames.dtype} {frames.shape}, stated {info.height} x {info.width}")
            more = {"backend": info.backend, "frames": info.frame_count, "substituted": reader.substituted}
            if harmless and info.frame_count == FRAMES and not reader.substituted and not path.endswith(".gif"):
                drawn = np.stack([picture(index) for index in indices])
                if frames.shape == drawn.shape and (error := abs(frames.astype(int) - drawn).mean()) > 24:
                    return Result(LOST, f"other pictures than those of the film, by {error:.0f} levels", more)
        return Result(SURVIVED, more=more)


def picture(index: int) -> np.ndarray:
    """uint8 [HEIGHT, WIDTH, 3]: frame ``index`` of every film, a bar that moves before a ramp."""
    frame = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    frame[:] = np.linspace(40, 200, WIDTH, dtype=np.uint8)[None, :, None]
    frame[:, 3 * index : 3 * index + 16] = 20
    frame[10 + index : 30 + index, 40:90] = (200, 180, 40)
    return frame


def make_film(path: Path, container: str, codec: str, sound: bool) -> None:
    """Write three seconds of ``picture`` to ``path``."""
    with av.open(str(path), "w", format=container, options={"hls_time": "1"} if container == "hls" else {}) as output:
        stream = output.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.gop_size = WIDTH, HEIGHT, GROUP
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.codec_context.thread_count = 1
        if codec == "libvpx-vp9":
            stream.options = {"cpu-used": "8", "deadline": "realtime"}
        track = output.add_stream("aac" if container != "mpegts" else "mp2", rate=44100) if sound else None
        for index in range(FRAMES):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
            if track:
                _mux_silence(output, track, index)
        output.mux(stream.encode())
        if track:
            output.mux(track.encode())


def _mux_silence(output: av.container.OutputContainer, track: av.AudioStream, index: int) -> None:
    size = 44100 // FPS
    silence = av.AudioFrame.from_ndarray(np.zeros((1, size), np.int16), format="s16", layout="mono")
    silence.sample_rate, silence.pts, silence.time_base = 44100, index * size, Fraction(1, 44100)
    output.mux(track.encode(silence))


# --- mutations: of bytes, with a generator, the suffix of the file, and the bytes of another film ------------------

Mutation = Callable[[bytes, np.random.Generator, str, bytes], bytes]


def _piece(size: int, rng: np.random.Generator, most: float = 0.2) -> tuple[int, int]:
    """Begin and end of a piece of at most the share ``most`` of ``size`` bytes."""
    length = int(rng.integers(1, max(2, int(size * most))))
    start = int(rng.integers(0, max(1, size - length)))
    return start, start + length


def _with(data: bytes, at: int, new: bytes) -> bytes:
    return (data[:at] + new + data[at + len(new) :])[: len(data)]


def flipped(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    array = np.frombuffer(data, np.uint8).copy()
    places = rng.integers(0, len(array), rng.integers(1, 200))
    array[places] ^= rng.integers(1, 256, len(places)).astype(np.uint8)
    return array.tobytes()


def zeroed(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    start, end = _piece(len(data), rng)
    return data[:start] + bytes(end - start) + data[end:]


def cut_off(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    return data[: rng.integers(0, len(data))]


def swapped(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    a, b, c, d = np.sort(rng.integers(0, len(data), 4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def left_out(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    start, end = _piece(len(data), rng)
    return data[:start] + data[end:]


def repeated(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    start, end = _piece(len(data), rng)
    return data[:end] + data[start:end] * int(rng.integers(1, 4)) + data[end:]


def header(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    """One to eight bytes at the beginning changed, or at the end, where an index may be."""
    array, size = np.frombuffer(data, np.uint8).copy(), min(len(data), 1024)
    places = rng.integers(0, size, rng.integers(1, 9))
    if rng.random() < 0.3:
        places = len(array) - 1 - places
    array[places] = rng.integers(0, 256, len(places))
    return array.tobytes()


def _at_tag(data: bytes, rng: np.random.Generator, suffix: str, before: int, after: tuple[int, int]) -> bytes:
    """An extreme number beside one of the container's tags: ``before`` bytes ahead of it, or within ``after`` it."""
    tags = [match.span() for match in re.finditer(_TAGS[suffix], data)] or [(0, 0)]
    start, end = tags[rng.integers(0, len(tags))]
    at = start - before if before and start >= before else end + int(rng.integers(*after))
    number = int(rng.choice(EXTREMES)) if rng.random() < 0.7 else int(rng.integers(0, 2**32))
    order = "little" if suffix in (".avi", ".wmv", ".ogv", ".gif") else "big"
    width = int(rng.choice([1, 2, 4, 8]))
    return _with(data, at, (number % 2 ** (8 * width)).to_bytes(width, order))


def sizes(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    """The size of an atom, an element or a chunk is another one; EBML sizes of eight and of unknown bytes, too."""
    return _at_tag(data, rng, suffix, 4 if suffix in (".mp4", ".mov") else 0, (0, 1))


def fields(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    """Numbers within the container's own records: counts, sizes of pictures, times, rates."""
    for _ in range(rng.integers(1, 4)):
        data = _at_tag(data, rng, suffix, 0, (0, 48))
    return data


def appended(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 20_000)))


def joined(data: bytes, rng: np.random.Generator, suffix: str, other: bytes) -> bytes:
    """A film behind another one, or within it."""
    at = len(data) if rng.random() < 0.5 else int(rng.integers(0, len(data)))
    return data[:at] + other + data[at:]


_ALL = (flipped, zeroed, cut_off, swapped, left_out, repeated, header, sizes, fields, appended, joined)
MUTATIONS: dict[str, Mutation] = {mutation.__name__: mutation for mutation in _ALL}
