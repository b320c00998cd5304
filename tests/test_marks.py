"""Tests that do what takes long are marked so: an unmarked one fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.browser import launched
from support.evaluation import evaluate


def test_an_unmarked_test_starts_no_python():
    for program in (sys.executable, Path(sys.executable).with_name("lmms-eval")):
        with pytest.raises(pytest.fail.Exception, match=r"pytest\.mark\.launches"):
            subprocess.run([program, "--version"])


def test_an_unmarked_test_runs_no_evaluation(tmp_path):
    with pytest.raises(pytest.fail.Exception, match=r"pytest\.mark\.evaluates"):
        evaluate(tmp_path, "videominer_qwen2vl", "pretrained=none", "tiny_video")


def test_an_unmarked_test_opens_no_browser():
    with pytest.raises(pytest.fail.Exception, match=r"pytest\.mark\.browses"), launched():
        pass
