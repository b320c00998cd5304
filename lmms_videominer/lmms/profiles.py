"""The video backbones of lmms-eval 0.7, one row each: how to hand over chosen frames so that the backbone sees them.

A backbone gets the frames as a lossless video file (see ``handover``) and samples that file with its own code. A row
describes the file and names the attributes that hold the backbone's frame count, so that this code samples every
frame exactly once. To add a backbone, add a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmms_videominer.models.bundle import BUNDLED

GENERIC_IDS = ("videominer", BUNDLED)  # backbone= chooses the backbone
DEFAULT_BACKBONE = "qwen2_vl"  # the bundle's, of a generic id without a backbone and without a model


@dataclass(frozen=True)
class Profile:
    """How to run one backbone.

    Attributes:
        backbone: Its model id in lmms-eval.
        simple, chat: Name of its class for each of the two request forms; empty if there is none. A chat
            model without a simple form runs simple tasks as lmms-eval arranges it.
        aliases: Other spellings of the id, for ``videominer_<alias>``.
        in_memory: Frames are passed as an array instead of a file, since the backbone cannot read files
            without a package that lmms-eval does not install.
        file_fps: Frame rate of the file; the backbone's own sampling rate if it samples by time.
        repeat: How often each frame is repeated in the file.
        multiple: The number of frames is padded to a multiple of this by repeating the last frame.
        count: Attributes of the backbone that hold its number of frames, set for each call if they exist.
        fixed: Attributes set for each call whatever the number of frames, if they exist.
        sampling: How the plain backbone samples frames from a file: ``"linspace"`` over all frames, ``"qwen"`` (2 per
            second, then linspace over these), ``"even"`` (at equal distances, one fewer if the count is odd),
            ``"rounded"`` (the same, with an odd count rounded to a multiple of 4), ``"seconds"`` (one per second,
            linspace if those are too many), or empty if unknown.
        sampling_if: Attributes of the backbone and the values for which ``sampling`` holds; otherwise it is unknown.
        text_only: Whether it answers a request without visuals.
        counts_first_only: Its own sampling applies the count only to the first video of a batch.
        least_tokens: Attributes that hold a minimum for a request's limit on the reply's length.
    """

    backbone: str
    simple: str = ""
    chat: str = ""
    aliases: tuple[str, ...] = ()
    in_memory: bool = False
    file_fps: float = 2.0
    repeat: int = 1
    multiple: int = 1
    count: tuple[str, ...] = ("max_num_frames",)
    fixed: tuple[tuple[str, Any], ...] = ()
    sampling: str = ""
    sampling_if: tuple[tuple[str, Any], ...] = ()
    text_only: bool = True
    counts_first_only: bool = False
    least_tokens: tuple[str, ...] = ()

    @property
    def model_ids(self) -> tuple[str, ...]:
        """The plugin's names for the backbone, the canonical one first."""
        return tuple(f"videominer_{name}" for name in (self.backbone, *self.aliases))


def _qwen(backbone: str, **more: Any) -> Profile:
    """Reads videos with qwen_vl_utils: an even count at 2 frames per second, without a rate set by the user."""
    return Profile(backbone, **{"multiple": 2, "fixed": (("fps", None), ("total_pixels", None)), **more})


def _llava(backbone: str, simple: str, **more: Any) -> Profile:
    """Samples ``max_frames_num`` frames with ``np.linspace`` over all frames of the file."""
    return Profile(backbone, simple, **{"count": ("max_frames_num",), "sampling": "linspace", **more})


