"""Probes of calibration, run alongside the cells of a grid, and the calibrated predictions.

Whatever a method learns from is an `Evidence`: after the same shots, in the same order, as the
queries that it is applied to. Only batch calibration learns from the tests: from their scores,
without their labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from promptkit.calibration import methods as calibrate
from promptkit.calibration import probes
from promptkit.calibration.methods import CALIBRATIONS, Calibration, HeldOut, Scores
from promptkit.errors import PromptkitError, TaskError
from promptkit.inference.batch import Asked
from promptkit.inference.cell import Cell
from promptkit.inference.prediction import Prediction
from promptkit.inference.store import Result
from promptkit.models.base import Score
from promptkit.prompts.prompt import TokenizedPrompt
from promptkit.tasks.examples import Example

ALL = "all"
"""Name for every method that a task allows."""

Examples = Sequence[Example[Any, Any]]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Prompts that one or several methods learn from, for one cell."""

    saw: str
    """Their kind, in words that go on from their number."""
    inputs: int
    """Number of inputs."""
    parts: Sequence[tuple[Sequence[int], Sequence[TokenizedPrompt]]]
    """Queries by their number, each once, and the prompts that tell about them."""
    gold: Sequence[int] = ()
    """For labelled examples, the number of each one's label."""

    @property
    def prompts(self) -> list[TokenizedPrompt]:
        """All prompts, part after part."""
        return [prompt for _, prompts in self.parts for prompt in prompts]


@dataclass(frozen=True)
class Plan:
    """Evidence of the methods in one cell; a `promptkit.inference.batch.Beside`."""

    evidence: Mapping[Calibration, Evidence]
    """Per method; some share it."""

    @cached_property
    def prompts(self) -> list[TokenizedPrompt]:
        """The prompts to ask, once where methods share them."""
        return [prompt for evidence in self._once for prompt in evidence.prompts]

    def apply(
        self, predictions: Sequence[Prediction], results: Sequence[Result]
    ) -> list[Prediction]:
        """Return the predictions with calibrated probabilities, given the results of `prompts`."""
        labels = [*(predictions[0].logprobs or {})]
        scores = np.array([[*(p.logprobs or {}).values()] for p in predictions])
        said = iter([result.logprobs for result in results if isinstance(result, Score)])
        heard = {
            evidence: [[*islice(said, len(prompts))] for _, prompts in evidence.parts]
            for evidence in self._once
        }
        tables = {
            method: np.exp(_calibrated(method, scores, evidence, heard[evidence])).tolist()
            for method, evidence in self.evidence.items()
        }
        return [
            replace(
                prediction,
                calibrated={
                    method: dict(zip(labels, table[number], strict=True))
                    for method, table in tables.items()
                },
            )
            for number, prediction in enumerate(predictions)
        ]

    @property
    def _once(self) -> list[Evidence]:
        return [*dict.fromkeys(self.evidence.values())]


def methods_of(methods: Sequence[str], labels: Sequence[str]) -> tuple[Calibration, ...]:
    """Return the methods by name, in one order; all of them for `ALL`. Raises `TaskError`."""
    if not methods:
        return ()
    if not labels:
        raise TaskError(
            "calibration corrects the probabilities of labels, and the answers of this task are "
            "generated"
        )
    if methods == ALL:
        return CALIBRATIONS
    if isinstance(methods, str):
        raise TaskError(f"calibrations: {methods!r} is no list; write [{methods!r}], or {ALL!r}")
    for method in methods:
        if method not in CALIBRATIONS:
            known = ", ".join(CALIBRATIONS)
            raise TaskError(f"there is no calibration {method!r}; there is {known}, and {ALL}")
    return tuple(name for name in CALIBRATIONS if name in methods)


def plan(
    methods: Sequence[Calibration], asked: Sequence[Asked], *, lenient: bool = False
) -> tuple[list[Asked], list[str]]:
    """Return the cells with a `Plan` beside each, and why methods were left out.

    Raises `PromptkitError` for a method that the task has no probes for; a `lenient` plan goes
    without.
    """
    found: dict[Calibration, list[Evidence]] = {}
    known: dict[Callable[..., Any], list[Evidence]] = {}
    left_out: dict[str, list[str]] = {}
    for method in methods:
        source = _SOURCES[method]
        try:
            if source not in known:
                known[source] = [*source(asked)]
        except PromptkitError as error:
            if not lenient:
                raise
            left_out.setdefault(str(error), []).append(method)
            continue
        found[method] = known[source]
    reasons = [f"{', '.join(names)} left out: {reason}" for reason, names in left_out.items()]
    if not found:
        return list(asked), reasons
    planned = [
        one._replace(beside=Plan({method: every[number] for method, every in found.items()}))
        for number, one in enumerate(asked)
    ]
    return planned, reasons


