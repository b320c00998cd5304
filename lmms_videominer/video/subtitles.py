"""What is said in a film: finds its subtitles, beside it or within it, and reads them as cues.

FFmpeg takes the files apart, through PyAV: it reads on past entries that are broken. The characters are decoded here,
since FFmpeg takes UTF-8 and UTF-16 alone.
"""

from __future__ import annotations

import codecs
import functools
import io
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lmms_videominer.config import AUTO_SUBTITLES, NO_SUBTITLES
from lmms_videominer.errors import SubtitleError
from lmms_videominer.types import Cue
from lmms_videominer.video.containers import demuxed, open_container, picture_stream
from lmms_videominer.video.cues import MOST_CUES, Stated, lines_of, tidied

if TYPE_CHECKING:
    from av.stream import Stream

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")  # of several files of one name, the first
FOLDERS = ("subtitles", "subtitle", "subs")  # where films or their folders have them besides
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]+)*|english", re.IGNORECASE)  # film.en.srt, film.pt-BR.vtt
LANGUAGES = ("", "en", "eng", "english")  # of several files for one film, the first of these; then others
MOST_BYTES = 16 << 20  # a day of speech has one megabyte
_CONVERT = "Convert it: iconv -f CHARSET -t UTF-8 INPUT > OUTPUT"
OTHERWISE = "Or leave subtitles out: subtitles=off"
_TIMES = re.compile(r"(?:(\d+):)?(\d+):(\d+)[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d+):(\d+)[.,](\d{1,3})")
_SRT_TIME = re.compile(r":\d+,\d+\s*-->")  # WebVTT has a point

logger = logging.getLogger(__name__)


def read_cues(video: str, source: str, duration_s: float) -> tuple[Cue, ...]:
    """What is said in ``video``, in order of time; empty if nothing is known.

    Args:
        video: The film.
        source: The setting ``subtitles``: ``off``, ``auto``, a file, or a folder.
        duration_s: Its length. Cues beyond it are left out, which is logged; so are those that end before they begin.

    Raises:
        SubtitleError: The file cannot be used: it is missing, too large, in no known encoding, or holds no cue. In
            files that were found by ``auto``, having no cue is logged, and the next source is tried.
    """
    if source == NO_SUBTITLES:
        return ()
    if source != AUTO_SUBTITLES:
        file = _in_folder(video, Path(source)) if os.path.isdir(source) else Path(source)
        return _cues(str(file), _stated_in_file(str(file)), duration_s, required=True) if file else ()
    return next((cues for read in AUTOMATIC if (cues := read(video, duration_s))), ())


def _beside(video: str, duration_s: float) -> tuple[Cue, ...]:
    """Those of a file that belongs to the film by its name."""
    folder = Path(os.path.abspath(video)).parent
    for place in (folder, *(above / name for above in (folder, folder.parent) for name in FOLDERS)):
        if file := _in_folder(video, place):
            logger.info("%s: subtitles from %s", video, file)
            if cues := _cues(str(file), _stated_in_file(str(file)), duration_s):
                return cues
    return ()


def _within(video: str, duration_s: float) -> tuple[Cue, ...]:
    """Those of the film's own text track."""
    return _cues(video, _stated_in_container(video), duration_s)


# where ``auto`` looks, in order: given a film and its length, its cues or none. A recogniser of speech would come last
AUTOMATIC: tuple[Callable[[str, float], tuple[Cue, ...]], ...] = (_beside, _within)


def _in_folder(video: str, folder: Path) -> Path | None:
    """The subtitles of ``video`` in ``folder``: its name with another suffix, or with a language before that."""
    stem = Path(video).stem
    found: list[tuple[int, int, str]] = []
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    for name in names:
        base, suffix = os.path.splitext(name)
        named = _LANGUAGE.fullmatch(base[len(stem) + 1 :]) if base.startswith(f"{stem}.") else None
        if (base == stem or named) and suffix.lower() in SUFFIXES and (folder / name).is_file():
            language = (named[1] or named[0]).lower() if named else ""
            rank = LANGUAGES.index(language) if language in LANGUAGES else len(LANGUAGES)
            found.append((rank, SUFFIXES.index(suffix.lower()), name))
    return folder / min(found)[2] if found else None


def _cues(path: str, stated: Iterator[Stated], duration_s: float, required: bool = False) -> tuple[Cue, ...]:
    """``stated``, tidied; what is left out is logged."""
    found = tidied(stated, duration_s)
    count = len(found.cues)
    if found.beyond:
        outside = f"{found.beyond} subtitles lie outside the film of {duration_s:.0f} s"
        _tell(f"{path}: {outside} and are left out; {count} stay")
    if found.without_length:
        _tell(f"{path}: {found.without_length} subtitles end before they begin and are left out; {count} stay")
    if required and not count:
        raise SubtitleError(path, "it holds no subtitles of this film", f"Check the file. {OTHERWISE}")
    return found.cues