_ROWS = (
    _qwen("qwen2_vl", simple="Qwen2_VL", aliases=("qwen2vl",), sampling="qwen", counts_first_only=True),
    _qwen(
        "qwen2_5_vl",
        simple="Qwen2_5_VL",
        chat="Qwen2_5_VL",
        aliases=("qwen25vl", "qwen2_5vl", "qwen25_vl"),
        sampling="even",
        sampling_if=(("is_simple", False), ("fps", None)),
        counts_first_only=True,
    ),
    _qwen(
        "qwen3_vl",
        simple="Qwen3_VL",
        chat="Qwen3_VL",
        aliases=("qwen3vl",),
        sampling="rounded",
        sampling_if=(("is_simple", False), ("fps", None), ("total_pixels", None)),
    ),
    _qwen("qwen3_5", simple="Qwen3_5", chat="Qwen3_5"),
    _qwen("qwen2_5_omni", simple="Qwen2_5_Omni", chat="Qwen2_5_Omni"),
    _qwen("qwen3_omni", simple="Qwen3_Omni", chat="Qwen3_Omni"),
    _qwen("thyme", chat="Thyme"),
    _qwen("llava_onevision1_5", simple="Llava_OneVision1_5", chat="Llava_OneVision1_5"),
    _qwen("llava_onevision2", chat="Llava_OneVision2", count=("max_num_frames", "fixed_num_frames"), fixed=()),
    _qwen("huggingface", chat="Huggingface"),
    _qwen("async_hf_model", chat="AsyncHFModel"),
    _qwen(
        "vllm",
        simple="VLLM",
        chat="VLLM",
        count=("nframes", "max_frame_num"),
        sampling="rounded",
        sampling_if=(("is_simple", False), ("fps", None)),
        least_tokens=("max_new_tokens",),
    ),
    _qwen("vllm_generate", chat="VLLMGenerate", count=("nframes", "max_frame_num"), least_tokens=("max_new_tokens",)),
    _qwen("sglang", chat="Sglang", count=("nframes", "max_frame_num")),
    _qwen(
        "openai",
        simple="OpenAICompatible",
        chat="OpenAICompatible",
        aliases=("openai_compatible",),
        count=("max_frames_num",),
        fixed=(("video_fps", None),),
        sampling="rounded",
        sampling_if=(("is_simple", False), ("video_fps", None), ("pass_video_url", False)),
    ),
    _qwen("async_openai", chat="AsyncOpenAIChat", count=("nframes",), fixed=(("fps", None),)),
    _qwen(
        "litellm",
        simple="LiteLLMCompatible",
        chat="LiteLLMCompatible",
        count=("max_frames_num",),
        fixed=(("video_fps", None),),
    ),
    Profile("internvl_hf", chat="InternVLHf", in_memory=True, repeat=3, count=("num_frames",), fixed=(("fps", None),)),
    Profile("internvl2", simple="InternVL2", count=("num_frame",), repeat=3),
    Profile("internvl3", simple="InternVL3", count=("num_frame",), repeat=3),
    Profile("internvl3_5", simple="InternVL3_5", count=("num_frame",), repeat=3),
    Profile("internvideo2_5", simple="InternVideo2_5", count=("max_frames_num",), repeat=3),
    Profile("internvideo2", simple="InternVideo2", count=("num_segments",), repeat=3),
    Profile("videochat2", simple="VideoChat2", count=("num_segments",), repeat=3),
    # its chat form fails on every video with transformers 5 (an empty list of images), so only the simple form is used
    _llava("llava_hf", "LlavaHf", aliases=("llavahf",), text_only=False),
    _llava("llava_onevision", "Llava_OneVision", aliases=("llava_ov",)),
    _llava("llava_onevision_moviechat", "Llava_OneVision_MovieChat", text_only=False),
    _llava("longva", "LongVA", text_only=False),
    _llava("oryx", "Oryx"),
    _llava("ola", "Ola"),
    _llava("vila", "VILA"),
    _llava("aria", "Aria"),
    _llava("egogpt", "EgoGPT"),
    _llava("auroracap", "AuroraCap"),
    _llava("vqtoken", "VQToken"),
    _llava("phi4_multimodal", "Phi4", chat="Phi4", count=("max_frames_num", "max_frame_num")),
    _llava("llama_vision", "LlamaVision"),
    _llava("gpt4v", "GPT4V"),
    _llava("claude", "Claude"),
    _llava("reka", "Reka"),
    _llava("mistral3_vl", "Mistral3_VL", count=("max_num_frames",)),
    _llava("gemma3", "Gemma3", count=("max_num_frames",)),
    _llava("gemma4", "Gemma4", count=("max_num_frames",)),
    _llava("plm", "PerceptionLM", count=("max_num_frames", "max_frames_num")),
    _llava("video_llava", "VideoLLaVA", count=("num_frames",), text_only=False),
    _llava("llama_vid", "LLaMAVid", count=("num_frames",)),
    _llava("mplug_owl_video", "mplug_Owl", count=("num_frames",)),
    _llava("videochat_flash", "VideoChat_Flash", count=("max_num_frames",), text_only=False),
    Profile(
        "llava_vid",
        simple="LlavaVid",
        count=("max_frames_num",),
        fixed=(("fps", 1),),
        file_fps=1.0,
        sampling="seconds",
        sampling_if=(("fps", 1), ("force_sample", False)),
        text_only=False,
    ),
    Profile("videollama3", simple="VideoLLaMA3", file_fps=1.0),
    Profile("penguinvl", simple="PenguinVL", fixed=(("fps", 1),), file_fps=1.0),
    Profile("minicpm_o", simple="MiniCPM_O", chat="MiniCPM_O", file_fps=1.0),
    Profile("minicpm_v", simple="MiniCPM_V", file_fps=1.0),
    Profile("video_salmonn_2", simple="VideoSALMONN2", fixed=(("fps", 2.0),)),
    Profile("baichuan_omni", simple="BaichuanOmni", chat="BaichuanOmni"),
    Profile("omnivinci", simple="OmniVinci", chat="OmniVinci", count=("num_video_frames", "max_num_frames")),
    Profile("longvila", chat="LongVila", count=("max_frame_num",), fixed=(("fps", None),)),
    Profile("gemini", simple="Gemini", chat="Gemini", count=("max_frames_num",), file_fps=1.0),
)

PROFILES: dict[str, Profile] = {row.backbone: row for row in _ROWS}

# For ids without a row: the common names of the frame count, and a file that every reader accepts.
UNLISTED = Profile("", multiple=2, count=("max_num_frames", "max_frames_num", "num_frames", "num_frame", "nframes"))


def backbone_of(model_id: str) -> str:
    """The backbone of a model id of the plugin; empty for the generic ids and for other ids."""
    for profile in _ROWS:
        if model_id in profile.model_ids:
            return profile.backbone
    return ""
