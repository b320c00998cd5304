"""A video LLM run by transformers: Qwen2-VL, Qwen2.5-VL, Qwen3-VL, LLaVA-OneVision, InternVL and similar models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmms_videominer.errors import ModelError
from lmms_videominer.models.bundle import is_shipped
from lmms_videominer.models.identity import model_identity
from lmms_videominer.models.loading import default_device, loading
from lmms_videominer.models.plain_text import THINK, ControlTokens
from lmms_videominer.profiling import stage
from lmms_videominer.vlm.vlm import VLMRequest, alike

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

_TICKS_PER_SECOND = 1000  # processors take times as frame indices over a rate: milliseconds over 1000 are exact
_UNKNOWN_FPS = 2.0  # assumed rate for frames without times: the rate that Qwen's models are trained at


class TransformersVLM:
    """Generates text from exactly the given frames, passed as one video and never resampled.

    If the processor does not support video, the frames are passed as images of one turn.

    Args:
        model: The model, on its device.
        processor: Its processor, which resizes the frames.
        identity: Changes with the weights or the processing.
        batch_size: Requests per forward pass.

    Attributes:
        knows_world_only: Whether it is the bundled video LLM, see ``models.drawn_films``.

    Raises:
        ModelError: The processor has no chat template.
    """

    def __init__(self, model: PreTrainedModel, processor: ProcessorMixin, identity: str, batch_size: int = 8):
        self.model: Any = model  # type checkers do not see generate(), a mixin of transformers
        self.processor: Any = processor
        self.identity, self.batch_size = identity, batch_size
        self.knows_world_only = False
        if not getattr(processor, "chat_template", None):
            raise ModelError(
                f"video LLM {identity}: its processor has no chat template. Use an instruction-tuned "
                "checkpoint, or one with a chat_template.jinja"
            )
        self._takes_video = getattr(processor, "video_processor", None) is not None
        processor.tokenizer.padding_side = "left"
        self._control_tokens = control_tokens(processor)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        device: str | None = None,
        dtype: str = "auto",
        batch_size: int = 8,
        trust_remote_code: bool = False,
    ) -> TransformersVLM:
        """Load a model by folder or hub name. The device defaults to CUDA if available.

        Raises:
            ModelError: The model is absent, cannot be loaded, or is not a vision-language chat model.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        with loading("video LLM", name_or_path):
            processor = AutoProcessor.from_pretrained(name_or_path, trust_remote_code=trust_remote_code)
            model: Any = AutoModelForImageTextToText.from_pretrained(
                name_or_path, dtype=dtype, trust_remote_code=trust_remote_code
            )
        if getattr(processor, "tokenizer", None) is None:
            raise ModelError(
                f"video LLM {name_or_path!r}: its folder has no processor configuration "
                "(preprocessor_config.json). Save the processor in the model's folder"
            )
        vlm = cls(model.to(default_device(device)).eval(), processor, model_identity(name_or_path), batch_size)
        vlm.knows_world_only = is_shipped(name_or_path)
        return vlm

    @property
    def at_once(self) -> int:
        """How many requests it serves at once."""
        return self.batch_size

    def generate(self, requests: Sequence[VLMRequest]) -> list[str]:
        """One completion per request, in order, stripped.

        Decoding is greedy at temperature 0, with the penalties of the checkpoint's generation configuration;
        above 0 it samples from torch's global generator.
        """
        completions: dict[int, str] = {}
        for batch in self.parts(requests):
            completions.update(zip(batch, self._complete([requests[i] for i in batch])))
        return [completions[i] for i in range(len(requests))]

    def parts(self, requests: Sequence[VLMRequest]) -> list[list[int]]:
        """The requests of each forward pass: of one frame count, length and temperature; see ``PartedVLM.parts``."""
        return [
            members[start : start + self.batch_size]
            for members in alike(requests)
            for start in range(0, len(members), self.batch_size)
        ]

    def reply_logprobs(self, request: VLMRequest, replies: Sequence[str]) -> list[float]:
        """The log-probability of each reply, its end included: see ``ScoringVLM``. Nothing is generated.

        Args:
            request: The prompt and its frames; its length and temperature are not used.
            replies: Texts as the model would write them, without control tokens.
        """
        rows = [self.processor.tokenizer(reply, add_special_tokens=False)["input_ids"] for reply in replies]
        return [
            logprob
            for start in range(0, len(rows), self.batch_size)
            for logprob in self._row_logprobs(request, rows[start : start + self.batch_size])
        ]

    def _row_logprobs(self, request: VLMRequest, rows: Sequence[list[int]]) -> list[float]:
        """The log-probability of each of ``rows``, token ids, and of an end after it, as replies to ``request``."""
        import torch

        # whole prompts, not their cache: transformers gives Qwen2.5-VL other positions after the cache of a video
        inputs = self._inputs([request] * len(rows))
        shape, longest = inputs["input_ids"].shape, max(map(len, rows))
        more = {
            "input_ids": [row + [0] * (longest - len(row)) for row in rows],
            "attention_mask": [[1] * len(row) + [0] * (longest - len(row)) for row in rows],
        }
        for name, value in inputs.items():
            if value.shape == shape:  # one value per token, such as its type, which is 0 for text
                added = torch.tensor(more[name]) if name in more else torch.zeros(len(rows), longest)
                inputs[name] = torch.cat([value, added.to(value)], dim=1)
        with torch.inference_mode():
            logits = self.model(**inputs, logits_to_keep=longest + 1, use_cache=False).logits  # [R, L + 1, V]
            logprobs = logits.float().log_softmax(-1).cpu()
        ends = torch.tensor(self._eos_ids)
        return [
            float(sum(line[i, token] for i, token in enumerate(row)) + line[len(row), ends].logsumexp(-1))
            for line, row in zip(logprobs, rows, strict=True)
        ]

    @property
    def _eos_ids(self) -> list[int]:
        """All tokens that end a reply."""
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return [i for i in dict.fromkeys([*ids, self.processor.tokenizer.eos_token_id]) if i is not None]

    def _complete(self, batch: Sequence[VLMRequest]) -> list[str]:
        """Completions of requests with the same frame count, length and temperature."""
        import torch

        inputs = self._inputs(batch)
        with torch.inference_mode():
            output = self.model.generate(**inputs, **self._generation(batch[0]))  # [B, P + C]
        completions = output[:, inputs["input_ids"].shape[1] :]
        return [text.strip() for text in self.processor.tokenizer.batch_decode(completions, skip_special_tokens=True)]

    def _inputs(self, batch: Sequence[VLMRequest]) -> dict[str, Any]:
        """The processor's outputs for ``batch``, on the model's device, pixels in the model's dtype."""
        texts = [
            self.processor.apply_chat_template(self._messages(request), tokenize=False, add_generation_prompt=True)
            for request in batch
        ]
        with stage("hand over", sum(len(request.frames) for request in batch if request.frames is not None)):
            inputs = self.processor(text=texts, padding=True, return_tensors="pt", **self._visuals(batch))
            inputs = inputs.to(self.model.device)
        return {
            name: value.to(self.model.dtype) if name.startswith("pixel_values") else value
            for name, value in inputs.items()
            if name != "video_metadata"
        }

    def _messages(self, request: VLMRequest) -> list[dict]:
        count = 0 if request.frames is None else len(request.frames)
        kinds = (["video"] if self._takes_video else ["image"] * count) if count else []
        content: list[dict] = [{"type": kind} for kind in kinds]
        content.append({"type": "text", "text": self._control_tokens.spaced(request.prompt)})
        return [{"role": "user", "content": content}]

    def _visuals(self, batch: Sequence[VLMRequest]) -> dict[str, Any]:
        """The processor's arguments for the frames of ``batch``; none for a batch without frames."""
        videos = [(r.frames, r.frame_times_s) for r in batch if r.frames is not None and len(r.frames)]
        frames = [video for video, _ in videos]
        if not frames:
            return {}
        if not self._takes_video:
            return {"images": [list(video) for video in frames]}
        metadata = [video_metadata(video, times_s) for video, times_s in videos]
        # most processors complete a temporal patch themselves, by repeating the last frame; Qwen3-VL's rejects a video
        # shorter than one patch
        missing = getattr(self.processor.video_processor, "temporal_patch_size", 1) - len(frames[0])
        if missing > 0:
            frames = [np.concatenate([video, video[-1:].repeat(missing, axis=0)]) for video in frames]
            for entry in metadata:
                entry["frames_indices"] += entry["frames_indices"][-1:] * missing
        return {"videos": frames, "videos_kwargs": {"do_sample_frames": False, "video_metadata": metadata}}

    def _generation(self, request: VLMRequest) -> dict[str, Any]:
        sampling: dict[str, Any] = {"temperature": request.temperature, "top_k": 0, "top_p": 1.0}
        if not request.temperature:  # None overrides the checkpoint's settings, which would cause warnings
            sampling = dict.fromkeys(sampling)
        pad = self.processor.tokenizer.pad_token_id
        return {
            "max_new_tokens": request.max_new_tokens,
            "do_sample": bool(request.temperature),
            "pad_token_id": self.processor.tokenizer.eos_token_id if pad is None else pad,
            **sampling,
        }


