"""Calls a backbone of lmms-eval with chosen frames, through the backbone's own request code."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lmms_videominer.lmms.handover import true_times
from lmms_videominer.lmms.plain_prompts import control_tokens, plain_messages, plain_text
from lmms_videominer.lmms.profiles import Profile
from lmms_videominer.models.plain_text import legible

if TYPE_CHECKING:
    from lmms_eval.api.model import lmms


@dataclass(frozen=True)
class Handed:
    """One request with its visuals.

    Attributes:
        context: The prompt.
        settings: Generation settings.
        shown: The value that ``doc_to_visual`` or ``doc_to_messages`` returns.
        doc_id: Key of the document; requests in one call with the same key have the same visuals.
        document: The task's document; ``None`` for a request that does not come from a task.
    """

    context: str
    settings: dict[str, Any]
    shown: Any
    doc_id: int
    document: Any = None


def _visuals_of(handed: Handed) -> Any:
    """``doc_to_visual`` / ``doc_to_messages`` of every request: one function, since backbones use the first for all.

    Returns a copy, since chat backbones insert their system turn into it.
    """
    return copy.deepcopy(handed.shown)


class Driver:
    """Runs requests on a backbone.

    Attributes:
        backbone: The model object of lmms-eval.
        profile: How it takes frames.
        is_simple: Whether it takes the simple form of requests rather than the chat form.
    """

    def __init__(self, backbone: lmms, profile: Profile, is_simple: bool):
        self.backbone, self.profile, self.is_simple = backbone, profile, is_simple

    def generate(
        self, handed: Sequence[Handed], task: str, split: str, wanted: int, times_s: Mapping[str, Sequence[float]] = {}
    ) -> list[Any]:
        """Run ``generate_until`` on requests of one task that all show ``wanted`` frames (0: text only).

        Args:
            times_s: ``ClipFolder.times_s``.
        """
        if not handed:
            return []
        handed = [self._plain(h) for h in handed]
        instances = [self._instance(h, task, split) for h in handed]
        documents = {task: {split: {h.doc_id: h for h in handed}}}
        with self._using(documents), self.counting(wanted), true_times(times_s):
            try:
                return list(self.backbone.generate_until(instances))
            except SystemExit as error:  # how some backbones give up on a video
                raise RuntimeError(f"the backbone gave up (exit {error.code})") from error

    def _plain(self, handed: Handed) -> Handed:
        """``handed`` with special tokens in its texts broken."""
        tokens = control_tokens(self.backbone, of_task=handed.document is not None)
        context, shown = plain_text(handed.context, tokens), plain_messages(handed.shown, tokens)
        return replace(handed, context=context, shown=shown)

    def _instance(self, handed: Handed, task: str, split: str) -> Any:
        from lmms_eval.api.instance import Instance

        settings = copy.deepcopy(handed.settings)
        middle = (settings, _visuals_of) if self.is_simple else (_visuals_of, settings)
        arguments = (handed.context, *middle, handed.doc_id, task, split)
        metadata = {"task": task, "doc_id": handed.doc_id, "repeats": 1, "split": split}
        return Instance(request_type="generate_until", arguments=arguments, idx=0, metadata=metadata)

    @contextmanager
    def _using(self, documents: dict[str, Any]) -> Iterator[None]:
        """Let the backbone look documents up in ``documents`` instead of the tasks' datasets."""
        tasks = self.backbone.task_dict
        self.backbone.task_dict = documents
        try:
            yield
        finally:
            self.backbone.task_dict = tasks

    def counting(self, wanted: int) -> AbstractContextManager[None]:
        """Set the backbone's frame count to ``wanted`` (0: leave it) and the attributes that its profile fixes."""
        return self._set({**dict.fromkeys(self.profile.count, wanted), **dict(self.profile.fixed)} if wanted else {})

    def by_itself(self, wanted: int) -> AbstractContextManager[None]:
        """Let the backbone choose the frames itself, ``wanted`` of them (0: its own count)."""
        values = dict.fromkeys(self.profile.count, wanted) if wanted else {}
        return self._set({**values, **({"batch_size_per_gpu": 1} if self.profile.counts_first_only else {})})

    @property
    def sampling(self) -> str:
        """How the backbone samples frames with its current settings, as in ``Profile.sampling``; empty if unknown."""
        applies = all(getattr(self.backbone, name, value) == value for name, value in self.profile.sampling_if)
        return self.profile.sampling if applies else ""

    def limiting(self, tokens: int) -> AbstractContextManager[None]:
        """Limit replies to ``tokens`` if the backbone treats its own setting as a minimum for a request's limit."""
        return self._set(dict.fromkeys(self.profile.least_tokens, tokens))

    @contextmanager
    def _set(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Set those attributes of ``values`` that the backbone has; restore them on exit."""
        before = {name: getattr(self.backbone, name) for name in values if hasattr(self.backbone, name)}
        try:
            for name in before:
                setattr(self.backbone, name, values[name])
            yield
        finally:
            for name, value in before.items():
                setattr(self.backbone, name, value)


def text_of(output: Any) -> Any:
    """The text of a backbone's output, a string or lmms-eval's ``GenerationResult``: legible; empty if it has none."""
    from lmms_eval.api.instance import unwrap_generation_output

    text = "" if output is None else unwrap_generation_output(output)[0] or ""  # lmms-eval makes "None" of None
    return legible(text) if isinstance(text, str) else text  # a service may reply anything
