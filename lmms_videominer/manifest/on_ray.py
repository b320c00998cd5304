"""Mines rows on a Ray cluster, by Ray Data: workers mine whole videos, this process writes what they send as it comes.

A worker is an actor that loads the models once. It is sent parts, each of whole videos, so that what the questions on a
video share is made once, and sends a row back as soon as it is known. What is sent is JSON. Ray sends a part again if
its worker died, so a row may come twice: the first one counts. A row that never came is sent again.
"""

from __future__ import annotations

import json
import logging
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError, ModelError, SchemaError, VideoMinerError, foreign, told
from lmms_videominer.manifest.layouts import QuestionRow
from lmms_videominer.manifest.mining import Add, Bar
from lmms_videominer.search.open_searches import together
from lmms_videominer.selectors import selector_class
from lmms_videominer.store.cache import cache_place, open_cache
from lmms_videominer.store.records import read_record
from lmms_videominer.store.redis_texts import is_server
from lmms_videominer.store.selection_json import from_json, to_json
from lmms_videominer.types import Question, Selection

if TYPE_CHECKING:
    from lmms_videominer.miner import VideoMiner

HERE = "local"  # the address that starts Ray on this machine, for this run
PART_ROWS = 64  # rows of a part, about: several times as many as are searched at once, so that engines stay full
PARTS_EACH = 4  # parts of a worker at least, so that none waits long for the last one
DEATHS = 2  # of workers over one part, after which it is sent again
OBJECT_STORE_BYTES = 200 * 2**20  # of a Ray that is started here: results are small

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cluster:
    """Where rows are mined.

    Attributes:
        address: Of a running cluster, as for ``ray.init``; ``HERE``: Ray is started on this machine and stopped at the
            end.
        workers: How many actors; 0: one for each GPU of the cluster, one without GPUs.
        gpus: GPUs of each, also a part of one; ``None``: one if the cluster has any.
    """

    address: str = HERE
    workers: int = 0
    gpus: float | None = None


