"""The selector protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.types import Question, Selection


class Selector(Protocol):
    """Chooses the key frames of questions, in batches."""

    name: str

    def select(self, questions: Sequence[Question], *, progress: bool = False) -> list[Selection | VideoMinerError]:
        """One selection a question, in order; where one video or question cannot be used, its error instead.

        A programming error propagates.

        Args:
            progress: Show a progress bar on stderr.
        """
        ...


def checked_question(question: Question) -> Question:
    """``question`` itself.

    Raises:
        ConfigError: Its text is empty.
    """
    if not question.text.strip():
        raise ConfigError(f"{question.video}: the question is empty; say what to look for in the video")
    return question
