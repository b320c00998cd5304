"""A model behind a server with OpenAI's chat completions, named ``openai:MODEL@URL``: asked side by side, and again.

The ``openai`` package tries again what may pass, ``TRIES`` times in all: timeouts, closed connections, the statuses
408, 409, 429 and from 500 on, after random and growing waits or the one that the server asks for.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lmms_videominer.errors import CallError, ConfigError, ModelError, told
from lmms_videominer.models.plain_text import THINK, ControlTokens, legible
from lmms_videominer.redaction import hidden

PREFIX = "openai:"
KEY = "OPENAI_API_KEY"  # the environment variable that holds the key; servers without keys ignore it
TRIES = 5
CONNECT_S = 10.0  # the longest wait for a connection
MOST_NAMED = 20  # models of a server in a message
SEEDS = 2**31  # some servers take seeds of 32 bits only
# what some models refuse by name, and what they take instead, if anything: OpenAI's reasoning models
INSTEAD = {"max_tokens": "max_completion_tokens", "temperature": ""}

logger = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")


def is_served(name: object) -> bool:
    """Whether ``name`` is that of a model behind a server."""
    return isinstance(name, str) and name.startswith(PREFIX)


@dataclass(frozen=True)
class Address:
    """Where a model is served.

    Attributes:
        model: Its name at the server.
        url: The base of the server's interface, such as ``http://localhost:8000/v1``.
    """

    model: str
    url: str

    @classmethod
    def of(cls, name: str) -> Address:
        """The address in ``openai:MODEL@URL``; ``MODEL`` may have an ``@`` of its own.

        Raises:
            ConfigError: ``name`` has another form, or holds a login or a query, which would be stored with results.
        """
        match = re.fullmatch(rf"{PREFIX}(?P<model>.+?)@(?P<url>https?://\S+)", name.strip(), re.IGNORECASE)
        parts = urlsplit(match["url"]) if match else None
        if parts and (parts.username or parts.password or parts.query or parts.fragment):
            raise ConfigError(
                f"{PREFIX}...@{parts.scheme}://{parts.hostname}: the address of a server has no login, query or "
                f"fragment, since results name it. Put the key into ${KEY}"
            )
        if not (match and parts and parts.hostname):
            raise ConfigError(
                f"{name!r} names no model of a server: write {PREFIX}MODEL@URL, such as "
                f"{PREFIX}Qwen/Qwen2-VL-7B-Instruct@http://localhost:8000/v1"
            )
        return cls(match["model"], match["url"].rstrip("/"))

    def __str__(self) -> str:
        return f"{PREFIX}{self.model}@{self.url}"


@dataclass(frozen=True)
class Reply:
    """A reply.

    Attributes:
        text: Its text, stripped, without reasoning that the server took out.
        reasoning: The reasoning that the server took out, as servers do that know the marks of a model.
        prompt_tokens, completion_tokens: As the server counted them; 0 if it does not say.
    """

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning: str = ""

    @property
    def whole(self) -> str:
        """The reply as the model wrote it."""
        return f"<think>{self.reasoning}</think>{self.text}" if self.reasoning else self.text


class Server:
    """One model behind a server.

    Args:
        name: ``openai:MODEL@URL``. The key is that of ``$OPENAI_API_KEY``, if it is set.
        at_once: The most requests that the server gets at once.
        timeout_s: The longest time of one try, the wait in the server's queue included.

    Raises:
        ConfigError: See ``Address.of``.
    """

    def __init__(self, name: str, at_once: int = 16, timeout_s: float = 120.0):
        import openai

        self.address, self.at_once, self.timeout_s = Address.of(name), at_once, timeout_s
        self._key = os.environ.get(KEY, "")
        self._client = openai.OpenAI(
            base_url=self.address.url,
            api_key=self._key or "none",
            max_retries=TRIES - 1,
            timeout=openai.Timeout(timeout_s, connect=CONNECT_S),
        )
        self._instead: dict[str, str] = {}
        self._control_tokens = ControlTokens.common(own=THINK)

    @classmethod
    def reached(cls, name: str, at_once: int = 16, timeout_s: float = 120.0) -> Server:
        """The server of that name, which answers: asked for its list of models, which some do not have.

        Raises:
            ConfigError: See ``Address.of``.
            ModelError: The server cannot be reached, or refuses the key.
        """
        import openai

        server = cls(name, at_once, timeout_s)
        try:
            server._client.with_options(max_retries=1).models.list()
        except openai.AuthenticationError as error:
            raise server._refused(error) from None
        except openai.APIConnectionError as error:
            raise ModelError(
                f"{server.address}: the server cannot be reached ({server._told(error)}). Start it, or correct its "
                "address, the base of the interface such as http://localhost:8000/v1"
            ) from None
        except (openai.OpenAIError, ValueError) as error:
            logger.debug("%s gives no list of models: %s", server.address, server._told(error))
        return server

    @property
    def identity(self) -> str:
        """The address: whether a server loads other weights under the same name cannot be told from outside."""
        return str(self.address)

    def each(self, call: Callable[[T], R], items: Sequence[T]) -> Iterator[tuple[int, R]]:
        """``call(item)`` by the position of the item, as they come, at most ``at_once`` at a time."""
        pool = ThreadPoolExecutor(max(1, min(self.at_once, len(items))), thread_name_prefix="videominer-server")
        try:
            positions = {pool.submit(call, item): i for i, item in enumerate(items)}
            for done in as_completed(positions):
                yield positions[done], done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def reply(
        self,
        prompt: str,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        images: Sequence[str] = (),
    ) -> Reply | CallError:
        """The reply to one user turn, or the error in place of one that does not come.

        Args:
            prompt: The text of the turn; control tokens in it are text.
            max_tokens: Maximum number of tokens of the reply; one that is cut there is a reply.
            temperature: 0 is greedy.
            seed: Of a sample, as far as the server heeds it.
            images: Data URLs of the pictures before the text.

        Raises:
            ModelError: The server refuses the key, or knows no such model: no request can succeed.
        """
        import openai

        text = self._control_tokens.spaced(legible(prompt))
        parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in images]
        content = [*parts, {"type": "text", "text": text}] if parts else text
        request = {
            "model": self.address.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": max_tokens,
            "temperature": temperature,
            **({} if seed is None else {"seed": seed % SEEDS}),
        }
        try:
            return self._read(self._asked(request), max_tokens)
        except openai.AuthenticationError as error:
            raise self._refused(error) from None
        except openai.NotFoundError as error:
            raise self._unknown(error) from None
        except openai.APITimeoutError:
            reason = f"no reply within {self.timeout_s:g} s, {TRIES} times"
            return CallError(f"{self.address}: {reason}. Raise server_timeout_s, or lower server_requests")
        except (openai.OpenAIError, ValueError) as error:  # ValueError: what came is no JSON
            return CallError(f"{self.address}: {self._told(error)}")

    def check_alive(self, fault: CallError) -> None:
        """Raise ``ModelError`` if a plain request fails as ``fault`` did."""
        if isinstance(self.reply("Say yes.", max_tokens=8), CallError):
            raise ModelError(
                f"{fault}. A plain request fails too, so the run ends. What came so far is in the cache: run again "
                "when the server answers, or once the cause is fixed"
            )

    def _asked(self, request: Mapping[str, Any]) -> Any:
        """The server's response, to the request without what the model has refused by name."""
        import openai

        while True:
            instead = dict(self._instead)
            named = {instead.get(name, name): value for name, value in request.items() if instead.get(name, name)}
            try:
                return self._client.chat.completions.create(**named)
            except openai.BadRequestError as error:
                refused = error.param if str(error.code).startswith("unsupported") else None
                if refused not in INSTEAD or refused in instead:
                    raise
                self._instead[refused] = INSTEAD[refused]
                told_as = f"{INSTEAD[refused]} is sent" if INSTEAD[refused] else "it is left out: replies are samples"
                logger.warning("%s refuses %s: %s", self.address, refused, told_as)

    def _read(self, response: Any, max_tokens: int) -> Reply | CallError:
        """The reply in a response; an error for a refusal, and for what is no completion or ends before its text."""
        try:
            choice = response.choices[0]
            said, text = choice.message, choice.message.content or ""
        except (AttributeError, IndexError, TypeError):
            return CallError(f"{self.address}: not a completion: {self._said(response)[:100]}")
        refusal = getattr(said, "refusal", None) or (
            "content_filter" if choice.finish_reason == "content_filter" else ""
        )
        if refusal:
            return CallError(f"{self.address}: the model refused: {self._said(refusal)}")
        thought = getattr(said, "reasoning_content", None) or getattr(said, "reasoning", None) or ""
        text, reasoning = (self._said(part).strip() for part in (text, thought))
        if not text and choice.finish_reason == "length":
            return CallError(
                f"{self.address}: no text within {max_tokens} tokens. If the model thinks before it replies, switch "
                "that off at the server, or raise caption_tokens and policy_tokens"
            )
        usage = getattr(response, "usage", None)
        counts = {name: getattr(usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens")}
        return Reply(text, **counts, reasoning=reasoning)

    def _refused(self, error: Exception) -> ModelError:
        reason = "refuses the key in" if self._key else "wants a key, and none is in"
        return ModelError(
            f"{self.address}: the server {reason} ${KEY} ({self._told(error)}). Set it to a key of this server"
        )

    def _unknown(self, error: Exception) -> ModelError:
        offered = self._offered()
        listed = f"The server offers {', '.join(offered[:MOST_NAMED])}" if offered else "The server lists no models"
        return ModelError(
            f"{self.address}: no such model, or no such address ({self._told(error)}). {listed}; the base of the "
            "interface often ends in /v1"
        )

    def _offered(self) -> list[str]:
        """The names of the server's models; none if it does not say."""
        import openai

        try:
            models = getattr(self._client.models.list(), "data", None) or []
        except (openai.OpenAIError, ValueError):
            return []
        return [str(getattr(model, "id", model)) for model in models]

    def _told(self, error: BaseException) -> str:
        """The kind of an error and its cause: "Connection error." alone does not say which."""
        cause = error.__cause__
        return self._said(f"{told(error)}, {told(cause)}" if cause else told(error))

    def _said(self, said: object) -> str:
        """What the server says as text that a file takes, without the key."""
        return hidden(legible(str(said)), [self._key])
