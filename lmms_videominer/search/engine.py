"""Runs many searches concurrently, for inference and for rollouts, and batches their model calls.

As searches end, others take their place (``run_each``), or all run together (``run``). In each turn the engine serves
the kind of wish that has waited longest, over all questions, videos and trees. The searches of one method therefore
stay in step: those that skip a wish wait at the next one for the others. The result of a search does not depend on the
searches that run beside it, provided that the models keep to their protocols.

What a model or a decoder raises costs the searches that asked for it: of a batch that fails, each half is served again,
down to single searches. Errors of the searches themselves end the run, and so does a model that fails at everything.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from lmms_videominer.config import NO_SUBTITLES, MinerConfig
from lmms_videominer.errors import CallError, ConfigError, ModelError, VideoError, VideoMinerError
from lmms_videominer.models.bundle import NOT_A_WORLD_VIDEO
from lmms_videominer.models.calls import computed, replied
from lmms_videominer.models.drawn_films import is_world_video, warn_of
from lmms_videominer.models.embedder import CachedEmbedder
from lmms_videominer.models.plain_text import legible
from lmms_videominer.policy.policy import Decided, Part
from lmms_videominer.policy.prompted import default_of, read_verdict
from lmms_videominer.profiling import stage
from lmms_videominer.scoring.features import FrameJob, encode_frames
from lmms_videominer.scoring.frames import ScoreJob, score_frames
from lmms_videominer.search.captions import CaptionedEvents, CaptionJob, caption_events
from lmms_videominer.search.excerpts import (
    cues_in_whole_video,
    heard_by_search,
    in_whole_video,
    nodes_in_whole_video,
    seen_by_search,
)
from lmms_videominer.search.open_searches import OpenVideos, together
from lmms_videominer.search.questions import checked, named, searchable
from lmms_videominer.search.seeds import seed_of
from lmms_videominer.search.speech import near, reads_speech
from lmms_videominer.search.stages import Stages, needed
from lmms_videominer.search.wishes import (
    Ask,
    Caption,
    Case,
    Compare,
    Decide,
    Embed,
    Encode,
    Found,
    Judge,
    Search,
    Segment,
    Wish,
)
from lmms_videominer.segmenters.scan import scan
from lmms_videominer.store.cache import MemoryCache
from lmms_videominer.types import Decision, Event, Node, Question, Reading, Selection, Span, Usage, merge_spans
from lmms_videominer.video.damage import count_substituted
from lmms_videominer.video.opening import OpenVideo
from lmms_videominer.vlm.replies import GRAY

T = TypeVar("T")
Results: TypeAlias = "list[Selection | VideoMinerError]"
Grown: TypeAlias = "Callable[[int, tuple[Node, ...]], None]"


class Method(Protocol):
    """What the engine runs: a selector.

    Attributes:
        config: The settings.
        stages: The models, the stages and the cache.
    """

    config: MinerConfig
    stages: Stages

    @property
    def name(self) -> str:
        """The selector's name."""
        ...

    @property
    def settings_by_name(self) -> dict[str, Any]:
        """All settings, under the names that users write."""
        ...

    def begin(self, case: Case) -> Search:
        """The search for one question."""
        ...


@dataclass(frozen=True)
class Job:
    """One search to run. Several jobs may have the same question: rollouts, which differ in their seeds."""

    question: Question
    seed: int = 0


def run(
    method: Method,
    jobs: Sequence[Job],
    *,
    decisions_in_step: int = 0,
    serving: Callable[[str], None] = lambda stage: None,
    used: Callable[[Usage], None] = lambda usage: None,
) -> list[Selection | VideoMinerError]:
    """Run one search per job, all of them together.

    Args:
        method: Creates the searches.
        jobs: The questions to search for.
        decisions_in_step: How often to call the policy, with an empty batch when nothing is left to decide: needed by
            processes that generate together, which is why a call that fails then ends the run. 0: only while there is
            something to decide.
        serving: Called with the name of each stage before it runs.
        used: Called after each stage with what it cost all searches together, without its seconds.

    Returns:
        One entry per job, in order; the error if its video or its question cannot be used, or a model fails on it.
        Other jobs still run.

    Raises:
        ModelError: A model fails at everything it is asked.
    """
    results = dict(_Searches(method, jobs, None, decisions_in_step, None, serving, used).results())
    return [results[i] for i in range(len(jobs))]