@functools.cache
def _tell(message: str) -> None:
    """Log a warning, once."""
    logger.warning("%s", message)


def _stated_in_file(path: str) -> Iterator[Stated]:
    """The entries of a subtitle file.

    Raises:
        SubtitleError: It is missing, too large, no text, or no subtitles.
    """
    import av

    text = _text(path, _bytes(path))
    kind = _kind(path, text)
    backwards = {_ms(times[:4]) for times in _TIMES.findall(text) if _ms(times[4:]) <= _ms(times[:4])}
    try:
        with av.open(io.BytesIO(text.encode("utf-8", "replace")), format=kind) as container:
            for entry in _entries(path, container, container.streams[0], 0.0):
                ends = entry.start_s if round(1000 * entry.start_s) in backwards else entry.end_s
                yield Stated(entry.start_s, ends, entry.lines)
    except (av.FFmpegError, IndexError) as error:
        raise SubtitleError(path, f"no subtitles ({error})", f"Give an SRT, WebVTT or ASS file. {OTHERWISE}") from error


def _bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SubtitleError(path, f"cannot be read ({error.strerror})", f"Check the path. {OTHERWISE}") from error
    if len(data) > MOST_BYTES:
        raise SubtitleError(path, f"larger than {MOST_BYTES >> 20} MB: no subtitles of one film", OTHERWISE)
    return data


def _text(path: str, data: bytes) -> str:
    """``data`` as text: by its byte order mark, else UTF-8, else Windows-1252, which is logged.

    Raises:
        SubtitleError: It is none of these.
    """
    marks = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    encoding = next((name for mark, name in marks.items() if data.startswith(mark)), "")
    if not encoding and b"\0" in data:  # every second byte of Latin letters in UTF-16
        encoding = "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        try:
            if encoding:
                raise error
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            reason = f"neither UTF-8 nor UTF-16 nor Windows-1252 (byte {error.start} does not fit)"
            raise SubtitleError(path, reason, f"{_CONVERT}. {OTHERWISE}") from error
    _tell(f"{path}: not UTF-8, read as Windows-1252. If letters are wrong: {_CONVERT}")
    return text


def _kind(path: str, text: str) -> str:
    """FFmpeg's name of the format, by what the file begins with, else by its suffix."""
    head, suffix = text[:4096].lstrip(), os.path.splitext(path)[1].lower()
    if head.startswith("WEBVTT"):
        return "webvtt"
    if head.startswith("[Script Info]"):
        return "ass"
    if suffix == ".vtt" and not _SRT_TIME.search(text):
        return "webvtt"
    return "ass" if suffix in (".ass", ".ssa") else "srt"


def _ms(times: tuple[str, ...]) -> int:
    hours, minutes, seconds, fraction = times
    return (int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)) * 1000 + int(fraction.ljust(3, "0"))


def _stated_in_container(path: str) -> Iterator[Stated]:
    """The entries of the text track that a player would show: by default, else the first that is not forced."""
    from av.stream import Disposition

    with open_container(path) as container:
        tracks = [s for s in container.streams.subtitles if s.codec_context and s.codec_context.codec.text_sub]
        whole = [track for track in tracks if not track.disposition & Disposition.forced] or tracks
        chosen = next((track for track in whole if track.disposition & Disposition.default), None)
        if chosen := chosen or next(iter(whole), None):
            picture = picture_stream(container, path)
            first_s = float((picture.start_time or 0) * (picture.time_base or 0))
            yield from _entries(path, container, chosen, first_s)


def _entries(path: str, container: Any, stream: Stream, first_s: float) -> Iterator[Stated]:
    """The entries of one text stream, in seconds from ``first_s``; those that FFmpeg cannot read are logged."""
    import av

    unread = 0
    for number, packet in enumerate(demuxed(container, cast(Any, stream))):
        if number >= MOST_CUES:
            _tell(f"{path}: more than {MOST_CUES} subtitles; the others are left out")
            break
        if not packet.size or packet.pts is None or packet.time_base is None:
            continue
        try:
            read = [_dialogue(subtitle) for subtitle in _subtitles(stream, packet)]
        except av.FFmpegError:
            unread += 1
            continue
        start_s = float(packet.pts * packet.time_base) - first_s
        lines = tuple(line for dialogue in read for line in lines_of(dialogue))
        yield Stated(start_s, start_s + float((packet.duration or 0) * packet.time_base), lines)
    if unread:
        _tell(f"{path}: {unread} subtitles are damaged and left out")


def _subtitles(stream: Any, packet: Any) -> Iterator[Any]:
    for found in stream.decode(packet) or ():
        yield from found if hasattr(found, "rects") else (found,)  # PyAV 12 gives sets of them


def _dialogue(subtitle: Any) -> str:
    """The text of what FFmpeg made of it: an ASS event, ``order,layer,style,name,left,right,vertical,effect,text``."""
    return bytes(getattr(subtitle, "ass", b"")).decode("utf-8", "replace").split(",", 8)[-1]
