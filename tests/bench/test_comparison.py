"""Groups of variants, what keeps them from being compared, and their sums."""

from __future__ import annotations

import dataclasses
import math

import pytest
from support.made import made, table

from lmms_videominer.bench.comparison import (
    between_frames,
    differences,
    differences_between,
    groups_of,
    obstacle,
    scores_by_kind,
    scores_by_length,
    summaries,
)
from lmms_videominer.bench.estimate import estimate, print_estimate
from lmms_videominer.bench.plan import Settings, plan_cells
from lmms_videominer.bench.rates import Rates, Spent, assumed, measured, rates_of
from lmms_videominer.bench.statistics import Interval
from lmms_videominer.bench.variants import parse_variants
from lmms_videominer.selectors.selector import Calls
from lmms_videominer.types import Usage


def only_group(*cells):
    (group,) = groups_of(table(*cells))
    return group


def test_variants_meet_where_model_task_limit_and_frames_agree_and_text_only_meets_all():
    cells = [
        made("none", [1], frames=0),
        made("aks", [1]),
        made("aks", [1], frames=16),
        made("bolt", [1], limit=1),
        made("bolt", [1], task="u"),
        made("topk", [1], model="x"),
        made("topk", [1], common="seed=1"),
    ]
    found = [
        (g.model, g.common, g.task, g.limit, g.frames, sorted(g.table["variant"])) for g in groups_of(table(*cells))
    ]
    assert ("videominer_qwen2vl", "", "t", None, 8, ["aks", "none"]) in found
    assert ("videominer_qwen2vl", "", "t", None, 16, ["aks", "none"]) in found
    assert len(found) == 6 and all(len(labels) == 1 for *_, labels in found[2:])


def test_other_questions_are_not_compared_and_are_named():
    full, short = made("aks", [1] * 12), made("bolt", [1] * 3)
    assert obstacle(only_group(full, made("bolt", [0] * 12))) == ""
    told = obstacle(only_group(full, short))
    assert "aks and bolt did not answer the same questions" in told
    assert "they differ in documents 3, 4, 5, 6, 7, 8, 9, 10 and 1 more" in told
    reworded = [*made("bolt", [1] * 11), dataclasses.replace(made("bolt", [1] * 12)[11], prompt="Who?")]
    assert "documents 11." in obstacle(only_group(full, reworded))


def test_scores_of_two_metrics_are_not_compared():
    told = obstacle(only_group(made("aks", [1, 0]), made("bolt", [1, 0], metric="exact_match")))
    assert "different metrics (aks by accuracy, bolt by exact_match)" in told


def test_one_label_for_two_settings_is_not_compared():
    assert "aks: several cells" in obstacle(only_group(made("aks", [1, 0]), made("aks", [1, 1], cell="other")))


def test_differences_are_between_every_two_and_by_question():
    group = only_group(made("aks", [1, 1, 0, 0]), made("bolt", [1, 0, 0, 0]), made("topk", [1, 1, 0, 0]))
    found = {(d.first, d.second): d.accuracy for d in differences(group)}
    assert [interval.value for interval in found.values()] == [0.25, 0.0, -0.25]
    assert found["aks", "topk"].low == found["aks", "topk"].high == 0.0
    assert (found["aks", "bolt"].low, found["aks", "bolt"].high) == (0.0, 0.75)  # of 4 draws, seldom 4 differ


def test_recall_differs_where_it_is_known_of_both():
    aks = [
        dataclasses.replace(row, evidence_recall=recall)
        for row, recall in zip(made("aks", [1, 1, 1]), [1.0, 0.5, None])
    ]
    bolt = [
        dataclasses.replace(row, evidence_recall=recall)
        for row, recall in zip(made("bolt", [1, 1, 1]), [0.0, None, 1.0])
    ]
    blind = made("none", [1, 1, 1], evidence_recall=None)
    told = {(d.first, d.second): d.recall for d in differences(only_group(aks, bolt, blind))}
    assert told["aks", "bolt"] == Interval(1.0, None, None)  # of the first question alone
    assert told["aks", "none"] is told["bolt", "none"] is None
    (halved,) = differences(only_group(aks, made("topk", [0, 0, 0], evidence_recall=0.5)))
    assert halved.recall == Interval(0.25, 0.0, 0.5)  # of the first two