def run_each(
    method: Method,
    jobs: Sequence[Job],
    at_once: int,
    *,
    finish: Callable[[Results], Results] | None = None,
    serving: Callable[[str], None] = lambda stage: None,
    used: Callable[[Usage], None] = lambda usage: None,
    grown: Grown | None = None,
) -> Iterator[tuple[int, Selection | VideoMinerError]]:
    """Like ``run``, but yield each result as soon as it is there, with the position of its job.

    Others begin in the place of searches that have ended, those on one video together, up to ``MOST_ON_ONE`` of them:
    there are ``at_once`` open searches or more, fewer only where the open videos take all the memory that there is for
    them (``search.open_searches``). A video is open as long as searches on it are. Whoever stops iterating stops the
    work.

    Args:
        at_once: How many searches are open at once.
        finish: Makes of the results of searches that have ended what is yielded, one for each, in order: answers. They
            wait for it as searches wait for what they wish, so that it gets several at a time.
        serving, used: See ``run``.
        grown: Called after each round of decisions of a search that grows a tree, with the position of its job and the
            tree so far: root first, each node after its parent, with the times of the whole video.

    Raises:
        ModelError: A model fails at everything it is asked.
    """
    return _Searches(method, jobs, at_once, 0, finish, serving, used, grown).results()


class Running:
    """A search in progress: its current wish, its cost so far, and its result.

    Attributes:
        question, video: The question and the video, whole; ``case`` has them as the search sees them.
        is_strange: Whether the video LLM does not know films like this one (``models.drawn_films``).
        wish: The wish that it waits for; ``None`` once it has ended.
        since: The turn in which it began to wait.
        usage: Its cost so far.
        result: Its result or its error; ``None`` until it ends.
    """

    def __init__(self, question: Question, video: OpenVideo, case: Case, search: Search, is_strange: bool = False):
        self.question, self.video, self.case, self._search = question, video, case, search
        self.is_strange = is_strange
        self.wish: Wish | None = None
        self.since = 0
        self.usage = Usage()
        self.result: Found | VideoMinerError | None = None
        self.go_on(None, turn=0)

    def go_on(self, reply: Any, turn: int) -> None:
        """Send ``reply`` to the search; a reply that is an error ends it."""
        self.wish, self.since = None, turn
        if isinstance(reply, VideoMinerError):
            self._search.close()
            self.result = named(self.question, reply) if isinstance(reply, ModelError) else reply
            return
        try:
            self.wish = self._search.send(reply)
            if type(self.wish) not in SERVERS:
                raise TypeError(f"a search yields the wishes of search.wishes, not {self.wish!r}")
        except StopIteration as end:
            self.result = end.value
        except VideoMinerError as error:
            self.result = error


def _begin(
    method: Method,
    job: Job,
    videos: OpenVideos,
    strange: dict[str, bool],
    grown: Callable[[tuple[Node, ...]], None] | None = None,
) -> Running | VideoMinerError:
    try:
        question = checked(job.question)
        video = videos.opened(question.video)
        if isinstance(video, VideoError):
            return video
        asked, seen = seen_by_search(question, video)
        cues = heard_by_search(video.cues(question.subtitles or method.config.subtitles), seen)
        reads = not cues or reads_speech(method.stages.vlm)
        tell: Callable[[Sequence[Node]], None] | None = None
        if grown is not None:
            tell = partial(_tell, grown, seen)
        case = Case(searchable(asked), seen, seen.reader.timestamps_s, method.config, job.seed, cues, reads, tell)
    except (ConfigError, VideoError) as error:
        return error
    with stage("search"):
        search = method.begin(case)
        if not hasattr(search, "send"):
            raise TypeError(
                f"selector {method.name}: search() must be a generator that yields wishes and returns Found"
            )
        if question.video not in strange:
            strange[question.video] = _is_strange(question.video, video, method.stages)
        return Running(question, video, case, search, strange[question.video])


