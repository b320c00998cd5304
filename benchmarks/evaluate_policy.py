"""Measures accuracy, evidence recall and cost of one policy on the questions of a world, one JSON line per question.

    videominer world test-60 --minutes 60 --videos 20 --seed 2000000
    python benchmarks/evaluate_policy.py policy-tgrpo test-60 --out tgrpo-60.jsonl

Policies share the captions, embeddings and answers of one cache. Questions that are already in the file are skipped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import VideoMinerError
from lmms_videominer.miner import VideoMiner
from lmms_videominer.policy.causal_lm import CausalLM
from lmms_videominer.selectors.settings import from_strings
from lmms_videominer.types import Action, Question, Selection, Span
from lmms_videominer.verdict import chosen_option, option_letter, windows_hit


def load(policy: str, config: MinerConfig, model: str, batch_size: int) -> VideoMiner:
    """A miner with ``policy``, a folder or a name, which makes up to ``batch_size`` decisions at once."""
    causal_lm = CausalLM.from_pretrained(policy, max_new_tokens=config.decision_tokens, batch_size=batch_size)
    return VideoMiner.from_pretrained(model, policy=causal_lm, config=config)


def lines_in(file: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def evaluate(
    miner: VideoMiner,
    world: Path,
    out: Path,
    limit: int | None = None,
    together: int = 25,
    dropped: Sequence[str] = (),
) -> None:
    """Append a line per question of ``world``, less ``dropped``, to ``out``; mine ``together`` questions at once."""
    rows = lines_in(world / "qa.jsonl")[:limit]
    finished = {line["id"] for line in lines_in(out)} if out.exists() else set()
    todo = [row for row in rows if row["id"] not in finished]
    out.parent.mkdir(parents=True, exist_ok=True)
    for part in tqdm(list(_parts(todo, together)), desc=out.stem):
        questions = [
            Question(
                str(world / row["video"]),
                row["question"],
                tuple(row["options"]),
                tuple(Span(*span) for span in row["evidence"]),
            )
            for row in part
        ]
        results = miner.mine_batch(questions)
        lines = [line_of(row, result) for row, result in zip(part, results, strict=True)]
        with open(out, "a", encoding="utf-8") as file:
            for line in lines:
                file.write(json.dumps({name: value for name, value in line.items() if name not in dropped}) + "\n")


def _parts(rows: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


def line_of(row: dict[str, Any], result: Selection | VideoMinerError) -> dict[str, Any]:
    """What ``result`` says of the question of ``row``, a line of ``qa.jsonl``.

    Raises:
        VideoMinerError: There is no result.
    """
    if isinstance(result, VideoMinerError):
        raise result
    chosen = chosen_option(result.answer, row["options"])
    decisions = [node.decision for node in result.nodes if node.decision]
    # one reply may be about several parts
    replies = {(decision.prompt_ids, decision.completion_ids) for decision in decisions}
    lengths = [len(completion) for _, completion in replies]
    evidence = result.question.evidence
    return {
        "id": row["id"],
        "kind": row["kind"],
        "minutes": row["minutes"],
        "correct": int(chosen is not None and option_letter(chosen) == row["answer"]),
        "recall": windows_hit(result.key_frames, evidence) / len(evidence),
        "nodes": len(decisions),
        "depth": max((node.depth for node in result.nodes), default=0),
        "vlm_calls": result.usage.vlm_calls + result.usage.vlm_calls_cached,
        "captions_made": result.usage.vlm_calls,
        "policy_calls": result.usage.policy_calls + result.usage.policy_calls_cached,
        "completion_tokens": sum(lengths) / max(1, len(lengths)),
        "tokens": sum(len(prompt) for prompt, _ in replies) + sum(lengths),
        "seconds": sum(result.usage.seconds.values()),
        "fallback": int(bool(result.fallbacks)),
        **{action.value: sum(decision.action is action for decision in decisions) for action in Action},
        "unread": sum(decision.reading.value == "default" for decision in decisions),
    }


def summary(out: Path) -> dict[str, float]:
    """Means over the questions in a file written by ``evaluate``."""
    lines = lines_in(out)
    names = [name for name, value in lines[0].items() if isinstance(value, int | float)]
    return {"questions": len(lines), **{name: sum(line[name] for line in lines) / len(lines) for name in names}}


def mean_cells(lines: Sequence[dict[str, Any]], columns: Mapping[str, tuple[str, float, int]]) -> list[str]:
    """The means over ``lines`` as cells of a table; ``-`` for what they lack.

    Args:
        columns: By the name in the lines: head of the column, factor, decimal places.
    """
    return [
        f"{factor * sum(line[name] for line in lines) / len(lines):.{places}f}" if name in lines[0] else "-"
        for name, (_, factor, places) in columns.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy", help="a causal LM by folder or name")
    parser.add_argument("world", type=Path, help="folder written by `videominer world`")
    parser.add_argument("--out", type=Path, required=True, help="JSONL file")
    parser.add_argument("--model", default="videominer-world", help="a bundle, or a video LLM")
    parser.add_argument("--limit", type=int, help="number of questions, from the first on (default: all)")
    parser.add_argument("--together", type=int, default=25, help="questions mined at once")
    parser.add_argument("--batch-size", type=int, default=128, help="decisions made at once")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="mining settings")
    arguments = parser.parse_args()
    config = from_strings(dict(pair.split("=", 1) for pair in arguments.set))
    miner = load(arguments.policy, config, arguments.model, arguments.batch_size)
    evaluate(miner, arguments.world, arguments.out, arguments.limit, arguments.together)
    print(json.dumps({name: round(value, 3) for name, value in summary(arguments.out).items()}))


if __name__ == "__main__":
    main()
