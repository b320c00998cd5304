"""What the policy is told about the search besides a part's caption: its place, what was accepted, what is left."""

from __future__ import annotations

from collections.abc import Sequence

from lmms_videominer.search.wishes import Case
from lmms_videominer.types import Action, Node, Span
from lmms_videominer.video.time_codes import clock, clock_spans

MOST_ACCEPTED = 4  # captions of accepted parts, the latest, in a prompt
MOST_CHARACTERS = 160  # of each


def context_of(case: Case, node: Node, nodes: Sequence[Node], captioned: int) -> tuple[str, ...]:
    """The lines of ``config.policy_context`` for one node, of which those that change most come last.

    Args:
        nodes: The tree so far.
        captioned: Number of captions so far.
    """
    names = case.config.policy_context.split("+")
    accepted = [other.caption for other in nodes if other.has_action(Action.ACCEPT)]
    lines = {
        "accepted": accepted_line(accepted),
        "budget": budget_line(captioned, case.config.max_vlm_calls),
        "place": place_line(node.spans, case.whole.duration_s),
    }
    return tuple(line for name, line in lines.items() if name in names)


def length_line(duration_s: float) -> str:
    """The length of the video."""
    return f"Length: {clock(duration_s)}"


def place_line(spans: Sequence[Span], duration_s: float) -> str:
    """The part's place in time, and the length of the video."""
    return f"Part: {clock_spans(spans)} of {clock(duration_s)}"


def accepted_line(captions: Sequence[str]) -> str:
    """The captions of the parts accepted so far, one line each."""
    lines = [" ".join(caption.split())[:MOST_CHARACTERS] for caption in captions[-MOST_ACCEPTED:]]
    return "\n".join(["Accepted so far:", *lines]) if lines else "Accepted so far: none"


def budget_line(captioned: int, most: int) -> str:
    """How many of the captions that the search may ask for are left."""
    return f"Captions left: {max(most - captioned, 0)} of {most}"
