"""Comparisons of many labels: what is stored and drawn grows with the labels, not their square."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from samples import COLON, Word

from promptkit import Comparison, Example, FakeModel, Store, Task, compare
from promptkit.errors import DataError
from promptkit.experiments.saved_runs import read_run
from promptkit.report import confusion_matrices, page


def of_labels(count: int) -> Comparison:
    labels = tuple(f"label number {i}" for i in range(count))

    def example(name: str, i: int) -> Example[Any, Any]:
        return Example(input=Word(word=f"{name}{i}"), output=labels[i * 7 % count])

    task = Task[Word, Literal[labels]](  # type: ignore[valid-type]
        name="many",
        demos=[example("d", i) for i in range(4)],
        tests=[example("t", i) for i in range(6)],
    )
    return compare(
        task, models=[FakeModel()], templates=[COLON], store=Store(), shots=(0, 1), seeds=1
    )


@pytest.mark.slow
def test_matrices_and_the_page_grow_with_the_labels_alone() -> None:
    some, many = of_labels(150), of_labels(450)
    sizes = [len(json.dumps(one.to_dict()["confusion"])) for one in (some, many)]
    assert sizes[1] < 3.5 * sizes[0]
    pages = [len(page.html(one.to_dict(), one.to_records())) for one in (some, many)]
    assert pages[1] < 1.5 * pages[0]
    assert sum(map(sum, many.confusion[0].counts)) == 6


@pytest.mark.slow
def test_runs_with_all_counts_are_read_and_drawn_alike(tmp_path: Path) -> None:
    result = of_labels(5)
    new = result.to_dict()
    old = {**new, "confusion": [dict(one) for one in new["confusion"]]}
    for matrix, one in zip(result.confusion, old["confusion"], strict=True):
        one["counts"] = [list(row) for row in matrix.counts]
        del one["per_class"]
    result.save(tmp_path)
    (tmp_path / "comparison.json").write_text(json.dumps(old), "utf-8")
    assert read_run(tmp_path).data == new


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", [[[5, 1]], [[0, -1]], [[0]], [[0, 1, 2]], [0, 1], [0, 0, 0, 0, [0, 1]], ["x"], None]
)
def test_a_matrix_that_fits_no_labels_is_an_error(row: Any, tmp_path: Path) -> None:
    result = of_labels(5)
    data = result.to_dict()
    data["confusion"][0]["counts"][2] = row
    result.save(tmp_path)
    (tmp_path / "comparison.json").write_text(json.dumps(data), "utf-8")
    with pytest.raises(DataError, match=r"confusion\.0"):
        read_run(tmp_path)


def test_a_cut_matrix_keeps_what_is_confused_and_counts_the_rest() -> None:
    counts = [[[i, 9]] for i in range(10)]
    counts[7] = [[2, 1], [7, 1]]
    matrix = {"labels": [f"l{i}" for i in range(10)], "counts": counts}  # all right but l7, once
    drawn = confusion_matrices.cut(matrix, 4)
    assert drawn["labels"] == ["l0", "l2", "l7", "7 other labels"]
    assert confusion_matrices.dense(drawn) == [
        [9, 0, 0, 0],
        [0, 9, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 0, 63],
    ]
    assert sum(confusion_matrices.golds(drawn)) == sum(confusion_matrices.golds(matrix))
    assert confusion_matrices.cut(matrix, 10) == matrix
