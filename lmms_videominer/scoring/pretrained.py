"""Loads a scorer by a model's name or folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmms_videominer.errors import ModelError
from lmms_videominer.models.identity import model_identity
from lmms_videominer.models.loading import default_device, loading

if TYPE_CHECKING:
    from lmms_videominer.scoring.scorer import Scorer
    from lmms_videominer.scoring.transformers_scorer import TransformersScorer

DEFAULT_SCORER = "openai/clip-vit-large-patch14"  # BOLT's
WAY_OUT = f"choose a CLIP, a SigLIP, or a BLIP or BLIP-2 with a matching head, such as {DEFAULT_SCORER}"
MATCHING = {"blip": "BlipForImageTextRetrieval", "blip-2": "Blip2ForImageTextRetrieval"}  # classes by model type
MOST_NAMED = 3  # missing weights that the error message names


def load_scorer(name: str = "", device: str | None = None) -> Scorer:
    """Load a scorer by name or folder, in half precision on a GPU and in single precision on the CPU.

    Args:
        name: A BLIP or BLIP-2 with an image-text matching head, or any transformers model with image and text features
            (CLIP, SigLIP, SigLIP 2, ALIGN, AltCLIP, ...); empty: ``DEFAULT_SCORER``.
        device: ``"cpu"``, ``"cuda:0"``, ...; ``None``: CUDA if available.

    Raises:
        ModelError: The model is absent, cannot be loaded, lacks weights, or does not compare images with texts.
    """
    from transformers import AutoConfig, AutoProcessor

    name = name or DEFAULT_SCORER
    with loading("scorer", name):
        kind = AutoConfig.from_pretrained(name).model_type
        model, missing = _model(name, default_device(device), kind)
        processor = AutoProcessor.from_pretrained(name)
    _check(model, processor, name, kind)
    if missing:  # these would be random, for example in a captioning BLIP
        more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
        names = ", ".join(missing[:MOST_NAMED])
        raise ModelError(f"scorer {name!r} lacks weights of a {type(model).__name__} ({names}{more}): {WAY_OUT}")
    return _scorer(kind)(model, processor, model_identity(name))


def _scorer(kind: str) -> type[TransformersScorer]:
    """The scorer class for this model type."""
    from lmms_videominer.scoring.dual_encoder import DualEncoderScorer
    from lmms_videominer.scoring.matching import Blip2Scorer, BlipScorer

    return {"blip": BlipScorer, "blip-2": Blip2Scorer}.get(kind, DualEncoderScorer)


def _model(name: str, device: str, kind: str) -> tuple[Any, list[str]]:
    """The model, and the names of its weights that are missing from the files."""
    import torch
    import transformers

    dtype = torch.float32 if device.startswith("cpu") else torch.float16
    model_class = getattr(transformers, MATCHING.get(kind, "AutoModel"))
    model, loading_info = model_class.from_pretrained(name, dtype=dtype, output_loading_info=True)
    return model.to(device).eval(), sorted(loading_info["missing_keys"])


def _check(model: Any, processor: Any, name: str, kind: str) -> None:
    """Raise ``ModelError`` if the model cannot compare images with texts."""
    encodes = hasattr(model, "get_image_features") and hasattr(model, "get_text_features")
    generates = hasattr(model, "language_model")  # a generative model such as LLaVA
    compares = kind in MATCHING or (encodes and not generates)
    if not compares or not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ModelError(
            f"scorer {name!r} is a {type(model).__name__}, which does not compare images with texts: {WAY_OUT}"
        )
