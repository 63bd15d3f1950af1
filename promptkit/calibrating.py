"""What is asked beside the cells of a grid so that they can be calibrated, and what comes of it.

Whatever a method learns from is an `Evidence`: about the same shots, in the same order, as the
queries that it is applied to. Only batch calibration's is made of the tests, of their scores
without their labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from promptkit import calibrate, probes
from promptkit.calibrate import CALIBRATIONS, Calibration, HeldOut, Scores
from promptkit.errors import PromptkitError, TaskError
from promptkit.examples import Example
from promptkit.models.base import Score
from promptkit.predict import Prediction, Predictor
from promptkit.prompts import TokenizedPrompt
from promptkit.rendering import Renderer
from promptkit.store import Result

Examples = Sequence[Example[Any, Any]]


class Asked(NamedTuple):
    """A cell of the grid: who is asked, with which prompts, one for each query."""

    predictor: Predictor
    renderer: Renderer
    prompts: Sequence[TokenizedPrompt]


@dataclass(frozen=True)
class Evidence:
    """What one or several methods learn from, for one cell."""

    saw: str
    """What that is, in words."""
    inputs: int
    """How many inputs it is about."""
    parts: Sequence[tuple[Sequence[int], Sequence[TokenizedPrompt]]]
    """Queries by their number, each once, and the prompts that tell about them."""
    gold: Sequence[int] = ()
    """For labelled examples, the number of each one's label."""

    @property
    def prompts(self) -> list[TokenizedPrompt]:
        """All prompts, part after part."""
        return [prompt for _, prompts in self.parts for prompt in prompts]


Plan = Mapping[Calibration, Evidence]
"""Per method, what it learns from in one cell."""


def chosen(methods: Sequence[Calibration] | str, labels: Sequence[str]) -> tuple[Calibration, ...]:
    """The methods, each once; all of them for "all". Raises `TaskError` for what is none."""
    if not methods:
        return ()
    if not labels:
        raise TaskError(
            "calibrations: label scores are calibrated, but this task's answers are generated"
        )
    if methods == "all":
        return CALIBRATIONS
    if isinstance(methods, str):
        raise TaskError(f"calibrations: {methods!r} is no list; write [{methods!r}], or 'all'")
    for method in methods:
        if method not in CALIBRATIONS:
            known = ", ".join(CALIBRATIONS)
            raise TaskError(f"there is no calibration {method!r}; there is {known}, and all")
    return tuple(dict.fromkeys(methods))


def plan(
    methods: Sequence[Calibration], cells: Sequence[Asked], *, lenient: bool = False
) -> tuple[list[Plan], list[str]]:
    """The plan of each cell, and why methods were left out.

    Raises `TaskError` for a method that the task has no probes for; a `lenient` one leaves it out.
    """
    plans: list[dict[Calibration, Evidence]] = [{} for _ in cells]
    known: dict[Callable[..., Any], list[Evidence]] = {}
    reasons: dict[str, list[str]] = {}
    for method in methods:
        source = _SOURCES[method]
        try:
            if source not in known:
                known[source] = [*source(cells)]
        except TaskError as error:
            if not lenient:
                raise
            reasons.setdefault(str(error), []).append(method)
            continue
        for evidence, plan in zip(known[source], plans, strict=True):
            plan[method] = evidence
    left_out = [f"{' and '.join(names)} left out: {reason}" for reason, names in reasons.items()]
    return plans, left_out


def prompts_of(plan: Plan) -> list[TokenizedPrompt]:
    """What the plan asks; methods that learn from the same share it."""
    return [prompt for evidence in _distinct(plan) for prompt in evidence.prompts]


def apply(
    plan: Plan, predictions: Sequence[Prediction], results: Sequence[Result]
) -> list[Prediction]:
    """The predictions with calibrated probabilities; `results` are what `prompts_of` came to."""
    if not plan:
        return list(predictions)
    labels = [*(predictions[0].logprobs or {})]
    scores = np.array([[*(p.logprobs or {}).values()] for p in predictions])
    said = iter([result.logprobs for result in results if isinstance(result, Score)])
    heard = {
        id(evidence): [[*islice(said, len(prompts))] for _, prompts in evidence.parts]
        for evidence in _distinct(plan)
    }
    tables = {
        method: np.exp(_calibrated(method, scores, evidence, heard[id(evidence)])).tolist()
        for method, evidence in plan.items()
    }
    rows = (dict(zip(tables, row, strict=True)) for row in zip(*tables.values(), strict=True))
    return [
        replace(
            prediction,
            calibrated={
                method: dict(zip(labels, chances, strict=True)) for method, chances in row.items()
            },
        )
        for prediction, row in zip(predictions, rows, strict=True)
    ]


