"""Named texts with checksums on a Redis server (or Valkey, which speaks the same) that any number of machines share.

A cache reads and writes many values by their keys, and whoever writes a value last writes the same one: batches of MGET
and SET are all that it needs. Limits are the server's own (``maxmemory``). Texts that are cheap to make again get an
expiry, so that with ``maxmemory-policy volatile-lru`` the server evicts these and no others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lmms_videominer.errors import CacheError
from lmms_videominer.redaction import without_secrets

if TYPE_CHECKING:
    from redis import Redis

SCHEMES = ("redis", "rediss")  # the latter with TLS
EXPIRY_S = 30 * 24 * 3600  # of texts that expire, since they were written
CONNECT_S, REPLY_S = 3.0, 20.0  # the longest wait for a connection, for a reply; either is tried once more
AGAIN_S = 60.0  # a server that is gone is left alone for this long

_PREFIX = "videominer:"  # the database may be shared with other programs
_CHECKSUM_BYTES = 16
_AT_ONCE = 512  # names in one request: some megabytes, so that others are served in between

logger = logging.getLogger(__name__)


def is_server(name: str) -> bool:
    """Whether ``name`` is the address of a server, not a folder."""
    return "://" in name


def shown(address: str) -> str:
    """``address`` without its login, to be shown and stored."""
    return without_secrets({"address": address})["address"]


class RedisTexts:
    """The texts on the server at ``address``.

    Args:
        address: ``redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]``, or ``rediss://...`` with TLS.
        expiring: Names that begin so expire ``EXPIRY_S`` after they were written.

    Attributes:
        fallback: What went wrong, empty if nothing: ``"cache_unreachable"`` (the server did not reply for a while, and
            texts of that time are not kept) or ``"cache_unwritable"`` (it refused to store texts).

    Raises:
        CacheError: The address is none, the package ``redis`` is missing, or the server cannot be reached or refuses
            the login. No message has the login.
    """

    def __init__(self, address: str, expiring: str):
        self.fallback, self._told = "", set[str]()
        self._expiring, self._shown = expiring, shown(address)
        self._quiet_until_s = 0.0
        self._client = _client(address)
        self._check()

    def read(self, names: Sequence[str]) -> list[tuple[bytes, bytes] | None]:
        """Text and checksum of each name as they are stored, or ``None`` if there is none."""
        found: list[tuple[bytes, bytes] | None] = []
        for part in _parts(names):
            values = self._ask(partial(self._client.mget, [_PREFIX + name for name in part]), [None] * len(part))
            found += [None if value is None else _split(value) for value in values]
        return found

    def write(self, texts: Mapping[str, tuple[bytes, bytes]]) -> None:
        """Store text and checksum by name, in place of what was there."""
        for part in _parts(list(texts)):
            pipeline = self._client.pipeline(transaction=False)
            for name in part:
                text, checksum = texts[name]
                pipeline.set(_PREFIX + name, checksum + text, ex=EXPIRY_S if name.startswith(self._expiring) else None)
            self._ask(pipeline.execute, None)

    def close(self) -> None:
        """Close the connections; the next use opens them again."""
        self._client.close()

    def _check(self) -> None:
        """Raise ``CacheError`` unless the server replies."""
        import redis

        way_out = "or set cache_dir=off"
        try:
            self._client.ping()
        except (redis.AuthenticationError, redis.exceptions.NoPermissionError) as error:
            raise CacheError(
                f"{self._shown}: the cache server refuses the login. Correct user and password in cache_dir or "
                f"$VIDEOMINER_CACHE, {way_out}"
            ) from error
        except redis.ResponseError as error:  # also: a login that is missing
            raise CacheError(
                f"{self._shown}: the cache server refuses to serve ({error}). Correct cache_dir or $VIDEOMINER_CACHE, "
                f"{way_out}"
            ) from error
        except (redis.RedisError, OSError) as error:
            raise CacheError(
                f"{self._shown}: the cache server cannot be reached ({error}). Start it, correct cache_dir or "
                f"$VIDEOMINER_CACHE, {way_out}"
            ) from error

    def _ask(self, request: Callable[[], Any], otherwise: Any) -> Any:
        """The reply to ``request``; ``otherwise`` if the server is gone or refuses."""
        import redis

        if time.monotonic() < self._quiet_until_s:
            return otherwise
        try:
            return request()
        except redis.ResponseError as error:
            self._note("cache_unwritable", "refuses (%s): what it does not store is not cached", error)
        except (redis.RedisError, OSError) as error:
            self._quiet_until_s = time.monotonic() + AGAIN_S
            reason = "is gone (%s): results are not cached until it is back, which is tried every %.0f s"
            self._note("cache_unreachable", reason, error, AGAIN_S)
        return otherwise

    def _note(self, fallback: str, reason: str, *values: object) -> None:
        if fallback not in self._told:
            logger.warning("The cache server %s " + reason, self._shown, *values)
        self._told.add(fallback)
        self.fallback = self.fallback or fallback


def _client(address: str) -> Redis:
    scheme = address.partition("://")[0]
    if scheme not in SCHEMES:
        raise CacheError(
            f"cache_dir={scheme}://...: a cache is a folder, a Redis server as redis://HOST:PORT/DATABASE (rediss:// "
            "with TLS), or off"
        )
    try:
        import redis
        from redis.backoff import ConstantBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise CacheError(
            f"cache_dir={shown(address)}: a cache on a server needs the package redis: "
            "pip install 'lmms-videominer[redis]'"
        ) from error
    try:
        if not urlsplit(address).hostname:
            raise ValueError("no host")
        return redis.Redis.from_url(
            address,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=REPLY_S,
            retry=Retry(ConstantBackoff(0.1), retries=1),
        )
    except ValueError:
        # neither the address nor the reason is told, which may quote a part of the password
        raise CacheError(
            "cache_dir or $VIDEOMINER_CACHE is no address of a server: it must be redis://HOST:PORT/DATABASE, or "
            "redis://USER:PASSWORD@HOST:PORT/DATABASE with %-escapes for / ? # @ : in them"
        ) from None


def _split(value: bytes) -> tuple[bytes, bytes]:
    return value[_CHECKSUM_BYTES:], value[:_CHECKSUM_BYTES]


def _parts(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)]
