"""What a comparison says, put together from its predictions."""

from __future__ import annotations

import re
from typing import Any

import comparisons
import numpy as np
import pytest
from oracles import difference_interval
from samples import ARROW, COLON, asked_word, open_task, parity, parity_task
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

import promptkit
from promptkit import Comparison, FakeModel
from promptkit.evaluation import best_cell, pairs
from promptkit.evaluation.outcomes import Outcomes
from promptkit.evaluation.sentences import judge
from promptkit.evaluation.variance import components, extent
from promptkit.inference.cell import Cell

CELL = Cell(model="model", template="template", selection="random", shots=0)


def compared(**changed: Any) -> Comparison:
    return comparisons.compared(**({"models": [FakeModel()]} | changed))


def by_cell(tables: dict[Cell, np.ndarray]) -> dict[Cell, Outcomes]:
    """Cells of (queries, seeds)."""
    return {cell: Outcomes(cell, table.astype(int)) for cell, table in tables.items()}


def by_shots(*rights: int, n: int = 100) -> dict[Cell, Outcomes]:
    """0, 1, … shots with so many right answers to the same queries, the first ones."""
    return by_cell(
        {
            CELL.at(shots=shots): (np.arange(n) < right)[:, np.newaxis]
            for shots, right in enumerate(rights)
        }
    )


def said(cells: dict[Cell, Outcomes]) -> list[str]:
    best, found = best_cell.best(cells, None), pairs.compared(cells)
    return list(pairs.verdicts_on(cells, found, best, pairs.plan(cells, found)))


def test_p_values_are_corrected_for_all_pairs() -> None:
    result = compared(templates=[COLON, ARROW])
    decisive = [pair.p_fixed if pair.p is None else pair.p for pair in result.pairs]
    corrected = multipletests(decisive, method="holm")[1]
    assert [pair.p_holm for pair in result.pairs] == pytest.approx(corrected)
    assert len(result.pairs) == 2 * 3 + 3
    assert all(pair.verdict.endswith(".") for pair in result.pairs)


def test_the_best_cell_is_tested_against_every_other() -> None:
    headline, *verdicts = said(by_shots(40, 42, 70))
    assert headline == (
        "2 shots are best, 70 % right [60, 78]: better than 1 shot (+28 [+19, +36]) and 0 shots "
        "(+30 [+21, +38]); separated from all 2 other cells, for this draw of shots."
    )
    assert re.fullmatch(
        r"1 shot vs 0: \+2 points \[-\d, \+\d\], not significant after .*", verdicts[0]
    )
    assert re.fullmatch(
        r"Among 3 comparisons, 100 queries .* find a true difference of about \d+ points .*",
        verdicts[1],
    )


def test_equal_rivals_are_not_beaten() -> None:
    headline, *_ = said(by_shots(40, 60, 60, 58))
    assert headline.startswith("1 shot scored highest, 60 % right [50, 69]: better than 0 shots")
    assert "not separated from 2 or 3 shots" in headline


def test_the_fewest_shots_can_be_the_best() -> None:
    headline, *_ = said(by_shots(70, 40, 42))
    assert headline.startswith("0 shots are best, 70 % right [60, 78]: better than 1 shot (+30")


def test_of_equal_cells_the_one_with_fewer_shots_is_best() -> None:
    assert best_cell.best(by_shots(50, 60, 60), None).cell.shots == 1


def test_rivals_have_simultaneous_intervals() -> None:
    best = best_cell.best(by_shots(40, 42, 70), None)
    a, b = (np.arange(100)[:, np.newaxis] < right for right in (40, 70))
    low, _ = difference_interval(a, b)
    rival = next(rival for rival in best.rivals if rival.cell.shots == 0)
    assert rival.delta == pytest.approx(0.3)
    assert rival.ci[0] < low - 0.01
    assert best.separated