def control_tokens(processor: Any) -> ControlTokens:
    """The control tokens of a processor: those of its tokenizer, and its placeholders for pictures."""
    named = [getattr(processor, name, None) for name in ("image_token", "video_token", "audio_token")]
    named += [value for name, value in vars(processor).items() if name.endswith("_token")]
    more = [text for text in named if isinstance(text, str)]
    return ControlTokens.of(processor.tokenizer, getattr(processor, "chat_template", None), more=more, own=THINK)


def video_metadata(frames: np.ndarray, frame_times_s: Sequence[float]) -> dict[str, Any]:
    """Metadata of a video for a transformers processor: the time of each of these frames.

    Args:
        frames: uint8 [T, H, W, 3].
        frame_times_s: Time of each frame, in seconds. If its length is not T, 2 frames per second are assumed.
    """
    count = len(frames)
    times_s = np.asarray(frame_times_s, dtype=np.float64)
    if len(times_s) != count:
        times_s = np.arange(count) / _UNKNOWN_FPS
    # processors derive the sampled rate as frames / total * fps, so the total follows from the mean gap between frames
    gap_s = (times_s[-1] - times_s[0]) / (count - 1) if count > 1 else 1 / _UNKNOWN_FPS
    total = max(1, round(count * gap_s * _TICKS_PER_SECOND))
    return {
        "fps": float(_TICKS_PER_SECOND),
        "frames_indices": np.rint(times_s * _TICKS_PER_SECOND).astype(int).tolist(),
        "total_num_frames": total,
        "duration": total / _TICKS_PER_SECOND,
        "height": frames.shape[1],
        "width": frames.shape[2],
    }
