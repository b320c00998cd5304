"""Decodes single sync frames: a codec's key frames, which refer to no other frame.

To read one of them through a decoder that runs on is to decode as many frames after it as the decoder holds back. Here
the decoder gets its packet alone and is drained.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from lmms_videominer.video.containers import decode_threads, decoded, open_container, packets_from, stream_of
from lmms_videominer.video.track import Track

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame

_NEAR = 8  # packets after a seek among which the frame must be


class SyncDecoder:
    """A decoder of its own for sync frames of one file.

    Args:
        track: The index of the file.
    """

    def __init__(self, track: Track):
        self._container = open_container(track.path)
        self._stream = stream_of(self._container, track.stream_index)
        self._stream.thread_type = "SLICE"  # frame by frame there is nothing to do side by side
        self._stream.codec_context.thread_count = decode_threads(track.width, track.height)

    def frame(self, pts: int) -> VideoFrame | None:
        """The sync frame at ``pts``; ``None`` if it does not come, or comes damaged."""
        packet = self._packet(pts)
        if packet is None:
            return None
        self._stream.codec_context.flush_buffers()
        frames = [*decoded(self._stream, [packet], past_damage=False), *decoded(self._stream, [None])]
        frame = next((frame for frame in frames if frame.pts == pts), None)
        return frame if frame is not None and frame.key_frame and not frame.is_corrupt else None

    def _packet(self, pts: int) -> Packet | None:
        packets = islice(packets_from(self._container, self._stream, pts), _NEAR)
        return next((packet for packet in packets if packet.pts == pts and packet.is_keyframe), None)

    def close(self) -> None:
        self._container.close()
