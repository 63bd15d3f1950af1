from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel
from scipy.stats import fisher_exact, ttest_ind
from statsmodels.stats.proportion import confint_proportions_2indep

from promptkit import FakeModel, Prompt, Store, Task, Template, compare
from promptkit.errors import TaskError
from promptkit.evaluation.metric import BY_NAME
from promptkit.evaluation.outcomes import Numbers, Outcomes
from promptkit.evaluation.slices import from_rest
from promptkit.experiments.saved_runs import read_run
from promptkit.inference.cell import Cell
from promptkit.report import page, terminal


class Remark(BaseModel):
    text: str
    stars: int = 0


def task(sources: dict[str, int], name: str = "remarks") -> Task[Any, Any]:
    """A task of queries that a model gets right where their text ends in an even number."""
    rows = [
        {"input": {"text": f"{source} {i}", "stars": i % 3}, "output": "a", "source": source}
        for source, n in sources.items()
        for i in range(n)
    ]
    tests = [
        {"input": row["input"], "output": row["output"], "metadata": {"source": row["source"]}}
        for row in rows
    ]
    demos = [{"input": {"text": f"shown {i}"}, "output": "ab"[i % 2]} for i in range(8)]
    return Task[Remark, Literal["a", "b"]](name=name, tests=tests, demos=demos)


def says(prompt: Prompt) -> str:
    """Return the answer: wrong for texts from the forum without shots."""
    query = prompt.text.rstrip().split("\n")[-1]
    return "b" if "forum" in query and "shown" not in prompt.text else "a"


TEMPLATE = Template("{% example %}{{ input.text }}: {{ output }}\n{% endexample %}")


def result(sources: dict[str, int], by: Any, **more: Any) -> Any:
    chosen: dict[str, Any] = {"shots": [0, 2], "seeds": 2, "lint": False} | more
    return compare(
        task(sources),
        models=[FakeModel(answer=says)],
        templates=[TEMPLATE],
        store=Store(),
        by=by,
        **chosen,
    )


def test_slices_have_the_metrics_of_a_comparison_of_their_queries() -> None:
    sources = {"forum": 30, "shop": 40, "mail": 3}
    (slicing,) = result(sources, "source").slices
    assert [(one.level, one.n, one.small) for one in slicing.slices] == [
        ("shop", 40, False),
        ("forum", 30, False),
        ("mail", 3, True),
    ]
    for one in slicing.slices:
        alone = result({one.level: sources[one.level]}, ())
        whole = [row for row in alone.rows if row.seed is None]
        assert [row.accuracy for row in one.rows] == [row.accuracy for row in whole]
        assert [row.accuracy_ci for row in one.rows] == [row.accuracy_ci for row in whole]
        assert [row.log_loss for row in one.rows] == [row.log_loss for row in whole]


def test_differences_are_found_where_they_are() -> None:
    (slicing,) = result({"forum": 30, "shop": 40, "mail": 3}, "source").slices
    shop, forum, mail = slicing.slices
    assert (mail.change, mail.rest) == (None, None)
    assert forum.change.delta == 1
    assert forum.change.significant
    assert shop.change.delta == 0
    assert not shop.change.significant
    assert forum.change.p_holm >= forum.change.p
    assert (slicing.a.shots, slicing.b.shots) == (0, 2)
    assert any('"forum" (+100 points' in one for one in slicing.sentences), slicing.sentences
    assert any("1 slice by source has fewer than 20" in one for one in slicing.sentences)


def test_columns_of_inputs_and_gold_outputs_make_slices_too() -> None:
    stars, output = result({"forum": 30}, ["stars", "output"]).slices
    assert [one.level for one in stars.slices] == ["0", "1", "2"]
    assert [(one.level, one.n, one.rest) for one in output.slices] == [("a", 30, None)]


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        ("sauce", "by 'sauce': the tests have no such column; did you mean 'source'?"),
        ("zz", "by 'zz': the tests have no such column; they have: source, text, stars, output"),
        ("text", "by 'text': 60 different values in 60 tests, and slices are made of at most 50"),
    ],
)
def test_a_column_that_makes_no_slices(by: str, reason: str) -> None:
    with pytest.raises(TaskError) as caught:
        result({"forum": 60}, by)
    assert str(caught.value).startswith(reason)


def one(correct: Any) -> Outcomes:
    cell = Cell(model="m", template="t", selection="random", shots=0)
    return Outcomes(cell, np.array(correct, dtype=np.int64), drawn=False)


