"""The models registered with lmms-eval: a backbone that gets key frames instead of whole videos.

``Simple`` and ``Chat`` take the backbone from ``backbone=``; in ``Simple_<id>`` and ``Chat_<id>``, which are created
on demand for every profile, it is fixed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lmms_eval.api.model import lmms
from lmms_eval.utils import simple_parse_args_string

from lmms_videominer.errors import ConfigError
from lmms_videominer.lmms import construct, hooks
from lmms_videominer.lmms.answering import Answerer
from lmms_videominer.lmms.arguments import Arguments, check_passed, secrets_given, split
from lmms_videominer.lmms.backbone_vlm import BackboneVLM
from lmms_videominer.lmms.driver import Driver
from lmms_videominer.lmms.profiles import DEFAULT_BACKBONE, PROFILES, Profile
from lmms_videominer.lmms.records import Note, in_one_line, needs_a_look, summarise, write_summary
from lmms_videominer.lmms.requests import Request, shown_video
from lmms_videominer.lmms.timing import Timing
from lmms_videominer.models.bundle import BUNDLED, find_bundle, is_shipped
from lmms_videominer.models.resolve import ModelNames, resolve
from lmms_videominer.profiling import staged
from lmms_videominer.redaction import secret_values
from lmms_videominer.selectors.settings import flat
from lmms_videominer.store.file_names import file_name
from lmms_videominer.types import Selection

if TYPE_CHECKING:
    import numpy as np

# the parts of the summary that go into lmms-eval's results, under "throughput"
REPORTED = (
    "samples",
    "mined",
    "passed",
    "uniform",
    "broken_videos",
    "empty_answers",
    "trees_not_saved",
    "not_world_videos",
    "frames_substituted",
    "vlm_calls_per_sample",
    "policy_calls_per_sample",
    "evidence_recall",
)

logger = logging.getLogger(__name__)


class VideoMinerModel(lmms):
    """A backbone of lmms-eval that sees key frames.

    Attributes:
        backbone_id: The backbone of the class; empty if ``backbone=`` names it.
        backbone: The model object of lmms-eval.
        profile: How to call the backbone.
        config: The settings of frame selection.
        fingerprint: Changes with the settings and with the weights of any model.
    """

    backbone_id: ClassVar[str] = ""

    def __init__(
        self,
        backbone: lmms,
        profile: Profile,
        arguments: Arguments,
        vlm_identity: str,
        embedder: str = "",
        timing: Timing | None = None,
    ):
        super().__init__()
        from lmms_videominer.selectors import get_selector
        from lmms_videominer.selectors.building import build_stages

        self.backbone, self.profile, self.config = backbone, profile, arguments.config
        self._rank, self._world_size = backbone.rank, backbone.world_size
        driver = Driver(backbone, profile, self.is_simple)
        is_bundled = is_shipped(arguments.passed.get("pretrained"))
        vlm = BackboneVLM(driver, vlm_identity, secret_values(arguments.passed), knows_world_only=is_bundled)
        self._timing = timing or Timing("")
        with self._timing.measured("load"):
            self.stages = build_stages(self.config, vlm, embedder=embedder or None, device=_device(backbone))
        self.fingerprint = _fingerprint(self.config, vlm_identity, self.stages)
        self._trees_dir, self._warned, self._logs_samples = arguments.trees_dir, False, False
        own = self.config.frames if self.config.selector == "uniform" and "frames" in arguments.named else 0
        selector = get_selector(self.config.selector, self.stages, self.config)
        self._answerer = Answerer(driver, selector, self.config, own, self._save)
        self._trees: Path | None = Path(self._trees_dir) if self._trees_dir else None
        hooks.made_model(profile.backbone, self.fingerprint)

    @classmethod
    def create_from_arg_string(cls, arg_string: str | dict, additional_config: dict | None = None) -> VideoMinerModel:
        """Create from ``--model_args`` and the arguments that lmms-eval's command line passes to every model.

        Raises:
            ConfigError: An argument is unknown, or a value is out of range.
            ModelError: A model cannot be loaded.
        """
        from lmms_videominer.selectors.building import check_models

        model_args = dict(arg_string) if isinstance(arg_string, dict) else simple_parse_args_string(arg_string)
        model_args |= secrets_given()
        cli_args = {name: value for name, value in (additional_config or {}).items() if value is not None}
        arguments = split(model_args)
        arguments = _with_default_backbone(arguments, cls.backbone_id)
        profile = construct.profile_of(arguments.backbone)
        is_simple = (cls.is_simple and bool(profile.simple)) or not profile.chat
        backbone_class = construct.backbone_class(profile, is_simple)
        check_passed(arguments.passed, backbone_class, profile.backbone)
        arguments = _with_bundle(arguments)
        config = arguments.config
        check_models(ModelNames("", config.policy, config.embedder, config.scorer), config)
        timing = Timing(arguments.profile)
        with timing.measured("load"):
            backbone = construct.build(backbone_class, {**arguments.passed, **_accepted(cli_args, backbone_class)})
        identity = construct.identity(backbone_class, profile, arguments.passed)
        named = (Simple if is_simple else Chat)._named(profile)
        return named(backbone, profile, arguments, identity, timing=timing)

    @classmethod
    def _named(cls, profile: Profile) -> type[VideoMinerModel]:
        """A subclass with the backbone in its name, which results show."""
        return type(f"{cls.__name__}_{profile.backbone}", (cls,), {"backbone_id": profile.backbone})

    def __getattr__(self, name: str) -> Any:
        """Attributes that lmms-eval reads outside the interface (accelerator, tokenizer, ...) are the backbone's."""
        backbone = self.__dict__.get("backbone")
        if backbone is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(backbone, name)

    @property
    def device(self) -> Any:
        return self.backbone.device

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """Answers in the order of ``requests``, each from the key frames of its video."""
        self._prepare(requests)
        with self._timing.measured():
            return self._answerer.generate(requests, progress=self.rank == 0)

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Pass the requests through if no document shows a single video.

        Raises:
            ConfigError: A document does: no backbone of lmms-eval 0.7 scores options from a video.
        """
        self._prepare(requests)
        self._refuse_videos(requests, "scores options by log-likelihood", "a generate_until task")
        return self.backbone.loglikelihood(requests)

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[Any]:
        """Pass the requests through if no document shows a single video.

        Raises:
            ConfigError: A document does: its visuals change from round to round, but key frames would not.
        """
        self._prepare(requests)
        self._refuse_videos(requests, "asks in several rounds", "a single-round task")
        return self.backbone.generate_until_multi_round(requests)

    def generate_visual_cot(self, requests: Sequence[Any]) -> list[Any]:
        """Pass the requests through."""
        self._prepare(requests)
        return self.backbone.generate_visual_cot(requests)

    def clean(self) -> None:
        """Write the summary of the run, and free the models."""
        self._report()
        self.stages.cache.close()
        self.stages.policy = self.stages.language_model = self.stages.embedder = self.stages.scorer = None
        self.backbone.clean()

    def _prepare(self, requests: Sequence[Any]) -> None:
        self.backbone.task_dict = self.task_dict
        self.backbone.cache_hook = self.cache_hook
        self.backbone._rank, self.backbone._world_size = self._rank, self._world_size
        cli = _command_line(requests)
        self._logs_samples = bool(getattr(cli, "log_samples", False))
        if self._trees is None:
            self._trees = _trees_folder(cli, self.config, self.fingerprint)
        if getattr(cli, "cache_requests", None) and not self._warned:
            self._warned = True
            logger.warning(
                "--cache_requests keeps the prompts of the first model that created them: its key does not "
                "include the model. Use --cache_requests refresh after changing the model"
            )

    def _refuse_videos(self, requests: Sequence[Any], what: str, instead: str) -> None:
        for request in requests:
            doc_id, task, split_name = request.args[-3:]
            if _shows_video(request, self.task_dict[task][split_name][doc_id]):
                raise ConfigError(
                    f"task {task} {what} from a video, which {self.profile.backbone} cannot do with key frames; "
                    f"use {instead}, or --model {self.profile.backbone} for the backbone alone"
                )

    @staged("write")
    def _save(self, selection: Selection, instance: Any, frames: np.ndarray | None = None) -> str:
        """Store a selection as ``<folder>/<task>/<doc_id>.json``, by ``file_name`` where these are no plain names.

        With ``--log_samples`` small pictures of its key frames are stored beside it, for the page of the samples.
        """
        from lmms_videominer.show.view.pictures import save_strip, strip_beside
        from lmms_videominer.store.selection_json import save

        if self._trees is None:
            return ""
        request = Request.of(instance, self.is_simple)
        path = self._trees / file_name(request.task) / f"{file_name(str(request.doc_id))}.json"
        save(selection, path)
        if frames is not None and len(frames) and self._logs_samples:
            save_strip(frames, strip_beside(path))
        return str(path)

    def _report(self) -> None:
        self._timing.save(self._trees, self.rank)
        notes = _gathered(self._answerer.notes)
        if not notes or self.rank != 0:
            return
        from lmms_eval.models.model_utils.gen_metrics import log_metrics

        summary = summarise(notes)
        logger.log(logging.WARNING if needs_a_look(summary) else logging.INFO, "%s", in_one_line(summary))
        if self._trees is not None:
            try:
                write_summary(self._trees, summary, flat(self.config), **self._timing.figures)
            except OSError as error:
                logger.warning("The summary of the run cannot be written: %s", error)
        counts = {name: value for name, value in summary["all"].items() if name in REPORTED and value is not None}
        log_metrics(0.0, 0, 0.0, {f"videominer_{name}": value for name, value in counts.items()})


class Simple(VideoMinerModel):
    """Takes requests with ``doc_to_visual``."""

    is_simple = True


class Chat(VideoMinerModel):
    """Takes requests with ``doc_to_messages``."""

    is_simple = False


def __getattr__(name: str) -> type[VideoMinerModel]:
    form, _, backbone = name.partition("_")
    if form in ("Simple", "Chat") and backbone in PROFILES:
        return globals()[form]._named(PROFILES[backbone])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _with_default_backbone(arguments: Arguments, fixed: str) -> Arguments:
    """``arguments`` with the backbone of the class, else that of ``backbone=``, else the bundled one.

    Raises:
        ConfigError: A model is named, but not the backbone that runs it.
    """
    if fixed or arguments.backbone:
        return dataclasses.replace(arguments, backbone=fixed or arguments.backbone)
    pretrained = str(arguments.passed.get("pretrained", BUNDLED))
    if find_bundle(pretrained) is None:
        raise ConfigError(
            f"pretrained={pretrained!r} needs backbone=<one of {', '.join(PROFILES)}>, or the model "
            "videominer_<backbone>"
        )
    return dataclasses.replace(
        arguments, backbone=DEFAULT_BACKBONE, passed={**arguments.passed, "pretrained": pretrained}
    )


def _with_bundle(arguments: Arguments) -> Arguments:
    """Replace a bundle by its video LLM; use its policy, embedder, scorer and arguments unless the user set others."""
    names = resolve(str(arguments.passed.get("pretrained", "")), arguments.config)
    config = dataclasses.replace(arguments.config, policy=names.policy, embedder=names.embedder, scorer=names.scorer)
    passed = {**names.vlm_args, **arguments.passed, **({"pretrained": names.vlm} if names.vlm else {})}
    return dataclasses.replace(arguments, config=config, passed=passed)


def _accepted(cli_args: dict[str, Any], backbone_class: type) -> dict[str, Any]:
    """The arguments of lmms-eval's command line, without ``max_batch_size`` unless the backbone accepts it."""
    return {
        name: value
        for name, value in cli_args.items()
        if name != "max_batch_size" or construct.accepts(backbone_class, name)
    }


