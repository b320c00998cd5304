"""A video LLM behind a server with OpenAI's chat completions: vLLM, SGLang, llama.cpp, ``transformers serve``, ..."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from lmms_videominer.errors import CallError
from lmms_videominer.models.server import Server
from lmms_videominer.vlm.vlm import VLMRequest

QUALITY = 95  # of JPEG, without subsampling of colours: docs/servers.md has sizes and errors


class ServedVLM:
    """Sends the frames of a request as pictures, in order and before the prompt, all in one user turn.

    Equal frames are equal bytes, so that a server that keeps what it made of pictures finds them again. Their times are
    not sent: no field of the interface takes them.

    Args:
        server: The server, with its model.
    """

    def __init__(self, server: Server):
        self.server = server

    @property
    def identity(self) -> str:
        return f"{self.server.identity}:jpeg{QUALITY}"

    @property
    def at_once(self) -> int:
        """How many requests it serves at once."""
        return self.server.at_once

    def generate(self, requests: Sequence[VLMRequest]) -> list[str | CallError]:
        """One reply per request, in order; see ``VLM.generate``. The requests are sent side by side."""
        replies = dict(self.server.each(self._reply, requests))
        return [replies[i] for i in range(len(requests))]

    def _reply(self, request: VLMRequest) -> str | CallError:
        images = [] if request.frames is None else [data_url(frame) for frame in request.frames]
        reply = self.server.reply(request.prompt, request.max_new_tokens, request.temperature, images=images)
        return reply if isinstance(reply, CallError) else reply.text


def data_url(frame: np.ndarray) -> str:
    """``frame``, uint8 [H, W, 3] RGB, as the data URL of a JPEG picture."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