def test_the_difference_from_the_rest_against_fisher_and_newcombe() -> None:
    rng = np.random.default_rng(3)
    for n, rest, p, q in [(25, 100, 0.5, 0.8), (40, 40, 0.7, 0.7), (20, 200, 0.9, 0.6)]:
        a, b = rng.random(n) < p, rng.random(rest) < q
        found = from_rest(one(np.r_[a, b][:, None]), [True] * n + [False] * rest)
        assert found is not None
        assert found.general is not None
        table = [[a.sum(), n - a.sum()], [b.sum(), rest - b.sum()]]
        low, high = confint_proportions_2indep(a.sum(), n, b.sum(), rest, method="newcomb")
        these = found.these
        assert (these.ci.low, these.ci.high) == pytest.approx((low, high))
        # Fisher's p-value adds tables by their chance, not by their distance.
        assert these.p == pytest.approx(fisher_exact(table).pvalue, abs=0.08)
        assert these.delta == pytest.approx(a.mean() - b.mean())


def test_a_slice_drawn_at_random_is_rarely_significant() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(300):
        table = (rng.random((120, 1)) < rng.beta(2, 1, (120, 1))).repeat(3, axis=1)
        rest = from_rest(one(table), [True] * 30 + [False] * 90)
        assert rest is not None
        found.append(rest.these.p)
    assert np.mean(np.array(found) <= 0.05) <= 0.08


def with_errors(errors: Any) -> Outcomes:
    """Outcomes whose answers are so far from their gold numbers, (queries, seeds)."""
    table = np.asarray(errors, dtype=float)
    queries = {f"q{i}": ({}, 0) for i in range(len(table))}
    cell = Cell(model="m", template="t", selection="random", shots=0)
    values = Numbers(np.zeros(len(table)), table)
    right = (table == 0).astype(np.int64)
    return Outcomes(cell, right, drawn=False, queries=queries, values=values)


def test_the_difference_of_an_error_from_the_rest_against_scipy() -> None:
    rng = np.random.default_rng(3)
    errors = np.r_[rng.exponential(2, (30, 2)), rng.exponential(1, (90, 2))]
    errors[5] = np.nan  # no answer
    found = from_rest(with_errors(errors), [True] * 30 + [False] * 90, BY_NAME["mae"])
    assert found is not None
    own, rest = np.delete(errors[:30], 5, axis=0).mean(axis=1), errors[30:].mean(axis=1)
    assert found.these.p == pytest.approx(ttest_ind(own, rest, equal_var=False).pvalue)
    assert found.these.delta == pytest.approx(own.mean() - rest.mean())
    assert found.these.ci.low < found.these.delta < found.these.ci.high
    correlated = from_rest(with_errors(errors), [True] * 30 + [False] * 90, BY_NAME["pearson"])
    assert correlated is None  # all gold numbers are the same


def test_a_random_slice_of_errors_is_rarely_significant_and_its_interval_covers() -> None:
    rng, p, covered = np.random.default_rng(0), [], []
    for _ in range(400):
        found = from_rest(
            with_errors(rng.exponential(1, (100, 1))), [True] * 25 + [False] * 75, BY_NAME["mae"]
        )
        assert found is not None
        p.append(found.these.p)
        covered.append(found.these.ci.low <= 0 <= found.these.ci.high)
    assert np.mean(np.array(p) <= 0.05) <= 0.08
    assert np.mean(covered) >= 0.92


def test_slices_follow_the_chosen_metric() -> None:
    made = result({"forum": 30, "shop": 40}, "source", metric="macro_f1")
    (slicing,) = made.slices
    _, forum = slicing.slices
    assert forum.change.delta == pytest.approx(1)
    figures = [row.figure("macro_f1") for row in forum.rows]
    assert [one.value for one in figures] == [row.macro_f1 for row in forum.rows]
    assert "By source, 1 shot vs" not in slicing.sentences[0]
    assert any("macro-F1" in one for one in slicing.sentences), slicing.sentences
    assert "By source, macro-F1" in str(made)
    assert "Macro-F1 over the queries that share" in page.html(made.to_dict(), made.to_records())


def test_they_are_saved_shown_and_framed(tmp_path: Path) -> None:
    made = result({"forum": 30, "shop": 40, "mail": 3}, "source")
    data = json.loads(json.dumps(made.to_dict()))
    run = read_run(made.save(tmp_path))
    assert json.loads(json.dumps(run.data["slices"])) == data["slices"]
    assert data["slices"][0]["slices"][0]["rows"][0]["balanced_accuracy"] == 1.0
    text = terminal.text(data, made.to_records())
    assert "By source, accuracy" in text
    assert "3 (small)" in text
    assert "+100" in text
    assert 'id="slices"' in page.html(run.data, made.to_records())
    frame = made.to_pandas("slices")
    assert len(frame) == 6
    assert set(frame["level"]) == {"forum", "shop", "mail"}
    with pytest.raises(TaskError, match="unknown table 'pairs'"):
        made.to_pandas("pairs")


def test_without_slices_nothing_is_shown() -> None:
    made = result({"forum": 30}, ())
    assert made.slices == ()
    assert 'id="slices"' not in page.html(made.to_dict(), made.to_records())
