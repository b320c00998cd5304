"""The checks of ``videominer doctor``: what is installed, what works, and remedies for what does not."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lmms_videominer.commands.arguments import FREE_SEED
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from packaging.requirements import Requirement

DISTRIBUTION = "lmms-videominer"
GROUP = "lmms_eval.models"
REINSTALL = f"pip install --force-reinstall --no-deps {DISTRIBUTION}"
MAIN_MODEL = "videominer_qwen2vl"
LEAST_PYTHON = (3, 10)
IMPORTS = ("torch", "torchvision", "transformers", "sentence_transformers", "sklearn", "av", "decord", "lmms_eval")
FFMPEG = "install FFmpeg's shared libraries: apt-get install ffmpeg"
QWEN_READERS = ("torchcodec", "decord")  # that qwen-vl-utils looks for, before torchvision
LOST = {"cache_unwritable", "cache_unreachable"}  # fallbacks of a cache that does not store
REMEDY = "-> "
CLIP_LEVELS = (40, 120, 200)  # gray level of the test clip in each second
CLIP_FPS = 8
CLIP_TOLERANCE = 8  # of 255: error of lossy coding


class Status(str, Enum):
    """The outcome of a check; only ``WRONG`` sets the exit code to 1."""

    OK = "ok"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was checked.
        status: The outcome.
        result: What was found.
        remedy: What to do about it; empty if there is nothing to do.
    """

    name: str
    status: Status
    result: str
    remedy: str = ""


def run_checks() -> list[Check]:
    """Run all checks, ordered so that the first wrong one is the most likely cause of the others."""
    checks = [
        check_python(),
        *guarded("packages", check_requirements, "pip install " + DISTRIBUTION),
        *(check for name in IMPORTS for check in guarded(f"import {name}", partial(check_import, name))),
        *guarded("qwen-vl-utils", check_qwen_videos, "pip install --upgrade qwen-vl-utils"),
        *guarded("entry points", check_entry_points, REINSTALL),
        *guarded("lmms-eval models", check_registered, REINSTALL),
        *guarded("selectors", check_selectors, REINSTALL),
        check_cuda(),
    ]
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        checks += guarded("test clip", partial(write_clip, clip), "pip install --force-reinstall av")
        if clip.exists():
            for backend in ("decord", "pyav", "torchcodec"):
                checks += guarded(f"decoder {backend}", partial(check_decoder, backend, clip))
            checks += guarded("bundled models", partial(check_bundle, Path(folder)), REINSTALL)
    checks += guarded("cache folder", check_cache)
    return [
        *checks,
        Check("ffmpeg", Status.OK, "not needed: all readers but torchcodec have their own"),
    ]


def print_checks(checks: Sequence[Check], only_wrong: bool = False) -> int:
    """Print a table of ``checks`` and return the exit code, 1 if one is wrong.

    A remedy stands below what it mends, so that the table is whole at 80 columns: what is too long is wrapped.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {Status.OK: "green", Status.NOTE: "yellow", Status.WRONG: "bold red"}
    table = Table("check", "", box=None, header_style="bold", pad_edge=False)
    table.columns[0].overflow = "fold"
    table.columns[1].no_wrap = True
    table.add_column("result, and what to do", overflow="fold")  # a truncated path would be useless
    for check in checks:
        if not only_wrong or check.status is Status.WRONG:
            status = Text(check.status.value, styles[check.status])
            name, result = Text(printable(check.name)), Text(printable(check.result))
            if check.remedy:
                result.append(f"\n{REMEDY}{printable(check.remedy)}", "bold")
            table.add_row(name, status, result)
    wrong = sum(check.status is Status.WRONG for check in checks)
    console = Console()
    if table.row_count:
        console.print(table)
    if not only_wrong or wrong:
        console.print(Text(f"\n{wrong} wrong" if wrong else "\nAll is well.", "bold red" if wrong else "bold green"))
    return 1 if wrong else 0


def guarded(name: str, run: Callable[[], Check | list[Check]], remedy: str = "") -> list[Check]:
    """The checks of ``run``, or one that reports the exception it raised, since any failure must be reported."""
    try:
        checks = run()
        return [checks] if isinstance(checks, Check) else checks
    except (Exception, SystemExit) as error:
        return [Check(name, Status.WRONG, _summary(error), getattr(error, "remedy", "") or remedy)]


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    text = ".".join(map(str, version))
    if version[:2] < LEAST_PYTHON:
        return Check("python", Status.WRONG, text, f"use Python {'.'.join(map(str, LEAST_PYTHON))} or later")
    return Check("python", Status.OK, f"{text}, {platform.machine()} {platform.system()}")


def check_requirements(requirements: Iterable[str] | None = None) -> list[Check]:
    """Check that each requirement of this package, except extras, is installed in a compatible version.

    Args:
        requirements: Requirements as for ``pip install``; default: those in this package's metadata.
    """
    from packaging.requirements import Requirement

    if requirements is None:
        try:
            requirements = importlib.metadata.requires(DISTRIBUTION) or []
        except importlib.metadata.PackageNotFoundError:
            return [
                Check(
                    "packages",
                    Status.WRONG,
                    f"{DISTRIBUTION} is not installed, so lmms-eval cannot find it",
                    "pip install -e . in the repository's folder",
                )
            ]
    parsed = map(Requirement, requirements)
    # decord has wheels for some platforms only: its marker excludes it on the others
    return [_check_requirement(r) for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})]


def check_import(name: str) -> Check:
    """Whether the module can be imported: a torchvision incompatible with torch fails here, not in its metadata."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name == "decord":
            return Check(f"import {name}", Status.NOTE, "absent: PyAV reads the videos")
        raise
    except (RuntimeError, ImportError, OSError) as error:
        remedy = f"pip install --upgrade --force-reinstall {name}"
        if name == "torchvision":
            remedy = "pip install --upgrade torch torchvision: both in one command, so that they are compatible"
        return Check(f"import {name}", Status.WRONG, _summary(error), remedy)
    return Check(f"import {name}", Status.OK, str(getattr(module, "__version__", "imported")))


