"""The doctor: what is broken on purpose must be reported, with a remedy."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from support.readers import needs

from lmms_videominer.commands import checks as doctor
from lmms_videominer.commands.checks import Check, Status


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Write a module of a plugin and return its entry point."""

    def make(name: str, source: str, value: str) -> EntryPoint:
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        return EntryPoint(name, value, doctor.GROUP)

    return make


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("doctor") / "clip.mp4"
    assert doctor.write_clip(path).status is Status.OK
    return path


def test_an_old_python_is_wrong():
    assert doctor.check_python((3, 9, 18)).status is Status.WRONG
    assert doctor.check_python().status is Status.OK


def test_absent_and_unfit_packages_are_wrong_with_the_command_that_helps():
    checks = doctor.check_requirements(
        ["numpy>=1", "numpy<0.1", "no-such-package-here>=2", 'decord; python_version < "3"', 'trl; extra == "train"']
    )
    assert [check.status for check in checks] == [Status.OK, Status.WRONG, Status.WRONG]
    assert "needs <0.1" in checks[1].result and checks[1].remedy == "pip install 'numpy<0.1'"
    assert checks[2].result == "absent" and "no-such-package-here>=2" in checks[2].remedy


def test_a_package_that_was_not_installed_is_told(monkeypatch):
    monkeypatch.setattr(doctor, "DISTRIBUTION", "no-such-package-here")
    (check,) = doctor.check_requirements()
    assert check.status is Status.WRONG and "not installed" in check.result


def test_a_module_that_breaks_on_import_is_wrong(plugin):
    plugin("torchlike", "raise RuntimeError('operator torchvision::nms does not exist')", "torchlike:x")
    check = doctor.check_import("torchlike")
    assert check.status is Status.WRONG and "nms does not exist" in check.result and check.remedy


def test_decord_may_be_absent_but_torch_may_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "decord", None)
    assert doctor.check_import("decord").status is Status.NOTE
    monkeypatch.setitem(sys.modules, "torch", None)
    (check,) = doctor.guarded("import torch", lambda: doctor.check_import("torch"), "pip install torch")
    assert check.status is Status.WRONG and check.remedy == "pip install torch"


def test_an_entry_point_that_raises_is_named(plugin):
    raises = plugin("broken_plugin", "def models():\n    raise OSError('no disk')\n", "broken_plugin:models")
    absent = EntryPoint("gone", "no_such_module_here:models", doctor.GROUP)
    empty = plugin("empty_plugin", "def models():\n    return []\n", "empty_plugin:models")
    checks = {check.name: check for check in doctor.check_entry_points([raises, absent, empty])}
    assert "OSError: no disk" in checks["entry point broken_plugin"].result
    assert "pip uninstall broken_plugin" in checks["entry point broken_plugin"].remedy
    assert "no_such_module_here" in checks["entry point gone"].result
    assert {check.status for check in checks.values()} == {Status.WRONG}
    assert "none of the group" in checks["entry points"].result  # and ours is not among them


def test_an_entry_point_that_loads_is_fine(plugin):
    point = plugin("fine_plugin", "def models():\n    return ['a', 'b']\n", "fine_plugin:models")
    assert doctor.check_entry_points([point])[0].result.endswith("2 models")


def test_what_qwen_backbones_read_videos_with(monkeypatch):
    pytest.importorskip("qwen_vl_utils")
    monkeypatch.delenv("FORCE_QWENVL_VIDEO_READER", raising=False)
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    if importlib.util.find_spec("decord"):
        assert doctor.check_qwen_videos() == Check("qwen-vl-utils", Status.OK, "reads videos with decord")
    monkeypatch.setitem(sys.modules, "decord", None)
    check = doctor.check_qwen_videos()
    assert check.status is Status.WRONG and "neither torchcodec nor decord" in check.result
    assert check.remedy == "pip install decord or torchcodec"
    monkeypatch.setenv("FORCE_QWENVL_VIDEO_READER", "decord")
    assert "it takes decord" in doctor.check_qwen_videos().result


def test_qwen_backbones_need_the_ffmpeg_of_torchcodec(monkeypatch):
    pytest.importorskip("qwen_vl_utils")
    needs("torchcodec")
    monkeypatch.delenv("FORCE_QWENVL_VIDEO_READER", raising=False)
    assert doctor.check_qwen_videos().result == "reads videos with torchcodec"
    monkeypatch.setattr("torchcodec.ffmpeg_major_version", None)
    check = doctor.check_qwen_videos()
    assert check.status is Status.WRONG and "apt-get install ffmpeg" in check.remedy


