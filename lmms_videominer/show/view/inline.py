"""Parts of a result as HTML for a page that is another's: the tree while it grows, the key frames, answer and cost.

The whole page of a result is framed in it (``notebook.framed``). Texts from outside are escaped; there are no scripts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path

from lmms_videominer.models.bundle import NOT_A_WORLD_VIDEO, UNKNOWN_FILM, WAY_OUT
from lmms_videominer.search.best_first import sought
from lmms_videominer.show.printable import printable
from lmms_videominer.show.terminal import answer_text, cost_text, shortened
from lmms_videominer.show.timeline import levels
from lmms_videominer.show.view.page import WIDTH
from lmms_videominer.show.view.pictures import pictures_of
from lmms_videominer.show.view.shown import Shown
from lmms_videominer.types import Action, Node, Span
from lmms_videominer.video.time_codes import clock, clock_spans

SIGNS: dict[Action | None, tuple[str, str]] = {
    Action.ACCEPT: ("✓", "accepted"),
    Action.CONTINUE: ("▾", "continued"),
    Action.DELETE: ("×", "deleted"),
    None: ("·", "not decided"),
}
MOST_NEWEST = 8  # nodes whose captions are told while the tree grows
MOST_BLOCKS = 2000  # of a level; narrower ones than a pixel show nothing
CAPTION_LETTERS = 160

STYLE = """
.vm p { margin: 0.3rem 0; overflow-wrap: anywhere; }
.vm pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3rem 0; background: none; font: inherit; }
.vm-notice { background: #fdf3d8; color: #5b4300; border-radius: 6px; padding: 0.5rem 0.8rem; }
.vm-wrong { background: #fbe3e0; color: #7a1f17; border-radius: 6px; padding: 0.5rem 0.8rem; }
.vm-row { position: relative; height: 26px; background: #dcdfe4; border-radius: 4px; margin: 2px 0 8px;
  overflow: hidden; }
.vm-row span { position: absolute; top: 0; bottom: 0; min-width: 3px; overflow: hidden; text-align: center;
  font-size: 13px; line-height: 26px; border-right: 1px solid #fff; box-sizing: border-box; }
.vm-accepted { background: #17724a; color: #fff; } .vm-continued { background: #f0c05a; color: #33240a; }
.vm-deleted { background: #f3e1dd; color: #7a3a30; } .vm-none { background: #c3c9d1; color: #333a43; }
.vm-frames { display: flex; flex-wrap: wrap; gap: 10px; margin: 0.5rem 0; }
.vm-frames figure { margin: 0; } .vm-frames img { display: block; border-radius: 4px; max-width: 100%; }
.vm-frames figcaption { font-size: 13px; }
"""


def notice_html(text: str, wrong: bool = False) -> str:
    """A line that must be seen."""
    return f'<div class="vm"><p class="vm-{"wrong" if wrong else "notice"}" role="alert">{_text(text)}</p></div>'


def line_html(text: str) -> str:
    """A line that says what is done now."""
    return f'<div class="vm"><p role="status">{_text(text)}</p></div>'


def tree_html(nodes: Sequence[Node]) -> str:
    """The tree so far: a row a level over the length of the video, and the captions of the newest nodes.

    Args:
        nodes: The root first, each node after its parent.
    """
    whole = nodes[0].events[0].span
    rows = "".join(_level(depth, level, whole) for depth, level in enumerate(levels(nodes), 1))
    newest = "".join(f"<p>{_text(_told(node))}</p>" for node in reversed(nodes[1:][-MOST_NEWEST:]))
    lines = sought(nodes[0].decision) if nodes[0].decision else ()
    aim = f"<p>Sought: {_text(shortened('; '.join(lines), CAPTION_LETTERS))}</p>" if lines else ""
    return f'<div class="vm vm-tree">{aim}{rows}{newest}</div>'


def result_html(shown: Shown, place: Path) -> str:
    """Answer, key frames, fallbacks and cost.

    Args:
        place: The file of the video.
    """
    selection = shown.selection
    fallbacks = [name for name in selection.fallbacks if name != NOT_A_WORLD_VIDEO]
    unknown = notice_html(f"{UNKNOWN_FILM}. {WAY_OUT}.") if NOT_A_WORLD_VIDEO in selection.fallbacks else ""
    pictures = pictures_of(shown, len(selection.key_frames), WIDTH, place).by_frame
    frames = "".join(
        _figure(pictures.get(frame.frame_index, ""), clock(frame.time_s, 2)) for frame in selection.key_frames
    )
    return (
        f'{unknown}<div class="vm vm-result"><h3>Answer</h3><pre class="vm-answer">'
        f'{escape(answer_text(selection).plain)}</pre><h3>Key frames</h3><div class="vm-frames">{frames}</div>'
        + (f"<h3>Not as planned</h3><p>{_text(', '.join(fallbacks))}</p>" if fallbacks else "")
        + f'<h3>Cost</h3><pre class="vm-cost">{escape(cost_text(selection.usage).plain)}</pre></div>'
    )


def _level(depth: int, nodes: Sequence[Node], whole: Span) -> str:
    counts = Counter(SIGNS[_action(node)][1] for node in nodes)
    told = ", ".join(f"{counts[word]} {word}" for _, word in SIGNS.values() if counts[word])
    parts = [(span, node) for node in nodes for span in node.spans]
    blocks = "".join(_block(span, node, whole) for span, node in parts[:MOST_BLOCKS])
    return (
        f'<div class="vm-level"><p>Level {depth}: {told}</p><div class="vm-row" aria-hidden="true">{blocks}</div></div>'
    )


def _block(span: Span, node: Node, whole: Span) -> str:
    sign, word = SIGNS[_action(node)]
    length_s = whole.duration_s or 1.0
    left, width = 100 * (span.start_s - whole.start_s) / length_s, 100 * span.duration_s / length_s
    kind = "none" if node.decision is None else word
    return (
        f'<span class="vm-{kind}" style="left: {left:.3f}%; width: {width:.3f}%" '
        f'title="{_text(_told(node))}">{sign}</span>'
    )


def _told(node: Node) -> str:
    sign, word = SIGNS[_action(node)]
    return f"{sign} {word}, {clock_spans(node.spans)}: {shortened(node.caption, CAPTION_LETTERS)}"


def _figure(source: str, time: str) -> str:
    picture = f'<img src="{escape(source)}" alt="Frame at {time}">' if source else ""
    return f"<figure>{picture}<figcaption>{time}</figcaption></figure>"


def _action(node: Node) -> Action | None:
    return node.decision.action if node.decision else None


def _text(text: str) -> str:
    return escape(printable(text))
