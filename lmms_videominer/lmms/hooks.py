"""Wraps five functions of lmms-eval 0.7 that have no official hook, each once and only for the plugin's models.

- Tasks have no entry point: ``TaskManager.initialize_tasks`` also searches the installed task folder.
- Prompts are looked up by the model's exact name: for the plugin's models, the backbone's name is used.
- The key of ``--use_cache`` includes neither the settings nor the policy's weights: both are added. It includes the
  secrets among the model arguments: these are left out.
- Chat messages for services keep the pictures of a request encoded by ``id()``, which a later frame can share with one
  that is gone: the server would get the earlier picture again. Pictures in memory are encoded each time.
- Samples are judged and logged after the model is done: what is noted of one comes to its top level then, and their
  page is written once their file is.

In addition, ``HF_HOME`` is set if it is not, so that tasks find their videos where lmms-eval puts them: its ``mlvu``
searches below the working directory (``./~/.cache/huggingface``).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmms_videominer.lmms.profiles import GENERIC_IDS, backbone_of
from lmms_videominer.lmms.shown_samples import SAMPLES, noted, write_samples_page
from lmms_videominer.redaction import without_secrets
from lmms_videominer.shipped import shipped_folder
from lmms_videominer.show.view.pictures import strip_beside

_state = {"backbone": "", "fingerprint": ""}  # of the plugin's most recent model


def install() -> None:
    """Wrap the functions; a second call has no effect. Must be called before tasks are loaded."""
    from lmms_eval.api.task import ConfigurableTask
    from lmms_eval.tasks import TaskManager

    if "XDG_CACHE_HOME" not in os.environ:  # it changes the hub's default
        os.environ.setdefault("HF_HOME", os.path.expanduser("~/.cache/huggingface"))
    _wrap(TaskManager, "initialize_tasks", _with_own_tasks)
    _wrap(ConfigurableTask, "_prepare_model_specific_config", _with_backbone_name)


def made_model(backbone: str, fingerprint: str) -> None:
    """Record the backbone of the running model, and the fingerprint of its settings and weights."""
    from lmms_eval.caching.response_cache import ResponseCache
    from lmms_eval.loggers.evaluation_tracker import EvaluationTracker
    from lmms_eval.protocol import ChatMessages

    install()
    _state.update(backbone=backbone, fingerprint=fingerprint)
    _wrap(ResponseCache, "create", _with_fingerprint)
    _wrap(ChatMessages, "encode_image", _each_picture)
    _wrap(EvaluationTracker, "save_results_samples", _with_page)


def _wrap(owner: type, name: str, make: Callable[[Callable], Callable]) -> None:
    original = vars(owner)[name]
    is_classmethod = isinstance(original, classmethod)
    function = original.__func__ if is_classmethod else original
    if getattr(function, "_videominer", False):
        return
    wrapped: Any = functools.wraps(function)(make(function))
    wrapped._videominer = True
    setattr(owner, name, classmethod(wrapped) if is_classmethod else wrapped)


def _with_own_tasks(original: Callable) -> Callable:
    def initialize_tasks(self: Any, *args: Any, **kwargs: Any) -> dict:
        index = original(self, *args, **kwargs)
        return {**self._get_task_and_group(str(shipped_folder("tasks"))), **index}

    return initialize_tasks


def _with_backbone_name(original: Callable) -> Callable:
    def _prepare_model_specific_config(self: Any) -> None:
        model_name = self.model_name
        self.model_name = _prompt_name(model_name, self.config)
        try:
            original(self)
        finally:
            self.model_name = model_name

    return _prepare_model_specific_config


def _prompt_name(model_name: str | None, config: Any) -> str | None:
    """The model name for prompt lookup: the backbone's, unless the task's YAML names the plugin's model itself."""
    backbone = _state["backbone"] if model_name in GENERIC_IDS else backbone_of(model_name or "")
    tables = (
        config.lmms_eval_specific_kwargs,
        config.model_specific_target_kwargs,
        config.model_specific_generation_kwargs,
    )
    if not backbone or any(model_name in table for table in tables if table):
        return model_name
    return backbone


def _without_secrets(model_args: Any) -> Any:
    """``model_args`` without secrets; unchanged if it has none."""
    from lmms_eval.utils import simple_parse_args_string

    named = simple_parse_args_string(model_args) if isinstance(model_args, str) else model_args
    kept = without_secrets(named) if isinstance(named, dict) else named
    return model_args if kept == named else kept


def _with_fingerprint(original: Callable) -> Callable:
    def create(cls: type, *args: Any, model: Any = "", model_args: Any = "", **kwargs: Any) -> Any:
        if isinstance(model, str) and (model in GENERIC_IDS or backbone_of(model)):
            model = f"{model}#{_state['fingerprint']}"
            model_args = _without_secrets(model_args)
        return original(cls, *args, model=model, model_args=model_args, **kwargs)

    return create


def _each_picture(original: Callable) -> Callable:
    def encode_image(self: Any, image: Any, cache: Any = None, *args: Any, **kwargs: Any) -> str:
        return original(self, image, cache if isinstance(image, str) else None, *args, **kwargs)

    return encode_image


def _with_pictures(note: dict[str, Any]) -> dict[str, Any]:
    """``note`` with the file of small pictures of the key frames, if there is one beside the tree."""
    strip = strip_beside(Path(note["tree"])) if note.get("tree") else None
    return {**note, "pictures": str(strip)} if strip and strip.is_file() else note


def _with_page(original: Callable) -> Callable:
    def save_results_samples(self: Any, task_name: str, samples: Any) -> None:
        for sample in samples:
            if note := noted(sample):
                sample["videominer"] = _with_pictures(note)
        original(self, task_name=task_name, samples=samples)
        if self.output_path:
            folder = Path(self.output_path) / self.general_config_tracker.model_name_sanitized
            file = folder / f"{self.date_id}{SAMPLES}{task_name}.jsonl"
            if file.is_file():
                write_samples_page(file)

    return save_results_samples
