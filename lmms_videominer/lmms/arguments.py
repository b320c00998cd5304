"""Splits model arguments into those of the plugin and those of the backbone, and finds misspelled ones."""

from __future__ import annotations

import difflib
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.selectors.settings import from_strings, setting_names

OWN_NAMES = ("backbone", "trees_dir", "profile")
SECRETS = "VIDEOMINER_SECRETS"  # environment variable: model arguments as JSON, which a command line would show to all
_DRIVER_NAMES = ("batch_size", "max_batch_size", "device")  # lmms-eval's command line passes these to every model


@dataclass(frozen=True)
class Arguments:
    """``--model_args``, split.

    Attributes:
        config: The settings of frame selection.
        named: Names of the plugin's settings that the user set.
        backbone: The backbone's id, or empty.
        trees_dir: Folder for the trees, or empty.
        profile: File for the trace of a profile; ``True``: beside the trees; empty: nothing is measured.
        passed: The arguments passed to the backbone unchanged.
    """

    config: MinerConfig
    named: frozenset[str]
    backbone: str = ""
    trees_dir: str = ""
    profile: str = ""
    passed: dict[str, Any] = field(default_factory=dict)


def secrets_given() -> dict[str, Any]:
    """The model arguments in the environment, read as those of a command line.

    They are taken out of it, so that no program started from here inherits them.

    Raises:
        ConfigError: They are no JSON object of texts.
    """
    from lmms_eval.utils import handle_arg_string

    try:
        given = json.loads(os.environ.pop(SECRETS, "") or "{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise ConfigError(f'${SECRETS} must be a JSON object of texts, such as {{"api_key": "..."}}; or unset it')
    return {name: handle_arg_string(value) for name, value in given.items()}


def split(model_args: Mapping[str, Any]) -> Arguments:
    """Split ``model_args`` into the plugin's arguments and those of the backbone.

    Raises:
        ConfigError: A value of the plugin cannot be parsed or is out of range.
    """
    names = setting_names()
    own = {name: value for name, value in model_args.items() if name in names}
    passed = {name: value for name, value in model_args.items() if name not in own and name not in OWN_NAMES}
    return Arguments(
        config=from_strings(own),
        named=frozenset(own),
        backbone=str(model_args.get("backbone", "")),
        trees_dir=str(model_args.get("trees_dir", "")),
        profile=_trace_file(model_args.get("profile", "")),
        passed=passed,
    )


def _trace_file(value: Any) -> str:
    """The argument ``profile``: a file, ``"True"`` or empty.

    Raises:
        ConfigError: It is the name of a file that is no JSON.
    """
    name = "" if value in (False, None, "False") else str(value)
    if name not in ("", "True") and not name.endswith(".json"):
        raise ConfigError(f"profile={name!r}: the file of a trace ends in .json; or profile=True, beside the trees")
    return name


def check_passed(passed: Mapping[str, Any], constructor: type, backbone: str) -> None:
    """Raise for a name that neither the backbone's constructor nor the plugin knows.

    A constructor with ``**kwargs`` may accept any name, so only names close to one of the plugin are refused there.
    lmms-eval's constructors mostly take ``**kwargs`` only to refuse them with a bare assertion.

    Raises:
        ConfigError: A name is unknown; the message suggests the nearest valid one.
    """
    known, takes_any = _parameters(constructor)
    plugin_names = [*setting_names(), *OWN_NAMES]
    valid = [*plugin_names, *known]
    for name in passed:
        if name in known or name in _DRIVER_NAMES:
            continue
        own = difflib.get_close_matches(name, plugin_names, n=1, cutoff=0.7)
        if own or not takes_any:
            near = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"unknown model argument {name!r}{hint} (the plugin's: {', '.join(plugin_names)}; everything else "
                f"goes to {backbone}: {', '.join(known)})"
            )


def _parameters(constructor: type) -> tuple[list[str], bool]:
    """Parameter names of a constructor, with those of its bases if it has ``**kwargs``; whether it accepts any name."""
    names: list[str] = []
    takes_any = False
    for cls in constructor.__mro__:
        if "__init__" not in vars(cls) or cls is object:
            continue
        parameters = list(inspect.signature(vars(cls)["__init__"]).parameters.values())[1:]
        names += [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        if not takes_any:
            break
    return list(dict.fromkeys(names)), takes_any


def accepts(constructor: type, name: str) -> bool:
    """Whether ``name`` is a named parameter of the constructor."""
    return name in _parameters(constructor)[0]


def defaults(constructor: type) -> dict[str, Any]:
    """The default arguments of a class's constructor, including the model's name."""
    parameters = inspect.signature(constructor).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty}