def _tell(grown: Callable[[tuple[Node, ...]], None], seen: OpenVideo, nodes: Sequence[Node]) -> None:
    grown(nodes_in_whole_video(nodes, seen))


def _is_strange(path: str, video: OpenVideo, stages: Stages) -> bool:
    """Whether the video LLM does not know films like ``video``; logged once."""
    if not getattr(stages.vlm, "knows_world_only", False):
        return False
    try:
        known = is_world_video(video.reader)
    except VideoError:  # the search reads more of it, or says what is wrong
        return False
    if not known:
        warn_of(path)
    return not known


@dataclass(frozen=True)
class _Ended:
    """The result of a search that has ended, the position of its job, and the turn in which it ended."""

    position: int
    result: Selection | VideoMinerError
    since: int


class _Searches:
    """The searches of a run: those to come, the open ones, and those that have ended and were not given out yet.

    Args:
        at_once: How many are open at once; ``None``: all begin together.
        finish: See ``run_each``; ``None``: results are given out as they are, at once.
        grown: See ``run_each``; ``None``: nobody is told.
    """

    def __init__(
        self,
        method: Method,
        jobs: Sequence[Job],
        at_once: int | None,
        decisions_in_step: int,
        finish: Callable[[Results], Results] | None,
        serving: Callable[[str], None],
        used: Callable[[Usage], None],
        grown: Grown | None = None,
    ):
        self.method, self.jobs, self.at_once, self.decisions_in_step = method, jobs, at_once, decisions_in_step
        self.finish, self.serving, self.used, self.grown = finish, serving, used, grown
        self.groups = iter([list(range(len(jobs)))]) if at_once is None else together([j.question.video for j in jobs])
        self.open: dict[int, Running] = {}
        self.ended: list[_Ended] = []
        self.strange: dict[str, bool] = {}  # by video
        self.turn = self.decided = 0

    def results(self) -> Iterator[tuple[int, Selection | VideoMinerError]]:
        """Each result with the position of its job."""
        with contextlib.ExitStack() as stack:
            videos = OpenVideos(self.method.config, self.method.stages.cache, stack)
            while True:
                self._admit(videos)
                if self._finishes_first():
                    yield from self._finished()
                elif self.open:
                    self._serve_one_kind()
                    videos.close_unused(search.question.video for search in self.open.values())
                else:
                    break
            for _ in range(self.decided, self.decisions_in_step):
                needed(self.method.stages.policy, "policy").decide([], self.method.config.temperature, [])

    def _admit(self, videos: OpenVideos) -> None:
        """Begin searches while there is room for them. One that has not been given out is open still."""
        while self._has_room(videos):
            group = next(self.groups, None)
            if group is None:
                return
            self.serving("open")
            started = time.perf_counter()
            begun: list[Running] = []
            for i in group:
                grown = partial(self.grown, i) if self.grown else None
                search = _begin(self.method, self.jobs[i], videos, self.strange, grown)
                if isinstance(search, Running):
                    search.since = self.turn
                    self.open[i] = search
                    begun.append(search)
                else:
                    self.ended.append(_Ended(i, search, self.turn))
            _charge(begun, "open", started)
            self._part_with_ended()
            videos.close_unused(search.question.video for search in self.open.values())

    def _has_room(self, videos: OpenVideos) -> bool:
        held = len(self.open) + len(self.ended)
        return not held or (self.at_once is not None and held < self.at_once and videos.have_room())

    def _part_with_ended(self) -> None:
        for i in [i for i, search in self.open.items() if search.wish is None]:
            self.ended.append(_Ended(i, _selection(self.open.pop(i), self.method), self.turn))

    def _finishes_first(self) -> bool:
        """Whether a search that has ended waits for longer than any open one, or has nothing to wait for."""
        oldest = min((search.since for search in self.open.values()), default=math.inf)
        return bool(self.ended) and (self.finish is None or self.ended[0].since < oldest)

    def _finished(self) -> Iterator[tuple[int, Selection | VideoMinerError]]:
        ended, self.ended = self.ended, []
        results = [each.result for each in ended]
        if self.finish is not None:
            results = self.finish(results)
        yield from zip([each.position for each in ended], results, strict=True)

    def _serve_one_kind(self) -> None:
        """Serve the kind of wish that is waited for longest, for all open searches that wait for it."""
        self.turn += 1
        waiting, method, in_step = list(self.open.values()), self.method, self.decisions_in_step
        # in step, all searches decide together: one that takes more steps to its next decision is waited for
        busy = [search for search in waiting if type(search.wish) is not Decide] if in_step else waiting
        kind = _waited_for_longest(busy or waiting)
        if kind is Decide and 0 < in_step <= self.decided:
            raise RuntimeError(f"{method.name} would ask the policy more often than in step: {in_step} times")
        part = [search for search in waiting if type(search.wish) is kind]
        name, serve = SERVERS[kind]
        self.serving(name)
        started = time.perf_counter()
        with stage(PROFILED.get(kind, name), sum(_items(search.wish) for search in part)):
            if kind is Decide and in_step:
                replies = serve(part, method.stages, method.config)
            else:
                replies = _served(serve, part, method.stages, method.config)
                _check_alive(kind, replies, method.stages)
        _charge(part, name, started)
        self.used(sum((usage for _, usage in replies), Usage()))
        for search, (reply, usage) in zip(part, replies, strict=True):
            started = time.perf_counter()
            search.usage += usage
            with stage("search"):
                search.go_on(reply, self.turn)
            _charge([search], name, started)  # what the search does with the reply, such as clustering
        self.decided += kind is Decide
        self._part_with_ended()


