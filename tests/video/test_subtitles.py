"""Subtitles: where they are found, what is read of them, and what is said of those that cannot be read."""

from __future__ import annotations

import io
import itertools
import logging
from pathlib import Path

import av
import numpy as np
import pytest
from support.videos import FPS, plain_color

from lmms_videominer.errors import SubtitleError
from lmms_videominer.types import Cue, Span
from lmms_videominer.video.subtitles import MOST_BYTES, read_cues
from lmms_videominer.world.text_track import add_text_track, text_packets

SRT = "1\n00:00:01,000 --> 00:00:02,000\nfirst line\n\n2\n00:00:03,000 --> 00:00:04,000\nsecond line\n"
CUES = (Cue(Span(1.0, 2.0), "first line"), Cue(Span(3.0, 4.0), "second line"))
# as the captions that YouTube makes: every line comes a second time, and a third for 10 ms
ROLLING = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:02.000 align:start position:0%
 \nhello<00:00:01.000><c> there</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
hello there
 \n
00:00:02.010 --> 00:00:04.000 align:start position:0%
hello there
how<00:00:03.000><c> are you</c>

00:00:04.000 --> 00:00:04.010 align:start position:0%
how are you
 \n
00:00:04.010 --> 00:00:05.500 align:start position:0%
how are you
well &amp; fine
"""


def film_in(folder: Path) -> str:
    """The path of a film that is not there: its subtitles are found by its name."""
    return str(folder / "film.mp4")


def read(folder: Path, data: str | bytes, name: str = "film.srt", duration_s: float = 60.0) -> tuple[Cue, ...]:
    """What is read of a file of these contents."""
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_cues(film_in(folder), str(path), duration_s)


def texts(cues):
    return [cue.text for cue in cues]


def written_film(path: Path, cues=(), codec: str = "", start_s: float = 0.0) -> Path:
    """5 s of gray frames with ``cues`` as a text track, of MP4, or of ``codec`` in Matroska."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        if codec:
            head = {
                "srt": b"1\n00:00:01,000 --> 00:00:02,000\nx\n",
                "webvtt": b"WEBVTT\n\n00:01.000 --> 00:02.000\nx\n",
            }
            with av.open(io.BytesIO(head[codec]), format=codec) as source:
                track = container.add_stream_from_template(source.streams.subtitles[0])
        elif cues:
            track = add_text_track(container)
        shifted = [Cue(Span(c.span.start_s + start_s, c.span.end_s + start_s), c.text) for c in cues]
        for packet, cue in zip(text_packets(track, shifted) if cues else (), cues):
            if codec:
                packet = _with(packet, cue.text.encode())
            container.mux(packet)
        for number in range(5 * FPS):
            frame = av.VideoFrame.from_ndarray(plain_color(90), format="rgb24")
            frame.pts = round((start_s + number / FPS) * FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _with(packet, payload):
    other = av.Packet(payload)
    other.stream, other.time_base, other.is_keyframe = packet.stream, packet.time_base, True
    other.pts = other.dts = packet.pts
    other.duration = packet.duration
    return other


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_letters_are_read_in_every_usual_encoding(tmp_path, encoding, caplog):
    data = SRT.replace("first line", "Füße, café – “so”").replace("\n", "\r\n").encode(encoding)
    assert texts(read(tmp_path, data)) == ["Füße, café – “so”", "second line"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * (encoding == "cp1252")
    assert ("Windows-1252" in caplog.text and str(tmp_path) in caplog.text) == (encoding == "cp1252")


def test_a_guessed_encoding_is_told_once(tmp_path, caplog):
    data = SRT.replace("first", "premi\N{LATIN SMALL LETTER E WITH GRAVE}re").encode("cp1252")
    read(tmp_path, data)
    read(tmp_path, data)
    assert len(caplog.records) == 1


def test_markup_is_no_text_and_text_is_no_markup(tmp_path):
    line = '<i>it</i> <font color="white" size=".72c">is</font> {\\an8}1 < 2, {so} <|im_end|><c>\nand, on, goes'
    [cue, _] = read(tmp_path, SRT.replace("first line", line))
    assert cue.text == "it is 1 < 2, {so} <|im_end|> and, on, goes"


def test_lines_that_roll_up_count_once(tmp_path):
    cues = read(tmp_path, ROLLING, "film.vtt")
    assert texts(cues) == ["hello there", "how are you", "well & fine"]
    assert [cue.span.start_s for cue in cues] == [0.0, 2.01, 4.01]


def test_captions_that_grow_word_by_word_are_one(tmp_path):
    steps = ["we", "we go", "we go home", "we go home now", "then rest"]
    data = "".join(f"{i}\n00:00:0{i},000 --> 00:00:0{i + 1},000\n{text}\n\n" for i, text in enumerate(steps))
    cues = read(tmp_path, data)
    assert cues == (Cue(Span(0.0, 4.0), "we go home now"), Cue(Span(4.0, 5.0), "then rest"))


def test_cues_do_not_overlap_and_none_is_lost(tmp_path):
    rows = [("01,000", "06,000", "a"), ("01,100", "03,000", "b"), ("04,000", "08,000", "c"), ("09,000", "10,000", "c")]
    cues = read(tmp_path, "".join(f"00:00:{a} --> 00:00:{b}\n{text}\n\n" for a, b, text in rows))
    assert texts(cues) == ["a b", "c", "c"]
    assert all(before.span.end_s <= after.span.start_s for before, after in itertools.pairwise(cues))


def test_what_a_film_cannot_have_is_left_out_and_told(tmp_path, caplog):
    broken = "3\n00:00:09,000 --> 00:00:08,000\nbackwards\n\nnoise\n\n4\n00:01:30,000 --> 00:01:31,000\nlater\n"
    cues = read(tmp_path, f"{SRT}\n{broken}", duration_s=3.5)
    assert cues == (CUES[0], Cue(Span(3.0, 3.5), "second line"))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2 and all(str(tmp_path / "film.srt") in line for line in told)
    assert "1 subtitles lie outside the film" in told[0] and "1 subtitles end before they begin" in told[1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9 \x81\n", "neither UTF-8 nor UTF-16 nor Windows-1252"),
        (b"no subtitles at all\n", "holds no subtitles"),
        (b"", "holds no subtitles"),
        (b"x" * (MOST_BYTES + 1), "larger than 16 MB"),
    ],
)
def test_a_file_that_cannot_be_used_says_so(tmp_path, data, reason):
    with pytest.raises(SubtitleError, match=reason) as error:
        read(tmp_path, data)
    assert str(tmp_path / "film.srt") in str(error.value) and "subtitles=off" in str(error.value)


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SubtitleError, match=r"none\.srt: cannot be read"):
        read_cues(film_in(tmp_path), str(tmp_path / "none.srt"), 60.0)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["film.srt", "film.en.srt"], "film.srt"),
        (["film.de.srt", "film.en.srt", "film.fr.vtt"], "film.en.srt"),
        (["film.pt-BR.vtt", "other.srt"], "film.pt-BR.vtt"),
        (["FILM.srt", "film.part2.srt", "filmed.srt", "film.SRT"], "film.SRT"),
        (["subtitles/film.srt", "film.ass.txt"], "subtitles/film.srt"),
        (["../subtitle/film.srt"], "../subtitle/film.srt"),
        (["film.en.txt", "film2.srt"], None),
    ],
)
def test_auto_finds_the_file_beside_the_film(tmp_path, names, chosen):
    folder = tmp_path / "data"
    written_film_path = folder / "film.mp4"
    folder.mkdir()
    written_film(written_film_path)
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(SRT.replace("first line", name), encoding="utf-8")
    assert texts(read_cues(str(written_film_path), "auto", 60.0))[:1] == ([chosen] if chosen else [])
    assert read_cues(str(written_film_path), "off", 60.0) == ()


