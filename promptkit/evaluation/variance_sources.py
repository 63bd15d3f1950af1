"""What moves the accuracy of a comparison's cells: its sources of variance, and their spreads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from promptkit.evaluation import outcomes, sentences
from promptkit.evaluation.outcomes import Groups
from promptkit.evaluation.results import Source, Spread, Variance
from promptkit.evaluation.variance import Component, components, extent
from promptkit.inference.cell import Cell
from promptkit.inference.prediction import Prediction, cell_of

FACTORS = ("template", "verbalizer", "order", "seed")
"""The axes of a line behind its queries."""


class Line(NamedTuple):
    """Cells that differ in what is swept only, as one table."""

    cell: Cell
    """The first of them."""
    correct: npt.NDArray[np.int64]
    """(queries, templates, verbalizers, orders, seeds)."""
    prompts: npt.NDArray[np.int64]
    """The same without queries: equal numbers are equal prompts."""
    levels: Mapping[str, Sequence[str | int | None]]

    def moves(self, factor: str) -> bool:
        """Whether another level is another prompt: no shots have no order, and are never drawn."""
        axis = FACTORS.index(factor)
        return bool((self.prompts != self.prompts.take([0], axis)).any())


def lines(groups: Groups, predictions: Sequence[Sequence[Prediction]]) -> Iterator[Line]:
    """The tables of a comparison that has two queries or more, all levels of them crossed."""
    if len(predictions[0]) < 2:
        return
    prompts = _prompts(predictions)
    by_line: dict[Cell, list[Cell]] = {}
    for cell in groups:
        line = cell._replace(template="", verbalizer="", order="")
        by_line.setdefault(line, []).append(cell)
    for cells in by_line.values():
        levels: dict[str, list[Any]] = {
            name: list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in FACTORS
        }
        levels["seed"] = [one.cell.seed for one in groups[cells[0]]]
        crossed = list(product(*(levels[name] for name in FACTORS[:-1])))
        if len(crossed) != len(cells):  # a calibration that some of them do not have
            continue
        shape = [len(levels[name]) for name in FACTORS]
        grid = [
            groups[cells[0]._replace(template=template, verbalizer=verbalizer, order=order)]
            for template, verbalizer, order in crossed
        ]
        correct = np.array([outcomes.correct(seeds) for seeds in grid])
        numbers = [[prompts[one.cell._replace(calibration="")] for one in seeds] for seeds in grid]
        yield Line(
            cells[0],
            np.moveaxis(correct, 1, 0).reshape(correct.shape[1], *shape),
            np.array(numbers).reshape(shape),
            levels,
        )


def _prompts(predictions: Sequence[Sequence[Prediction]]) -> dict[Cell, int]:
    """A number for each cell, the same where the prompts are, and how answers are written."""
    seen: dict[tuple[str, ...], int] = {}
    numbers = {}
    for cell in predictions:
        one = cell[0]
        asked = (one.template, one.verbalizer, *(prediction.prompt_sha256 for prediction in cell))
        numbers[cell_of(one, calibration="")] = seen.setdefault(asked, len(seen))
    return numbers


def variance(lines: Sequence[Line]) -> Iterator[Variance]:
    """What moves the accuracy of each line in which anything does."""
    for line in lines:
        table, moving = line.correct, [name for name in FACTORS if line.moves(name)]
        if not moving:
            continue
        for axis, name in enumerate(FACTORS, 1):
            if name not in moving:
                table = table.take([0], axis)
        found = components(table)
        sources = [("query", len(table), found.query)]
        for name, component in zip(FACTORS, found.factors, strict=True):
            if component is not None and name in moving:
                sources.append((name, len(line.levels[name]), component))
        sources.append(("residual", table[0].size, found.residual))
        yield Variance(
            **_place(line.cell, moving),
            n=len(table),
            sources=tuple(_source(*source) for source in sources),
        )


def _source(factor: str, levels: int, component: Component) -> Source:
    ends = component.ci.low, component.ci.high
    sentence = sentences.moves(factor, levels, component.sd, ends, component.truncated)
    return Source(factor, levels, component.sd, ends, component.truncated, sentence)


def spreads(lines: Sequence[Line]) -> Iterator[Spread]:
    """How far apart the levels of each factor are, wherever the others stand."""
    for line in lines:
        for factor in FACTORS:
            if line.moves(factor):
                yield from _spreads(line, factor)


def _spreads(line: Line, factor: str) -> Iterator[Spread]:
    held = [name for name in FACTORS[:-1] if name != factor]
    axes = [FACTORS.index(name) for name in held]
    for places in product(*(range(len(line.levels[name])) for name in held)):
        where: list[Any] = [slice(None)] * len(FACTORS)
        for axis, place in zip(axes, places, strict=True):
            where[axis] = place
        # What is left is (queries, levels, seeds), or (queries, seeds).
        found = extent(line.correct[(slice(None), *where)])
        accuracies = found.accuracies
        ends = found.ci.low, found.ci.high
        names: dict[str, Any] = {
            name: line.levels[name][place] for name, place in zip(held, places, strict=True)
        }
        cell = line.cell._replace(**names)
        yield Spread(
            **_place(cell, [factor]),
            factor=factor,
            levels=tuple(str(level) for level in line.levels[factor]),
            accuracies=accuracies,
            observed=found.observed,
            noise=found.noise,
            estimate=found.estimate,
            ci=ends,
            sentence=sentences.ranges(
                factor,
                len(accuracies),
                (min(accuracies), max(accuracies)),
                found.noise,
                found.estimate,
                ends,
            ),
        )


def _place(cell: Cell, varied: Sequence[str]) -> dict[str, Any]:
    fields = cell._asdict()
    del fields["seed"]
    return {name: None if name in varied else value for name, value in fields.items()}