def check_entry_points(points: Iterable[EntryPoint] | None = None) -> list[Check]:
    """Whether every plugin of lmms-eval loads, including this one: if one raises, lmms-eval drops all later ones.

    Args:
        points: Entry points of the group ``lmms_eval.models``; default: the installed ones.
    """
    points = list(importlib.metadata.entry_points(group=GROUP) if points is None else points)
    checks = [_check_entry_point(point) for point in points]
    if not any(point.value.startswith("lmms_videominer.") for point in points):
        checks.append(
            Check(
                "entry points",
                Status.WRONG,
                f"none of the group {GROUP} belongs to {DISTRIBUTION}",
                "pip install -e . in the repository's folder, or " + REINSTALL,
            )
        )
    return checks


def check_selectors() -> list[Check]:
    """Whether the selectors of other packages load."""
    from lmms_videominer.errors import ConfigError
    from lmms_videominer.selectors import SELECTORS, selector_class, selector_names

    checks = []
    for name in selector_names()[len(SELECTORS) :]:
        try:
            cls = selector_class(name)
        except ConfigError as error:
            checks.append(Check(f"selector {name}", Status.NOTE, str(error)))
        else:
            checks.append(Check(f"selector {name}", Status.OK, f"{cls.__module__}.{cls.__qualname__}"))
    return checks


def check_registered() -> list[Check]:
    """Whether lmms-eval knows every model of this package's entry point, and can load the class of the main one."""
    from lmms_eval.models import MODEL_REGISTRY_V2, get_model

    from lmms_videominer.lmms.manifest import manifests

    models = [manifest.model_id for manifest in manifests()]
    missing = sorted(set(models) - set(MODEL_REGISTRY_V2.list_model_names()))
    if missing:
        return [Check("lmms-eval models", Status.WRONG, f"not registered: {', '.join(missing)}", REINSTALL)]
    model_class = get_model(MAIN_MODEL)
    return [Check("lmms-eval models", Status.OK, f"{len(models)} registered; {MAIN_MODEL} is {model_class.__name__}")]


def check_cuda() -> Check:
    """Whether CUDA works; a missing GPU is only a note."""
    try:
        import torch

        if not torch.cuda.is_available():
            return Check("CUDA", Status.NOTE, "absent: models run on the CPU")
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        torch.ones(8, device="cuda").sum().item()  # a driver that is too old fails at the first kernel
    except Exception as error:
        return Check("CUDA", Status.WRONG, _summary(error), "install a torch that matches the driver, see pytorch.org")
    return Check("CUDA", Status.OK, ", ".join(names))


def write_clip(path: Path) -> Check:
    """Write a three-second clip whose gray level changes every second, for the checks that follow."""
    import av
    import numpy as np

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=CLIP_FPS)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for level in CLIP_LEVELS:
            for _ in range(CLIP_FPS):
                frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), level, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return Check("test clip", Status.OK, f"{path.stat().st_size} bytes written with PyAV {av.__version__}")


def check_qwen_videos() -> Check:
    """Whether qwen-vl-utils, by which Qwen backbones read videos, has a video backend that works.

    It takes the first of its backends that is installed, whether that can be imported or not.
    """
    name, others = "qwen-vl-utils", f"pip install {' or '.join(reversed(QWEN_READERS))}"
    if not _is_installed("qwen_vl_utils"):
        return Check(name, Status.NOTE, "absent: Qwen backbones of lmms-eval need it")
    chosen = os.environ.get("FORCE_QWENVL_VIDEO_READER") or next(filter(_is_installed, QWEN_READERS), "torchvision")
    try:
        module = importlib.import_module("torchvision.io" if chosen == "torchvision" else chosen)
    except (ImportError, OSError, RuntimeError) as error:
        return Check(name, Status.WRONG, f"cannot read videos: it takes {chosen} ({_summary(error)})", others)
    if chosen == "torchcodec" and _lacks_ffmpeg(module):
        return Check(name, Status.WRONG, f"cannot read videos: it takes {chosen}, which finds no FFmpeg", FFMPEG)
    if chosen == "torchvision" and not hasattr(module, "read_video"):
        reason = f"cannot read videos: neither {' nor '.join(QWEN_READERS)} is installed, and torchvision has no reader"
        return Check(name, Status.WRONG, f"{reason} since 0.26", others)
    return Check(name, Status.OK, f"reads videos with {chosen}")