def _calibrated(
    method: Calibration, scores: Scores, evidence: Evidence, heard: Sequence[ArrayLike]
) -> Scores:
    """Log-probabilities of all queries, each part by what was said beside it."""
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


def _distinct(plan: Plan) -> list[Evidence]:
    return [*{id(evidence): evidence for evidence in plan.values()}.values()]


def _content_free(cells: Sequence[Asked]) -> Iterator[Evidence]:
    made = probes.content_free(cells[0].predictor.task)
    return (_after_shots(cell, made, "inputs that say nothing") for cell in cells)


def _random_texts(cells: Sequence[Asked]) -> Iterator[Evidence]:
    made = probes.random_texts(cells[0].predictor.task)
    return (_after_shots(cell, made, "inputs of random words of the pool") for cell in cells)


def _queries(cells: Sequence[Asked]) -> Iterator[Evidence]:
    for cell in cells:
        count = len(cell.prompts)
        yield Evidence("all tests of the cell, without their labels", count, [(range(count), [])])


def _premise(cells: Sequence[Asked]) -> Iterator[Evidence]:
    made = probes.premise(cells[0].predictor.task)
    for cell in cells:
        prompts = replace(cell.predictor, shots=0).tokenize([made], cell.renderer)
        parts = [(range(len(cell.prompts)), prompts)]
        yield Evidence("a prompt without shots and input", 1, parts)


def _held_out(cells: Sequence[Asked]) -> Iterator[Evidence]:
    task = cells[0].predictor.task
    numbers = {label: number for number, label in enumerate(task.labels)}
    shown: dict[object, set[str]] = {}
    for cell in cells:
        draw = shown.setdefault(_draw(cell), set())
        draw.update(id for prompt in cell.prompts for id in prompt.prompt.shots)
    held = {draw: probes.held_out(task, ids) for draw, ids in shown.items()}
    for cell in cells:
        examples = held[_draw(cell)]
        prompts = cell.predictor.tokenize(examples, cell.renderer)
        yield Evidence(
            "labelled examples of the pool, none of them a shot",
            len(examples),
            [(range(len(cell.prompts)), prompts)],
            [numbers[task.output_type.text(example.output)] for example in examples],
        )


def _draw(cell: Asked) -> object:
    """What decides which examples are shots, but for their number."""
    return cell.predictor.selection, cell.predictor.seed


_SOURCES: Mapping[Calibration, Callable[[Sequence[Asked]], Iterator[Evidence]]] = {
    "contextual": _content_free,
    "domain-context": _random_texts,
    "batch": _queries,
    "pmi": _premise,
    "temperature": _held_out,
    "vector": _held_out,
}


def _after_shots(cell: Asked, made: Examples, what: str) -> Evidence:
    """The probes after the shots of every query: once for all queries with the same shots."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, prompt in enumerate(cell.prompts):
        groups.setdefault(prompt.prompt.shots, []).append(number)
    parts = [(queries, _tokenized(cell, made, ids)) for ids, queries in groups.items()]
    each = f", after each of {len(groups)} choices of shots" if len(groups) > 1 else ""
    return Evidence(what + each, len(made), parts)


def _tokenized(cell: Asked, made: Examples, ids: Sequence[str]) -> list[TokenizedPrompt]:
    """The probes after these shots, but for those that a template or a model cannot take.

    Raises `TaskError` where that is none.
    """
    pool = {id: cell.predictor.task.demos.by_id(id) for id in ids}
    shots = tuple([shot for shot in pool.values() if shot is not None])
    prompts: list[TokenizedPrompt] = []
    reason: PromptkitError | None = None
    for probe in made:
        try:
            prompts += cell.predictor.model.tokenize([cell.renderer.render(probe, shots)])
        except PromptkitError as error:
            reason = error
    if not prompts:
        raise TaskError(f"no probe can be asked after {len(shots)} shots: {reason}")
    return prompts
