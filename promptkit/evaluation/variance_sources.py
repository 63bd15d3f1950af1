"""Variance components of the metric of a comparison, and spreads over the levels of factors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from promptkit.evaluation import sentences
from promptkit.evaluation import variance as estimates
from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.evaluation.outcomes import ByCell, Outcomes
from promptkit.evaluation.query_variance import Component
from promptkit.evaluation.results import Spread, Variance, VarianceComponent
from promptkit.inference.cell import SWEPT, Cell

_HELD = tuple(name for name in SWEPT if name != "seed")


class Line(NamedTuple):
    """Cells that differ in swept factors only, as one table."""

    cell: Cell
    """The first of them."""
    metric: Metric
    shares: npt.NDArray[np.float64]
    """Shares of the answers in the metric, the queries that have one in all cells, then an axis for
    each of `SWEPT`."""
    prompts: npt.NDArray[np.int64]
    """Hashes of the prompts, the same axes without queries: equal numbers are equal prompts."""
    levels: Mapping[str, Sequence[str | int | None]]

    def moves(self, factor: str) -> bool:
        """Return whether another level is another prompt; it is not for an order of no shots."""
        axis = SWEPT.index(factor)
        return bool((self.prompts != self.prompts.take([0], axis)).any())

    @property
    def counts(self) -> bool:
        """Whether answers are right or wrong."""
        return self.metric.counts and bool(np.isin(self.shares, (0, 1)).all())


def lines(by_cell: ByCell, metric: Metric = ACCURACY) -> Iterator[Line]:
    """Yield the tables of a comparison that has two queries or more, all levels crossed.

    Args:
        by_cell: The outcomes of a comparison.
        metric: The metric; lines with a cell that does not have it are left out.
    """
    by_line: dict[Cell, list[Outcomes]] = {}
    for cell, one in by_cell.items():
        by_line.setdefault(cell.at(**dict.fromkeys(_HELD)), []).append(one)
    for found in by_line.values():
        cells = [one.cell for one in found]
        if len(found[0].correct) < 2:
            return
        levels: dict[str, list[Any]] = {
            name: list(dict.fromkeys(getattr(cell, name) for cell in cells)) for name in _HELD
        }
        levels["seed"] = [*found[0].numbers]
        every = product(*(levels[name] for name in _HELD))
        crossed = [dict(zip(_HELD, each, strict=True)) for each in every]
        if len(crossed) != len(cells):  # a calibration that some of them do not have
            continue
        shape = [len(levels[name]) for name in SWEPT]
        grid = [by_cell[cells[0].at(**each)] for each in crossed]
        shares = [metric.shares(one) for one in grid]
        if any(table is None for table in shares):
            continue
        table = np.moveaxis(np.array(shares, dtype=np.float64), 1, 0)
        known = np.isfinite(table).reshape(len(table), -1).all(axis=1)
        table = table if known.all() else table[known]
        if len(table) < 2:
            continue
        prompts = [
            [hash((one.cell.template, one.cell.verbalizer, prompts)) for prompts in one.prompts]
            for one in grid
        ]
        yield Line(
            cells[0],
            metric,
            table.reshape(len(table), *shape),
            np.array(prompts).reshape(shape),
            levels,
        )


def variance(lines: Sequence[Line]) -> Iterator[Variance]:
    """Yield the variance components of each line in which the prompts vary."""
    for line in lines:
        moving = [name for name in SWEPT if line.moves(name)]
        if not moving:
            continue
        places = [slice(None) if name in moving else slice(1) for name in SWEPT]
        table = line.shares[(slice(None), *places)]
        estimate = estimates.components if line.counts else estimates.components_of_means
        found = estimate(table)
        sources = [("query", len(table), found.query)]
        for name, component in zip(SWEPT, found.factors, strict=True):
            if component is not None and name in moving:
                sources.append((name, len(line.levels[name]), component))
        sources.append(("residual", table[0].size, found.residual))
        yield Variance(
            **line.cell.at(**dict.fromkeys([*moving, "seed"])).factors(),
            n=len(table),
            sources=tuple(_component(*source, line.metric) for source in sources),
        )


def _component(factor: str, levels: int, component: Component, metric: Metric) -> VarianceComponent:
    ends = component.ci.low, component.ci.high
    sentence = sentences.component(factor, levels, component.sd, ends, component.truncated, metric)
    return VarianceComponent(factor, levels, component.sd, ends, component.truncated, sentence)


def spreads(lines: Sequence[Line]) -> Iterator[Spread]:
    """Yield the range over the levels of each factor, for every combination of the others."""
    for line in lines:
        for factor in SWEPT:
            if line.moves(factor):
                yield from _spreads(line, factor)


def _spreads(line: Line, factor: str) -> Iterator[Spread]:
    every = slice(None)
    places: list[Sequence[Any]] = [
        [every] if name in (factor, "seed") else range(len(line.levels[name])) for name in SWEPT
    ]
    for where in product(*places):
        # What is left is (queries, levels, seeds), or (queries, seeds).
        estimate = estimates.extent if line.counts else estimates.extent_of_means
        found = estimate(line.shares[(every, *where)])
        values, ends = found.values, (found.ci.low, found.ci.high)
        levels = {
            name: None if place == every else line.levels[name][place]
            for name, place in zip(SWEPT, where, strict=True)
        }
        yield Spread(
            **line.cell.at(**levels).factors(),
            factor=factor,
            levels=tuple(str(level) for level in line.levels[factor]),
            accuracies=values,
            observed=found.observed,
            noise=found.noise,
            estimate=found.estimate,
            ci=ends,
            sentence=sentences.spread(
                factor,
                len(values),
                (min(values), max(values)),
                found.noise,
                found.estimate,
                ends,
                line.metric,
            ),
        )
