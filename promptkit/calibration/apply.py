"""Probes of calibration, run alongside the cells of a grid, and the calibrated predictions.

Whatever a method learns from is asked as `Probes`: after the same shots, in the same order, as the
queries that it is applied to. Only batch calibration learns from the tests: from their scores,
without their labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np

from promptkit.calibration import methods as calibrate
from promptkit.calibration import option_orders
from promptkit.calibration import probes as inputs
from promptkit.calibration.calibration_note import CalibrationNote
from promptkit.calibration.methods import (
    CALIBRATIONS,
    OPTION_CALIBRATIONS,
    Calibration,
    HeldOut,
    Scores,
)
from promptkit.errors import PromptkitError, TaskError
from promptkit.inference.answering import unique_tokens
from promptkit.inference.batch import CellRequests, Predictions
from promptkit.inference.prediction import Prediction
from promptkit.inference.reasoning import ModelRequests, Samples
from promptkit.inference.voting import pooled
from promptkit.models.base import Request
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.translation import mark, tr

ALL = "all"
"""Name for every method that a task allows."""

Examples = Sequence[Example[Any, Any]]


@dataclass(frozen=True, eq=False)
class Probes:
    """Requests that one or several methods learn from, for one cell."""

    saw: str
    """Their kind, in words that go on from their number."""
    inputs: int
    """Number of inputs."""
    parts: Sequence[tuple[Sequence[int], Sequence[Request]]]
    """Queries by their number, each once, and the requests that tell about them."""
    gold: Sequence[int] = ()
    """For labelled examples, the number of each one's label."""
    lengths: Sequence[Sequence[int]] = ()
    """For normalisation by length, the length of every candidate of each query."""
    columns: Sequence[Sequence[Sequence[int]]] = ()
    """For options in other orders, per part and request the place of each option in its scores."""

    @property
    def requests(self) -> list[Request]:
        """All requests, part after part."""
        return [request for _, requests in self.parts for request in requests]


CellProbes = Mapping[str, Probes]
"""Probes of one cell by method; some methods share them."""


@dataclass(frozen=True)
class CalibrationStage:
    """Probes of each cell, whose results add calibrated probabilities to its predictions."""

    cells: Sequence[CellRequests]
    probes: Sequence[CellProbes]

    def requests(self, predictions: Predictions) -> list[ModelRequests]:
        """Return the probes of every cell, once where methods share them."""
        return [
            cell.predictor.model_requests(
                [request for one in dict.fromkeys(probes.values()) for request in one.requests]
            )
            for cell, probes in zip(self.cells, self.probes, strict=True)
        ]

    def apply(
        self, predictions: Predictions, responses: Sequence[Sequence[Samples]]
    ) -> list[list[Prediction]]:
        """Return the predictions with calibrated probabilities."""
        return [*map(_calibrated_cell, predictions, self.probes, responses)]

    def notes(self, predictions: Predictions) -> Iterator[CalibrationNote]:
        """Yield what each method learnt from in each cell."""
        for cell, probes, made in zip(self.cells, self.probes, predictions, strict=True):
            more = {one: _more_tokens(cell, one) for one in dict.fromkeys(probes.values())}
            for method, one in probes.items():
                yield CalibrationNote(
                    **made[0].at(calibration=method).factors(),
                    saw=one.saw,
                    inputs=one.inputs,
                    prompts=len(one.requests),
                    tokens=more[one],
                )


def methods_of(methods: Sequence[str], task: Task[Any, Any]) -> tuple[Calibration, ...]:
    """Return the methods by name, each once and in one order; all that fit the task for `ALL`.

    Args:
        methods: Names of methods, or `ALL`.
        task: The task, whose answers are labels or options.

    Raises:
        TaskError: A name is unknown, or the method is not for the answers of the task.
    """
    if not methods:
        return ()
    if not task.is_scored:
        raise TaskError(
            tr(
                "calibration corrects the probabilities of labels, and the answers of this "
                "task are generated"
            )
        )
    if task.many:
        raise TaskError(
            tr(
                "calibration is for one label per answer; where there are several, the "
                "threshold of each label takes its bias out"
            )
        )
    fitting = CALIBRATIONS if task.options is None else OPTION_CALIBRATIONS
    if methods == ALL:
        return fitting
    if isinstance(methods, str):
        raise TaskError(
            tr(
                "calibrations: {methods!r} is no list; write [{methods!r}], or {ALL!r}",
                methods=methods,
                ALL=ALL,
            )
        )
    for method in methods:
        if method not in fitting:
            known = ", ".join(fitting)
            where = "" if task.options is None else tr(" for options of each query")
            raise TaskError(
                tr(
                    "there is no calibration {method!r}{where}; there is {known}, and {ALL}",
                    method=method,
                    where=where,
                    known=known,
                    ALL=ALL,
                )
            )
    return tuple(name for name in fitting if name in methods)