def test_many_open_pairs_are_counted() -> None:
    rng = np.random.default_rng(0)
    tables = {CELL.at(shots=k): rng.random((50, 1)) < 0.5 for k in range(12)}
    cells = by_cell(tables)
    found = pairs.compared(cells)
    assert all(judge(one.compared) == "unsure" for one in found)
    headline, counted, finds = said(cells)
    assert "not separated from any of the 11 others" in headline or "of the 11" in headline
    assert counted == "In 21 of 21 pairs the difference is not significant."
    assert "50 queries" in finds


def test_a_constant_that_beats_every_cell_comes_first() -> None:
    result = compared(models=[FakeModel(wrong)], seeds=1)
    assert result.best.baseline is not None
    assert result.best.baseline >= result.best.accuracy
    assert result.verdicts[0].startswith("No cell beats the majority-class baseline: ")


def test_new_draws_are_no_surer_than_these() -> None:
    rng = np.random.default_rng(1)
    luck = rng.normal(0, 0.2, (2, 6))
    tables = {
        CELL.at(shots=k + 1): rng.random((300, 6)) < np.clip(0.5 + 0.04 * k + luck[k], 0, 1)
        for k in range(2)
    }
    cells = by_cell(tables)
    (one,) = pairs.compared(cells)
    (pair,) = pairs.pairs(cells, [one])
    assert pair.ci is not None
    assert pair.ci[0] < pair.ci_fixed[0]
    assert pair.ci_fixed[1] < pair.ci[1]
    assert pair.p is not None
    assert pair.p > pair.p_fixed
    assert pair.p_holm == pair.p
    assert pair.log_loss is None


def test_losses_have_paired_differences() -> None:
    result = compared(shots=(0, 4), seeds=3)
    (pair,) = result.pairs
    rows = {row.shots: row for row in result.rows if row.seed is None}
    assert pair.log_loss is not None
    assert pair.brier is not None
    assert pair.log_loss.delta == pytest.approx(rows[4].log_loss - rows[0].log_loss)
    assert pair.brier.delta == pytest.approx(rows[4].brier - rows[0].brier)
    assert pair.brier.ci is not None
    assert pair.brier.ci[0] <= pair.brier.ci_fixed[0] <= pair.brier.delta


def test_variance_and_spreads_are_those_of_the_tables() -> None:
    result = compared(orders=["drawn", "reversed", "rotated"], shots=(0, 4), seeds=3)
    cells = [row for row in result.rows if row.shots == 4 and row.seed is None]
    right = {(p.order, p.seed, p.id): p.correct for p in result.predictions if p.shots == 4}
    ids = [example.id for example in parity_task().tests]
    orders = [row.order for row in cells]
    table = np.array([[[right[o, s, id] for s in range(3)] for o in orders] for id in ids])
    (variance,) = result.variance  # without shots, nothing is drawn or ordered
    assert (variance.shots, variance.order, variance.template) == (4, None, COLON.name)
    by_name = {source.factor: source for source in variance.sources}
    assert list(by_name) == ["query", "order", "seed", "residual"]
    order, seed = components(table).factors
    assert order is not None
    assert seed is not None
    assert by_name["order"].sd == pytest.approx(order.sd)
    assert by_name["seed"].ci == (seed.ci.low, seed.ci.high)
    spread = next(one for one in result.spreads if one.factor == "order")
    assert spread.levels == tuple(orders)
    assert spread.accuracies == pytest.approx([row.accuracy for row in cells])
    assert spread.estimate == extent(table).estimate
    assert [one.order for one in result.spreads if one.factor == "seed"] == orders
    assert all(one.shots == 4 for one in result.spreads)


def test_what_does_not_change_the_prompt_moves_nothing() -> None:
    result = compared(selections=["first"], shots=(0, 1), orders=["drawn", "reversed"], seeds=3)
    assert result.variance == ()
    assert result.spreads == ()


