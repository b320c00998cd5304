"""A scorer from a model's name or folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmms_videominer.errors import ModelError
from lmms_videominer.model_identity import model_identity
from lmms_videominer.model_loading import default_device, loading

if TYPE_CHECKING:
    from lmms_videominer.scoring.scorer import Scorer

DEFAULT_SCORER = "openai/clip-vit-large-patch14"  # BOLT's


def load_scorer(name: str = "", device: str | None = None) -> Scorer:
    """The scorer of this name or folder: in half precision on a GPU, in single on the CPU.

    Args:
        name: A BLIP with an image-text matching head, or any transformers model with image and text features
            (CLIP, SigLIP, SigLIP 2, ALIGN, AltCLIP, ...); empty: ``DEFAULT_SCORER``.
        device: ``"cpu"``, ``"cuda:0"``, ...; ``None``: CUDA where there is one.

    Raises:
        ModelError: The model is absent, cannot be loaded, or compares no images with texts.
    """
    from transformers import AutoConfig, AutoProcessor

    name = name or DEFAULT_SCORER
    with loading("scorer", name):
        blip = AutoConfig.from_pretrained(name).model_type == "blip"
        model = _model(name, default_device(device), blip)
        processor = AutoProcessor.from_pretrained(name)
    _check(model, processor, name, blip)
    if blip:
        from lmms_videominer.scoring.matching import MatchingScorer

        return MatchingScorer(model, processor, model_identity(name))
    from lmms_videominer.scoring.dual_encoder import DualEncoderScorer

    return DualEncoderScorer(model, processor, model_identity(name))


def _model(name: str, device: str, blip: bool) -> Any:
    import torch
    from transformers import AutoModel, BlipForImageTextRetrieval

    dtype = torch.float32 if device.startswith("cpu") else torch.float16
    kind: Any = BlipForImageTextRetrieval if blip else AutoModel
    return kind.from_pretrained(name, dtype=dtype).to(device).eval()


def _check(model: Any, processor: Any, name: str, blip: bool) -> None:
    encodes = hasattr(model, "get_image_features") and hasattr(model, "get_text_features")
    compares = blip or (encodes and not hasattr(model, "language_model"))  # that of BLIP-2 writes about images
    if not compares or not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ModelError(
            f"scorer {name!r} is a {type(model).__name__}, which compares no images with texts: name "
            f"a CLIP, a SigLIP or a BLIP with a matching head, such as {DEFAULT_SCORER}"
        )