def plan(
    methods: Sequence[str], cells: Sequence[CellRequests], *, lenient: bool = False
) -> tuple[CalibrationStage, list[str]]:
    """Return the probes of the cells, and why methods were left out.

    Args:
        methods: The methods to apply, by name.
        cells: The requests of every cell.
        lenient: Whether a method that the task has no probes for is left out.

    Raises:
        PromptkitError: The task has no probes for a method, and the plan is not lenient.
    """
    found: dict[str, list[Probes | None]] = {}
    known: dict[_Source, list[Probes | None]] = {}
    left_out: dict[str, list[str]] = {}
    for method in methods:
        source, _ = _method(method)
        try:
            if source not in known:
                known[source] = [*source(cells)]
        except PromptkitError as error:
            if not lenient:
                raise
            left_out.setdefault(str(error), []).append(method)
            continue
        found[method] = known[source]
        if idle := [cell for cell, one in zip(cells, known[source], strict=True) if one is None]:
            left_out.setdefault(option_orders.without_effect(idle), []).append(method)
    reasons = [
        tr("{names} left out: {reason}", names=", ".join(names), reason=reason)
        for reason, names in left_out.items()
    ]
    probes = [
        {method: one for method, every in found.items() if (one := every[number]) is not None}
        for number in range(len(cells))
    ]
    return CalibrationStage(cells, probes), reasons


def _more_tokens(cell: CellRequests, probes: Probes) -> int:
    """Return the tokens to decode for probes beside those of the cell's own prompts."""
    if not (requests := probes.requests):
        return 0
    return unique_tokens([*cell.requests, *requests]) - unique_tokens(cell.requests)


def _calibrated_cell(
    predictions: Sequence[Prediction], probes: CellProbes, responses: Sequence[Samples]
) -> list[Prediction]:
    """Return the calibrated predictions of a cell, given the responses to its probes."""
    if not probes:
        return [*predictions]
    labels = [[*(p.logprobs or {})] for p in predictions]
    width = max(map(len, labels))
    scores = _padded([[*(p.logprobs or {}).values()] for p in predictions], width, -np.inf)
    rest = iter([pooled(samples).logprobs for samples in responses])
    heard = {
        one: [_padded([*islice(rest, len(requests))], width, -np.inf) for _, requests in one.parts]
        for one in dict.fromkeys(probes.values())
    }
    by_query: list[dict[str, dict[str, float]]] = [{} for _ in predictions]
    for method, one in probes.items():
        table = np.exp(_calibrated(method, scores, one, heard[one])).tolist()
        for calibrated, own, row in zip(by_query, labels, table, strict=True):
            calibrated[method] = dict(zip(own, row, strict=False))  # without the padding
    return [
        replace(prediction, calibrated=calibrated)
        for prediction, calibrated in zip(predictions, by_query, strict=True)
    ]


def _padded(rows: Sequence[Sequence[float]], width: int, value: float) -> Scores:
    """Return rows as a table, those of fewer options with a value at their end."""
    return np.array([[*row, *[value] * (width - len(row))] for row in rows], dtype=np.float64)


def _calibrated(method: str, scores: Scores, probes: Probes, heard: Sequence[Scores]) -> Scores:
    """Return calibrated log-probabilities of all queries, each part by its own probes."""
    _, calibrated = _method(method)
    table = np.empty_like(scores)
    for number, ((queries, _), said) in enumerate(zip(probes.parts, heard, strict=True)):
        rows = [*queries]
        known: Any = HeldOut(said, probes.gold) if probes.gold else said
        if probes.lengths:
            known = _padded([probes.lengths[row] for row in rows], scores.shape[1], 1)
        if probes.columns:
            own = zip(said, probes.columns[number], strict=True)
            known = _padded([line[[*places]] for line, places in own], scores.shape[1], -np.inf)
        table[rows] = calibrated(scores[rows], known)
    return table


def _after_shots(
    make: Callable[[Task[Any, Any]], Examples], what: str, cells: Sequence[CellRequests]
) -> Iterator[Probes]:
    """Yield the probes after the shots of every query, once for all with the same shots."""
    made = make(cells[0].predictor.task)
    for cell in cells:
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, request in enumerate(cell.requests):
            groups.setdefault(request.prompt.shots, []).append(number)
        parts = [(queries, _tokenized(cell, made, ids)) for ids, queries in groups.items()]
        yield Probes(tr(what), max(len(requests) for _, requests in parts), parts)


def _queries(cells: Sequence[CellRequests]) -> Iterator[Probes]:
    for one in cells:
        every = range(len(one.requests))
        yield Probes(tr("tests of the cell, without their labels"), len(every), [(every, [])])


