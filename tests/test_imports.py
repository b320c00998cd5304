"""The house: a room imports only from the rooms before it, and no file is in a circle, lazy imports included."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lmms_videominer"

# Each imports from those before it alone. This is the one place of the order; README.md's map has the same.
ROOMS = (
    "errors",
    "types",
    "redaction",
    "config",
    "verdict",
    "profiling",
    "store",
    "video",
    "models",
    "segmenters",
    "vlm",
    "policy",
    "scoring",
    "search",
    "selectors",
    "show",
    "miner",
    "__init__",
    "shipped",
    "manifest",
    "world",
    "lmms",
    "training",
    "bench",
    "commands",
    "cli",
    "__main__",
)


def modules(package: Path) -> dict[str, Path]:
    """The file of every module below ``package``, by dotted name; of a package its ``__init__``."""
    names = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(package: Path) -> Iterator[tuple[str, str]]:
    """Every import of one module of ``package`` by another, wherever it stands in the file."""
    files = modules(package)
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            wanted = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not getattr(node, "level", 0), f"{path}: imports are absolute"
            if isinstance(node, ast.ImportFrom) and node.module:
                wanted = [f"{node.module}.{alias.name}" for alias in node.names]
            for target in wanted:
                found = target if target in files else target.rpartition(".")[0]
                if found in files and found != name:
                    yield name, found


def room(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def backward(package: Path) -> list[str]:
    """Imports of a room that does not come before."""
    return [
        f"{name} imports {target}"
        for name, target in imports(package)
        if room(name) != room(target) and ROOMS.index(room(name)) < ROOMS.index(room(target))
    ]


def check_circles(package: Path) -> None:
    graph: dict[str, set[str]] = {}
    for name, target in imports(package):
        graph.setdefault(name, set()).add(target)
    TopologicalSorter(graph).prepare()


def test_every_room_is_in_the_order():
    assert {room(name) for name in modules(PACKAGE)} == set(ROOMS)


def test_a_room_imports_from_those_before_it_alone():
    assert backward(PACKAGE) == []


def test_no_file_is_in_a_circle():
    check_circles(PACKAGE)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("video/timing.py", "from lmms_videominer.search.engine import run"),
        ("store/cache.py", "def late():\n    import lmms_videominer.miner"),
        ("policy/parser.py", "from lmms_videominer.selectors import settings"),
    ],
)
def test_a_forbidden_import_is_found_even_a_lazy_one(file, line, tmp_path):
    copy = tmp_path / "lmms_videominer"
    for path in modules(PACKAGE).values():
        target = copy / path.relative_to(PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    assert backward(copy) == []
    with open(copy / file, "a", encoding="utf-8") as changed:
        changed.write(f"\n{line}\n")
    assert len(backward(copy)) == 1


def test_a_circle_is_found(tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "a.py").write_text("from house import b")
    (tmp_path / "house" / "b.py").write_text("def late():\n    from house.a import x")
    with pytest.raises(CycleError):
        check_circles(tmp_path / "house")


def test_the_top_level_stays_small():
    files = [path for path in PACKAGE.iterdir() if path.suffix == ".py"]
    packages = [path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert len(files) <= 10 and len(packages) <= 17


def test_the_map_of_the_readme_names_everything_in_this_order():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = readme.split("## Map\n")[1].split("\n## ")[0].splitlines()
    named = [name for line in lines for name in re.findall(r"(\w+)(?:\.py|/)(?=[ .]|$)", line[:40])]
    inside = named[named.index("lmms_videominer") + 1 : named.index("tasks")]
    assert inside == list(ROOMS)
    shown = set(named) - set(inside)
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / ".").exists()}
    assert {
        "lmms_videominer",
        "tasks",
        "deepspeed_configs",
        "benchmarks",
        "docs",
        "examples",
        "tests",
    } <= shown & folders
