"""What a comparison says, put together from its predictions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from samples import ARROW, COLON, asked_word, open_task, parity, parity_task

import promptkit
from promptkit import Comparison, FakeModel, Store, compare
from promptkit.evidence import paired
from promptkit.figures import Cell
from promptkit.judging import Judged
from promptkit.stats import holm, paired_difference
from promptkit.variance import components, extent
from promptkit.verdicts import judge

CELL = Cell("model", "template", "random", "drawn", "labels", "none", 0, None)


def compared(**changed: Any) -> Comparison:
    arguments: dict[str, Any] = {
        "task": parity_task(),
        "models": [FakeModel()],
        "templates": [COLON],
        "shots": (0, 1, 4),
        "seeds": 2,
        "store": Store(),
    }
    arguments |= changed
    return compare(arguments.pop("task"), **arguments)


def groups(tables: dict[Cell, np.ndarray]) -> dict[Cell, list[Judged]]:
    """Cells of (queries, seeds)."""
    return {
        cell: [
            Judged(cell._replace(seed=seed), right.tolist(), 0, 0, 0.0, None)
            for seed, right in enumerate(np.asarray(table).T)
        ]
        for cell, table in tables.items()
    }


def by_shots(*rights: int, n: int = 100) -> dict[Cell, list[Judged]]:
    """0, 1, … shots with so many right answers to the same queries, the first ones."""
    return groups(
        {
            CELL._replace(shots=shots): (np.arange(n) < right)[:, np.newaxis]
            for shots, right in enumerate(rights)
        }
    )


def test_p_values_are_corrected_for_all_pairs() -> None:
    result = compared(templates=[COLON, ARROW])
    corrected = holm([pair.p for pair in result.pairs])
    assert [pair.p_holm for pair in result.pairs] == corrected.tolist()
    assert len(result.pairs) == 2 * 3 + 3
    assert all(pair.verdict.endswith(".") for pair in result.pairs)


def test_the_headline_compares_the_best_cell_with_no_shots() -> None:
    cells = by_shots(40, 42, 70)
    found = paired.compared(cells)
    headline, *verdicts = paired.verdicts_on(cells, found)
    assert headline == (
        "2 shots do best, 70 % right (60 to 78): they beat 0 shots by 30 points (21 to 38)."
    )
    assert verdicts[0].startswith("2 shots beat 1 by 28 points")
    assert re.fullmatch(
        r"0 against 1 shot: cannot tell with 100 queries, about \d+ would do\.", verdicts[1]
    )
    assert re.fullmatch(
        r"100 queries usually show a difference of about \d+ points, and often .* one\.",
        verdicts[2],
    )


def test_of_equal_cells_the_one_with_fewer_shots_is_best() -> None:
    cells = by_shots(50, 60, 60)
    assert paired.best_of(cells).shots == 1


def test_queries_are_planned_for_the_pairs_that_are_open() -> None:
    cells = by_shots(40, 45, 70)
    open_pair = next(one for one in paired.compared(cells) if one.compared.p > 0.05)
    alone = paired.compared(by_shots(40, 45))[0]
    assert open_pair.compared.needed == alone.compared.needed
    assert open_pair.compared.p >= alone.compared.p


def test_many_open_pairs_are_counted() -> None:
    rng = np.random.default_rng(0)
    tables = {CELL._replace(shots=k): rng.random((50, 1)) < 0.5 for k in range(12)}
    cells = groups(tables)
    found = paired.compared(cells)
    open_pairs = sum(judge(one.compared) == "unsure" for one in found)
    assert open_pairs == len(found) == 21
    headline, counted = paired.verdicts_on(cells, found)
    assert "50 queries cannot tell" in headline
    assert counted == "In 20 of 21 pairs these queries cannot tell which is better."


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
    assert "The best of 2 settings" in "\n".join(result.warnings)
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
    assert "are few: a difference" in text
    assert "Nothing that was tried beats a constant" in text
    assert "The best of" not in text  # all settings give the same answers
    assert "The best of 3 settings was picked" in "\n".join(compared(seeds=1).warnings)
    assert "--seeds 3" in text
    assert "of its probability to the labels" not in text
    assert "show no example" not in text  # the draw is balanced


def test_shots_without_a_label_are_said() -> None:
    result = compared(selections=["first"], shots=(2,), seeds=1)
    demos = parity_task().demos
    same = {str(demo.output) for demo in list(demos)[:2]}
    assert ("show no example" in "\n".join(result.warnings)) == (len(same) == 1)
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
    (one,) = paired.compared(cells)
    a, b = (np.array(cells[cell][0].correct) for cell in (one.a, one.b))
    assert one.difference == paired_difference(a, b)