def test_every_variant_at_few_frames_is_compared_with_every_one_at_more():
    cells = [
        made("aks", [1, 1, 0, 0]),
        made("bolt", [0, 0, 0, 0]),
        made("aks", [1, 1, 1, 1], frames=16),
        made("topk", [1, 0, 0, 0], frames=32),
        made("none", [0, 0, 0, 0], frames=0),
    ]
    pairs = between_frames(list(groups_of(table(*cells, made("aks", [1], frames=4, limit=1)))))
    assert [(few.frames, many.frames) for few, many in pairs] == [(8, 16), (8, 32), (16, 32)]
    found = {
        (few.frames, d.first, many.frames, d.second): d.accuracy.value
        for few, many in pairs
        for d in differences_between(few, many)
    }
    assert found == {
        (8, "aks", 16, "aks"): -0.5,
        (8, "bolt", 16, "aks"): -1.0,
        (8, "aks", 32, "topk"): 0.25,
        (8, "bolt", 32, "topk"): -0.25,
        (16, "aks", 32, "topk"): 0.75,
    }


def test_numbers_of_frames_that_were_asked_other_questions_are_not_compared():
    few, many = groups_of(table(made("aks", [1, 1, 1]), made("aks", [1, 1], frames=16)))
    assert "aks (8 frames) and aks (16 frames) did not answer" in obstacle(few, many)
    assert obstacle(few) == obstacle(many) == ""


def test_order_of_rows_does_not_matter():
    rows = made("bolt", [1, 0, 0, 1])
    straight, turned = (only_group(made("aks", [1, 1, 0, 0]), part) for part in (rows, rows[::-1]))
    assert differences(straight) == differences(turned)


def test_the_seconds_of_every_run_are_told_and_the_cold_run_counts():
    shared = made("aks", [1, 0], cell_s=0.5, vlm_calls_made=1)
    warm = made("aks", [0, 0], cell_s=0.25, vlm_calls_made=0, cache="warm")
    cold = made("aks", [1, 1], cell_s=4.0, vlm_calls_made=4, cache="cold")
    (summary,) = summaries(only_group(shared, warm, cold))
    assert summary.seconds == {"cold": 4.0, "warm": 0.25, "shared": 0.5} and summary.vlm_made == 4.0
    assert (summary.questions, summary.accuracy.value) == (2, 1.0)


def test_what_is_not_known_is_not_averaged():
    rows = made("aks", [1, 1, 1], evidence_recall=None, nodes=None)
    rows[0] = dataclasses.replace(rows[0], evidence_recall=0.5, fallbacks="uniform", problem="broken")
    (summary,) = summaries(only_group(rows))
    assert (summary.recall, summary.nodes, summary.fallbacks, summary.problems) == (0.5, None, 1, 1)


def test_what_is_read_counts_the_questions_whose_evidence_is_all_seen():
    rows = [
        dataclasses.replace(row, evidence_recall=recall)
        for row, recall in zip(made("aks", [1, 0, 1, 1]), [1.0, 1.0, 0.5, None])
    ]
    (summary,) = summaries(only_group(rows))
    assert summary.read == 0.5
    (blind,) = summaries(only_group(made("none", [1, 0], evidence_recall=0.0)))
    assert blind.read is None


def test_accuracy_by_length_counts_each_stretch_by_itself():
    rows = [
        dataclasses.replace(row, minutes=minutes)
        for row, minutes in zip(made("aks", [1, 0, 1, 1, 1]), [1.0, 1.5, 2.0, 60.0, None])
    ]
    found = scores_by_length(table(rows), (2.0, 10.0))
    assert [(length, interval.value, count) for length, interval, count in found] == [
        (1.25, 0.5, 2),
        (2.0, 1.0, 1),
        (60.0, 1.0, 1),
    ]


def test_accuracy_by_kind_is_told_where_there_are_several_kinds():
    rows = [dataclasses.replace(row, kind=kind) for row, kind in zip(made("aks", [1, 0, 1]), ["sign", "sign", "order"])]
    assert scores_by_kind(only_group(rows)) == {"aks": {"order": 1.0, "sign": 0.5}}
    assert scores_by_kind(only_group(made("aks", [1, 0]))) == {}


# what is estimated from finished cells


def cell_of(spec: str, task: str = "t", weights: str = "tiny", frames: int = 8):
    settings = Settings(passed=(("pretrained", weights),), limit=10)
    return plan_cells(settings, [task], parse_variants([spec]), [frames])[0]


def test_rates_are_seconds_over_calls_and_the_rest_by_question():
    rates = rates_of(table(made("aks", [1, 0])), cell_of("aks"))
    assert rates.vlm == pytest.approx(0.25) and rates.llm == pytest.approx(0.1) and rates.scored is None
    assert rates.rest == pytest.approx(1.0 - 0.5 - 0.3) and rates.answer == pytest.approx(1.0)
    assert rates_of(table(made("aks", [1], vlm_calls_made=0)), cell_of("aks")).vlm is None


