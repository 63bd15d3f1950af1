from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel
from statsmodels.stats.proportion import proportion_confint

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.evaluation.confidence_metrics import risk_coverage
from promptkit.evaluation.selective import of_confidence, threshold
from promptkit.experiments.saved_runs import read_run
from promptkit.report import page, terminal

Arrays = tuple[NDArray[np.float64], NDArray[np.bool_]]

FACTORS: dict[str, Any] = {"model": "m", "template": "t", "selection": "random", "shots": 0}


def drawn(kind: str, n: int, rng: np.random.Generator) -> Arrays:
    """Return confidences of answers, and which are wrong, under some relation of the two."""
    if kind == "calibrated":
        sure = rng.uniform(0.5, 1, n)
        risk = 1 - sure
    elif kind == "overconfident":
        sure = rng.beta(8, 1, n)
        risk = np.clip(2.5 * (1 - sure), 0, 1)
    elif kind == "few values":
        sure = rng.integers(3, 6, n) / 5
        risk = np.where(sure == 1, 0.05, np.where(sure > 0.7, 0.12, 0.35))
    elif kind == "uninformative":
        sure, risk = rng.uniform(0.5, 1, n), np.full(n, 0.12)
    else:  # the most confident answers are not the best
        sure = rng.uniform(0, 1, n)
        risk = np.where(sure > 0.9, 0.25, np.where(sure > 0.4, 0.05, 0.4))
    return sure, rng.random(n) < risk


def true_error(kind: str, above: float) -> float:
    sure, wrong = drawn(kind, 400_000, np.random.default_rng(1))
    return float(wrong[sure > above].mean()) if (sure > above).any() else 0.0


@pytest.mark.slow
@pytest.mark.parametrize("n", [150, 1000])
@pytest.mark.parametrize(
    "kind", ["calibrated", "overconfident", "few values", "uninformative", "not monotone"]
)
def test_the_error_is_kept_where_a_threshold_read_off_the_curve_breaks_it(
    kind: str, n: int
) -> None:
    rng = np.random.default_rng(0)
    sure, wrong = drawn(kind, 400_000, np.random.default_rng(1))
    order = np.argsort(-sure)
    ranked, errors = sure[order], np.r_[0, np.cumsum(wrong[order])]

    def error(above: float) -> float:
        given = int(np.searchsorted(-ranked, -above, "left"))
        return float(errors[given]) / given if given else 0.0

    broken = read_off = 0
    for _ in range(1000):
        sure, wrong = drawn(kind, n, rng)
        found = threshold(sure, wrong, 0.1)
        broken += found is not None and error(found.above) > 0.1
        kept = np.flatnonzero(risk_coverage(sure, wrong) <= 0.1)
        if len(kept):
            read_off += error(np.sort(sure)[::-1][kept[-1]] - 1e-12) > 0.1
    assert broken <= 50
    assert read_off > 200


def test_good_answers_are_given() -> None:
    rng = np.random.default_rng(2)
    sure, wrong = drawn("overconfident", 1000, rng)
    found = threshold(sure, wrong, 0.1)
    assert found is not None
    assert found.answered >= 200
    assert true_error("overconfident", found.above) <= 0.1
    everything = threshold(sure, np.zeros(1000, bool), 0.1)
    assert everything is not None
    assert (everything.above, everything.answered) == (0.0, 1000)


def test_its_bound_is_that_of_clopper_and_pearson() -> None:
    rng = np.random.default_rng(5)
    sure = rng.random(600)
    wrong = rng.random(600) < 0.02 + 0.3 * (sure < 0.5)
    found = threshold(sure, wrong, 0.1)
    assert found is not None
    _, high = proportion_confint(found.wrong, found.answered, 2 * 0.05 / 10, method="beta")
    assert found.bound == pytest.approx(high)


def test_more_choices_make_it_stricter() -> None:
    sure, wrong = np.linspace(0.5, 1, 60), np.zeros(60, bool)
    assert threshold(sure, wrong, 0.1) is not None
    alone, of_many = (
        of_confidence(FACTORS, sure.tolist(), wrong.tolist(), 0.1, choices) for choices in (1, 1000)
    )
    assert alone.answered == 60
    assert alone.sentence.startswith(
        "Answers 100 % of queries with an error of at most 10 % (95 % confidence): everywhere;"
    )
    assert (of_many.threshold, of_many.share) == (None, 0.0)
    assert of_many.queries_needed is not None
    more = np.zeros(of_many.queries_needed, bool)
    again = of_confidence(
        FACTORS, np.linspace(0.5, 1, len(more)).tolist(), more.tolist(), 0.1, 1000
    )
    assert again.answered == len(more)
    assert "would show one if answers stay as good" in of_many.sentence


def test_answers_that_are_too_often_wrong_say_so() -> None:
    found = of_confidence(FACTORS, [0.9] * 40, [True, False] * 20, 0.1)
    assert found.queries_needed is None
    assert found.sentence == (
        "No threshold of confidence is shown to keep an error of at most 10 % (95 % confidence) "
        "with 40 queries: even the most confident answers are wrong too often."
    )


class Number(BaseModel):
    n: int


def compared(**more: Any) -> pk.Comparison:
    """Compare a model that is right and sure of even numbers only."""
    tests = [{"input": {"n": n}, "output": "ab"[n % 7 == 1]} for n in range(150)]
    demos = [{"input": {"n": n}, "output": "ab"[n % 2]} for n in range(1000, 1008)]
    task = pk.Task[Number, Literal["a", "b"]](name="numbers", tests=tests, demos=demos)
    template = pk.Template("{% example %}{{ input.n }}: {{ output }}\n{% endexample %}")
    model = pk.FakeModel(answer=lambda prompt: "a")
    chosen: dict[str, Any] = {"shots": [0, 1], "seeds": 2, "lint": False, "max_error": 0.3} | more
    return pk.compare(task, models=[model], templates=[template], store=pk.Store(), **chosen)


def test_a_comparison_says_what_its_best_cell_answers(tmp_path: Path) -> None:
    made = compared()
    found = made.selective
    assert found is not None
    assert (found.choices, found.answered, found.error) == (2, 150, 0.3)
    own = [one for one in made.predictions if one.cell == found.cell]
    assert pk.selective(own, 0.3, choices=2) == found
    assert "corrected for the choice among 2 cells" in found.sentence
    run = read_run(made.save(tmp_path))
    assert json.loads(json.dumps(run.data["selective"])) == json.loads(
        json.dumps(made.to_dict()["selective"])
    )
    assert "Selective answering" in terminal.text(run.data, made.to_records())
    assert 'id="selective"' in page.html(run.data, made.to_records())


def test_calibrated_answers_are_held_back_by_their_own_probability() -> None:
    made = compared(calibrations=["batch"], shots=[0], seeds=1)
    assert made.selective is not None
    assert made.selective.choices == 2


def test_what_cannot_be_held_back() -> None:
    with pytest.raises(TaskError, match=r"error is 1\.5; it is between 0 and 1"):
        compared(max_error=1.5)
    with pytest.raises(TaskError, match="predictions of one cell and one seed"):
        pk.selective(compared().predictions)
    with pytest.raises(TaskError, match="got those of none"):
        pk.selective([])