def notes(
    asked: Sequence[Asked], predictions: Sequence[Sequence[Prediction]]
) -> Iterator[CalibrationNote]:
    """Yield what each method learnt from in each cell."""
    for one, made in zip(asked, predictions, strict=True):
        if isinstance(one.beside, Plan):
            for method, evidence in one.beside.evidence.items():
                yield CalibrationNote(
                    **made[0].at(calibration=method).factors(),
                    saw=evidence.saw,
                    inputs=evidence.inputs,
                    prompts=len(evidence.prompts),
                )


def _calibrated(
    method: Calibration, scores: Scores, evidence: Evidence, heard: Sequence[ArrayLike]
) -> Scores:
    """Return calibrated log-probabilities of all queries, each part by its own probes."""
    table = np.empty_like(scores)
    for (queries, _), said in zip(evidence.parts, heard, strict=True):
        rows = [*queries]
        table[rows] = _METHODS[method](scores[rows], said, evidence.gold)
    return table


_METHODS: Mapping[Calibration, Callable[[Scores, ArrayLike, Sequence[int]], Scores]] = {
    "contextual": lambda scores, said, _: calibrate.contextual(scores, said),
    "domain-context": lambda scores, said, _: calibrate.domain_context(scores, said),
    "batch": lambda scores, *_: calibrate.batch(scores),
    "pmi": lambda scores, said, _: calibrate.pmi(scores, said),
    "temperature": lambda scores, *held: calibrate.temperature(scores, HeldOut(*held)),
    "vector": lambda scores, *held: calibrate.vector(scores, HeldOut(*held)),
}


def _content_free(asked: Sequence[Asked]) -> Iterator[Evidence]:
    made = probes.content_free(asked[0].predictor.task)
    return (_after_shots(one, made, "content-free inputs") for one in asked)


def _random_texts(asked: Sequence[Asked]) -> Iterator[Evidence]:
    made = probes.random_texts(asked[0].predictor.task)
    return (_after_shots(one, made, "inputs of random words of the pool") for one in asked)


def _queries(asked: Sequence[Asked]) -> Iterator[Evidence]:
    for one in asked:
        every = range(len(one.prompts))
        yield Evidence("tests of the cell, without their labels", len(every), [(every, [])])


def _premise(asked: Sequence[Asked]) -> Iterator[Evidence]:
    made = probes.premise(asked[0].predictor.task)
    for one in asked:
        prompts = replace(one.predictor, shots=0).tokenize([made], one.renderer)
        parts = [(range(len(one.prompts)), prompts)]
        yield Evidence("content-free input, without shots", 1, parts)


def _held_out(asked: Sequence[Asked]) -> Iterator[Evidence]:
    task = asked[0].predictor.task
    numbers = {label: number for number, label in enumerate(task.labels)}
    shown: dict[object, set[str]] = {}
    for one in asked:
        draw = shown.setdefault(_draw(one), set())
        draw.update(id for prompt in one.prompts for id in prompt.prompt.shots)
    held = {draw: probes.held_out(task, ids) for draw, ids in shown.items()}
    for one in asked:
        examples = held[_draw(one)]
        prompts = one.predictor.tokenize(examples, one.renderer)
        yield Evidence(
            "labelled examples of the pool that are no shots",
            len(examples),
            [(range(len(one.prompts)), prompts)],
            [numbers[task.output_type.text(example.output)] for example in examples],
        )


def _draw(asked: Asked) -> object:
    """Return what decides which examples are shots, but for their number."""
    return asked.predictor.selection, asked.predictor.seed


_SOURCES: Mapping[Calibration, Callable[[Sequence[Asked]], Iterator[Evidence]]] = {
    "contextual": _content_free,
    "domain-context": _random_texts,
    "batch": _queries,
    "pmi": _premise,
    "temperature": _held_out,
    "vector": _held_out,
}


def _after_shots(asked: Asked, made: Examples, what: str) -> Evidence:
    """Return the probes after the shots of every query, once for all with the same shots."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, prompt in enumerate(asked.prompts):
        groups.setdefault(prompt.prompt.shots, []).append(number)
    parts = [(queries, _tokenized(asked, made, ids)) for ids, queries in groups.items()]
    return Evidence(what, max(len(prompts) for _, prompts in parts), parts)


def _tokenized(asked: Asked, made: Examples, ids: Sequence[str]) -> list[TokenizedPrompt]:
    """Return the probes after these shots, but for those that a template or model cannot take.

    Raises `TaskError` where that is none.
    """
    predictor, prompts = asked.predictor, []
    found = [predictor.task.demos.by_id(id) for id in ids]
    shots = tuple([shot for shot in found if shot is not None])
    reason: PromptkitError | None = None
    for probe in made:
        try:
            prompts += predictor.model.tokenize([asked.renderer.render(probe, shots)])
        except PromptkitError as error:
            reason = error
    if not prompts:
        raise TaskError(
            f"no probe of a calibration can be asked after {len(shots)} shots: {reason}"
        )
    return prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationNote(Cell):
    """What a method of calibration saw for one cell."""

    inputs: int
    """How many inputs it learnt from."""
    saw: str
    """Which ones, in words that go on from the number."""
    prompts: int
    """The prompts that were asked for it beside those of the cell; methods may share them."""
