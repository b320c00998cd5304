"""Calling a backbone of lmms-eval with visuals of our own, through its own code for requests."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmms_videominer.lmms.handover import true_times
from lmms_videominer.lmms.profiles import Profile

if TYPE_CHECKING:
    from lmms_eval.api.model import lmms


@dataclass(frozen=True)
class Handed:
    """One request with the visuals to show.

    Attributes:
        context: The prompt.
        settings: Generation settings.
        shown: What ``doc_to_visual`` or ``doc_to_messages`` is to give.
        doc_id: Key of the document; requests of one call with the same key show the same.
        document: The task's document; ``None`` for a request that no task made.
    """

    context: str
    settings: dict[str, Any]
    shown: Any
    doc_id: int
    document: Any = None


def _show(handed: Handed) -> Any:
    """``doc_to_visual`` / ``doc_to_messages`` of every request: one function, since backbones use the first for all.

    A copy, since chat backbones insert their system turn into what they get.
    """
    return copy.deepcopy(handed.shown)


class Driver:
    """Runs requests on a backbone.

    Attributes:
        backbone: The model object of lmms-eval.
        profile: How it wants its frames.
        is_simple: Which form of request it takes.
    """

    def __init__(self, backbone: lmms, profile: Profile, is_simple: bool):
        self.backbone, self.profile, self.is_simple = backbone, profile, is_simple

    def generate(
        self, handed: Sequence[Handed], task: str, split: str, wanted: int, times_s: Mapping[str, Sequence[float]] = {}
    ) -> list[Any]:
        """``generate_until`` of requests of one task that all show ``wanted`` frames (0: text only).

        Args:
            times_s: Of ``ClipFolder``.
        """
        if not handed:
            return []
        instances = [self._instance(h, task, split) for h in handed]
        shown = {task: {split: {h.doc_id: h for h in handed}}}
        with self._showing(shown), self.counting(wanted), true_times(times_s):
            return list(self.backbone.generate_until(instances))

    def _instance(self, handed: Handed, task: str, split: str) -> Any:
        from lmms_eval.api.instance import Instance

        settings = copy.deepcopy(handed.settings)
        middle = (settings, _show) if self.is_simple else (_show, settings)
        arguments = (handed.context, *middle, handed.doc_id, task, split)
        metadata = {"task": task, "doc_id": handed.doc_id, "repeats": 1, "split": split}
        return Instance(request_type="generate_until", arguments=arguments, idx=0, metadata=metadata)

    @contextmanager
    def _showing(self, documents: dict[str, Any]) -> Iterator[None]:
        """The backbone looks documents up in ``documents`` instead of the datasets of the tasks."""
        tasks = self.backbone.task_dict
        self.backbone.task_dict = documents
        try:
            yield
        finally:
            self.backbone.task_dict = tasks

    def counting(self, wanted: int) -> AbstractContextManager[None]:
        """The backbone's frame count is ``wanted`` (0: its own), and so is what its profile fixes."""
        return self._set({**dict.fromkeys(self.profile.count, wanted), **dict(self.profile.fixed)} if wanted else {})

    def by_itself(self, wanted: int) -> AbstractContextManager[None]:
        """The backbone chooses the frames, ``wanted`` of them (0: as many as it is set to)."""
        values = dict.fromkeys(self.profile.count, wanted) if wanted else {}
        return self._set({**values, **({"batch_size_per_gpu": 1} if self.profile.counts_first_only else {})})

    @property
    def sampling(self) -> str:
        """How the backbone, as it is set, picks frames by itself: ``Profile.sampling``; empty: not known."""
        is_so = all(getattr(self.backbone, name, value) == value for name, value in self.profile.sampling_if)
        return self.profile.sampling if is_so else ""

    def limiting(self, tokens: int) -> AbstractContextManager[None]:
        """No reply is longer than ``tokens``, where the backbone takes what a request says for the least."""
        return self._set(dict.fromkeys(self.profile.least_tokens, tokens))

    @contextmanager
    def _set(self, values: Mapping[str, Any]) -> Iterator[None]:
        """Those of the attributes that the backbone has are ``values``; put back after."""
        before = {name: getattr(self.backbone, name) for name in values if hasattr(self.backbone, name)}
        try:
            for name in before:
                setattr(self.backbone, name, values[name])
            yield
        finally:
            for name, value in before.items():
                setattr(self.backbone, name, value)


def text_of(output: Any) -> str:
    """The text of a backbone's output: a string, or lmms-eval's ``GenerationResult``."""
    from lmms_eval.api.instance import unwrap_generation_output

    return unwrap_generation_output(output)[0]
