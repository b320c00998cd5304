"""Many replies of a video LLM, as they come: what goes wrong with one request costs that one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np

from lmms_videominer.errors import CallError, ModelError
from lmms_videominer.models.calls import replied
from lmms_videominer.models.plain_text import legible
from lmms_videominer.video.read_ahead import read_ahead
from lmms_videominer.vlm.vlm import VLM, PartedVLM, VLMRequest

AT_ONCE = 64  # requests of one call of a video LLM that states no parts
GRAY = np.full((4, 224, 224, 3), 128, np.uint8)  # frames that any video LLM takes

logger = logging.getLogger(__name__)


def replies(
    vlm: VLM,
    requests: Sequence[VLMRequest],
    read: Callable[[Sequence[int]], Mapping[int, VLMRequest]] | None = None,
) -> Iterator[dict[int, str | CallError]]:
    """The replies by the position of the request, part by part as they come; the error in place of a missing one.

    Of a part that fails as a whole, each half is asked for again, down to single requests. Empty replies are asked for
    once more, apart from the others, and may be empty again.

    Args:
        vlm: The video LLM.
        requests: What is asked; with ``read``, in outline: of the frames, only the shape counts.
        read: Gives the requests at these positions, with their frames; those that it leaves out are not asked. The
            next part is read while the video LLM works on the one before (``read_ahead``).

    Raises:
        ModelError: Every request of a part failed, and a plain one fails too: the model or the service is down.
    """
    parts = _parts(vlm, requests)
    whole = read_ahead(read, parts) if read else ({i: requests[i] for i in part} for part in parts)
    with closing(whole):
        for asked in whole:
            if asked:
                yield _replied(vlm, asked)


def _replied(vlm: VLM, asked: Mapping[int, VLMRequest]) -> dict[int, str | CallError]:
    texts = dict(zip(asked, _made(vlm, list(asked.values())), strict=True))
    if empty := [i for i in asked if texts[i] == ""]:
        texts.update(zip(empty, _made(vlm, [asked[i] for i in empty]), strict=True))
    faults = [reply for reply in texts.values() if isinstance(reply, CallError)]
    if faults:
        logger.warning("No reply to %d of %d requests: %s", len(faults), len(asked), faults[0])
    if len(faults) == len(asked):
        _check_alive(vlm, next(iter(asked.values())).frames is not None, faults[0])
    return texts


def _parts(vlm: VLM, requests: Sequence[VLMRequest]) -> list[list[int]]:
    if isinstance(vlm, PartedVLM):
        return vlm.parts(requests)
    positions = list(range(len(requests)))
    return [positions[start : start + AT_ONCE] for start in range(0, len(positions), AT_ONCE)]


def _made(vlm: VLM, requests: Sequence[VLMRequest]) -> list[str | CallError]:
    """One reply per request, in order, by as few calls as the failing ones allow."""
    try:
        return [_text(reply) for reply in replied("video LLM", vlm.generate, len(requests), requests)]
    except CallError as error:
        if len(requests) == 1:
            return [error]
    middle = len(requests) // 2
    return [*_made(vlm, requests[:middle]), *_made(vlm, requests[middle:])]


def _text(reply: object) -> str | CallError:
    """A reply, stripped, as text that a tokenizer and a file can take; empty for none."""
    if isinstance(reply, CallError):
        return reply
    if not isinstance(reply, str | None):
        return CallError(f"the video LLM gave {type(reply).__name__} in place of text")
    return legible(reply or "").strip()


def _check_alive(vlm: VLM, with_frames: bool, fault: CallError) -> None:
    """Raise ``ModelError`` if a plain request fails as ``fault`` did."""
    [reply] = _made(vlm, [VLMRequest("What is shown here?", GRAY if with_frames else None, max_new_tokens=8)])
    if isinstance(reply, CallError):
        raise ModelError(
            f"{fault}. A plain request fails too, so the run ends. What came so far is in the cache: run again when "
            "the model or the service answers, or once the cause is fixed"
        ) from reply