def test_a_caption_that_one_question_of_a_batch_made_has_the_seconds_of_all():
    """Two captions in a batch of two questions, 0.5 s shared out to each."""
    rows = made("llovi", [1, 0])
    rows[1] = dataclasses.replace(rows[1], vlm_calls_made=0)
    assert rates_of(table(rows), cell_of("llovi")).vlm == pytest.approx(0.5)


def test_rates_are_those_of_what_is_most_like_the_cell_and_of_no_other_model():
    short = made("aks", [1], cell_s=2.0, selection_s=1.0, task="short")
    long = made("aks", [1], cell_s=9.0, selection_s=4.0, task="long", cell="aks-long")
    tree = made("videominer", [1], selection_s=8.0, cell_s=8.5)
    own = made("uniform", [1], selection_s=None, cell_s=0.5, caption_s=None, llm_s=None, task="short")
    rows = table(short, long, tree, own)
    assert [rates_of(rows, cell_of("aks", task)).answer for task in ("short", "long")] == [1.0, 5.0]
    assert rates_of(rows, cell_of("topk", "long")).rest == pytest.approx(8.0 - 0.8)  # the highest of other selectors
    assert rates_of(rows, cell_of("uniform", "short")).answer == 0.5
    assert rates_of(rows, cell_of("uniform", "long")).answer is None  # its own loader hangs on the length
    assert rates_of(rows, cell_of("aks", "short", weights="other")) == Rates()


def test_rates_of_rows_are_those_of_the_usages_that_they_were_made_of():
    seconds = {"open": 1.0, "segment": 2.0, "caption": 6.0, "policy": 3.0, "score": 0.5, "answer": 1.5, "frames": 0.5}
    costs = [
        Usage(vlm_calls=8, policy_calls=6, scores=100, answer_calls=1, seconds=seconds),
        Usage(vlm_calls_cached=8, policy_calls=6, answer_calls=1, seconds={"caption": 2.0, "policy": 3.0}),
    ]
    rates = measured([Spent.by(costs)])
    assert (rates.vlm, rates.llm, rates.scored, rates.rest, rates.answer) == (1.0, 0.5, 0.005, 1.5, 1.0)
    row = dict(vlm_calls_made=8, llm_calls_made=6, scored_frames_made=100, selection_s=12.5, caption_s=6.0, llm_s=3.0)
    first = made("aks", [1], **row, score_s=0.5, cell_s=14.5)
    row = dict(vlm_calls_made=0, llm_calls_made=6, scored_frames_made=0, selection_s=5.0, caption_s=2.0, llm_s=3.0)
    second = made("aks", [1], **row, score_s=None, cell_s=5.0)
    assert rates_of(table(first, second), cell_of("aks")) == rates
    assert measured([Spent.by([])]) == Rates()


def test_seconds_follow_from_calls_and_rates_or_are_not_known():
    rates = Rates(vlm=0.25, llm=0.1, rest=0.5, answer=1.0)
    assert rates.seconds(Calls(vlm=8, llm=10)) == pytest.approx(4.5)
    assert rates.seconds(Calls(), searched=False) == pytest.approx(1.0)
    assert rates.seconds(Calls(scored=1)) is None and rates.seconds(Calls(vlm=math.inf)) is None


def test_a_cell_takes_no_longer_than_was_estimated_at_its_own_calls():
    """10.5 s a question, of them 6 neither caption nor reply: at most that, if it makes these calls again."""
    rows = table(
        made(
            "videominer",
            [1, 0],
            selection_s=10.0,
            caption_s=3.0,
            llm_s=1.0,
            vlm_calls=16,
            vlm_calls_made=16,
            llm_calls=16,
            llm_calls_made=16,
            cell_s=10.5,
            task="t",
        )
    )
    rows["variant"] = "videominer:search=plain,max_depth=1"
    [line] = estimate([cell_of("videominer:search=plain,max_depth=1")], {"t": [600.0, 600.0]}, set(), rows)
    assert line.most == Calls(16, 16) and line.seconds_most == pytest.approx(21.0) and not line.is_assumed


@pytest.mark.parametrize(("questions", "told"), [(2, False), (3, True)])
def test_what_was_measured_on_the_first_documents_alone_is_said_to_be(questions, told, capsys):
    rows = table(made("videominer", [1, 0], task="t"))
    lines = estimate([cell_of("videominer")], {"t": [600.0] * questions}, set(), rows)
    assert lines[0].measured_on == 2
    print_estimate(lines)
    assert ("only the first documents" in " ".join(capsys.readouterr().out.split())) == told


