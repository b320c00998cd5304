"""Diagnoses what is wrong with a file, without decoding it: the reasons that a ``VideoError`` gives."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import BinaryIO

from lmms_videominer.errors import VideoError

AGAIN = "Download or copy the file again"
CONVERT = "Convert it first: ffmpeg -i INPUT -c:v libx264 -pix_fmt yuv420p OUTPUT.mp4"
# two letters or more: C: is a drive; one slash is left where a Path was made of it
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/+|(?:www\.|m\.)?(?:youtube\.com|youtu\.be|vimeo\.com)/")
_EBML_MAGIC, _SEGMENT_ID = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska and WebM


def check_file(path: str) -> None:
    """Raise ``VideoError`` unless ``path`` is a readable file with at least one byte."""
    if _ADDRESS.match(path) and not os.path.exists(path):
        raise VideoError(path, "is an address, not a file", f"Download it first: {download_command(path)}")
    if not os.path.exists(path):
        raise VideoError(path, "no such file", "Check the path")
    if os.path.isdir(path):
        raise VideoError(path, "is a folder, not a file", "Name the video files in it")
    if os.path.getsize(path) == 0:
        raise VideoError(path, "the file is empty (0 bytes)", AGAIN)
    if not os.access(path, os.R_OK):
        raise VideoError(path, "no permission to read it", "Change the permissions of the file")


def download_command(address: str) -> str:
    """The command that people download a video with."""
    return f"yt-dlp -f mp4 -o film.mp4 {shlex.quote(address)}"


def cut_off(path: str) -> VideoError | None:
    """The error for a file that is shorter than its container states; ``None`` if it is not."""
    stated, size = stated_bytes(path), os.path.getsize(path)
    if stated <= size:
        return None
    return VideoError(path, f"the file is cut off: {size} of {stated} bytes are present", AGAIN)


def not_a_video(path: str, detail: object) -> VideoError:
    """The error for a file that FFmpeg cannot open as a container."""
    if error := cut_off(path):
        return error
    if _is_mp4(path):
        reason = "the MP4 file was never finished: its index (moov) is missing"
        return VideoError(path, reason, AGAIN + ", or repair it with a tool such as untrunc")
    return VideoError(path, f"not a video ({detail})", "Give a video file that FFmpeg can read, such as MP4 or MKV")


def damaged(path: str, time_s: float, detail: object = "it is missing from the stream") -> VideoError:
    """The error for a frame that cannot be decoded."""
    reason = f"the file is damaged: the frame at {time_s:.2f} s cannot be decoded ({detail})"
    return VideoError(path, reason, f"{AGAIN}, or salvage what can be decoded: ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4")


def stated_bytes(path: str) -> int:
    """The size in bytes that an MP4, MOV, MKV or WebM container states; 0 if it states none.

    MPEG-TS and other streams state no size: if cut off, they are simply shorter videos.
    """
    with Path(path).open("rb") as file:
        head = file.read(8)
        file.seek(0)
        if head[:4] == _EBML_MAGIC:
            return _matroska_bytes(file)
        return _mp4_bytes(file) if head[4:8] == b"ftyp" else 0


def _is_mp4(path: str) -> bool:
    with Path(path).open("rb") as file:
        return file.read(8)[4:8] == b"ftyp"


def _mp4_bytes(file: BinaryIO) -> int:
    """End of the last top-level box. Each box starts with its size (32 bits, or 64 if those hold 1)."""
    end, file_size = 0, os.fstat(file.fileno()).st_size
    while end < file_size:
        file.seek(end)
        header = file.read(16)
        size, name = int.from_bytes(header[:4], "big"), header[4:8]
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < 8 or not name.isalnum():  # size 0 means up to the end of the file; otherwise this is not a box
            break
        end += size
    return end


def _matroska_bytes(file: BinaryIO) -> int:
    """End of the segment that follows the EBML header; 0 if its size is unknown (a live recording)."""
    file.seek(4)
    size, _ = _vint(file)
    file.seek(size, os.SEEK_CUR)
    if file.read(4) != _SEGMENT_ID:
        return 0
    size, unknown = _vint(file)
    return 0 if unknown else file.tell() + size


def _vint(file: BinaryIO) -> tuple[int, bool]:
    """Read an EBML integer: its leading zero bits count the bytes that follow.

    Returns:
        The integer, and whether it is the reserved value "unknown".
    """
    first = (file.read(1) or b"\x80")[0]
    extra = 8 - first.bit_length()
    value = int.from_bytes(bytes([first & (0x7F >> extra)]) + file.read(extra), "big")
    return value, value == (1 << (7 * (extra + 1))) - 1
