"""Text tracks of MP4 (3GPP timed text, ``mov_text``), which PyAV can copy but not create: copied from an empty film."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from lmms_videominer.types import Cue

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet
    from av.subtitles.stream import SubtitleStream

TICKS = 1000  # of a second
_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


def add_text_track(container: OutputContainer) -> SubtitleStream:
    """A text track in ``container``, an MP4 to be written; its packets are those of ``text_packets``."""
    import av

    with av.open(io.BytesIO(_film_without_cues()), format="mp4") as empty:
        stream = container.add_stream_from_template(empty.streams.subtitles[0])
    stream.time_base = Fraction(1, TICKS)
    return stream


def text_packets(stream: SubtitleStream, cues: Sequence[Cue]) -> list[Packet]:
    """The packets of ``cues``, in order, each the length of its text and the text."""
    from av.packet import Packet

    packets = []
    for cue in cues:
        text = cue.text.encode()
        packet = Packet(struct.pack(">H", len(text)) + text)
        packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, TICKS), True
        packet.pts = packet.dts = round(cue.span.start_s * TICKS)
        packet.duration = round(cue.span.duration_s * TICKS)
        packets.append(packet)
    return packets


def _film_without_cues() -> bytes:
    """An MP4 of one text track without samples."""
    font = _box(b"ftab", struct.pack(">HHB", 1, 1, 5), b"Serif")
    place, style = struct.pack(">IbbI4h", 0, 1, -1, 0, 0, 0, 0, 0), struct.pack(">3HBBI", 0, 0, 1, 0, 18, 0xFFFFFFFF)
    text = _box(b"tx3g", bytes(6), struct.pack(">H", 1), place, style, font)
    tables = [_full(name, struct.pack(">I", 0)) for name in (b"stts", b"stsc", b"stco")]
    samples = _box(b"stbl", _full(b"stsd", struct.pack(">I", 1), text), *tables, _full(b"stsz", bytes(8)))
    source = _box(b"dinf", _full(b"dref", struct.pack(">I", 1), _full(b"url ", flags=1)))
    handler = _full(b"hdlr", bytes(4), b"sbtl", bytes(12), b"\0")
    head = _full(b"mdhd", struct.pack(">4IHH", 0, 0, TICKS, 0, 0x55C4, 0))
    media = _box(b"mdia", head, handler, _box(b"minf", _full(b"nmhd"), source, samples))
    track = _full(b"tkhd", struct.pack(">5I", 0, 0, 1, 0, 0), bytes(16), _MATRIX, bytes(8), flags=7)
    speed = struct.pack(">IH", 0x10000, 0x100)
    movie = _full(
        b"mvhd", struct.pack(">4I", 0, 0, TICKS, 0), speed, bytes(10), _MATRIX, bytes(24), struct.pack(">I", 2)
    )
    return _box(b"ftyp", b"isom", struct.pack(">I", 512), b"isom") + _box(b"moov", movie, _box(b"trak", track, media))


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), name) + body


def _full(name: bytes, *parts: bytes, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags), *parts)