def test_what_no_cell_has_told_is_assumed_and_said_to_be(capsys):
    names = ["videominer:search=plain", "videominer", "aks", "uniform"]
    cells = [cell_of(name, weights="Qwen/Qwen2-VL-7B-Instruct") for name in names]
    lines = estimate(cells, {"t": [1020.0] * 10}, set(), None)
    assert all(line.is_assumed for line in lines)
    assert lines[0].seconds_most == pytest.approx(10 * (200 * 0.6 + 200 * 0.8 + 1020 / 60 + 2))  # docs/recipes.md
    frames = 256 + 200 * 4 * 16 + 4 * 8  # that the scorer sees at most
    assert lines[1].seconds_most == pytest.approx(10 * (200 * 0.6 + 201 * 0.8 + frames * 0.005 + 1020 / 60 + 2))
    print_estimate(lines)
    told = capsys.readouterr().out
    assert "~50 min / ?" in told and "based on assumptions" in told


def rated(cell) -> tuple:
    return cell.config, cell.settings.weights, cell.settings.batch_size


def test_a_reply_takes_what_its_tokens_take_and_is_not_timed_by_decisions(capsys):
    """docs/recipes.md: up to 1024 tokens of a 7B model at 43 ms."""
    rows = table(made("videominer", [1, 0], llm_s=0.3, llm_calls_made=3))
    cells = [cell_of("llovi"), cell_of("llovi:judge=policy"), cell_of("videoagent")]
    assert [rates_of(rows, cell).llm for cell in cells] == [None, pytest.approx(0.1), None]
    deciding = table(made("llovi", [1, 0], llm_s=0.3, llm_calls_made=3))
    assert [rates_of(deciding, cell).llm for cell in cells[:2]] == [None, pytest.approx(0.1)]
    replying = table(made("llovi", [1, 0], llm_s=9.0, llm_calls_made=1, judge="reply"))
    assert [rates_of(replying, cell).llm for cell in cells] == [pytest.approx(9.0), None, None]
    assert [assumed(*rated(cell), 60.0).llm for cell in cells] == [pytest.approx(44.032), 0.8, pytest.approx(44.032)]
    lines = estimate(cells, {"t": [60.0]}, set(), None)
    assert lines[2].most.scored == math.inf and lines[2].most.seen == 60.0  # descriptions have no bound, frames have
    assert lines[2].seconds_most == pytest.approx(60 * 0.6 + 6 * 44.032 + 60 * 0.005 + 1 + 2)
    print_estimate(lines)
    told = " ".join(capsys.readouterr().out.split())
    assert "3 of 3 cells are to run. About ~" in told and "for videoagent's frames" in told


def test_captions_of_a_model_that_takes_no_batches_are_assumed_to_take_longer():
    cell = cell_of("videominer")
    single = dataclasses.replace(cell, settings=dataclasses.replace(cell.settings, batch_size=1))
    assert [assumed(*rated(one), 60.0).vlm for one in (cell, single)] == [pytest.approx(0.6), pytest.approx(4.8)]


def test_an_estimate_tells_bounds_and_measurements_apart():
    settings = Settings(limit=10)
    cells = plan_cells(settings, ["t"], parse_variants(["videominer:search=plain,max_depth=1", "aks", "uniform"]), [8])
    rows = table(made("videominer:search=plain,max_depth=1", [1, 0], selector="videominer", weights="videominer-world"))
    tree, aks, uniform = estimate(cells, {}, {cells[2].key}, rows)
    assert (tree.questions, tree.most, tree.measured) == (10, Calls(16, 16), Calls(4, 3, 0))
    assert tree.seconds_most == pytest.approx(10 * (16 * 0.25 + 16 * 0.1 + 0.2 + 1)) and tree.seconds_measured == 20.0
    assert (aks.most, aks.measured, aks.seconds_most) == (Calls(0, 0, math.inf), None, None)
    assert (aks.finished, uniform.finished) == (False, True)
    (warm,) = estimate([cells[0].with_cache("warm")], {}, set(), rows)  # finds what was made, and was never run
    assert (warm.most, warm.seconds_most) == (tree.most, pytest.approx(10 * (0.2 + 1)))
    assert (warm.measured, warm.seconds_measured) == (tree.measured, None)
    (again,) = estimate([cells[0].with_cache("warm")], {}, set(), rows, {cells[0].with_cache("warm").key})
    assert again.seconds_most == pytest.approx(warm.seconds_most + tree.seconds_most)  # its cold run comes first
    (_, known, _) = estimate(cells, {"t": [30.0, 90.0]}, set(), None)
    assert (known.questions, known.most.scored) == (2, 60.0)
    assert known.seconds_most == pytest.approx(2 * (60 * 0.003 + 60 / 300 + 0.3)) and known.is_assumed
