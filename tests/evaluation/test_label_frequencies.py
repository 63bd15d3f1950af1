"""Warnings about label frequencies: collapsed answers, and calibration of skewed labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from samples import COLON, Word, asked_word

from promptkit import FakeModel, Store, compare
from promptkit.evaluation import label_collapse, label_frequencies
from promptkit.evaluation.outcomes import ByCell, LabelScores, Outcomes
from promptkit.inference.cell import Cell
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task

Kind = Literal["A", "B", "C", "D"]
LABELS = ("A", "B", "C", "D")
CELL = Cell(model="model", template="template", selection="random", shots=8)


def outcomes_of(cell: Cell, gold: Sequence[int], *said: Sequence[int]) -> Outcomes:
    """One cell, with the answers of every seed."""
    answers, asked = np.array(said).T, np.array(gold)
    logprobs = np.log(np.full((*answers.shape, 4), 0.25))
    right = (answers == asked[:, np.newaxis]).astype(int)
    return Outcomes(cell, right, LabelScores(LABELS, logprobs, asked, answers))


def by_cell(gold: Sequence[int], **said: Sequence[Sequence[int]]) -> ByCell:
    """Cells by their calibration, each with the answers of every seed."""
    cells = {CELL.at(calibration=name.replace("_", "-")): seeds for name, seeds in said.items()}
    return {cell: outcomes_of(cell, gold, *seeds) for cell, seeds in cells.items()}


def mostly(label: int, times: int, gold: Sequence[int]) -> list[int]:
    """`times` answers are `label`, the others are right."""
    return [label] * times + [*gold[times:]]


EVEN = [0, 1, 2, 3] * 10


def test_a_label_that_gets_nearly_all_answers_is_named() -> None:
    found = label_collapse.warnings(by_cell(EVEN, none=[mostly(3, 38, EVEN)]), skewed=False)
    assert [*found] == [
        'Label collapse: 98 % of the answers at 8 shots are "D", the gold label of 25 % of the '
        "queries: try --selection balanced or --calibrate batch."
    ]


@pytest.mark.parametrize(
    ("gold", "said", "label"),
    [
        (EVEN, mostly(3, 38, EVEN), "D"),
        ([0] * 54 + [1] * 6, [0] * 60, "A"),  # never the rare label
        ([0] * 37 + [1] * 3, [0] * 40, None),  # gold is nearly so
        ([0] * 38 + [1] * 2, [0] * 38 + [1] * 2, None),
        (EVEN, EVEN, None),
        (EVEN, mostly(0, 30, EVEN), None),
        ([1] * 40, [1] * 40, None),
        ([0, 1, 2, 3, 1], [0, 0, 0, 0, 0], "A"),
        ([0, 1, 0], [0, 0, 0], None),  # chance alone does as much
        ([0], [1], None),
    ],
)
def test_a_collapse_is_more_than_the_gold_labels_and_chance_make(
    gold: list[int], said: list[int], label: str | None
) -> None:
    found = label_collapse.collapse(outcomes_of(CELL, gold, said))
    assert (found and found.label) == label


def test_the_worst_cell_is_named_and_what_was_not_tried() -> None:
    two = by_cell(EVEN, none=[mostly(3, 38, EVEN)], batch=[mostly(2, 40, EVEN)])
    (only,) = label_collapse.warnings(two, skewed=False)
    assert only == (
        'Label collapse: 100 % of the answers at 8 shots with batch calibration are "C", the gold '
        "label of 25 % of the queries (2 of 2 cells collapse onto one label): try --selection "
        "balanced."
    )
    balanced = {
        (cell := one.cell.at(selection="balanced")): replace(one, cell=cell) for one in two.values()
    }
    assert "try another template, order or model" in next(
        label_collapse.warnings(balanced, skewed=False)
    )
    one = by_cell([0] * 30 + [1, 2, 3, 3, 3, 3, 3, 3, 3, 3], none=[[0] * 40])
    assert "--calibrate vector" in next(label_collapse.warnings(one, skewed=True))


def test_a_calibration_without_a_collapse_is_named() -> None:
    found = by_cell(EVEN, none=[mostly(3, 38, EVEN)], batch=[EVEN], vector=[mostly(3, 39, EVEN)])
    (only,) = label_collapse.warnings(found, skewed=False)
    assert "(2 of 3 cells collapse onto one label)" in only
    assert only.endswith(
        "try batch calibration (there is no collapse with it) or --selection balanced."
    )
    turned = by_cell(EVEN, none=[EVEN], batch=[mostly(3, 40, EVEN)])
    assert "try no calibration (there is" in next(label_collapse.warnings(turned, skewed=False))


def test_draws_that_collapse_onto_different_labels_are_named() -> None:
    seeds = [[0] * 40, [1] * 40, EVEN]
    assert [*label_collapse.warnings(by_cell(EVEN, none=seeds), skewed=False)] == [
        'Label collapse at 8 shots in 2 of 3 draws of shots: nearly all answers are "A" with seed '
        '0 (100 %), "B" with seed 1 (100 %); the shots decide there, not the query: try '
        "--selection balanced or --calibrate batch."
    ]
    alike = [[0] * 40, [0] * 40, [0] * 38 + [2, 3]]
    (only,) = label_collapse.warnings(by_cell(EVEN, none=alike), skewed=False)
    assert only.startswith('Label collapse: 98 % of the answers at 8 shots are "A"')


def test_what_moves_no_answer_and_what_has_no_labels_is_left_out() -> None:
    found = by_cell(EVEN, temperature=[[0] * 40])
    assert not [*label_collapse.warnings(found, skewed=False)]
    assert label_collapse.collapse(Outcomes(CELL, np.array([[1]]))) is None


# Skewed labels.


def task_of(pool: str, asked: str) -> Task[Any, Any]:
    """A task whose gold labels are these letters."""
    return Task[Word, Kind](
        name="kinds",
        demos=[Example(input=Word(word=f"{kind}d{i}"), output=kind) for i, kind in enumerate(pool)],
        tests=[
            Example(input=Word(word=f"{kind}t{i}"), output=kind) for i, kind in enumerate(asked)
        ],
    )


def warned(pool: str, asked: str, *methods: str) -> list[str]:
    task = task_of(pool, asked)
    gold = [LABELS.index(kind) for kind in asked]
    found = by_cell(gold, **{method.replace("-", "_"): [gold] for method in ("none", *methods)})
    labels = label_frequencies.frequencies(task, found)
    assert labels is not None
    return [*label_frequencies.warnings(labels, found)]


def test_calibrations_that_assume_balanced_labels_are_named_where_they_are_not() -> None:
    skew = "A" * 80 + "BCD" * 7
    assert warned(skew, "ABCD" * 10, "batch") == [
        'The labels are skewed: "A" is right for 79 % of the pool, 25 % would be balanced. Batch '
        "calibration assumes balanced labels and gives rare ones too many answers, which can cost "
        "20 points of accuracy and more: try vector, which is fitted to the label frequencies of "
        "the pool."
    ]
    (both,) = warned(skew, "A" * 36 + "BCDB", "contextual", "batch", "temperature")
    assert '"A" is right for 79 % of the pool and 90 % of the queries' in both
    assert "Contextual and batch calibration assume balanced labels and give rare" in both
    (queries,) = warned("ABCD" * 10, "A" * 36 + "BCDB", "pmi")
    assert '"A" is right for 90 % of the queries' in queries
    (fitted,) = warned(skew, skew, "domain-context", "vector")
    assert "prefer vector" in fitted


def test_no_warning_where_labels_are_balanced_or_no_method_assumes_it() -> None:
    skew = "A" * 80 + "BCD" * 7
    assert not warned("ABCD" * 10, "ABCD" * 5, "batch", "contextual", "vector")
    assert not warned(skew, skew)
    assert not warned(skew, skew, "temperature", "vector")
    assert not warned("AAABCD", "ABCD", "batch")  # few examples, which chance makes uneven
    assert not warned("A" * 14 + "BCD" * 10, "ABCD", "batch")


def test_vector_scaling_of_queries_unlike_the_pool_is_named() -> None:
    (only,) = warned("ABCD" * 20, "A" * 36 + "BCDB", "vector")
    assert only == (
        "Vector calibration is fitted to the label frequencies of the pool, and those of the "
        'queries differ: "A" is right for 25 % of the pool and 90 % of the queries. Use a pool '
        "like the queries, or another calibration."
    )
    assert not warned("ABCD" * 20, "AABC", "vector")


def test_pools_that_are_empty_and_single_labels_are_no_skew() -> None:
    assert not warned("", "ABCD" * 5, "batch", "vector")
    one = Task[Word, Literal["A"]](name="one", tests=task_of("", "AAAA").tests)
    cells = {CELL: outcomes_of(CELL, [0] * 4, [0] * 4)}
    labels = label_frequencies.frequencies(one, cells)
    assert labels is not None


def test_a_comparison_says_both() -> None:
    def answer(prompt: Prompt) -> str:
        return "A" if prompt.shots else asked_word(prompt)[0]

    result = compare(
        task_of("A" * 80 + "BCD" * 7, "ABCD" * 10),
        models=[FakeModel(answer)],
        templates=[COLON],
        shots=(0, 2),
        calibrations=["batch"],
        store=Store(),
    )
    text = "\n".join(result.warnings)
    assert "Label collapse: 100 % of the answers at 2 shots" in text
    assert 'The labels are skewed: "A" is right for 79 % of the pool' in text
    assert result.to_dict()["warnings"] == [*result.warnings]
