"""The search of a tree best first: one frontier over the whole video, ordered by promise, until all is found.

The tree has the nodes of the method (arXiv 2510.06040): clusters of captioned events about which the policy decides.
What differs from ``search=plain`` is the order, and that most of the tree is never grown:

1. The policy says at the root what would be seen (one line per moment, as many as key frames), or that frames spread
   over the whole video answer the question.
2. Events are cut as before, more of them the longer the span is, and looked at before they are captioned: an image-text
   model compares the frames of the scan with each line. What is said is compared as text: the best passage of the
   video is as promising as its best frame, others are as much less as they stand out less.
3. In waves, the most promising events are captioned and clustered, and the policy decides. The events of nodes that
   continue are cut again and join the frontier.
4. Frames that are compared first may lie farther apart than a moment is long. What is left is compared again, frame
   by frame of ``grain_s``, once the captions so far have cost as much as that, or where the search would end otherwise.
5. A moment is found once an accepted part fits it about as well as anything that is left. The search ends when every
   moment is found or nothing within ``reach`` is left for it, or at ``max_vlm_calls`` captions or ``max_nodes``
   decisions.

Besides those of ``search.plain``, a node's ``note`` may say why it was not looked at more closely: ``"found"``: all was
found before; ``"reach"``: its events were out of reach.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lmms_videominer.config import MinerConfig
from lmms_videominer.policy.policy import Part
from lmms_videominer.policy.prompt import reply_before
from lmms_videominer.search.candidates import EQUAL, ROUNDED, Pick, evenly, levels, top, within_budget
from lmms_videominer.search.clustering import Clusterer
from lmms_videominer.search.context import length_line
from lmms_videominer.search.key_frames import kept_nodes, with_uniform_frames
from lmms_videominer.search.speech import SILENCE, Speech, heard
from lmms_videominer.search.trees import (
    AUTO,
    annotate,
    by_verdict,
    clustered,
    decide,
    describe,
    found,
    judge,
    part_of,
)
from lmms_videominer.search.wishes import Case, Compare, Found, Search, Segment
from lmms_videominer.segmenters.scan import scan
from lmms_videominer.types import Action, Decision, Event, Node, Span, merge_spans
from lmms_videominer.video import frames_shown_at

SCANNED = 4  # frames compared per event of a cut
LOOKS = 32  # frames that are compared for the price of one caption
SHOWN = 4  # frames compared per key frame, of which the fitting ones are taken
LINES_CUT = "lines_cut"  # the fallback of a search for more moments than there are key frames
FITTING = 0.25  # standard deviations within which a frame fits about as well as the best of its part


def best_first(
    case: Case, clusterer: Clusterer, key_frames: str = AUTO, uniform_share: float = 0.0, judges: bool = False
) -> Search:
    """Key frames for one question, best first.

    Args:
        key_frames, uniform_share: See ``trees.found``.
        judges: The captioner decides about the events that it captions; what is sought, the policy still says.
    """
    return _BestFirst(case, clusterer, key_frames, uniform_share, judges).search()


@dataclass(frozen=True, eq=False)
class _Candidate:
    """An event of the frontier: not captioned yet.

    Attributes:
        span: The event.
        parent: Position of the node that it belongs to.
        seen: float64 [L]: how well the best of its scanned frames fits each line sought.
        fit: float64 [L]: the same, or how well what is said fits, if that is better.
    """

    span: Span
    parent: int
    seen: np.ndarray
    fit: np.ndarray


@dataclass(frozen=True)
class _KeyPart:
    """Spans to take key frames from, and their node."""

    spans: tuple[Span, ...]
    node_id: str | None = None


class _BestFirst:
    """One search: the tree so far, the frontier, and what is found."""

    def __init__(self, case: Case, clusterer: Clusterer, key_frames: str, uniform_share: float, judges: bool):
        self.case, self.config, self.clusterer = case, case.config, clusterer
        self.key_frames, self.uniform_share, self.judges = key_frames, uniform_share, judges
        self.nodes = [Node("0", 0, (Event(case.whole),))]
        self.fits: list[np.ndarray] = [np.zeros(0)]  # by node: float64 [L]
        self.seen: list[np.ndarray] = [np.zeros(0)]  # the same of its frames alone
        self.frontier: list[_Candidate] = []
        self.lines: tuple[str, ...] = ()
        self.lines_cut = False  # the policy wrote more lines than there are key frames
        self.deviations = np.zeros(0)  # float64 [L]: of the fits of the first frames
        self.highest = np.zeros(0)  # float64 [L]: of these fits
        self.speech: Speech = SILENCE
        self.events: list[_Candidate] = []  # all that were ever in the frontier
        self.embedded: list[np.ndarray] = []  # the captions so far, by wave
        self.captioned = 0
        self.closer = second_look(self.config, case.whole.duration_s)  # frames of the second look, while it is to come

    def search(self) -> Search:
        yield from self._begin()
        if not self.nodes[0].has_action(Action.ACCEPT):
            yield from self._open([0])
            while wave := (yield from self._next()):
                yield from self._look(wave)
            self._note_the_rest()
        found = yield from self._found()
        return replace(found, fallbacks=(*found.fallbacks, LINES_CUT)) if self.lines_cut else found

    def _begin(self) -> Generator[Any, Any, None]:
        """Let the policy say what is sought."""
        config, whole = self.config, self.case.whole
        part = Part(self.case.question.text, "", 0, config.max_depth, (length_line(whole.duration_s),))
        yield from decide(self.case, self.nodes, [0], [part])
        decision = self.nodes[0].decision
        assert decision is not None
        lines = sought(decision) or (self.case.question.text,)
        self.lines = lines[: config.frames]  # each moment is to be seen in a key frame
        self.lines_cut = len(lines) > len(self.lines)
        self.fits[0] = self.seen[0] = np.zeros(len(self.lines))
        if decision.action is not Action.ACCEPT:
            self.speech = yield from heard(self.case, self.lines)

    def _open(self, positions: Sequence[int]) -> Generator[Any, Any, None]:
        """Cut the events of these nodes; those that can be cut join the frontier in pieces."""
        whole = [(i, event.span) for i in positions for event in self.nodes[i].events]
        cuts = yield from cut([span for _, span in whole], self.config, first=not self.nodes[positions[0]].depth)
        divided = [(i, span, done) for (i, span), done in zip(whole, cuts, strict=True) if len(done.events) > 1]
        fits = yield from self._fits([((span,), done.compared) for _, span, done in divided])
        if not self.deviations.size:
            every = np.concatenate([np.zeros((0, len(self.lines))), *(fit for _, fit in fits)])
            self.deviations = every.std(axis=0) if len(every) else np.zeros(len(self.lines))
            self.highest = every.max(axis=0) if len(every) else np.ones(len(self.lines))
        for (i, _, done), (indices, fit) in zip(divided, fits, strict=True):
            inherited = self.seen[i] + self._raise(i)  # an event that nobody looked at is as promising as its parent
            self._join(self._candidates(done.events, i, indices, fit, inherited))
        cut_at = {i for i, *_ in divided}
        annotate(self.nodes, [i for i in positions if i not in cut_at], "atomic")

    def _candidates(
        self, events: Sequence[Span], parent: int, indices: np.ndarray, fit: np.ndarray, inherited: np.ndarray
    ) -> list[_Candidate]:
        """``events``, each as promising as the best of its own among the frames ``indices``, or as ``inherited``."""
        times_s = self.case.timestamps_s[indices]
        owners = np.searchsorted([event.start_s for event in events], times_s, side="right") - 1
        own = [fit[owners == k] for k in range(len(events))]
        seen = [f.max(axis=0) if len(f) else inherited for f in own]
        return [_Candidate(e, parent, s, np.maximum(s, self._spoken((e,)))) for e, s in zip(events, seen, strict=True)]

    def _spoken(self, spans: Sequence[Span]) -> np.ndarray:
        """float64 [L]: how promising what is said within ``spans`` is, on the scale of the fits of frames."""
        promise = self.speech.promise(spans)
        if promise is None:
            return np.full(len(self.lines), -np.inf)
        return self.highest + promise * (self.deviations if self.config.look != "none" else 1.0)

    def _join(self, candidates: Sequence[_Candidate]) -> None:
        self.events += candidates
        self.frontier += candidates

    def _next(self) -> Generator[Any, Any, list[_Candidate]]:
        """The candidates to caption next, after a second look where it is due; none if the search is over."""
        wave = [] if 0 < self.closer <= LOOKS * self.captioned else self._wave()
        if not wave and self.closer and self._unfound() and self._room():
            yield from self._look_again()
            wave = self._wave()
        return wave

    def _look_again(self) -> Generator[Any, Any, None]:
        """Compare frames no farther apart than the grain, in all that was not opened; cut it accordingly.

        What was captioned and deleted is looked at, too: its caption is of a few frames. It counts again where another
        frame fits better than those before.
        """
        longest_s, self.closer = SCANNED * self.case.whole.duration_s / self.closer, 0
        deleted = {e.span for n in self.nodes if n.has_action(Action.DELETE) for e in n.events}
        coarse = [
            event
            for event in self.events
            if (event in self.frontier or event.span in deleted) and event.span.duration_s > longest_s
        ]
        pieces = [_even_pieces(event.span, longest_s) for event in coarse]
        fits = yield from self._fits([((e.span,), SCANNED * len(p)) for e, p in zip(coarse, pieces)])
        for event, spans, (indices, fit) in zip(coarse, pieces, fits, strict=True):
            candidates = self._candidates(spans, event.parent, indices, fit, event.seen)
            if event in self.frontier:
                self.frontier.remove(event)
                self._join(candidates)
            else:
                self._join([candidate for candidate in candidates if (candidate.seen > event.seen + EQUAL).any()])

    def _raise(self, position: int) -> float:
        """How much more promising than its own events a node is for having been continued: the more, the rarer that is.

        0 with a scorer, which looks at the events themselves, and at the root, which always continues.
        """
        decided = [node for node in self.nodes if node.depth and node.decision]
        if self.config.look != "none" or not self.nodes[position].depth or not decided:
            return 0.0
        return 1.0 - sum(node.has_action(Action.CONTINUE) for node in decided) / len(decided)

    def _fits(
        self, scans: Sequence[tuple[tuple[Span, ...], int]]
    ) -> Generator[Any, Any, list[tuple[np.ndarray, np.ndarray]]]:
        """The frames of each scan, int64 [T], and how well they fit each line, float64 [T, L]."""
        if self.config.look == "none":
            return [(np.zeros(0, np.int64), np.zeros((0, len(self.lines)))) for _ in scans]
        indices = [scan(self.case.video.reader, spans, frames)[0] for spans, frames in scans]
        question = self.case.question.text
        texts = list(dict.fromkeys((*self.lines, question)))
        scores = iter((yield Compare(tuple((tuple(part.tolist()), text) for part in indices for text in texts))))
        by_text = [{text: next(scores).astype(np.float64) for text in texts} for _ in indices]
        # what is sought and the question itself: the one tells the place, the other the moment
        return [
            (part, np.stack([(values[line] + values[question]) / 2 for line in self.lines], axis=1))
            for part, values in zip(indices, by_text, strict=True)
        ]

    def _wave(self) -> list[_Candidate]:
        """The candidates to caption next; none if the search is over."""
        room = self._room()
        wave: list[_Candidate] = []
        for k in self._unfound():
            for _ in range(min(self.config.wave, room - len(wave))):
                if (best := self._best(k, wave)) is not None:
                    wave.append(best)
                    self.frontier.remove(best)
        return wave

    def _room(self) -> int:
        """How many more events can be captioned."""
        return min(self.config.max_vlm_calls - self.captioned, self.config.max_nodes - len(self.nodes) + 1)

    def _unfound(self) -> list[int]:
        """The lines whose moments are not found."""
        return [k for k in range(len(self.lines)) if not self._is_found(k)]

    def _best(self, k: int, wave: Sequence[_Candidate]) -> _Candidate | None:
        """The candidate that fits line ``k`` best; of equal ones, that farthest in time from what is captioned.

        ``None`` if none is left, or none within reach of the best event of the video.
        """
        highest = max((candidate.fit[k] for candidate in self.frontier), default=-math.inf)
        best = max((event.fit[k] for event in self.events), default=-math.inf)
        reach = self.config.reach * self.deviations[k] if self.config.look != "none" else 0.0
        if not self.frontier or (reach and highest < best - reach - EQUAL):
            return None
        equal = [candidate for candidate in self.frontier if candidate.fit[k] >= highest - EQUAL]
        if len(equal) == 1:
            return equal[0]
        looked = [event.span for node in self.nodes[1:] for event in node.events]
        borders = [_middle(span) for span in (*looked, *(candidate.span for candidate in wave))]
        taken_s = np.array([self.case.whole.start_s, *borders, self.case.whole.end_s])  # [M]
        middles_s = np.array([_middle(candidate.span) for candidate in equal])  # [N]
        return equal[int(np.abs(middles_s[:, None] - taken_s).min(axis=1).round(6).argmax())]

    def _is_found(self, k: int) -> bool:
        """Whether a part accepted for line ``k`` fits it about as well as anything that is left."""
        margin = self.config.stop_margin * self.deviations
        accepted = [
            fit[k]
            for node, fit in zip(self.nodes, self.fits)
            # else it is there for another line
            if node.has_action(Action.ACCEPT) and fit[k] >= fit.max() - margin[k] - EQUAL
        ]
        left = [candidate.fit[k] for candidate in self.frontier]
        return bool(accepted) and (not left or max(accepted) - margin[k] > max(left) + EQUAL)

    def _look(self, wave: Sequence[_Candidate]) -> Generator[Any, Any, None]:
        """Caption, cluster and decide about one wave, and open what continues."""
        config = self.config
        self.captioned += len(wave)
        depths = [self.nodes[candidate.parent].depth + 1 for candidate in wave]
        spans = [candidate.span for candidate in wave]
        told = [config.max_depth if self._ends(depth, [span]) else depth for depth, span in zip(depths, spans)]
        judged = told if self.judges else ()
        events, verdicts = yield from describe(self.case, spans, config.caption_frames, depths, judged, self.speech)
        of_span = {candidate.span: candidate for candidate in wave}
        parents = list(dict.fromkeys(candidate.parent for candidate in wave))
        groups = [[event for candidate, event in zip(wave, events) if candidate.parent == parent] for parent in parents]
        clusters = yield from clustered(self.clusterer, groups, self.case.question.text, self.embedded)
        clusters = [by_verdict(siblings, verdicts) for siblings in clusters]
        new = range(len(self.nodes), len(self.nodes) + sum(map(len, clusters)))
        for parent, siblings in zip(parents, clusters, strict=True):
            above = self.nodes[parent]
            born = sum(node.parent_id == above.id for node in self.nodes)
            for i, members in enumerate(siblings, born):
                self.nodes.append(Node(f"{above.id}.{i}", above.depth + 1, tuple(members)))
                self.fits.append(np.max([of_span[event.span].fit for event in members], axis=0))
                self.seen.append(np.max([of_span[event.span].seen for event in members], axis=0))
        undecided = judge(self.nodes, new, verdicts)
        parts = [part_of(self.case, self.nodes, i, self.captioned, self._is_last(self.nodes[i])) for i in undecided]
        yield from decide(self.case, self.nodes, undecided, parts)
        opened = [i for i in new if self.nodes[i].has_action(Action.CONTINUE) and not self._is_last(self.nodes[i])]
        if self.captioned >= config.max_vlm_calls:
            annotate(self.nodes, opened, "max_vlm_calls")
        elif opened:
            yield from self._open(opened)

    def _is_last(self, node: Node) -> bool:
        """Whether no closer look at ``node`` follows."""
        return self._ends(node.depth, [event.span for event in node.events])

    def _ends(self, depth: int, spans: Sequence[Span]) -> bool:
        """Whether the tree ends there: at the last level, or where all events are as short as the grain."""
        return depth >= self.config.max_depth or all(span.duration_s <= self.config.grain_s for span in spans)

    def _note_the_rest(self) -> None:
        """Say of each node that was to be looked at more closely, and was not, why."""
        grown = {node.parent_id for node in self.nodes}
        waiting = {candidate.parent for candidate in self.frontier}
        if self.captioned >= self.config.max_vlm_calls:
            note = "max_vlm_calls"
        else:
            note = "max_nodes" if len(self.nodes) > self.config.max_nodes else "reach"
        if not self._unfound():
            note = "found"
        annotate(self.nodes, [i for i in waiting if self.nodes[i].id not in grown], note)

    def _found(self) -> Search:
        nodes = tuple(sorted(self.nodes, key=lambda node: node.depth))
        by_fit = self.config.look != "none" and self.key_frames in (AUTO, "scored")
        if not self.events or not by_fit:
            return (yield from found(self.case, nodes, self.key_frames, self.uniform_share))
        kept, fallback = kept_nodes(nodes)
        parts = [] if fallback else [_KeyPart(node.spans, node.id) for node in kept]
        unfound = [k for k in range(len(self.lines)) if fallback or not self._is_found(k)]
        parts += dict.fromkeys(_KeyPart((span,)) for k in unfound for span in self._most_fitting(k))
        timestamps_s, budget = self.case.timestamps_s, self.config.frames
        uniform = round(self.uniform_share * budget)
        picks = yield from self._picks(parts, budget - uniform)
        frames = within_budget([picks], timestamps_s, budget - uniform) if uniform < budget else ()
        told = tuple(name for name in (fallback, "unfound" if unfound else None) if name)
        return Found(with_uniform_frames(frames, timestamps_s, self.case.whole, uniform), nodes, told)

    def _most_fitting(self, k: int) -> list[Span]:
        """The event whose frames fit line ``k`` best, and that whose words do, if any; of several the shortest."""
        spoken = [event for event in self.events if event.fit[k] > event.seen[k] + EQUAL]
        best = [_shortest(self.events, [event.seen[k] for event in self.events])]
        return [*best, _shortest(spoken, [event.fit[k] for event in spoken])] if spoken else best

    def _around(self, spans: Sequence[Span]) -> tuple[Span, ...]:
        """``spans`` with half the grain on either side: a moment may have been cut in two, and one half accepted."""
        more_s, whole = self.config.grain_s / 2, self.case.whole
        wider = [Span(max(s.start_s - more_s, whole.start_s), min(s.end_s + more_s, whole.end_s)) for s in spans]
        return merge_spans(wider)

    def _picks(self, parts: Sequence[_KeyPart], budget: int) -> Generator[Any, Any, list[Pick]]:
        """Frames of each part, an equal share of ``budget`` each, spread over its frames that fit what is sought."""
        shares = [len(share) for share in np.array_split(np.arange(budget), len(parts))]
        spans = [(self._around(part.spans), SHOWN * share) for part, share in zip(parts, shares) if share]
        picks: list[Pick] = []
        for part, share, (indices, fit) in zip(parts, shares, (yield from self._fits(spans)), strict=False):
            if words := self._words(part.spans, fit.max(axis=0), share):
                picks.append(replace(words, node_id=part.node_id))
                share -= 1
            line = int(levels(fit.max(axis=0)).argmax())  # the one that the part was kept for
            value = fit[:, line]  # [T]
            fitting = np.flatnonzero(value >= value.max() - FITTING * self.deviations[line] - EQUAL)
            chosen = fitting[evenly(len(fitting), share)] if len(fitting) > share else top(levels(value), share)
            picks += [Pick(int(indices[i]), part.node_id, round(float(value[i]), ROUNDED)) for i in chosen]
        return picks

    def _words(self, spans: Sequence[Span], seen: np.ndarray, share: int) -> Pick | None:
        """The frame amid the best words within ``spans``, if it is to be one of the ``share`` frames of a part.

        That is where the words fit better than any frame, as ``seen`` does, [L], or where they are the best of the film
        and there is room for another frame.
        """
        promise, spoken = self.speech.promise(spans), self._spoken(spans)
        line = int((spoken >= spoken.max() - EQUAL).argmax())  # of equal ones the first
        is_best = share > 1 and promise is not None and promise.max() >= -FITTING
        said = self.speech.best(spans, line) if is_best or spoken[line] > seen.max() + EQUAL else None
        if said is None:
            return None
        [frame] = frames_shown_at(self.case.timestamps_s, [_middle(said)])
        return Pick(int(frame), None, round(float(spoken[line]), ROUNDED))


def _shortest(events: Sequence[_Candidate], fits: Sequence[float]) -> Span:
    """The event with the highest of ``fits``, of several the shortest."""
    highest = max(fits)
    equal = [event.span for event, fit in zip(events, fits, strict=True) if fit >= highest - EQUAL]
    return min(equal, key=lambda span: span.duration_s)


def _even_pieces(span: Span, longest_s: float) -> tuple[Span, ...]:
    """``span`` in equal pieces of at most ``longest_s`` seconds."""
    edges = np.linspace(span.start_s, span.end_s, math.ceil(span.duration_s / longest_s) + 1).tolist()
    return tuple(Span(a, b) for a, b in itertools.pairwise(edges))


def _middle(span: Span) -> float:
    return (span.start_s + span.end_s) / 2


@dataclass(frozen=True)
class Cut:
    """A span that was cut: its events, and the number of its frames that were compared for it."""

    events: tuple[Span, ...]
    compared: int


def cut(spans: Sequence[Span], config: MinerConfig, first: bool) -> Generator[Segment, Any, list[Cut]]:
    """Cut each of ``spans`` into events, by ``cut_of``; one that cannot be cut is its only event."""
    sizes = [cut_of(span.duration_s, config, first) for span in spans]
    events = yield Segment(tuple((span,) for span in spans), tuple(sizes))
    return [Cut(parts, compared) for parts, (_, compared) in zip(events, sizes, strict=True)]


def cut_of(duration_s: float, config: MinerConfig, first: bool) -> tuple[int, int]:
    """How many events a span is cut into, and how many of its frames are compared.

    The first cut has as many events as each has seconds, so that with the second one it costs the least; later cuts
    have events of ``grain_s``, at most ``events`` of them.
    """
    shortest_s = max(config.min_event_s, 1e-3)
    grain_s = math.sqrt(duration_s) if first else max(config.grain_s, shortest_s)
    count = math.ceil(duration_s / grain_s - 1e-6) if grain_s else 2
    if not first:
        count = min(count, config.events)
    count = max(2, min(count, int(duration_s / shortest_s)))
    return count, max(SCANNED * count, config.scan_frames if first else 0)


def second_look(config: MinerConfig, duration_s: float) -> int:
    """How many frames the second look at a whole video compares; 0 if the first one is as close.

    No more than all captions of a search would pay for.
    """
    if config.look == "none":
        return 0
    apart_s = max(config.grain_s, config.min_event_s, duration_s / (LOOKS * config.max_vlm_calls))
    _, first = cut_of(duration_s, config, first=True)
    return math.ceil(duration_s / apart_s) if duration_s > first * apart_s else 0


def frames_at_most(config: MinerConfig, duration_s: float) -> float:
    """The most distinct frames that one search looks at."""
    if not math.isfinite(duration_s):
        return duration_s
    _, first = cut_of(duration_s, config, first=True)
    again = 2 * second_look(config, duration_s)  # each event is cut into pieces that are half as long at worst
    looked = first + again + config.max_vlm_calls * SCANNED * config.events
    return looked * (2 if config.scan == "sync" else 1) + SHOWN * config.frames


def sought(decision: Decision) -> tuple[str, ...]:
    """What the policy looks for, one line per moment; none if its reply says nothing before the action.

    Where it was asked again for the action alone, its first reply has said it.
    """
    replies = (decision.text, reply_before(decision.prompt))
    reasonings = (reply.partition("<think>")[2].partition("</think>")[0] for reply in replies)
    lines = (tuple(dict.fromkeys(line.strip() for line in said.splitlines() if line.strip())) for said in reasonings)
    return next(filter(None, lines), ())
