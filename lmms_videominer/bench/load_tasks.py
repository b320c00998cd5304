"""Loads tasks in a separate process before any cell runs, and rejects what lmms-eval does not have.

    python -m lmms_videominer.bench.load_tasks REQUEST.json

checks the tasks and the model's arguments, and writes the documents of each task.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmms_videominer.bench.documents import Document, is_whole, table_path, write_table
from lmms_videominer.bench.files import read_json, write_json
from lmms_videominer.bench.scores import WITHOUT_SCORE, listed, no_score
from lmms_videominer.config import nearest
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.lmms.shown_samples import kind_of
from lmms_videominer.video.containers import header_duration_s

if TYPE_CHECKING:
    from lmms_videominer.bench.plan import Settings


@dataclass(frozen=True)
class Request:
    """A request to the process.

    Attributes:
        out: The folder of the comparison.
        reply: File for the reply: ``{"tasks": [...]}`` with groups expanded, or ``{"error": ...}``.
        tasks: Tasks and groups of lmms-eval.
        model, passed: The model and the backbone's arguments, to be checked; secrets by name only.
        source: ``Settings.source``.
        load: Load the tasks, which may download them, and write their documents; otherwise only check the names.
    """

    out: str
    reply: str
    tasks: tuple[str, ...]
    model: str
    passed: dict[str, str]
    source: dict[str, Any]
    load: bool = True

    @classmethod
    def of(cls, out: Path, settings: Settings, tasks: Sequence[str], load: bool) -> Request:
        content = [tasks, settings.model, list(settings.named.items()), settings.source, load]
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
        return cls(
            str(out),
            str(out / "tasks" / f"request-{key}.reply.json"),
            tuple(tasks),
            settings.model,
            settings.named,
            settings.source,
            load,
        )

    @property
    def command(self) -> list[str]:
        """The command line of the process; call ``save`` first."""
        return [sys.executable, "-m", "lmms_videominer.bench.load_tasks", str(self.file)]

    @property
    def file(self) -> Path:
        return Path(self.reply.replace(".reply.json", ".json"))

    def save(self) -> None:
        write_json(self.file, dataclasses.asdict(self))

    def answered(self, whole: bool = True) -> tuple[str, ...] | None:
        """The tasks of a valid reply; ``None`` if there is none.

        Args:
            whole: Require that it found all videos, since missing ones may exist by now.

        Raises:
            ConfigError: The reply was an error.
        """
        if not Path(self.reply).is_file():
            return None
        reply = read_json(Path(self.reply))
        if "error" in reply:
            Path(self.reply).unlink()  # the cause may be fixed by the next call
            raise ConfigError(reply["error"])
        tasks = tuple(reply["tasks"])
        tables = [table_path(Path(self.out), task, self.source) for task in tasks]
        valid = all(is_whole(path) if whole else path.is_file() for path in tables)
        return tasks if valid or not self.load else None


def main(argv: Sequence[str] | None = None) -> int:
    """Answer the request in the file that ``argv`` names."""
    path = Path((sys.argv[1:] if argv is None else argv)[0])
    request = Request(**read_json(path))
    try:
        tasks = _answer(request)
    except VideoMinerError as error:
        write_json(Path(request.reply), {"error": str(error)})
        return 1
    write_json(Path(request.reply), {"tasks": tasks})
    return 0


def _answer(request: Request) -> list[str]:
    from lmms_eval.tasks import TaskManager

    from lmms_videominer.lmms import hooks

    hooks.install()
    manager = TaskManager("ERROR", include_path=request.source["include_path"] or None)
    _check_tasks(request.tasks, manager)
    tasks = list(dict.fromkeys(leaf for name in request.tasks for leaf in _leaves(name, manager)))
    _check_arguments(request)
    for name in tasks if request.load else ():
        path = table_path(Path(request.out), name, request.source)
        if not is_whole(path):
            (task,) = manager.load_task_or_group(name).values()
            write_table(path, list(documents_of(task, request.source["limit"])))
    return tasks


def documents_of(task: Any, limit: int | None) -> Iterator[Document]:
    """The first ``limit`` documents of a task of lmms-eval; all of them if ``limit`` is ``None``.

    Raises:
        ConfigError: The task is not of type ``generate_until``, the only type that the plugin selects frames for; it
            has no scores; or it finds the visuals of none of its documents.
    """
    from tqdm import tqdm

    if task.OUTPUT_TYPE != "generate_until":
        raise ConfigError(
            f"task {task.config.task} has output type {task.OUTPUT_TYPE}; choose a task with output type "
            "generate_until, the only one that frames are selected for"
        )
    metrics = task.config.metric_list or ()
    if metrics and set(listed(metrics)) <= WITHOUT_SCORE:
        raise ConfigError(no_score(task.config.task, [entry["metric"] for entry in metrics]))
    durations: dict[str, float | None] = {"": None}
    total = min(limit or len(task.eval_docs), len(task.eval_docs))
    problems: list[str] = []
    for doc_id, doc in tqdm(task.doc_iterator(limit=limit), total=total, desc=f"{task.config.task}: documents"):
        try:
            video, problem = _video_of(task, doc), ""
        except (Exception, SystemExit) as error:  # many tasks exit if a file is missing
            video, problem = "", str(error) or type(error).__name__
        if video and not Path(video).is_file():
            problem = f"there is no file {video}"
        if problem:
            problems.append(problem)
        if video not in durations:
            durations[video] = header_duration_s(video)
        yield _document(task.config.task, doc_id, doc, str(task.doc_to_target(doc)), video, durations[video], problem)
    if problems and len(problems) == total:
        raise ConfigError(
            f"task {task.config.task}: it finds the videos of none of its documents ({problems[0]}). "
            "lmms-eval puts them into HF_HOME; check that it is the right folder"
        )


def _document(
    task: str, doc_id: int, doc: dict[str, Any], target: str, video: str, duration_s: float | None, problem: str
) -> Document:
    from lmms_videominer.lmms.requests import question_of

    question = question_of(doc, "", video, task)
    return Document(doc_id, question.text, target, kind_of(doc), video, duration_s, question.evidence, problem)


def _video_of(task: Any, doc: dict[str, Any]) -> str:
    """The single video that a document shows; empty if it shows anything else. Raises whatever the task raises."""
    from lmms_videominer.lmms.requests import shown_video

    is_simple = task.config.doc_to_visual is not None
    result = task.doc_to_visual(doc) if is_simple else task.doc_to_messages(doc)
    video = shown_video(result, is_simple)
    return str(Path(video).absolute()) if video else ""


def _check_tasks(tasks: Sequence[str], manager: Any) -> None:
    """Raise ``ConfigError`` for a task that lmms-eval does not have."""
    for name in tasks:
        if name not in manager.all_tasks:
            hint = nearest(name, manager.all_tasks)
            raise ConfigError(
                f"lmms-eval has no task {name!r}{hint} (lmms-eval --tasks list shows them; --include-path adds a "
                "folder of tasks)"
            )


def _leaves(name: str, manager: Any) -> Iterator[str]:
    """The tasks of a name: the task itself, or the members of a group or tag."""
    if name in manager.all_subtasks:
        yield name
        return
    for entry in manager._get_config(name)["task"] if name in manager.all_groups else manager._get_tasklist(name):
        yield from _leaves(entry if isinstance(entry, str) else entry["task"], manager)


def _check_arguments(request: Request) -> None:
    """Reject arguments that neither the backbone nor the plugin takes, as the run itself would.

    Raises:
        ConfigError: An argument is unknown, or the backbone cannot be imported.
    """
    from lmms_videominer.lmms import construct
    from lmms_videominer.lmms.arguments import OWN_NAMES, check_passed
    from lmms_videominer.lmms.profiles import DEFAULT_BACKBONE, backbone_of

    profile = construct.profile_of(backbone_of(request.model) or request.passed.get("backbone", DEFAULT_BACKBONE))
    try:
        backbone = construct.backbone_class(profile, is_simple=not profile.chat)
    except ImportError as error:
        raise ConfigError(
            f"--model {request.model}: {profile.backbone} of lmms-eval cannot be imported ({error}); "
            "install its requirements"
        ) from error
    check_passed({k: v for k, v in request.passed.items() if k not in OWN_NAMES}, backbone, profile.backbone)


if __name__ == "__main__":
    sys.exit(main())
