"""All settings under flat names: the common ones, and those of each selector as ``<selector>_<setting>``.

The table of all settings is written by

    python -m lmms_videominer.selectors.settings > docs/arguments.md
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lmms_videominer.config import MinerConfig, check_names, fitting
from lmms_videominer.errors import ConfigError
from lmms_videominer.selectors import SELECTORS, selector_class, selector_names

logger = logging.getLogger(__name__)

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

PAGE = """\
# Arguments

Every setting has the same name everywhere: in Python (`VideoMiner.from_pretrained(..., frames=16)`), in lmms-eval's
`--model_args`, in the shell (`--set frames=16`; a few have a flag, `--frames 16`) and in the `config` of a result. The
plugin has three more arguments: `backbone`, the id of a backbone in lmms-eval, for the generic `--model videominer`;
`trees_dir`, the folder for the trees (default: beside the results of the run, else in the cache folder); and `profile`,
a file for the trace of where the time goes (`True`: beside the trees; docs/profile.md).

## Settings of every selector

{common}

## Settings of one selector

Other selectors refuse these.

{own}
"""


@functools.cache
def own_names() -> Mapping[str, tuple[str, dataclasses.Field]]:
    """By flat name: the selector that has the setting, and the field in that selector's ``Settings``.

    A selector of another package that cannot be loaded is left out, with a warning.
    """
    names = {}
    for selector in selector_names():
        try:
            settings = selector_class(selector).Settings
        except ConfigError as error:
            logger.warning("%s", error)
            continue
        names.update({f"{selector}_{field.name}": (selector, field) for field in dataclasses.fields(settings)})
    return names


def setting_names() -> tuple[str, ...]:
    """The flat names of all settings."""
    return (*MinerConfig.names(), *own_names())


def configured(config: MinerConfig | None = None, **settings: Any) -> MinerConfig:
    """``config`` with some settings replaced by ``settings``, which have flat names.

    Raises:
        ConfigError: A setting is unknown, belongs to another selector, or is out of range.
    """
    config = config or MinerConfig()
    check_names(settings, setting_names(), "setting")
    common = {name: value for name, value in settings.items() if name in MinerConfig.names()}
    selector = common.get("selector", config.selector)
    cls = selector_class(selector)
    before = cls.settings_of(config) if selector == config.selector else None
    own = _own(selector, {name: value for name, value in settings.items() if name not in common})
    changed = dataclasses.replace(before or cls.Settings(), **own)
    result = dataclasses.replace(config, **common, own=None if changed == cls.Settings() else changed)
    cls.check(result)
    return result


def from_strings(values: Mapping[str, Any]) -> MinerConfig:
    """Settings from values that may be strings, such as those from ``--model_args`` or a shell.

    Raises:
        ConfigError: See ``configured``; or a value cannot be parsed.
    """
    check_names(values, setting_names(), "setting")
    kinds = {field.name: type(field.default) for field in dataclasses.fields(MinerConfig)}
    kinds |= {name: type(field.default) for name, (_, field) in own_names().items()}
    return configured(**{name: _parsed(name, value, kinds[name]) for name, value in values.items()})


def flat(config: MinerConfig) -> dict[str, Any]:
    """The settings of ``config`` by flat name: the common ones, and those of its selector."""
    return config.by_name(selector_class(config.selector).settings_of(config))


def common_settings() -> Iterator[tuple[str, Any, str]]:
    """Name, default and help text of every common setting."""
    for field in dataclasses.fields(MinerConfig):
        if field.name != "own":
            yield field.name, field.default, field.metadata["help"]


def own_settings(selectors: Sequence[str] = ()) -> Iterator[tuple[str, Any, str]]:
    """Name, default and help text of every setting that only one selector has.

    Args:
        selectors: The selectors to include; all if empty.
    """
    for name, (selector, field) in own_names().items():
        if selector in (selectors or selector_names()):
            yield name, field.default, field.metadata["help"]


def arguments_page() -> str:
    """The text of docs/arguments.md."""
    shipped = tuple(SELECTORS)
    return PAGE.format(common=_table(common_settings()), own=_table(own_settings(shipped)))


def _table(settings: Iterable[tuple[str, Any, str]]) -> str:
    rows = [f"| `{name}` | {_cell(default)} | {text} |" for name, default, text in settings]
    return "\n".join(["| argument | default | what it sets |", "|---|---|---|", *rows])


def _cell(default: Any) -> str:
    return "(empty)" if default == "" else str(default)


def _own(selector: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings``, which have flat names, under their names in the selector's ``Settings``."""
    own = {}
    for name, value in settings.items():
        owner, field = own_names()[name]
        if owner != selector:
            raise ConfigError(
                f"{name}={value}: a setting of selector={owner}, but the selector is selector={selector}; "
                f"leave it out, or set selector={owner}"
            )
        own[field.name] = fitting(name, value, field.default)
    return own


def _parsed(name: str, value: Any, kind: type) -> Any:
    if kind is bool:
        if str(value).lower() not in BOOLEANS:
            raise ConfigError(f"{name}={value!r}: expected true or false")
        return BOOLEANS[str(value).lower()]
    if kind is int and (isinstance(value, bool) or (isinstance(value, float) and not value.is_integer())):
        raise ConfigError(f"{name}={value!r}: expected int")  # int() would cut it
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}={value!r}: expected {kind.__name__}") from error


if __name__ == "__main__":
    print(arguments_page(), end="")
