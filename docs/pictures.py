"""Makes the pictures of the documentation, with today's code and the bundled models.

    python docs/pictures.py                  # all
    python docs/pictures.py sheet figures    # some

| name | what it makes | from what |
|---|---|---|
| sheet | `sheet.jpg`, and `sheet.json`, its tree | what `videominer demo` mines |
| selectors | `selectors_sheet.jpg` | the rows in `benchmarks/results/world_selectors`, and the film, rendered again |
| figures | `figure_*.png` | the rows in `benchmarks/results/figures` |
| view | `view_*.webp` | a world that is rendered and mined here; needs Chromium (`benchmarks/view_page.py`) |

`tests/test_pictures.py` fails where `sheet.jpg` is not what today's code and models make. `training_*` are drawn by
`benchmarks/world_training.py`, from the trainings that they show.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from PIL import Image

from lmms_videominer.bench.comparison import groups_of
from lmms_videominer.bench.documents import Document
from lmms_videominer.bench.figures import FigureCell, bars, draw_figure
from lmms_videominer.bench.sheets import choices_in, draw_sheet, question_to_show
from lmms_videominer.commands.arguments import FREE_SEED
from lmms_videominer.commands.demo import demo_question
from lmms_videominer.config import MinerConfig
from lmms_videominer.miner import VideoMiner
from lmms_videominer.models.bundle import BUNDLED
from lmms_videominer.show.outputs import write_outputs
from lmms_videominer.store import selection_json
from lmms_videominer.types import Selection
from lmms_videominer.world import render_world
from lmms_videominer.world.questions import write_questions
from lmms_videominer.world.script import write_script
from lmms_videominer.world.tasks import TASK_SEED, TASK_WORLDS
from lmms_videominer.world.video import encode

DOCS = Path(__file__).parent
BENCHMARKS = DOCS.parent / "benchmarks"
SHOWN_WIDTH = 960  # pixels, of the sheet of all selectors
MINUTES = 15  # of the demo, and of the comparison that is shown


def sheet(out: Path, folder: Path) -> None:
    """Mine the demo and write its sheet and its tree."""
    question, right = demo_question(folder, MINUTES, FREE_SEED, progress=False)
    selection = VideoMiner.from_pretrained(BUNDLED, config=MinerConfig(cache_dir="off")).mine_batch([question])[0]
    if not isinstance(selection, Selection):
        raise selection
    list(write_outputs(selection, sheet=out / "sheet.jpg", right_option=right))
    selection_json.save(without_place(selection), out / "sheet.json")


def without_place(selection: Selection) -> Selection:
    """``selection`` without what depends on where and how fast it was made."""
    name = Path(selection.question.video).name
    return replace(
        selection,
        question=replace(selection.question, video=name),
        video=replace(selection.video, path=name),
        usage=replace(selection.usage, seconds={}),
    )


def selectors(out: Path, folder: Path) -> None:
    """Draw what every selector chose for one question of the task ``videominer_world_15min``."""
    (group,) = groups_of(pd.read_parquet(BENCHMARKS / "results" / "world_selectors" / f"{MINUTES}min.parquet"))
    doc_id = question_to_show(group)
    index, number = divmod(doc_id, TASK_WORLDS[MINUTES][1])
    script = write_script(TASK_SEED, index, MINUTES)
    video = folder / group.table.loc[group.table["doc_id"] == doc_id, "video"].iloc[0]
    encode(script, video)
    question = write_questions(script, TASK_WORLDS[MINUTES][1])[number]
    row = question.row(script, number, video.name)
    document = Document(doc_id, row["question"], row["answer"], "", str(video), script.duration_s, question.evidence)
    whole = Image.open(draw_sheet(document, choices_in(group, doc_id), folder / "sheet.jpg"))
    whole.thumbnail((SHOWN_WIDTH, whole.height))
    whole.save(out / "selectors_sheet.jpg", quality=82)


def figures(out: Path, folder: Path) -> None:
    """Draw the paper's figures from the rows that ``benchmarks/world_figures.py`` saved."""
    for path in sorted((BENCHMARKS / "results" / "figures").glob("*.parquet")):
        table, name = pd.read_parquet(path), path.stem
        cells = table[["variant", "task", "cell"]].drop_duplicates().itertuples(index=False)
        shown = [FigureCell(label.removeprefix(f"{name} "), task, key) for label, task, key in cells]
        picture, _ = draw_figure(name, shown[0].task, bars(shown, table), folder / f"figure_{name}.png")
        shutil.copyfile(picture, out / picture.name)


def view(out: Path, folder: Path) -> None:
    """Mine a small world and take pictures of its pages."""
    world, mined = folder / "films", folder / "mined"
    questions = render_world(world, MINUTES, videos=3, seed=FREE_SEED, progress=False, questions=4)
    command = [sys.executable, "-m", "lmms_videominer", "mine", "--manifest", str(questions), "--out", str(mined)]
    subprocess.run([*command, "--quiet"], check=True)
    pictures = [sys.executable, str(BENCHMARKS / "view_page.py"), "pictures", str(mined), "--out", str(out)]
    subprocess.run(pictures, check=True)


PICTURES: dict[str, Callable[[Path, Path], None]] = {
    "sheet": sheet,
    "selectors": selectors,
    "figures": figures,
    "view": view,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PICTURES)} (default: all)")
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures (default: %(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - PICTURES.keys():
        parser.error(f"no such pictures: {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    for name in arguments.names or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            PICTURES[name](arguments.out, Path(folder))
        print(f"made {name}")


if __name__ == "__main__":
    main()
