"""The result of one row: one line of ``results.jsonl``, one row of ``results.parquet``.

A line depends on the row, the settings and the models alone: no times of day, no seconds, no share of the cache. So a
run that was killed and resumed ends with the bytes of one that was not. What a row cost is in ``costs.jsonl``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from lmms_videominer.errors import VideoMinerError
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.models.plain_text import legible
from lmms_videominer.redaction import redacted
from lmms_videominer.types import Selection, Usage
from lmms_videominer.verdict import chosen_option, option_letter

_OF_THE_CACHE = "cache_"  # fallbacks that begin so tell of the disk, not of the result


@dataclass(frozen=True)
class Result:
    """What came of one row.

    Attributes:
        id, video, question, options, start_s, end_s: The row, with its video as the row names it.
        answer: What the video LLM answered; ``None`` if the row failed.
        choice: Letter of the option that the answer names; empty if it names none, or there are no options.
        target: The right answer, if the row has one: a letter where there are options; else empty.
        correct: Whether ``choice`` is ``target``; ``None`` if there are no options, no target or no answer.
        times_s: Times of the key frames, ascending, to the millisecond.
        frame_indices: Their indices in the video.
        captions, decisions: How many the search asked for, whether they were made or in the cache.
        fallbacks: Names of the fallbacks used, as in a ``Selection``, without those of the cache.
        tree: File of the tree, relative to the folder of the results; empty if the row failed.
        error: Why the row failed; empty if it did not.
    """

    id: str
    video: str
    question: str
    options: tuple[str, ...]
    start_s: float
    end_s: float | None
    answer: str | None
    choice: str
    target: str
    correct: bool | None
    times_s: tuple[float, ...]
    frame_indices: tuple[int, ...]
    captions: int
    decisions: int
    fallbacks: tuple[str, ...]
    tree: str
    error: str

    @classmethod
    def of(cls, row: QuestionRow, result: Selection | VideoMinerError, tree: str = "") -> Result:
        """The result of ``row``: its selection, stored as ``tree``, or its error."""
        named = (row.id, row.named or row.video, row.text, row.options, row.start_s, row.end_s)
        if isinstance(result, VideoMinerError):
            return cls(*named, None, "", row.answer, None, (), (), 0, 0, (), "", redacted(str(result)))
        usage, index = result.usage, chosen_option(result.answer, row.options)
        bare = cls(
            *named,
            answer=result.answer,
            choice="" if index is None else option_letter(index),
            target="",
            correct=None,
            times_s=tuple(round(frame.time_s, 3) for frame in result.key_frames),
            frame_indices=tuple(frame.frame_index for frame in result.key_frames),
            captions=usage.vlm_calls + usage.vlm_calls_cached,
            decisions=usage.policy_calls + usage.policy_calls_cached,
            fallbacks=tuple(name for name in result.fallbacks if not name.startswith(_OF_THE_CACHE)),
            tree=tree,
            error="",
        )
        return bare.judged(row)

    def judged(self, row: QuestionRow) -> Result:
        """This result against the right answer in ``row``, which may have been corrected since."""
        is_known = bool(row.answer and row.options and self.answer is not None)
        return dataclasses.replace(self, target=row.answer, correct=self.choice == row.answer if is_known else None)

    def differs(self, row: QuestionRow) -> str:
        """The name of a field of ``row`` that this result was not made for; empty if there is none."""
        pairs = {
            "video": (self.video, row.named or row.video),
            "question": (self.question, row.text),
            "options": (self.options, row.options),
            "start_s": (self.start_s, row.start_s),
            "end_s": (self.end_s, row.end_s),
        }
        return next((name for name, (mine, its) in pairs.items() if mine != its), "")


@dataclass(frozen=True)
class Cost:
    """What the mining of one row cost, as a line of ``costs.jsonl``; a row that was mined again has several."""

    id: str
    usage: Usage


def as_parquet(results: Sequence[Result]) -> bytes:
    """The bytes of a Parquet file of ``results``; texts as far as UTF-8 can hold them (``legible``)."""
    import pyarrow
    from pyarrow import parquet

    text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
    kinds = {
        "options": texts,
        "start_s": pyarrow.float64(),
        "end_s": pyarrow.float64(),
        "correct": pyarrow.bool_(),
        "times_s": pyarrow.list_(pyarrow.float64()),
        "frame_indices": pyarrow.list_(pyarrow.int64()),
        "captions": pyarrow.int64(),
        "decisions": pyarrow.int64(),
        "fallbacks": texts,
    }
    names = [field.name for field in dataclasses.fields(Result)]
    columns = {name: [_encodable(getattr(result, name)) for result in results] for name in names}
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in names])
    buffer = BytesIO()
    parquet.write_table(pyarrow.table(columns, schema=schema), buffer)
    return buffer.getvalue()


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return legible(value)
    return [_encodable(item) for item in value] if isinstance(value, tuple) else value