def _device(backbone: lmms) -> str | None:
    device = getattr(backbone, "device", None)
    return None if device is None else str(device)


def _fingerprint(config: Any, vlm_identity: str, stages: Any) -> str:
    from lmms_videominer import __version__

    settings = {name: value for name, value in flat(config).items() if name != "cache_dir"}
    models = [
        getattr(model, "identity", "")
        for model in (stages.language_model or stages.policy, stages.embedder, stages.scorer)
    ]
    text = json.dumps([__version__, settings, vlm_identity, models], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _command_line(requests: Sequence[Any]) -> Any:
    """lmms-eval's parsed command line, from the first request's task; ``None`` if it has none."""
    for request in requests[:1]:
        for argument in request.args:
            task = getattr(argument, "__self__", None)
            if task is not None:
                return getattr(task, "args", None)
    return None


def _trees_folder(cli: Any, config: Any, fingerprint: str) -> Path | None:
    """The folder for the trees of a run: beside its results, else in the cache folder, else none."""
    from lmms_videominer.store.cache import cache_root

    name = f"{config.selector}-{fingerprint[:8]}"  # different runs do not overwrite each other's trees
    output = getattr(cli, "output_path", None)
    if output:
        return Path(output).absolute() / "videominer" / name
    return None if config.cache_dir == "off" else cache_root(config.cache_dir) / "trees" / name


def _shows_video(request: Any, document: Any) -> bool:
    """Whether the document of a request of any kind shows exactly one video."""
    forms = {"doc_to_visual": True, "doc_to_messages": False}
    functions = [f for f in request.args if getattr(f, "__name__", "") in forms]
    return any(shown_video(function(document), forms[function.__name__]) for function in functions)


def _gathered(notes: list[Note]) -> list[Note]:
    """The notes of all processes, in every process."""
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        return notes
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, notes)
    return [note for part in parts for note in part]
