"""Secrets in arguments and texts: keys, tokens, passwords, logins in addresses. Shown as ``***``, kept nowhere."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

HIDDEN = "***"
SHORTEST_SECRET = 8  # characters: shorter ones may be words, as in ``api_key=none``
# Tokens of a tokenizer are no secrets.
_NAME = (
    r"(?!(?:\w*_)?(?:bos|eos|pad|unk|sep|cls|mask|image|video|audio|vision|start|end|stop|think|special|boi|eoi)_token\b)"
    r"(?:[\w-]*(?:api|access|secret|private|subscription|account)[_-]?key|[\w-]*[_-]token|token|apikey|"
    r"[\w-]*(?:password|passwd|passphrase|secret|credentials?|authorization))"
)
_VALUE = r"(?:\"(?P<in_double>[^\"]+)\"|'(?P<in_single>[^']+)'|(?P<bare>[^\s,;&\"'}\]]+))"
_ADDRESS = re.compile(r"\w://(?P<bare>[^/\s?#]+)@")
_SECRETS = (
    re.compile(r"\bBearer\s+(?P<bare>[^\s,;\"'}\]]+)", re.IGNORECASE),
    _ADDRESS,
    re.compile(r"[?&](?:key|sig|signature)=(?P<bare>[^&\s#]+)", re.IGNORECASE),
    re.compile(rf"(?<![\w-])['\"]?{_NAME}(?:['\"]\s*[:=]|=)\s*{_VALUE}", re.IGNORECASE),
)
_LOGIN = re.compile(r"(?<=\w://)[^/\s?#]+@")
_IN_QUERY = re.compile(rf"(?<=[?&])(?:key|sig|signature|{_NAME})=[^&\s#]*&?", re.IGNORECASE)


def is_secret(name: str) -> bool:
    """Whether an argument of this name is a secret: ``api_key``, ``hf_token``, ``password``, ``azure_ad_token``, ..."""
    return re.fullmatch(_NAME, name, re.IGNORECASE) is not None


def redacted(text: str) -> str:
    """``text`` with ``***`` for every secret that can be told by its name or its place."""
    for pattern in _SECRETS:
        text = pattern.sub(_hidden, text)
    return text


def without_secrets(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``arguments`` as if they had no secrets: to be shown, stored, and used in keys.

    Arguments that are secrets are missing, addresses have no login, and other texts are redacted.
    """
    kept = {}
    for name, value in arguments.items():
        if is_secret(name):
            continue
        if isinstance(value, Mapping):
            value = without_secrets(value)
        elif isinstance(value, str):
            value = redacted(_without_login(value))
        kept[name] = value
    return kept


def secret_values(arguments: Mapping[str, Any]) -> set[str]:
    """The secrets themselves, among ``arguments`` and in the texts of others."""
    found: set[str] = set()
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            found |= secret_values(value)
        elif is_secret(name):
            found.add(str(value))
        elif isinstance(value, str):
            found.update(_in_text(value))
    return found


def hidden(text: str, secrets: Iterable[str]) -> str:
    """``text`` with ``***`` for each of ``secrets`` that is long enough to be told from a word."""
    for secret in sorted(secrets, key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, HIDDEN) if len(secret) >= SHORTEST_SECRET else text
    return text


def _without_login(text: str) -> str:
    text = _IN_QUERY.sub("", _LOGIN.sub("", text))
    return text.rstrip("?&") if "://" in text else text


def _in_text(text: str) -> Iterator[str]:
    for pattern in _SECRETS:
        for match in pattern.finditer(text):
            secret = match[_group(match)]
            yield secret
            if pattern is _ADDRESS and ":" in secret:
                yield secret.partition(":")[2]  # the password alone
                yield base64.b64encode(secret.encode()).decode()  # the login as it goes to the service


def _hidden(match: re.Match[str]) -> str:
    start, end = (place - match.start() for place in match.span(_group(match)))
    return f"{match[0][:start]}{HIDDEN}{match[0][end:]}"


def _group(match: re.Match[str]) -> str:
    return next(name for name, value in match.groupdict().items() if value is not None)
