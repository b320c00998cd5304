"""Running lmms-eval for real, in this process: its command line, a small task, and what the models were given."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from lmms_videominer.search.answers import UNREAD_ANSWER
from support.marks import needs
from support.tiny_models import LARGE

SETTINGS = (
    "search=plain,frames=4,events=4,grain_s=0,scan_frames=16,max_depth=1,caption_tokens=8,policy_tokens=8,llm_tokens=32"
)
# what keeps frames of 224x224 as they are
PIXELS = {"qwen2_5_vl": ",min_pixels=3136", "qwen3_vl": ",min_pixels=3136"}
TOWERS = (
    "Qwen2VisionTransformerPretrainedModel",
    "Qwen2_5_VisionTransformerPretrainedModel",
    "Qwen3VLVisionModel",
    "SiglipVisionModel",
    "InternVLVisionModel",
)

TASK_YAML = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {name}.jsonl
test_split: test
output_type: {output_type}
doc_to_visual: !function tiny.doc_to_visual
doc_to_text: !function tiny.doc_to_text
doc_to_target: answer
generation_kwargs:
  max_new_tokens: 6
  temperature: 0
  do_sample: false
process_results: !function tiny.process_results
lmms_eval_specific_kwargs:
  default:
    post_prompt: " Say the letter."
  qwen2_vl:
    post_prompt: " Only the letter, Qwen."
metric_list:
  - metric: first_letter
    aggregation: mean
    higher_is_better: true
"""
TASK_PYTHON = """
import numpy as np
from PIL import Image


def doc_to_visual(doc):
    if doc["kind"] == "vanished":
        raise SystemExit("the video of this document does not exist")
    if doc["kind"] == "raises":
        raise KeyError("video")
    if doc["kind"] == "image":
        return [Image.fromarray(np.full((112, 112, 3), doc["grey"], np.uint8))]
    return list(doc["videos"])


def doc_to_text(doc, lmms_eval_specific_kwargs=None):
    if doc["kind"] == "silent":
        return None
    if doc["kind"] == "surrogate":  # a lone code unit, as of half an emoji
        return doc["question"] + "\\ud83d"
    lines = [doc["question"], *(f"{chr(65 + i)}. {option}" for i, option in enumerate(doc["options"]))]
    return "\\n".join(lines) + (lmms_eval_specific_kwargs or {}).get("post_prompt", "")


def process_results(doc, results):
    return {"first_letter": float(str(results[0]).strip()[:1] == doc["answer"])}
"""