def _items(wish: Any) -> int:
    """How many things a wish asks for: captions, texts, frames, decisions."""
    if isinstance(wish, Compare):
        return sum(len(indices) for indices, _ in wish.pairs)
    asked = {Segment: "nodes", Caption: "spans", Judge: "spans", Embed: "texts", Encode: "indices"}
    asked |= {Ask: "prompts", Decide: "parts"}
    return len(getattr(wish, asked[type(wish)]))


def _served(serve: Server, part: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    """What ``serve`` gives; if a model fails, what it gives for each half of ``part``, down to single searches."""
    try:
        return serve(part, stages, config)
    except CallError as error:
        if len(part) == 1:
            return [(error, Usage())]
    middle = len(part) // 2
    return [*_served(serve, part[:middle], stages, config), *_served(serve, part[middle:], stages, config)]


def _check_alive(kind: type, replies: Replies, stages: Stages) -> None:
    """Raise ``ModelError`` if all ``replies`` are faults of the model and a plain call of it fails too."""
    fault = next((reply for reply, _ in replies if isinstance(reply, CallError)), None)
    if fault is None or kind not in PLAIN or not all(isinstance(reply, CallError) for reply, _ in replies):
        return
    try:
        PLAIN[kind](stages)
    except CallError as error:
        raise ModelError(
            f"{fault}. A plain call fails too, so the run ends. What came so far is in the cache: run again once the "
            "cause is fixed"
        ) from error


def _waited_for_longest(waiting: Sequence[Running]) -> type:
    """The kind of the oldest wish; among equally old wishes, the kind that comes first in ``SERVERS``."""
    order = list(SERVERS)
    return type(min(waiting, key=lambda search: (search.since, order.index(type(search.wish)))).wish)


def _charge(searches: Sequence[Running], stage: str, started: float) -> None:
    """Share the seconds since ``started`` evenly over ``searches``."""
    elapsed_s = time.perf_counter() - started
    for search in searches:
        search.usage += Usage(seconds={stage: elapsed_s / len(searches)})


def _selection(search: Running, method: Method) -> Selection | VideoMinerError:
    result, case = search.result, search.case
    if isinstance(result, VideoMinerError):
        return result
    if not isinstance(result, Found):
        raise TypeError(f"selector {method.name}: search() must return Found, it returned {result!r}")
    if len(result.key_frames) > case.config.frames:
        raise ValueError(
            f"selector {method.name} chose {len(result.key_frames)} frames, more than {case.config.frames}"
        )
    asked = search.question.subtitles or case.config.subtitles
    said = near(case.cues, [frame.time_s for frame in result.key_frames])
    result = in_whole_video(result, case.video)
    told = (
        *result.fallbacks,
        "no_subtitles" if asked != NO_SUBTITLES and not search.video.cues(asked) else "",
        NOT_A_WORLD_VIDEO if search.is_strange else "",
        "question_cut" if case.question.text != search.question.text else "",
        "captions_missing" if search.usage.captions_missing else "",
        "unread_decisions" if search.usage.decisions_unread else "",
        *method.stages.cache.fallbacks,
    )
    return Selection(
        question=search.question,
        video=replace(search.video.info, identity=search.video.identity),
        key_frames=result.key_frames,
        selector=method.name,
        nodes=result.nodes,
        usage=search.usage.rounded,
        fallbacks=tuple(name for name in told if name),
        config=method.settings_by_name,
        seed=case.seed,
        scores=result.scores,
        said=cues_in_whole_video(said, case.video),
    )


# --- one function per kind of wish: the reply and its cost for each search, in order; a reply may be an error ---

Replies: TypeAlias = "list[tuple[Any, Usage]]"
Server: TypeAlias = "Callable[[Sequence[Running], Stages, MinerConfig], Replies]"


def _segment(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    replies: Replies = []
    for search in searches:
        try:
            events = _events(search, stages, config)
            replies.append((events, Usage(frames_substituted=_scanned_substitutes(search, stages, config))))
        except VideoError as error:
            replies.append((error, Usage()))
    return replies


def _scanned_substitutes(search: Running, stages: Stages, config: MinerConfig) -> int:
    """The number of damaged frames that the scans of the wish met, now or before they were cached."""
    video = search.case.video
    scanned = (
        i
        for spans, (_, frames) in _cuts(_wish(search, Segment), config)
        if (union := merge_spans(spans, gap_s=0.0))
        for i in scan(video.reader, union, frames)[0].tolist()
    )
    return count_substituted(scanned, video.reader.damaged, video.identity, stages.cache)


def _cuts(wish: Segment, config: MinerConfig) -> Iterator[tuple[tuple[Span, ...], tuple[int, int]]]:
    """The spans of each node, with the number of events and of frames to compare."""
    cuts = wish.cuts or ((config.events, config.scan_frames),) * len(wish.nodes)
    return zip(wish.nodes, cuts, strict=True)


def _events(search: Running, stages: Stages, config: MinerConfig) -> tuple[tuple[Span, ...], ...]:
    """The events of each node, from the cache if another tree or an earlier run has cut the same spans.

    Raises:
        VideoError: A frame of a scan cannot be decoded.
    """
    wish, video = _wish(search, Segment), search.case.video
    events = []
    for spans, (count, frames) in _cuts(wish, config):
        settings: dict[str, Any] = {"events": count, "scan_frames": frames, "min_event_s": config.min_event_s}
        key = stages.cache.key(
            video=video.shown_as,
            backend=video.info.backend,
            segmenter=stages.segmenter.name,
            scan=config.scan,
            spans=[[span.start_s, span.end_s] for span in spans],
            **settings,
        )
        stored = stages.cache.get_many("segmentation", [key])[0]
        if stored is not None:
            known = tuple(Span(*pair) for pair in stored)
            if merge_spans(known) == merge_spans(spans):
                events.append(known)
                continue
            stages.cache.refuse("segmentation")
        cut = stages.segmenter.segment(video.reader, spans, **settings)
        stages.cache.put_many("segmentation", {key: [[span.start_s, span.end_s] for span in cut]})
        events.append(cut)
    return tuple(events)


def _caption(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    """Captions for all searches, those with the same number of frames in one call."""
    replies: dict[int, tuple[Any, Usage]] = {}
    vlm = needed(stages.vlm, "video LLM")
    for frames in dict.fromkeys(_wish(search, Caption).frames for search in searches):
        part = [(i, search) for i, search in enumerate(searches) if _wish(search, Caption).frames == frames]
        jobs = [_caption_job(search.case, _wish(search, Caption)) for _, search in part]
        captioned = caption_events(jobs, vlm, stages.cache, frames, config.caption_tokens)
        for (i, search), done in zip(part, captioned, strict=True):
            replies[i] = (done, Usage()) if isinstance(done, VideoError) else _captioned(search, done)
    return [replies[i] for i in range(len(searches))]


def _captioned(search: Running, done: CaptionedEvents) -> tuple[tuple[Event, ...] | ModelError, Usage]:
    """The captioned events; an error if this search has had no caption at all."""
    so_far = search.usage + done.usage
    if done.missing and so_far.captions_missing == so_far.vlm_calls + so_far.vlm_calls_cached:
        reason = done.fault or (
            "the video LLM's replies are empty. A model that thinks before it replies needs more caption_tokens"
        )
        return ModelError(f"no caption of {so_far.captions_missing} came: {reason}"), done.usage
    return done.events, done.usage


def _caption_job(case: Case, wish: Caption) -> CaptionJob:
    video = case.video
    return CaptionJob(video.reader, video.identity, wish.prompts, wish.spans, video.shown_as)


def _judge(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    """Captions and verdicts, read from one reply each; those that name no action are counted."""
    default = default_of(config)
    replies: Replies = []
    for search, (events, usage) in zip(searches, _caption(searches, stages, config), strict=True):
        if isinstance(events, VideoMinerError):
            replies.append((events, usage))
            continue
        judged: list[tuple[Event, Decision]] = []
        for event, prompt in zip(events, _wish(search, Judge).prompts, strict=True):
            caption, decision = read_verdict(prompt, event.caption, default)
            judged.append((replace(event, caption=caption), decision))
        unread = sum(decision.reading is Reading.DEFAULT for _, decision in judged)
        replies.append((tuple(judged), usage + Usage(decisions_unread=unread)))
    return replies


def _embed(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    texts = [_wish(search, Embed).texts for search in searches]
    embedder = CachedEmbedder(needed(stages.embedder, "embedder"), stages.cache)
    vectors = embedder.embed([text for part in texts for text in part])
    parts = np.split(vectors, np.cumsum([len(part) for part in texts])[:-1])
    return [(part, Usage(embeddings=len(part))) for part in parts]


def _encode(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    jobs = [FrameJob(search.case.video, np.array(_wish(search, Encode).indices)) for search in searches]
    encoded = encode_frames(jobs, needed(stages.scorer, "scorer"), stages.cache)
    return [(done, Usage()) if isinstance(done, VideoMinerError) else (done.vectors, done.usage) for done in encoded]


def _compare(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    jobs = [
        ScoreJob(search.case.video, text, np.array(indices))
        for search in searches
        for indices, text in _wish(search, Compare).pairs
    ]
    scored = score_frames(jobs, needed(stages.scorer, "scorer"), stages.cache)
    replies: Replies = []
    for done in _dealt(scored, [len(_wish(search, Compare).pairs) for search in searches]):
        whole = [part for part in done if not isinstance(part, VideoMinerError)]
        usage = sum((part.usage for part in whole), Usage())
        error = next((part for part in done if isinstance(part, VideoMinerError)), None)
        replies.append((error or [part.values for part in whole], usage))
    return replies


def _ask(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    prompts = [(search, prompt) for search in searches for prompt in _wish(search, Ask).prompts]
    seeds = [seed_of(search.case.seed, prompt) for search, prompt in prompts]
    model = needed(stages.language_model, "language model")
    asked = [prompt for _, prompt in prompts]
    completions = replied("language model", model.complete, len(asked), asked, config.temperature, seeds)
    replies: Replies = []
    for done in _dealt(completions, [len(_wish(search, Ask).prompts) for search in searches]):
        usage = sum((completion.usage for completion in done), Usage())
        replies.append((tuple(completion.text for completion in done), usage))
    return replies


def _decide(searches: Sequence[Running], stages: Stages, config: MinerConfig) -> Replies:
    wishes = [_wish(search, Decide) for search in searches]
    parts = [part for wish in wishes for part in wish.parts]
    seeds = [seed for search, wish in zip(searches, wishes) for seed in _seeds(search.case.seed, wish)]
    decided = _decided(stages, parts, config.temperature, seeds)
    replies: Replies = []
    for done in _dealt(decided, [len(wish.parts) for wish in wishes]):
        usage = sum((part.usage for part in done), Usage())
        replies.append((tuple(decision for part in done for decision in part.each), usage))
    return replies


def _decided(stages: Stages, parts: Sequence[Part], temperature: float, seeds: Sequence[int]) -> list[Decided]:
    policy = needed(stages.policy, "policy")
    made = replied("policy", policy.decide, len(parts), parts, temperature, seeds)
    if strange := [part for part in made if not isinstance(part, Decided)]:
        raise CallError(f"the policy gave {type(strange[0]).__name__} in place of Decided")
    for part, done in zip(parts, made, strict=True):
        if len(done.each) != len(part.each):
            raise CallError(f"the policy decided about {len(done.each)} of {len(part.each)} parts: Decided.beside")
    return [replace(done, decision=_legible(done.decision), beside=tuple(map(_legible, done.beside))) for done in made]


def _legible(decision: Decision) -> Decision:
    return replace(decision, text=legible(decision.text))


def _dealt(results: Sequence[T], counts: Sequence[int]) -> Iterator[Sequence[T]]:
    """``results`` in parts of these sizes."""
    iterator = iter(results)
    return (list(itertools.islice(iterator, count)) for count in counts)


def _seeds(seed: int, wish: Decide) -> Iterator[int]:
    if not wish.keys:
        return (seed_of(seed, part.prompt) for part in wish.parts)
    return (seed_of(seed, key, part.prompt) for key, part in zip(wish.keys, wish.parts, strict=True))


# by kind of wish: the name of the stage in ``Usage.seconds``, and the function that serves it. The order breaks ties.
SERVERS: dict[type, tuple[str, Server]] = {
    Segment: ("segment", _segment),
    Caption: ("caption", _caption),
    Judge: ("caption", _judge),
    Embed: ("embed", _embed),
    Encode: ("score", _encode),
    Compare: ("score", _compare),
    Ask: ("policy", _ask),
    Decide: ("policy", _decide),
}

# what a profile calls these stages, where it has another name
PROFILED: dict[type, str] = {Segment: "scan", Ask: "ask", Decide: "decide"}

# --- one plain call of the model behind a kind of wish, to tell a model that fails from one that refuses a question ---

SAMPLING = 1.0  # temperature: a greedy reply might come from the cache


def _embed_plainly(stages: Stages) -> None:
    CachedEmbedder(needed(stages.embedder, "embedder"), MemoryCache()).embed(["a picture"])


def _score_plainly(stages: Stages) -> None:
    scores = computed("scorer", needed(stages.scorer, "scorer").score, (1, 1), GRAY[:1], ["a picture"])
    if not np.isfinite(scores).all():
        raise CallError("the scorer gives NaN or infinity")


def _ask_plainly(stages: Stages) -> None:
    model = needed(stages.language_model, "language model")
    replied("language model", model.complete, 1, ["Say yes."], SAMPLING, [0])


def _decide_plainly(stages: Stages) -> None:
    part = Part("What is shown?", "a picture", 1, 1)
    _decided(stages, [part], SAMPLING, [0])


PLAIN: dict[type, Callable[[Stages], object]] = {
    Embed: _embed_plainly,
    Encode: _score_plainly,
    Compare: _score_plainly,
    Ask: _ask_plainly,
    Decide: _decide_plainly,
}  # captions have their own (``vlm.replies``)


def _wish(search: Running, kind: type) -> Any:
    """The wish of ``search``, which must be of ``kind``."""
    assert isinstance(search.wish, kind)
    return search.wish
