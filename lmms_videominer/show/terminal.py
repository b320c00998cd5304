"""Prints a selection on the terminal: the tree, the key frames, the answer, and the cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from lmms_videominer.models.bundle import NOT_A_WORLD_VIDEO, UNKNOWN_FILM, WAY_OUT
from lmms_videominer.show.printable import printable
from lmms_videominer.types import Action, Node, Reading, Selection, Usage
from lmms_videominer.verdict import chosen_option, in_evidence, option_letter
from lmms_videominer.video.time_codes import clock, clock_span, clock_spans

STYLES = {Action.ACCEPT: "bold green", Action.CONTINUE: "yellow", Action.DELETE: "red"}
READINGS = {Reading.LENIENT: "read leniently", Reading.DEFAULT: "unreadable, default taken"}
CAPTION_LETTERS, ID_LETTERS = 90, 60
FRAME_TIME_DIGITS = 2


def print_selection(console: Console, selection: Selection, right_option: int | None = None) -> None:
    """Print everything in a selection, in the order in which it was produced.

    Args:
        console: The console to print to.
        selection: The selection.
        right_option: Index of the right option, if known.
    """
    console.print(_header(selection))
    if selection.nodes:
        console.print(_titled("Tree", tree_of(selection)))
    console.print(_titled("Key frames", frame_table(selection)))
    if selection.answer is not None:
        console.print(_titled("Answer", answer_text(selection, right_option)))
    console.print(_titled("Cost", cost_text(selection.usage)))
    if selection.fallbacks:
        console.print(_titled("Not as planned", _plain(", ".join(selection.fallbacks), "yellow")))
    if NOT_A_WORLD_VIDEO in selection.fallbacks:
        console.print(_plain(f"\n{UNKNOWN_FILM}. {WAY_OUT}.", "bold yellow"), soft_wrap=True)


def print_reasons(console: Console, selection: Selection) -> None:
    """Print what the policy, or the captioner, said at each node that it decided about, root first."""
    told = [(node, node.decision) for node in selection.nodes if node.decision]
    reasons: list[RenderableType] = []
    for node, decision in told:
        head = Text(f"{shortened(node.id, ID_LETTERS)}  ", "bold")
        head.append(decision.action.value, STYLES[decision.action]).append(f"  {clock_spans(node.spans)}", "cyan")
        reasons += [head, Padding(_plain(decision.text.strip() or "(it said nothing)"), (0, 0, 0, 2))]
    console.print(_titled("Why", Group(*reasons) if reasons else Text("no node was decided about", "dim")))


def tree_of(selection: Selection, caption_letters: int = CAPTION_LETTERS) -> Tree:
    """The nodes as a rich tree, each with its spans, its decision and its caption cut to ``caption_letters``."""
    frames = Counter(frame.node_id for frame in selection.key_frames)
    root, *others = selection.nodes
    branches = {root.id: Tree(_node_text(root, frames[root.id], caption_letters), guide_style="bright_black")}
    for node in others:
        parent = branches.get(node.parent_id or "", branches[root.id])
        branches[node.id] = parent.add(_node_text(node, frames[node.id], caption_letters))
    return branches[root.id]


def shortened(text: str, letters: int) -> str:
    """``text`` on one line of at most ``letters`` characters; a cut ends in an ellipsis, at a word end if possible."""
    text = printable(" ".join(text.split()))
    if len(text) <= letters:
        return text
    head = text[: letters - 1]
    at_word = head.rpartition(" ")[0]
    return f"{at_word if len(at_word) > letters // 2 else head}…"


def frame_table(selection: Selection) -> RenderableType:
    """Key frames in temporal order: number, time, frame index, node, and score and evidence if known."""
    if not selection.key_frames:
        return Text("none", "dim")
    table = Table("#", "time", "frame", "node", box=None, pad_edge=False, header_style="dim")
    scored = any(frame.score is not None for frame in selection.key_frames)
    if scored:
        table.add_column("score")
    if selection.question.evidence:
        table.add_column("evidence")
    for number, frame in enumerate(selection.key_frames, 1):
        row = [str(number), clock(frame.time_s, FRAME_TIME_DIGITS), str(frame.frame_index)]
        row.append(shortened(frame.node_id or "-", ID_LETTERS))
        if scored:
            row.append("-" if frame.score is None else f"{frame.score:.3f}")
        if selection.question.evidence:
            row.append("yes" if in_evidence(frame, selection.question.evidence) else "")
        table.add_row(*map(Text, row))  # a plain string would be read as markup
    return table


def answer_text(selection: Selection, right_option: int | None = None) -> Text:
    """The options with the chosen one marked; if the answer names none of them, the answer as it is."""
    options, answer = selection.question.options, selection.answer or ""
    chosen = chosen_option(answer, options)
    lines = [_option_text(index, option, chosen, right_option) for index, option in enumerate(options)]
    if chosen is None:
        lines.append(_plain(answer.strip() or "(empty)"))
        if options:
            lines.append(Text("The answer names none of the options.", "yellow"))
    return Text("\n").join(lines)


def cost_text(usage: Usage) -> Text:
    """Calls, tokens and seconds, with cached calls counted separately."""
    calls = (
        f"{usage.vlm_calls} captions made, {usage.vlm_calls_cached} from the cache · {usage.policy_calls} policy "
        f"calls ({usage.prompt_tokens} + {usage.completion_tokens} tokens), {usage.policy_calls_cached} from the cache "
        f"· {usage.answer_calls} answer calls"
    )
    unread = f"{usage.decisions_unread} decisions that named no action" if usage.decisions_unread else ""
    work = f"{usage.embeddings} embeddings · {usage.frames_decoded} frames decoded"
    if usage.scores or usage.scores_cached:
        work = f"{usage.scores} frames scored, {usage.scores_cached} from the cache · {work}"
    lost = usage.frames_substituted
    damage = f"{lost} damaged frame{'s' * (lost != 1)}, for which the nearest served" if lost else ""
    seconds = " · ".join(f"{stage} {value:.1f} s" for stage, value in usage.seconds.items())
    return _plain("\n".join(filter(None, (calls, unread, work, damage, seconds))))


def _header(selection: Selection) -> Text:
    video = selection.video
    facts = (
        f"{clock(video.duration_s)} · {video.width} x {video.height} · {video.average_fps:.4g} frames per second · "
        f"read with {video.backend}"
    )
    if selection.searched:
        facts += f" · searched {clock_span(selection.searched)}"
    question = shortened(selection.question.text, 400)
    name = printable(Path(video.path).name, keep="")
    return Text.assemble((name, "bold"), "  ", (printable(facts), "dim"), "\n", (question, "bold cyan"))


def _plain(text: str, style: str = "") -> Text:
    return Text(printable(text), style)


def _titled(title: str, body: RenderableType) -> Group:
    return Group(Text(f"\n{title}", "bold"), Padding(body, (0, 0, 0, 2)))


def _node_text(node: Node, frame_count: int, caption_letters: int) -> Text:
    return Text("  ").join(_node_parts(node, frame_count, caption_letters))


def _node_parts(node: Node, frame_count: int, caption_letters: int) -> Iterator[Text]:
    dropped = node.has_action(Action.DELETE)
    yield Text(shortened(node.id, ID_LETTERS), "dim" if dropped else "bold")
    if node.decision:
        yield Text(node.decision.action.value, STYLES[node.decision.action])
    elif node.undecided:
        yield Text("undecided", "magenta")
    yield Text(clock_spans(node.spans), "dim" if dropped else "cyan")
    if node.decision and node.decision.reading in READINGS:
        yield Text(f"[{READINGS[node.decision.reading]}]", "bold magenta")
    if node.note:
        yield Text(f"[{shortened(node.note, CAPTION_LETTERS)}]", "magenta")
    if frame_count:
        yield Text(f"{frame_count} key frame{'s' * (frame_count > 1)}", "green")
    if node.caption:
        yield Text(shortened(node.caption, caption_letters), "dim" if dropped else "")


def _option_text(index: int, option: str, chosen: int | None, right: int | None) -> Text:
    style = "" if index != chosen else "bold red" if right not in (None, index) else "bold green"
    text = Text(f"{'>' if index == chosen else ' '} {option_letter(index)}. {shortened(option, 200)}", style)
    return text.append("   (right)", "green") if index == right else text
