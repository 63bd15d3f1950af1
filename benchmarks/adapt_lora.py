"""Adapters: one trained on gold labels, and one that learnt what a long prompt answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import promptkit as pk
from benchmarks.adapt_data import (
    Reached,
    Task,
    accuracy,
    arguments,
    paired,
    show,
    sst2,
    teacher_of,
    unlabelled,
)
from promptkit.inference.answer_fields import answered

MINUTES = 60.0


def gold() -> None:
    """Print what an adapter reaches that was trained on gold labels."""
    parser = arguments("lora")
    parser.add_argument("--examples", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--shots", default="4,8,16", help="of the prompts that it is held against")
    given = parser.parse_args()
    task = sst2(given.out, "dev", given.examples)
    made = pk.tune(task, given.out / "lora.gguf", model=given.model)
    print(made)
    model = pk.load_model(given.model)
    how: Any = {"limit": given.limit, "lint": False}
    tuned = pk.compare(task, models=[model.adapted(made.path)], shots=[0], seeds=1, **how)
    shots = [int(count) for count in given.shots.split(",")]
    how |= {"calibrations": ["contextual", "batch"], "seeds": given.seeds}
    prompted = pk.compare(task, models=[model], shots=shots, **how)
    best = max(
        (row for row in prompted.rows if row.seed is None and row.calibration != "none"),
        key=lambda row: row.accuracy,
    )
    delta, low, _ = _against(task, prompted, best, tuned)
    show(
        f"An adapter trained on {given.examples} gold examples",
        [
            Reached("accuracy", tuned.rows[0].accuracy, 0.84, 0.88),
            Reached("minutes of training", made.profile.seconds / MINUTES, 10.0, larger=False),
            Reached("accuracy above the best calibrated cell", delta, 0.0, 0.05),
            Reached("lower end of its 95 % interval", low, 1e-9),
            Reached(
                "largest difference of label log-probabilities",
                made.card["figures"]["difference"],
                *(0.02, 0.005, "{:.4f}".format),
                larger=False,
            ),
        ],
        [f"The best cell: {best.shots} shots, {best.calibration}, {best.accuracy:.3f}."],
    )


def _against(
    task: Task, prompted: pk.Comparison, best: Any, tuned: pk.Comparison
) -> tuple[float, float, float]:
    """Return the accuracy of an adapter less that of a cell, with the ends of its interval."""
    cell = [one for one in prompted.predictions if one.shots == best.shots]
    said = [_calibrated(task, one, best.calibration) for one in cell]
    seeds = sorted({one.seed or 0 for one in said})
    adapted = [replace(one, seed=seed) for seed in seeds for one in tuned.predictions]
    return paired(task, said, adapted)


def _calibrated(task: Task, made: pk.Prediction, method: str) -> pk.Prediction:
    """Return a prediction under a calibration as one of its own."""
    probs = made.calibrated[method]
    label = max(probs, key=probs.__getitem__)
    logs = {name: float(np.log(max(p, 1e-300))) for name, p in probs.items()}
    right = label == made.gold
    return replace(made, label=label, correct=right, logprobs=logs, probs=probs, calibrated={})


def prompt_into_adapter() -> None:
    """Print how near an adapter comes to the prompt that it learnt from."""
    parser = arguments("prompt")
    parser.add_argument("--shots", type=int, default=16)
    parser.add_argument("--draws", type=int, default=4, help="of shots, whose answers are averaged")
    parser.add_argument("--examples", type=int, default=1600)
    given = parser.parse_args()
    task = sst2(given.out)
    frozen: Any = teacher_of(task, given)
    begun = perf_counter()
    options = pk.TuningOptions(examples=given.examples)
    out = given.out / "prompt.gguf"
    made = pk.tune_from(frozen, unlabelled(given.out), out, draws=given.draws, options=options)
    seconds = perf_counter() - begun
    print(made)
    queries = [*task.tests][: given.limit]
    taught = _ensemble(task, frozen, queries, given.draws)
    student = replace(frozen, model=frozen.model.adapted(out), shots=0, calibration=None)
    learnt = [replace(one, calibration="none", shots=0) for one in student.predict(queries)]
    _show_prompt(task, taught, learnt, max(seconds, made.profile.seconds), out)


def _show_prompt(
    task: Task,
    taught: Sequence[pk.Prediction],
    learnt: Sequence[pk.Prediction],
    seconds: float,
    out: Path,
) -> None:
    delta, low, _ = paired(task, taught, learnt, level=0.90)  # one-sided 95 %
    fewer = 1 - sum(one.tokens for one in learnt) / sum(one.tokens for one in taught)
    show(
        "A prompt that became an adapter",
        [
            Reached("accuracy less the prompt's, one-sided 95 %", low, -0.02),
            Reached("accuracy less the prompt's", delta),
            Reached("fewer tokens for a query", fewer, 0.80, 0.90),
            Reached("minutes, the teacher's included", seconds / MINUTES, None, 15.0, larger=False),
            Reached("accuracy of the prompt", accuracy(taught)),
            Reached("accuracy of the adapter", accuracy(learnt)),
        ],
        [f"The adapter is {out}."],
    )


def _ensemble(task: Task, frozen: Any, queries: Sequence[Any], draws: int) -> list[pk.Prediction]:
    """Return the predictions of several draws of shots, whose probabilities are averaged."""
    every = [replace(frozen, seed=frozen.seed + draw).predict(queries) for draw in range(draws)]
    found = []
    for query, own in zip(queries, zip(*every, strict=True), strict=True):
        probs = {label: float(np.mean([one.probs[label] for one in own])) for label in task.labels}
        label = max(probs, key=probs.__getitem__)
        fields = answered(task, query, task.output_type.values[label], failed=False)
        logs = {name: float(np.log(max(p, 1e-300))) for name, p in probs.items()}
        found.append(
            replace(own[0], **fields, probs=probs, logprobs=logs, calibrated={}, calibration="none")
        )
    return found
