"""A file is written whole or not at all, and an error names it."""

from __future__ import annotations

import resource

import pytest

from lmms_videominer.store.atomic import written


def test_a_file_that_the_disk_cannot_hold_is_named_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "tree.json"
    path.write_text("the one of before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match=r"tree\.json"), written(path) as part:
            part.write_text("x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "the one of before" and list(tmp_path.iterdir()) == [path]
