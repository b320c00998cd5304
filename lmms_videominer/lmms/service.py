"""Makes the client of a backbone behind an HTTP service persistent: faults that pass are tried again.

lmms-eval's backbones for OpenAI's interface try every request ``max_retries`` times, whatever went wrong, a fixed time
apart, and their client tries each of these three times, up to ten minutes each, since the backbone's ``timeout`` does
not reach it. Here one loop takes the place of both: it tries at most ``max_retries`` times, only what may pass, after
random and growing waits or the one that the service asks for, and says why.
"""

from __future__ import annotations

import inspect
import logging
import math
import random
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from lmms_videominer.errors import ConfigError, told

if TYPE_CHECKING:
    from lmms_eval.api.model import lmms
    from tenacity import RetryCallState

LONGEST_WAIT_S = 30.0  # between two tries, unless the service asks for more
LONGEST_WISH_S = 120.0  # the longest wait that a service may ask for
WAITS_S = 60.0  # allowed for the waits between the tries of one request
PASSING = (408, 409, 425, 429)  # HTTP statuses that may pass, as those from 500 on may

logger = logging.getLogger(__name__)

B = TypeVar("B", bound="lmms")


class NoCompletion(Exception):
    """A service answered with something else than a completion, or not at all."""


def persistent(backbone: B, timeout: Any = None) -> B:
    """``backbone``, whose chat client tries again as this module says; unchanged if it has none.

    Args:
        timeout: The longest time of one try, in seconds, as a user may write it; ``None``: the client's own. No try
            begins ``WAITS_S`` after twice this time, so that a service that hangs is not waited for all
            ``max_retries`` times.

    Raises:
        ConfigError: ``timeout`` is no number above 0.
    """
    client: Any = getattr(backbone, "client", None)
    completions: Any = getattr(getattr(client, "chat", None), "completions", None)
    if not callable(getattr(completions, "create", None)) or not hasattr(backbone, "max_retries"):
        return backbone
    timeout_s = _seconds(timeout)
    own: dict[str, Any] = {"max_retries": 0} | ({} if timeout_s is None else {"timeout": timeout_s})
    if hasattr(client, "with_options"):  # OpenAI's; LiteLLM takes both with each request
        if inspect.iscoroutinefunction(inspect.unwrap(completions.create)):
            # lmms-eval runs each call in an event loop of its own, where a connection of the last one loses its reply
            own["default_headers"] = {"Connection": "close"}
        client = backbone.client = client.with_options(**own)
        completions, own = client.chat.completions, {}
    longest_s = timeout_s or _own_timeout_s(client)
    completions.create = _trying(completions.create, int(backbone.max_retries), longest_s, own)
    backbone.max_retries = 1
    return backbone


def _seconds(timeout: Any) -> float | None:
    try:
        timeout_s = None if timeout in (None, "None") else float(timeout)
    except (TypeError, ValueError, OverflowError):
        timeout_s = math.nan
    if timeout_s is not None and not 0 < timeout_s < math.inf:
        raise ConfigError(f"timeout={timeout!r}: must be a number of seconds above 0, such as timeout=600")
    return timeout_s


def _trying(create: Any, tries: int, timeout_s: float, own: dict[str, Any]) -> Any:
    """``create``, tried up to ``tries`` times; a coroutine function if it is one."""
    from tenacity import AsyncRetrying, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay

    loop: dict[str, Any] = {
        "stop": stop_after_attempt(max(1, tries)) | stop_after_delay(2 * timeout_s + WAITS_S),
        "wait": _wait_s,
        "retry": retry_if_exception(_may_pass),
        "before_sleep": _tell,
        "retry_error_callback": _give_up,
    }

    if inspect.iscoroutinefunction(inspect.unwrap(create)):

        async def asked_async(**request: Any) -> Any:
            return _completion(await create(**{**own, **request}))

        return AsyncRetrying(**loop).wraps(asked_async)

    def asked(**request: Any) -> Any:
        return _completion(create(**{**own, **request}))

    return Retrying(**loop).wraps(asked)


def _completion(response: Any) -> Any:
    """``response``, with an empty text for none, which backbones take for an error or for text."""
    try:
        message = response.choices[0].message
        if message.content is None and not getattr(message, "tool_calls", None):
            message.content = ""
    except (AttributeError, IndexError, TypeError):
        raise NoCompletion(f"not a completion: {response!s:.100}") from None
    return response


def _may_pass(error: BaseException) -> bool:
    status = getattr(error, "status_code", None)
    return isinstance(error, Exception) and (status is None or status in PASSING or status >= 500)


def _wait_s(state: RetryCallState) -> float:
    """What the service asks for, else between half and all of 1, 2, 4, ... seconds."""
    wish_s = _wish_s(state.outcome.exception() if state.outcome else None)
    if wish_s is not None:
        return wish_s * random.uniform(1.0, 1.1)
    return min(LONGEST_WAIT_S, 2.0 ** (state.attempt_number - 1)) * random.uniform(0.5, 1.0)


def _wish_s(error: BaseException | None) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    wish = str(headers.get("retry-after", ""))
    try:
        wish_s = float(wish) if not wish.endswith("GMT") else parsedate_to_datetime(wish).timestamp() - time.time()
    except (ValueError, OverflowError):  # none, or neither seconds nor a date
        return None
    return min(wish_s, LONGEST_WISH_S) if wish_s > 0 else None


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    wait_s = state.next_action.sleep if state.next_action else 0.0
    logger.warning("Try %d failed (%s), the next follows in %.1f s", state.attempt_number, _reason(error), wait_s)


def _give_up(state: RetryCallState) -> Any:
    error = state.outcome.exception() if state.outcome else None
    raise NoCompletion(f"no reply after {state.attempt_number} tries: {_reason(error)}") from error


def _reason(error: BaseException | None) -> str:
    """The kind of an error and its cause: "Connection error." alone does not say which."""
    cause = error.__cause__ if error else None
    return f"{told(error)}, {told(cause)}" if error and cause else told(error) if error else ""


def _own_timeout_s(client: Any) -> float:
    timeout = getattr(client, "timeout", None)
    return float(getattr(timeout, "read", timeout) or 600.0)
