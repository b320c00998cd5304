"""Opens files with PyAV, chooses their video stream, and reads packets and pictures past damage."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from lmms_videominer.errors import VideoError
from lmms_videominer.video import faults

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_TEXT_FORMATS = ("tty",)  # FFmpeg renders any .txt file as a video of its letters
_PARTS = "Keep its parts where it says, or join them: ffmpeg -allowed_extensions ALL -i INPUT -c copy OUTPUT.mp4"
_JOIN = "Join them first: ffmpeg -f concat -i LIST -c copy OUTPUT.mkv"
# FFmpeg's names of kinds of files that hold the video themselves; playlists, DASH, SDP and lists of files do not
_WHOLE = (
    "mov matroska webm avi mpegts mpeg mpegvideo m4v h264 hevc av1 obu ivf flv live_flv ogg asf mxf nut rm wtv dv gif "
    "yuv4mpegpipe"
)
_WHOLE_FILM = "Give a file that holds the film itself: ffmpeg -i INPUT -c copy OUTPUT.mkv makes one"
_PLAYLIST_HEAD = b"#EXTM3U"
_PLAYLIST_ENDS = (b"#EXT-X-ENDLIST", b"#EXT-X-STREAM-INF")  # without them FFmpeg waits for more, and cannot go back


def header_duration_s(path: str) -> float | None:
    """The length that the file's header states, in seconds; ``None`` if it states none or cannot be read."""
    import av

    try:
        with av.open(path) as container:
            length = container.duration
    except (OSError, ValueError, av.error.FFmpegError):
        return None
    return length / av.time_base if length else None


def stated_size(path: str) -> tuple[int, int]:
    """Width and height of the video that the file's header states, in pixels, as coded: before any rotation.

    Raises:
        VideoError: The file cannot be used.
    """
    faults.check_file(path)
    with open_container(path) as container:
        codec = picture_stream(container, path).codec_context
        size = codec.width, codec.height
    return size


def open_container(path: str) -> InputContainer:
    """Open ``path`` with PyAV; if that fails, raise the ``VideoError`` that gives the reason."""
    import av

    listed = playlist(path)
    if listed and not any(end in listed for end in _PLAYLIST_ENDS):
        raise VideoError(path, "the playlist is not finished", "If its video is, add a last line: #EXT-X-ENDLIST")
    name, source = file_address(path), None
    if not name:
        source = Path(path).open("rb")  # noqa: SIM115 - PyAV reads from it as long as the container is open
    try:
        return av.open(source or name, mode="r", metadata_errors="replace")
    except av.FFmpegError as error:
        if source:
            source.close()
        if listed:
            raise VideoError(path, f"the playlist names no part that can be read ({error.strerror})", _PARTS) from error
        raise faults.not_a_video(path, error.strerror) from error


def check_is_whole(path: str) -> None:
    """Check a file from somebody who may read no other one, before anything that it names would be opened.

    Raises:
        VideoError: The file is missing or empty, or is of a kind that can name other files or addresses, which FFmpeg
            would read: a playlist (HLS, DASH), a list of files, the description of a stream.
    """
    import av

    faults.check_file(path)
    whole = {"format_whitelist": ",".join(_WHOLE.split())}
    try:
        av.open(file_address(path), options=whole).close()
    except av.FFmpegError as error:
        # FFmpeg looks at the kind first; what else is wrong with the file says who opens it to read it
        if error.errno == errno.EINVAL:
            raise VideoError(path, "no kind of file that holds a film by itself", _WHOLE_FILM) from error


def file_address(path: str) -> str:
    """How FFmpeg is told a file, also one with a colon in its name; empty if the name is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return ""
    return f"file:{os.path.abspath(path)}"


def playlist(path: str) -> bytes:
    """The text of an HLS playlist, which names the files that hold the video; empty for any other file."""
    with Path(path).open("rb") as file:
        head = file.read(len(_PLAYLIST_HEAD))
        return head + file.read() if head == _PLAYLIST_HEAD else b""


def picture_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams, without cover art."""
    from av.stream import Disposition

    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def picture_stream(container: InputContainer, path: str) -> VideoStream:
    """The stream that FFmpeg plays; ``VideoError`` if there is none (cover art does not count) or no decoder for it."""
    if container.format.name in _TEXT_FORMATS:
        raise VideoError(path, "not a video but text", "Give a video file")
    if container.format.name == "concat":
        raise VideoError(path, "not a video but a list of videos", _JOIN)
    pictures = picture_streams(container)
    if not pictures:
        what = "holds sound only, no pictures" if container.streams.audio else "holds neither pictures nor sound"
        raise VideoError(path, f"the file {what}", "Name a file that has a video stream")
    best = container.streams.best("video")
    stream = best if best in pictures else pictures[0]
    if stream.codec_context is None:
        raise VideoError(path, "this FFmpeg has no decoder for its video codec", faults.CONVERT)
    return stream


def decode_threads(width: int, height: int) -> int:
    """Decoder threads, 0 for automatic. Below 320x240, threads cost more than they save (measured)."""
    return 1 if width * height < 320 * 240 else 0


def demuxed(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """The packets of ``stream``, the empty one that ends it included; where the container breaks off, those before."""
    import av
    from av.packet import Packet

    while True:
        try:
            yield from container.demux(stream)
            return
        except IndexError:  # PyAV met a packet of a stream that begins midway
            continue
        except av.FFmpegError:
            end = Packet()
            end.stream = stream
            yield end
            return


def packets_from(container: InputContainer, stream: VideoStream, pts: int) -> Iterator[Packet]:
    """The packets from ``pts`` on, or from where else a seek to it lands; none if it fails."""
    import av

    try:
        container.seek(pts, stream=stream)
    except av.FFmpegError:
        return iter(())
    return demuxed(container, stream)


def decoded(stream: VideoStream, packets: Iterable[Packet | None], past_damage: bool = True) -> Iterator[VideoFrame]:
    """The frames that can be decoded from ``packets``; without ``past_damage``, those before the first failure.

    ``None`` in place of a packet drains the decoder.
    """
    import av

    for packet in packets:
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            if not past_damage:
                return


def stream_of(container: InputContainer, index: int) -> VideoStream:
    """Stream ``index``, which ``picture_stream`` chose when the file was first opened."""
    return cast("VideoStream", container.streams[index])