def test_templates_and_words_are_sources_too() -> None:
    result = compared(
        templates=[COLON, ARROW], verbalizers=["labels", "symbols"], shots=(0, 2), seeds=1
    )
    for variance in result.variance:
        assert [s.factor for s in variance.sources][1:3] == ["template", "verbalizer"]
        assert (variance.template, variance.verbalizer) == (None, None)
    assert {(s.factor, s.template, s.verbalizer, s.shots) for s in result.spreads} == {
        *(("template", None, words, k) for words in ("labels", "symbols") for k in (0, 2)),
        *(("verbalizer", name, None, k) for name in (COLON.name, ARROW.name) for k in (0, 2)),
    }


def test_without_shots_orders_and_selections_are_one_cell() -> None:
    result = compared(
        templates=[COLON, ARROW],
        orders=["drawn", "reversed"],
        selections=["random", "first"],
        shots=(0,),
    )
    (pair,) = result.pairs
    assert (pair.a.template, pair.b.template) == (COLON.name, ARROW.name)
    assert "drawn" not in pair.verdict
    assert "drawn" not in result.verdicts[0]
    assert "best of 2 cells" in "\n".join(result.warnings)
    result = compared(orders=["drawn", "reversed"], shots=(1,))
    assert result.pairs == ()  # one shot has no order


def test_one_query_has_no_variance() -> None:
    result = compared(limit=1)
    assert (result.variance, result.spreads) == ((), ())
    assert result.verdicts
    assert result.warnings


def wrong(prompt: promptkit.Prompt) -> str:
    """Always the first label, which is the gold one for some."""
    return "even"


def test_warnings_are_of_this_comparison() -> None:
    result = compared(models=[FakeModel(wrong)], seeds=1)
    text = "\n".join(result.warnings)
    assert "are few: " in text
    assert "No cell significantly beats the majority-class baseline" in text
    assert "The best of" not in text  # all settings give the same answers
    assert "the best of 3 cells was chosen" in "\n".join(compared(seeds=1).warnings)
    assert "--seeds 8" in text
    assert "of its probability to the labels" not in text
    assert "have no shot of" not in text  # the draw is balanced


def test_shots_without_a_label_are_said() -> None:
    result = compared(selections=["first"], shots=(2,), seeds=1)
    demos = parity_task().demos
    same = {str(demo.output) for demo in list(demos)[:2]}
    assert ("have no shot of" in "\n".join(result.warnings)) == (len(same) == 1)
    assert "--seeds" not in "\n".join(result.warnings)  # another seed shows the same shots


def test_the_least_covered_cell_is_named_with_what_the_model_says() -> None:
    result = compared(models=[FakeModel(lambda _: "well,")])
    (warning,) = [w for w in result.warnings if "of its probability to the labels" in w]
    assert "at 4 shots" in warning
    assert '"well,"' in warning


def test_written_answers_have_verdicts_and_no_warnings_about_labels() -> None:
    result = compared(task=open_task(int, 1, 2, 3), templates=[COLON, ARROW], shots=(0,))
    assert result.verdicts
    assert not any("label" in warning or "constant" in warning for warning in result.warnings)


def test_swapped_labels_are_said_last() -> None:
    def reader(prompt: promptkit.Prompt) -> str:
        return parity(asked_word(prompt))

    result = compared(
        models=[FakeModel(reader)], verbalizers=["labels", "swapped"], shots=(0, 4), seeds=1
    )
    assert "4 shots: with the labels swapped accuracy" in result.verdicts[-1]


def test_the_same_predictions_make_the_same_evidence() -> None:
    first, second = compared(), compared()
    assert first.variance == second.variance
    assert first.spreads == second.spreads
    assert first.verdicts == second.verdicts


def test_pairs_are_not_better_than_their_tables() -> None:
    cells = by_shots(40, 70)
    (one,) = pairs.compared(cells)
    a, b = (np.array(cells[cell].correct, bool) for cell in (one.a, one.b))
    these = one.differences.these
    assert these.delta == pytest.approx(b.mean() - a.mean())
    assert these.p == pytest.approx(binomtest(30, 30).pvalue)  # McNemar: 30 wins, no loss
    assert (these.ci.low, these.ci.high) == pytest.approx(difference_interval(a, b), abs=0.01)
