"""A cascade of a student and an adapter: does it keep the error that it states, and how fast?

The parts `lora` and `student` make them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

import promptkit as pk
from benchmarks.adapt_data import (
    Reached,
    accuracy,
    arguments,
    predicted,
    seconds_each,
    show,
    sst2,
)
from promptkit.cascades.cascade_step import confidence_of
from promptkit.cascades.cascade_thresholds import StepAnswers, choose, route
from promptkit.text import percent


def main() -> None:
    """Print how often the stated error is exceeded, and the time against the adapter alone."""
    parser = arguments("cascade")
    parser.add_argument("--resamples", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=800, help="rows of a resample")
    parser.add_argument("--max-error", type=float, default=0.2)
    given = parser.parse_args()
    task = sst2(given.out, "test")
    queries = [*task.tests][: given.limit]
    adapted = pk.load_model(given.model).adapted(given.out / "lora.gguf")
    top = pk.Predictor(task, pk.Template.of(task), adapted)
    student = pk.load_predictor(given.out / "student", task=task)
    made = [predicted(one, queries) for one in (student, top)]
    every = [
        StepAnswers(
            np.array([confidence_of(one) for one in own]),
            np.array([not one.correct for one in own]),
        )
        for own in made
    ]
    costs = [*map(seconds_each, made)]
    found = [*_resampled(every, costs, given.resamples, given.rows, given.max_error)]
    stated = [one for one in found if one is not None]
    if not stated:
        raise SystemExit(f"no resample has thresholds that keep an error of {given.max_error}")
    broken = sum(error > given.max_error for error, _ in stated) / len(found)
    time = float(np.median([seconds for _, seconds in stated])) / costs[1]
    show(
        f"Cascade of a student and an adapter, stated error {percent(given.max_error)}",
        [
            Reached("resamples with a larger error", broken, 0.05, None, larger=False),
            Reached("time against the adapter alone", time, None, 1 / 3, larger=False),
            Reached("student's accuracy", accuracy(made[0])),
            Reached("adapter's accuracy", accuracy(made[1])),
        ],
        [
            f"{len(stated):,} of {len(found):,} resamples of {given.rows:,} rows have thresholds; "
            f"their error is that on all {len(queries):,} rows."
        ],
    )


def _resampled(
    steps: Sequence[StepAnswers], costs: Sequence[float], count: int, rows: int, error: float
) -> Iterator[tuple[float, float] | None]:
    """Yield the error on all rows and the seconds for each, of thresholds chosen on resamples."""
    random, size = np.random.default_rng(0), len(steps[0].wrong)
    for seed in range(count):
        drawn = random.integers(size, size=rows)
        chosen = choose([one.of(drawn) for one in steps], error, seed=seed).thresholds
        if chosen is None:
            yield None
            continue
        routed = route(steps, chosen)
        asked = [1.0, float((routed.step > 0).mean())]
        yield float(routed.wrong.mean()), float(np.dot(asked, costs))