def write_task(folder: Path, name: str, rows: list[dict[str, Any]], output_type: str = "generate_until") -> None:
    """A task ``name`` in ``folder`` whose documents are ``rows``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(TASK_YAML.format(name=name, output_type=output_type))
    (folder / "tiny.py").write_text(TASK_PYTHON)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(number: int, *videos: Path, kind: str = "video", evidence: list | None = None, **more: Any) -> dict[str, Any]:
    """A document on ``videos``."""
    return {
        "kind": kind,
        "videos": [str(video) for video in videos],
        "question": f"What is seen in part {number}?",
        "options": ["a red square", "a blue square", "nothing"],
        "answer": "ABC"[number % 3],
        "grey": 40 * number,
        "evidence": evidence or [[1.0, 2.0], [9.0, 11.0]],
        **more,
    }


def six_scenes(rng: np.random.Generator) -> np.ndarray:
    """uint8 [60, LARGE, LARGE, 3]: ten frames each of six patterns."""
    scenes = rng.integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
    return np.repeat(np.kron(scenes, np.ones((1, LARGE // 4, LARGE // 4, 1), np.uint8)), 10, axis=0)


@dataclass
class Seen:
    """What reached the models of a run.

    Attributes:
        towers: Inputs of the vision towers, one a call.
        prompts: Token ids of each call of ``generate``, one row a request.
        settings: Its other arguments that are not tensors.
    """

    towers: list[torch.Tensor] = field(default_factory=list)
    prompts: list[list[int]] = field(default_factory=list)
    settings: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def watching() -> Iterator[Seen]:
    """Record what reaches every vision tower and every ``generate``."""
    from transformers import GenerationMixin

    seen, generates, calls = Seen(), GenerationMixin.generate, torch.nn.Module.__call__

    def call(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        if type(self).__name__ in TOWERS:
            tensors = [value for value in (*args, *kwargs.values()) if torch.is_tensor(value)]
            seen.towers.append(tensors[0].detach().clone())
        return calls(self, *args, **kwargs)

    def generate(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.prompts += kwargs["input_ids"].tolist()
        seen.settings.append({k: v for k, v in kwargs.items() if not torch.is_tensor(v)})
        return generates(self, *args, **kwargs)

    with mock.patch.object(GenerationMixin, "generate", generate), mock.patch.object(torch.nn.Module, "__call__", call):
        yield seen


_index: dict[str, dict] = {}


@contextmanager
def command_line(arguments: Sequence[str]) -> Iterator[None]:
    """The arguments of ``lmms-eval``, whose own thousand YAML files are read once for all tests."""
    from lmms_eval.tasks import TaskManager

    read = TaskManager._get_task_and_group

    def read_once(manager: Any, folder: str) -> dict:
        if not folder.rstrip("/").endswith("lmms_eval/tasks"):
            return read(manager, folder)
        if folder not in _index:
            _index[folder] = dict(read(manager, folder))
        return dict(_index[folder])

    argv = ["lmms-eval", *arguments]
    with mock.patch.object(sys, "argv", argv), mock.patch.object(TaskManager, "_get_task_and_group", read_once):
        yield


def evaluate(out: Path, model: str, model_args: str, tasks: str, include: Path | None = None, *more: str) -> list[dict]:
    """The samples that ``lmms-eval`` logs, run in this process by its own ``main``."""
    from lmms_eval.__main__ import cli_evaluate

    arguments = [
        "--model",
        model,
        "--model_args",
        model_args,
        "--tasks",
        tasks,
        "--output_path",
        str(out),
        "--log_samples",
        "--verbosity",
        "DEBUG",
        *more,
    ]
    if include:
        arguments += ["--include_path", str(include)]
    needs("evaluates")
    with command_line(arguments):
        cli_evaluate()
    return samples_in(out)


def samples_in(out: Path) -> list[dict]:
    """Logged samples of the newest run below ``out``, by task and document."""
    newest: dict[str, Path] = {}
    for path in sorted(out.rglob("*_samples_*.jsonl")):
        newest[path.name.partition("_samples_")[2]] = path
    lines = [json.loads(line) for path in newest.values() for line in path.read_text().splitlines()]
    return sorted(lines, key=lambda sample: sample["doc_id"])


def summary_in(out: Path) -> dict[str, Any]:
    """What the plugin's summary says of each task."""
    return json.loads(next(out.glob("videominer/*/videominer_summary.json")).read_text())["tasks"]


def note_of(sample: dict) -> dict[str, Any]:
    """What the plugin says of a logged sample."""
    return sample["token_counts"][0]["videominer"]


def fallbacks_of(sample: dict) -> list[str]:
    """The fallbacks that the plugin names, but for what tiny models answer: nothing that can be read."""
    return [name for name in note_of(sample).get("fallbacks", ()) if name != UNREAD_ANSWER]


def frames_of(video: Path | str, indices: list[int]) -> np.ndarray:
    """uint8 [N, H, W, 3], decoded by PyAV from the first frame on."""
    import av

    with av.open(str(video)) as container:
        everything = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack([everything[i] for i in indices])


def tower_input(processor, frames: np.ndarray) -> torch.Tensor:
    """What the tower of this processor's model gets for ``frames`` [T, H, W, 3], no frame left out."""
    video = torch.from_numpy(frames).permute(0, 3, 1, 2)
    made = processor.video_processor(
        videos=[video],
        do_sample_frames=False,
        return_tensors="pt",
        **({"size": {"shortest_edge": 3136, "longest_edge": 10**9}} if "Qwen" in type(processor).__name__ else {}),
    )
    pixels = made["pixel_values_videos"]
    return pixels.flatten(0, 1) if pixels.dim() == 5 else pixels