@pytest.mark.parametrize("backend", ["decord", "pyav", "torchcodec"])
def test_decoders_read_the_right_frames(clip, backend):
    needs(backend)
    assert doctor.check_decoder(backend, clip).status is Status.OK


@pytest.mark.parametrize("backend", ["decord", "torchcodec"])
def test_a_decoder_that_is_absent_is_a_note(clip, backend, monkeypatch):
    monkeypatch.setitem(sys.modules, backend, None)
    assert doctor.check_decoder(backend, clip) == Check(
        f"decoder {backend}", Status.NOTE, "absent: PyAV reads the videos"
    )


def test_torchcodec_without_ffmpeg_is_a_note_with_the_way_out(clip, monkeypatch):
    needs("torchcodec")
    monkeypatch.setattr("torchcodec.ffmpeg_major_version", None)
    check = doctor.check_decoder("torchcodec", clip)
    assert check.status is Status.NOTE and "finds no FFmpeg" in check.result and "apt-get" in check.remedy


def test_a_decoder_that_reads_other_frames_is_wrong(clip, monkeypatch):
    monkeypatch.setattr(doctor, "CLIP_LEVELS", (40, 200, 120))  # as if the last two seconds were swapped
    check = doctor.check_decoder("pyav", clip)
    assert check.status is Status.WRONG and "[40, 200, 120] was written" in check.result


def test_a_decoder_that_cannot_open_the_clip_is_wrong(tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(b"not a video")
    (check,) = doctor.guarded("decoder pyav", lambda: doctor.check_decoder("pyav", path))
    assert check.status is Status.WRONG and "cut.mp4" in check.result and check.remedy


def test_models_that_are_absent_are_wrong(tmp_path):
    (check,) = doctor.guarded(
        "bundled models", lambda: doctor.check_bundle(tmp_path, str(tmp_path / "no")), "reinstall"
    )
    assert check.status is Status.WRONG and check.remedy == "reinstall"


def test_a_cache_folder_below_a_file_is_wrong(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VIDEOMINER_CACHE", str(tmp_path / "file" / "cache"))
    (check,) = doctor.guarded("cache folder", lambda: doctor.check_cache())
    assert check.status is Status.WRONG and str(tmp_path / "file" / "cache") in check.result
    assert "VIDEOMINER_CACHE" in check.result + check.remedy


def test_a_cache_folder_that_works_and_one_that_was_corrupt(tmp_path):
    assert doctor.check_cache(str(tmp_path / "fine")) == Check("cache folder", Status.OK, str(tmp_path / "fine"))
    (tmp_path / "bad" / "results").mkdir(parents=True)
    (tmp_path / "bad" / "results" / "cache.db").write_bytes(b"no database" * 1000)
    assert doctor.check_cache(str(tmp_path / "bad")).status is Status.NOTE


def test_one_wrong_check_makes_the_exit_code_1_and_a_note_does_not(capsys):
    fine, note = Check("a", Status.OK, "1.0"), Check("b", Status.NOTE, "absent")
    assert doctor.print_checks([fine, note]) == 0
    assert "All is well" in capsys.readouterr().out
    assert doctor.print_checks([fine, note, Check("c", Status.WRONG, "broken [x]", "mend it")]) == 1
    told = capsys.readouterr().out
    assert "broken [x]" in told and "mend it" in told and "1 wrong" in told
    assert doctor.print_checks([fine, note], only_wrong=True) == 0
    assert capsys.readouterr().out == ""


LONG = "/films/of/a/folder/whose/name/has/no/place/at/which/it/could/be/broken/and/goes/on/for/very/long/cache"


def test_the_table_is_whole_at_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    name = f"entry point {'of_a_plugin_' * 8}"
    doctor.print_checks([Check(name, Status.OK, "fine"), Check("cache", Status.WRONG, LONG, f"mv {LONG} /tmp")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["check", "result,", "and", "what", "to", "do"] and max(map(len, lines)) <= 80
    told = "".join("".join(lines).split())
    assert told.count(LONG) == 2 and f"->mv{LONG}/tmp" in told and "of_a_plugin_" * 8 in told


@pytest.mark.launches
def test_nothing_stands_before_the_table_where_it_is_read_as_a_file(tmp_path):
    environment = {**os.environ, "COLUMNS": "80", "VIDEOMINER_CACHE": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-m", "lmms_videominer", "doctor"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = ran.stdout.splitlines()
    assert ran.returncode == 0 and lines[0].startswith("check "), ran.stdout
    assert lines[1].startswith("python ") and lines[-1] == "All is well." and max(map(len, lines)) <= 80