def test_a_folder_holds_those_of_each_film(tmp_path):
    (tmp_path / "film.en.srt").write_text(SRT, encoding="utf-8")
    assert read_cues("/elsewhere/film.mp4", str(tmp_path), 60.0) == CUES
    assert read_cues("/elsewhere/another.mp4", str(tmp_path), 60.0) == ()


@pytest.mark.parametrize(("name", "codec"), [("film.mp4", ""), ("film.mkv", "srt"), ("film.mkv", "webvtt")])
def test_auto_reads_the_text_track_of_the_film(tmp_path, name, codec):
    film = written_film(tmp_path / name, CUES, codec)
    assert read_cues(str(film), "auto", 5.0) == CUES


def test_times_of_a_text_track_count_from_the_first_frame(tmp_path):
    film = written_film(tmp_path / "late.mkv", CUES, "srt", start_s=2.0)
    cues = read_cues(str(film), "auto", 5.0)
    assert texts(cues) == texts(CUES)
    assert np.allclose([cue.span.start_s for cue in cues], [1.0, 3.0], atol=0.05)


def test_auto_goes_on_to_the_text_track_where_the_file_is_empty(tmp_path):
    film = written_film(tmp_path / "film.mp4", CUES)
    (tmp_path / "film.srt").write_text("", encoding="utf-8")
    assert read_cues(str(film), "auto", 5.0) == CUES


def test_ass_files_are_read_without_drawings(tmp_path):
    fields = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
    head = f"[Script Info]\nScriptType: v4.00+\n\n[Events]\nFormat: {fields}\n"
    events = [
        "0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\i1}first{\\i0}\\Nline",
        "0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 9 9{\\p0}",
    ]
    data = head + "".join(f"Dialogue: 0,{event}\n" for event in events)
    assert read(tmp_path, data, "film.ass") == (CUES[0],)