class RayMiner:
    """A worker: mines the questions of a part and yields each result as soon as it is known.

    Args:
        model, config, device: As for ``VideoMiner.from_pretrained``, which runs once, at the first part.
    """

    def __init__(self, model: str, config: MinerConfig, device: str | None):
        self._models = (model, config, device)
        self._miner: VideoMiner | None = None

    def __call__(self, batch: Mapping[str, Sequence[str]]) -> Iterator[dict[str, list[str]]]:
        for part in batch["part"]:
            for sent in self._mined(json.loads(part)):
                yield {"sent": [json.dumps(sent)]}

    def _mined(self, part: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """``row`` with its ``selection`` or its ``error``; at last ``fatal``, the error that ends the run, if any."""
        rows = [item["row"] for item in part]
        questions = [read_record(Question, item["question"], "question") for item in part]
        try:
            for position, result in self._loaded().mine_each(questions):
                yield {"row": rows[position], **_packed(result)}
        except VideoMinerError as error:
            yield {"fatal": str(error)}

    def _loaded(self) -> VideoMiner:
        if self._miner is None:
            from lmms_videominer.miner import VideoMiner

            model, config, device = self._models
            self._miner = VideoMiner.from_pretrained(model, config=config, device=device)
        return self._miner


def mine_rows_on_ray(
    model: str,
    config: MinerConfig,
    rows: Sequence[QuestionRow],
    add: Add,
    *,
    cluster: Cluster,
    bar: Bar,
    device: str | None = None,
    quiet: bool = False,
) -> None:
    """Like ``mining.mine_rows``, on ``cluster``, whose machines see videos, models and cache under the same names.

    Args:
        model: The video LLM or the bundle, by name or folder.
        device: Device of the models in each worker; ``None``: CUDA if the worker has a GPU.
        quiet: Do not show what workers print.

    Raises:
        ConfigError: Ray is not installed, cannot be reached, or is too small for the workers.
        CacheError: The cache cannot be used.
        ModelError: Rows do not come, whatever is tried.
        VideoMinerError: What ends a run without Ray, too; what came before has been handed on.
    """
    config = _with_shared_cache(config, cluster)
    bar.expect(selector_class(config.selector).calls_at_most(config, math.inf).vlm, len(rows))
    with _connected(cluster, quiet):
        workers, resources = _resources(cluster)
        left = dict(enumerate(rows))
        while left:
            before = len(left)
            for sent in _sent(left, workers, resources, (model, config, device)):
                if "fatal" in sent:
                    raise VideoMinerError(sent["fatal"])
                row = left.pop(sent["row"], None)
                if row is not None:
                    result = _unpacked(sent)
                    add(row, result)
                    if isinstance(result, Selection):
                        bar.use(result.usage)
                    bar.done(failed=isinstance(result, VideoMinerError))
            if len(left) == before:
                raise ModelError(
                    f"no worker on Ray returned any of {before} rows: see the logs of its workers. What came before is "
                    "kept: run again once the cause is fixed"
                )


def parts_of(rows: Mapping[int, QuestionRow], workers: int) -> list[list[int]]:
    """Keys of ``rows`` in parts of whole videos, of about ``PART_ROWS`` rows, or fewer where workers would idle."""
    keys = list(rows)
    size = min(PART_ROWS, math.ceil(len(keys) / (workers * PARTS_EACH)))
    parts: list[list[int]] = []
    for video in together([rows[key].video for key in keys], most=max(1, len(keys))):
        if not parts or len(parts[-1]) + len(video) > size:
            parts.append([])
        parts[-1] += [keys[i] for i in video]
    return parts


def _sent(
    rows: Mapping[int, QuestionRow],
    workers: int,
    resources: Mapping[str, Any],
    models: tuple[str, MinerConfig, str | None],
) -> Iterator[dict[str, Any]]:
    """What workers send of ``rows``, as it comes."""
    import ray
    import ray.data

    parts = [[{"row": key, "question": asdict(rows[key].question)} for key in part] for part in parts_of(rows, workers)]
    # one block a part, and one a row on the way back: a block is sent once it is full
    data = ray.data.from_items([{"part": json.dumps(part)} for part in parts], override_num_blocks=len(parts))
    context = data.context
    context.target_max_block_size, context.enable_progress_bars = 1, False
    with warnings.catch_warnings():
        # max_task_retries: Ray Data would try for ever, and until 2.64 warns that this argument will go
        warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
        mined = data.map_batches(
            RayMiner,
            fn_constructor_args=models,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
            batch_size=None,
            max_task_retries=DEATHS,
            **resources,
        )
    gone = ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError
    try:
        for batch in mined.iter_batches(batch_size=None, prefetch_batches=0):  # to prefetch is to hold rows back
            for text in batch["sent"]:
                yield json.loads(text)
    except gone as error:
        raise ModelError(
            f"a worker on Ray died {DEATHS + 1} times over the same questions ({told(error)}). What came before is "
            "kept: run again once the cause is fixed, with fewer --workers if memory was short"
        ) from error


def _packed(result: Selection | VideoMinerError) -> dict[str, str]:
    if isinstance(result, VideoMinerError):
        return {"error": str(result)}
    try:
        return {"selection": to_json(result)}
    except SchemaError as error:  # a number of it is not finite
        return {"error": str(error)}


def _unpacked(sent: Mapping[str, str]) -> Selection | VideoMinerError:
    return from_json(sent["selection"]) if "selection" in sent else VideoMinerError(sent["error"])


def _with_shared_cache(config: MinerConfig, cluster: Cluster) -> MinerConfig:
    """``config`` with the cache of this process, which can be used, for all workers."""
    if config.cache_dir == "off":
        return config
    place = cache_place(config.cache_dir)
    open_cache(config.cache_dir).close()
    if cluster.address != HERE and not is_server(place):
        logger.warning(
            "The cache of the workers is the folder %s of their own machines: they share what they find only if it is "
            "one folder for all, and SQLite over a network is slow. A server is made for it: "
            "cache_dir=redis://HOST:PORT/0 (docs/scale.md)",
            place,
        )
    return replace(config, cache_dir=place)


@contextmanager
def _connected(cluster: Cluster, quiet: bool) -> Iterator[None]:
    """Ray is connected, or started here, as long as the block runs.

    Raises:
        ConfigError: The package is missing, or the cluster cannot be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else Ray sends them to its makers
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(
            f"--ray needs {error.name or error}: pip install 'lmms-videominer[ray]', on every machine of the cluster"
        ) from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    shown: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": not quiet}
    way_out = "Start it with ray start --head, name its address, or leave the address out to start one here"
    with foreign(lambda reason: ConfigError(f"--ray {cluster.address}: Ray cannot be reached ({reason}). {way_out}")):
        if cluster.address == HERE:
            cpus = max(os.cpu_count() or 1, cluster.workers)
            shown |= {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
            ray.init(HERE, num_cpus=cpus, **shown)
        else:
            ray.init(cluster.address, **shown)
    try:
        yield
    finally:
        ray.shutdown()


def _resources(cluster: Cluster) -> tuple[int, dict[str, float]]:
    """How many workers there are, and what each takes.

    Raises:
        ConfigError: A Ray that was started here has less; any other may grow, so that a warning is logged.
    """
    import ray

    held = ray.cluster_resources()
    gpus = min(1.0, held.get("GPU", 0.0)) if cluster.gpus is None else cluster.gpus
    workers = cluster.workers or max(1, int(held.get("GPU", 0.0) / gpus) if gpus else 1)
    each = {"num_cpus": 1.0, "num_gpus": gpus}
    for name, key in (("CPU", "num_cpus"), ("GPU", "num_gpus")):
        wanted, there = workers * each[key], held.get(name, 0.0)
        if wanted > there:
            message = f"{workers} workers with {each[key]:g} {name}s each need {wanted:g}, and Ray has {there:g}"
            if cluster.address == HERE:
                raise ConfigError(f"{message}: lower --workers or --worker-gpus")
            logger.warning("%s: those for which there is no room wait until the cluster grows", message)
    return workers, each