def _lengths(unit: str, cells: Sequence[CellRequests]) -> Iterator[Probes]:
    """Yield the lengths of the candidates, for which nothing is asked."""
    for one in cells:
        every = range(len(one.requests))
        asked = one.requests
        if one.reasons:  # whose candidates are those of the prompts of the answers
            asked = one.predictor.model.tokenize([request.prompt.last for request in asked])
        lengths = [_bytes(r) if unit == "bytes" else [*r.candidate_tokens] for r in asked]
        saw = tr("tests of the cell, for the lengths of their options in {unit}", unit=tr(unit))
        known = [[max(length, 1) for length in row] for row in lengths]
        yield Probes(saw, len(every), [(every, [])], lengths=known)


def _bytes(request: Request) -> list[int]:
    """Return the bytes of each candidate, without the space in front of it."""
    return [len(text.strip().encode()) for text in request.prompt.candidates or ()]


def _premise(cells: Sequence[CellRequests]) -> Iterator[Probes]:
    task = cells[0].predictor.task
    made = inputs.premise(task)
    for one in cells:
        every, probes = [range(len(one.requests))], [made]
        saw = tr("content-free input, without shots")
        if task.options is not None:  # whose candidates are those of each query
            every = [range(number, number + 1) for number in every[0]]
            saw = tr("content-free inputs with the options of each query, without shots")
            probes = [inputs.with_options(task, made, query) for query in one.queries]
        requests = replace(one.predictor, shots=0).tokenize(probes, one.renderer)
        parts = [(own, [request]) for own, request in zip(every, requests, strict=True)]
        yield Probes(saw, len(probes), parts)


def _orders(count: int, cells: Sequence[CellRequests]) -> Iterator[Probes | None]:
    """Yield the queries of each cell with their options in other orders, if that differs."""
    made = [option_orders.turned(one, count) for one in cells]
    if not any(made):
        raise TaskError(
            tr(
                "option orders: {without_effect}",
                without_effect=option_orders.without_effect(cells),
            )
        )
    saw = tr(
        "tests of the cell, with their options in {count} orders, or as many as they have",
        count=count,
    )
    for turned in made:
        if turned is None:
            yield None
        else:
            parts = [([number], one.requests) for number, one in enumerate(turned)]
            yield Probes(saw, len(turned), parts, columns=[one.columns for one in turned])


def _held_out(cells: Sequence[CellRequests]) -> Iterator[Probes]:
    task = cells[0].predictor.task
    numbers = {label: number for number, label in enumerate(task.labels)}
    shown: dict[object, set[str]] = {}
    for one in cells:
        draw = shown.setdefault((one.predictor.selection, one.predictor.seed), set())
        draw.update(id for request in one.requests for id in request.prompt.shots)
    held = {draw: inputs.held_out(task, ids) for draw, ids in shown.items()}
    for one in cells:
        examples = held[one.predictor.selection, one.predictor.seed]
        requests = one.predictor.tokenize(examples, one.renderer)
        yield Probes(
            tr("labelled examples of the pool that are no shots"),
            len(examples),
            [(range(len(one.requests)), requests)],
            [numbers[task.output_type.text(example.output)] for example in examples],
        )


def _tokenized(cell: CellRequests, made: Examples, ids: Sequence[str]) -> list[Request]:
    """Return the probes after these shots, but for those that a template or model cannot take.

    Raises:
        TaskError: None is left.
    """
    predictor = cell.predictor
    shots = tuple(filter(None, map(predictor.task.demos.by_id, ids)))
    requests: list[Request] = []
    reason: PromptkitError | None = None
    for probe in made:
        try:
            requests += predictor.requests([cell.renderer.render(probe, shots)])
        except PromptkitError as error:
            reason = error
    if not requests:
        raise TaskError(
            tr(
                "no probe of a calibration can be asked after {count} shots: {reason}",
                count=len(shots),
                reason=reason,
            )
        )
    return requests


_Source = Callable[[Sequence[CellRequests]], Iterator[Probes | None]]
_METHODS: Mapping[Calibration, tuple[_Source, Callable[..., Scores]]] = {
    "contextual": (
        partial(_after_shots, inputs.content_free, mark("content-free inputs")),
        calibrate.contextual,
    ),
    "domain-context": (
        partial(_after_shots, inputs.random_texts, mark("inputs of random words of the pool")),
        calibrate.domain_context,
    ),
    "batch": (_queries, lambda scores, _: calibrate.batch(scores)),
    "pmi": (_premise, calibrate.pmi),
    "temperature": (_held_out, calibrate.temperature),
    "vector": (_held_out, calibrate.vector),
    "by_byte": (partial(_lengths, "bytes"), calibrate.by_length),
    "by_token": (partial(_lengths, "tokens"), calibrate.by_length),
}
"""The probes of each method, and the function that calibrates by their scores."""


def _method(name: str) -> tuple[_Source, Callable[..., Scores]]:
    count = option_orders.count_of(name)
    if count is not None:
        return partial(_orders, count), calibrate.orders
    return _METHODS[cast(Calibration, name)]
