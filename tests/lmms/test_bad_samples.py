"""Under lmms-eval's command line: what is wrong with one sample costs that sample, and the run writes its results."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from support.evaluation import evaluate, fallbacks_of, note_of, row, write_task
from support.videos import (
    write_coded,
    write_cut,
    write_damaged,
    write_joined,
    write_latin1_tag,
    write_sizes,
    write_streams,
)

pytestmark = pytest.mark.evaluates

FILMS = Path(os.environ.get("VIDEOMINER_FILMS", "films"))
END_S = 1000.0  # evidence until then is evidence until the end


@pytest.fixture(scope="module")
def flat(tmp_path_factory) -> Path:
    """A shape that Qwen2-VL refuses."""
    return write_coded(tmp_path_factory.mktemp("flat") / "4000x8.mp4", range(60), size=(4000, 8))


def results_in(out: Path) -> dict:
    return json.loads(next(out.glob("*/*_results.json")).read_text())


@pytest.mark.parametrize("selector", ["oracle", "uniform"])
def test_two_bad_documents_of_six_cost_themselves(selector, flat, tiny, videos, tmp_path, caplog):
    rows = [row(number, videos[number % 2]) for number in range(6)]
    rows[1] = row(1, flat, evidence=[[0.5, 1.5]])
    rows[4] = row(4, kind="raises")
    write_task(tmp_path / "six", "six", rows)
    write_task(tmp_path / "four", "four", [rows[i] for i in (0, 2, 3, 5)])
    arguments = f"pretrained={tiny('qwen2_vl')},selector={selector},frames=4"
    good = evaluate(tmp_path / "a", "videominer_qwen2vl", arguments, "four", tmp_path / "four")
    samples = evaluate(tmp_path / "b", "videominer_qwen2vl", arguments, "six", tmp_path / "six")

    assert [samples[i]["filtered_resps"] for i in (0, 2, 3, 5)] == [sample["filtered_resps"] for sample in good]
    how = "mined" if selector == "oracle" else "uniform"
    assert [note_of(sample)["how"] for sample in samples] == [how, "fallback", how, how, "fallback", how]
    assert [samples[i]["filtered_resps"] for i in (1, 4)] == ["", ""] and note_of(samples[1])["empty"]
    assert "aspect ratio" in note_of(samples[1])["problem"] and "KeyError: 'video'" in note_of(samples[4])["problem"]
    told = results_in(tmp_path / "b")["throughput"]
    assert (told[f"avg_videominer_{how}"], told["avg_videominer_empty_answers"]) == (4, 2)
    assert f"6 samples: {how} 4, fallback 2, empty 2" in caplog.text


def test_texts_that_are_none_and_texts_that_are_too_long_cost_no_other_sample(tiny, videos, tmp_path):
    rows = [row(number, videos[0]) for number in range(6)]
    rows[1]["kind"] = "silent"
    rows[2]["kind"] = "surrogate"
    rows[3]["question"] = "What is it? " + "so " * 3300
    rows[4]["question"] = "What is it? " + "so " * 66_000
    write_task(tmp_path / "tasks", "texts", rows)
    arguments = f"pretrained={tiny('qwen2_vl')},selector=oracle,frames=4"
    samples = evaluate(tmp_path / "out", "videominer_qwen2vl", arguments, "texts", tmp_path / "tasks")

    notes = [note_of(sample) for sample in samples]
    assert [note["how"] for note in notes] == ["mined", "fallback", "mined", "mined", "mined", "mined"]
    assert "gives no text for it, but NoneType" in notes[1]["problem"] and samples[1]["filtered_resps"] == ""
    told = [["surrogates_replaced"], ["question_cut"], ["question_cut"]]  # the first cut for the search alone
    assert [fallbacks_of(sample) for sample in samples[2:5]] == told
    assert samples[2]["input"].endswith("\ufffd") and samples[5]["filtered_resps"]


def test_trees_that_cannot_be_written_leave_the_answers(tiny, task, tmp_path):
    (tmp_path / "file").touch()
    arguments = f"pretrained={tiny('qwen2_vl')},selector=oracle,frames=4,trees_dir={tmp_path / 'file' / 'trees'}"
    samples = evaluate(tmp_path / "out", "videominer_qwen2vl", arguments, "tiny_video", task)
    assert all(sample["filtered_resps"] for sample in samples)
    assert [fallbacks_of(sample) for sample in samples] == [["tree_not_saved"]] * 3
    assert results_in(tmp_path / "out")["throughput"]["avg_videominer_trees_not_saved"] == 3


def films_of(folder: Path, flat: Path) -> Iterator[Path]:
    """The films that VIDEOMINER_FILMS names, or one of each kind made here."""
    if FILMS.is_dir():
        yield from sorted(path for path in FILMS.rglob("*") if path.suffix not in (".md", "") and path.parent == FILMS)
        yield from sorted(FILMS.rglob("*.m3u8"))
        return
    plain = write_coded(folder / "plain.mp4", range(60))
    yield flat
    yield write_cut(folder / "cut_mid_gop.mp4", plain, 17)
    yield write_latin1_tag(folder / "latin1_tag.mp4", plain)
    yield write_damaged(folder / "damaged_tail.mp4", plain, 58, 59)
    yield write_streams(folder / "two_video_streams.mp4", [range(60), range(100, 160)])
    sizes = [(96, 64), (192, 128)]
    parts = [write_coded(folder / f"{i}.webm", range(30), "libvpx", size=size) for i, size in enumerate(sizes)]
    yield write_sizes(folder / "size_changes.webm", parts)
    parts = [write_coded(folder / f"{i}.ts", range(50)) for i in (0, 1)]
    yield write_joined(folder / "clock_restarts.ts", parts)
    for name, codec in (("a.3gp", "libx264"), ("a.m2ts", "libx264"), ("a.wmv", "msmpeg4"), ("bframes.asf", "libx264")):
        yield write_coded(folder / name, range(60), codec, {"bf": "2" if codec == "libx264" else "0"})
    yield write_coded(folder / "a.mpg", range(60), "mpeg2video")
    yield write_coded(
        folder / "a.ogv", range(60), "libtheora" if "libtheora" in av.codecs_available else "libvpx", format="ogg"
    )
    hls = {"hls_time": "1", "hls_list_size": "0"}
    yield write_coded(folder / "list.m3u8", range(60), format="hls", container_options=hls)


@pytest.mark.parametrize("selector", ["oracle", "videominer"])
def test_every_film_is_mined_or_its_note_says_why_not(selector, flat, clip, tiny, tmp_path):
    """In one run; ``VIDEOMINER_FILMS=FOLDER`` takes the films of a folder instead of those made here."""
    films = list(films_of(tmp_path, flat))
    write_task(tmp_path / "tasks", "films", [row(i, film, evidence=[[0.0, END_S]]) for i, film in enumerate(films)])
    arguments = f"pretrained={tiny('qwen2_vl')},selector={selector},frames=4,events=4,scorer={clip}"
    samples = evaluate(tmp_path / "out", "videominer_qwen2vl", arguments, "films", tmp_path / "tasks")

    assert len(samples) == len(films) >= 14
    for film, sample in zip(films, samples):
        note = note_of(sample)
        if film.name == "4000x8.mp4":
            assert (note["how"], note["empty"]) == ("fallback", True) and "aspect ratio" in note["problem"]
        else:
            assert (note["how"], len(note["frames"])) == ("mined", 4), (film.name, note)
            assert sample["filtered_resps"], film.name
    assert results_in(tmp_path / "out")["throughput"]["avg_videominer_mined"] == len(films) - 1