def _is_installed(name: str) -> bool:
    with contextlib.suppress(ValueError):  # a module that was put into ``sys.modules`` without a spec
        return importlib.util.find_spec(name) is not None
    return False


def _lacks_ffmpeg(torchcodec: object) -> bool:
    """Whether torchcodec, which brings no FFmpeg, has found none on the system either."""
    return getattr(torchcodec, "ffmpeg_major_version", None) is None


def check_decoder(backend: str, clip: Path) -> Check:
    """Whether a backend reads the right frames of the clip, rather than just opening it."""
    from lmms_videominer.video import open_video

    name = f"decoder {backend}"
    if backend != "pyav" and not _is_installed(backend):
        return Check(name, Status.NOTE, "absent: PyAV reads the videos")
    if backend == "torchcodec" and _lacks_ffmpeg(importlib.import_module(backend)):
        return Check(name, Status.NOTE, "finds no FFmpeg: PyAV reads the videos", FFMPEG)
    reader = open_video(clip, backend)
    try:
        middles = [CLIP_FPS * second + CLIP_FPS // 2 for second in range(len(CLIP_LEVELS))]
        levels = [round(float(frame.mean())) for frame in reader.frames(middles)]
    finally:
        reader.close()
    if any(abs(level - expected) > CLIP_TOLERANCE for level, expected in zip(levels, CLIP_LEVELS)):
        return Check(
            name,
            Status.WRONG,
            f"reads gray levels {levels} where {list(CLIP_LEVELS)} was written",
            f"pip install --force-reinstall {'av' if backend == 'pyav' else backend}",
        )
    return Check(name, Status.OK, f"{reader.info.frame_count} frames, read correctly")


def check_bundle(folder: Path, model: str = BUNDLED) -> Check:
    """Whether the bundled models load and answer a question on a film that they know, rendered to ``folder``."""
    from lmms_videominer.config import MinerConfig
    from lmms_videominer.miner import VideoMiner
    from lmms_videominer.world.script import write_script
    from lmms_videominer.world.video import encode

    film = folder / "world.mp4"
    encode(write_script(FREE_SEED, 0, 1), film)
    config = MinerConfig(cache_dir="off", events=2, scan_frames=8, max_depth=1, grain_s=0)
    selection = VideoMiner.from_pretrained(model, config=config).mine(film, "What is seen?", ("grey", "a sign"))
    if not selection.answer:
        return Check("bundled models", Status.WRONG, "the answer is empty", REINSTALL)
    return Check("bundled models", Status.OK, f"{model} answers {selection.answer!r}")


def check_cache(cache_dir: str = "") -> Check:
    """Whether the cache, a folder or a server, stores a value and returns it."""
    from lmms_videominer.store.cache import cache_place, open_cache
    from lmms_videominer.store.redis_texts import is_server, shown

    place = cache_place(cache_dir)
    what, remedy = "cache folder", "set VIDEOMINER_CACHE to a folder that you can write to"
    if is_server(place):
        what, remedy = "cache server", "see its log and its limits, or set VIDEOMINER_CACHE to another place"
    cache = open_cache(place)
    root = shown(place)
    try:
        cache.put_many("caption", {"doctor": "a pulse"})
        values = cache.get_many("caption", ["doctor"])
    finally:
        cache.close()
    if values != ["a pulse"] or not LOST.isdisjoint(cache.fallbacks):
        return Check(what, Status.WRONG, f"{root} does not store values", remedy)
    if cache.fallbacks:
        return Check(what, Status.NOTE, f"{root} was damaged; what could not be used is made again")
    return Check(what, Status.OK, str(root))


def _check_requirement(requirement: Requirement) -> Check:
    name = f"package {requirement.name}"
    remedy = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, Status.WRONG, "absent", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(name, Status.WRONG, f"{version}, needs {requirement.specifier}", remedy)
    return Check(name, Status.OK, version)


def _check_entry_point(point: EntryPoint) -> Check:
    name = f"entry point {point.name}"
    try:
        payload = point.load()
        models = payload() if callable(payload) else payload
        count = len(list(models)) if isinstance(models, Iterable) else 1
    except (Exception, SystemExit) as error:
        package = point.dist.name if point.dist else point.value.partition(".")[0]
        remedy = (
            REINSTALL
            if package == DISTRIBUTION
            else f"pip uninstall {package}, or repair it: it also disables this plugin"
        )
        return Check(name, Status.WRONG, f"{point.value} raises {_summary(error)}", remedy)
    if not count:
        return Check(name, Status.WRONG, f"{point.value} provides no model", REINSTALL)
    return Check(name, Status.OK, f"{point.value}: {count} models")


def _summary(error: BaseException) -> str:
    """The type of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
