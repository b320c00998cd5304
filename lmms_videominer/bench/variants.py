"""Variants to compare: a selector, optionally with its own settings, under one label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lmms_videominer.config import MinerConfig, check_names
from lmms_videominer.errors import ConfigError
from lmms_videominer.selectors import selector_names
from lmms_videominer.selectors.settings import from_strings, own_names

# settings of a cell that are set elsewhere
TAKEN = {
    "selector": "name it before the colon",
    "frames": "use --frames",
    "cache_dir": "use --cold or $VIDEOMINER_CACHE",
}
FORM = "LABEL=SELECTOR:NAME=VALUE,... where the label and the settings are optional"


@dataclass(frozen=True)
class Variant:
    """One column of the comparison.

    Attributes:
        label: Its name in tables and plots.
        selector: Name of the selector.
        settings: Names of settings, with their values as text.
    """

    label: str
    selector: str
    settings: tuple[tuple[str, str], ...] = ()


def parse_variant(spec: str) -> Variant:
    """The variant that ``spec`` describes: ``aks``, ``videominer:events=8``, ``sim=videominer:policy=none``.

    Raises:
        ConfigError: It is malformed, the selector does not exist, or a variant cannot choose one of the settings.
    """
    head, colon, rest = spec.partition(":")
    label, _, selector = head.rpartition("=")
    check_names([selector], selector_names(), "selector")
    pairs = [_pair(part, spec) for part in rest.split(",")] if colon else []
    for name, _ in pairs:
        if name in TAKEN:
            raise ConfigError(f"--selectors {spec!r}: {name} is not set there; {TAKEN[name]}")
    return Variant(label or spec, selector, tuple(pairs))


def parse_variants(specs: Iterable[str]) -> tuple[Variant, ...]:
    """The variants of ``specs``, in order.

    Raises:
        ConfigError: See ``parse_variant``; or two variants have the same label.
    """
    return check_labels([parse_variant(spec) for spec in specs])


def check_labels(variants: Sequence[Variant]) -> tuple[Variant, ...]:
    """Return ``variants``. Raises ``ConfigError`` if two have the same label."""
    labels = [variant.label for variant in variants]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigError(f"two variants are labelled {label!r}: give each its own label, as in other={label}")
    return tuple(variants)


def config_of(variant: Variant, common: Mapping[str, str], frames: int) -> MinerConfig:
    """The settings of a variant: its own override the common ones, which apply if its selector has them.

    Raises:
        ConfigError: A name or a value is invalid; the message names the variant.
    """
    shared = {name: value for name, value in common.items() if selector_of(name) in ("", variant.selector)}
    values = {**shared, **dict(variant.settings), "selector": variant.selector, "frames": frames}
    try:
        return from_strings(values)
    except ConfigError as error:
        raise ConfigError(f"{variant.label}, {frames} frames: {error}") from error


def selector_of(setting: str) -> str:
    """The selector that ``setting`` belongs to; empty if it is common to all, or unknown."""
    return own_names()[setting][0] if setting in own_names() else ""


def _pair(text: str, spec: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name and value):
        raise ConfigError(f"--selectors {spec!r}: {text!r} is not NAME=VALUE; the form is {FORM}")
    return name, value
