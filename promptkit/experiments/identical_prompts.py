"""Cells of a grid with the same prompts, whose figures are therefore the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from promptkit.inference.batch import CellRequests
from promptkit.inference.cell import FACTORS, MIN_SHOTS, bare, noun
from promptkit.models.base import Request
from promptkit.text import counted, listed
from promptkit.translation import mark, tr


def same_prompts(cells: Sequence[CellRequests]) -> Iterator[str]:
    """Yield a sentence on the levels of each factor that have the same prompts."""
    levels = [one.predictor.cell.factors() for one in cells]
    varied = {name for name in levels[0] if len({cell[name] for cell in levels}) > 1}
    factors = [name for name in FACTORS if name in varied & MIN_SHOTS.keys()]
    if not factors and "shots" not in varied:
        return
    digests = [_digest(one.requests) for one in cells]
    for factor in factors:
        yield from _of_factor(factor, levels, digests)
    if "shots" in varied:
        for counts in _groups("shots", levels, digests):
            shown = listed([str(count) for count in counts])
            yield tr("{shown} shots give the same prompts: {SO}", shown=shown, SO=tr(_SO))


_SO = mark("their figures are the same by construction")


def _of_factor(
    factor: str, cells: Sequence[Mapping[str, Any]], digests: Sequence[int]
) -> Iterator[str]:
    found: dict[tuple[str, ...], list[int]] = {}
    counts = sorted({cell["shots"] for cell in cells if cell["shots"] >= MIN_SHOTS[factor]})
    for count in counts:
        these = [i for i, cell in enumerate(cells) if cell["shots"] == count]
        for levels in _groups(factor, [cells[i] for i in these], [digests[i] for i in these]):
            found.setdefault(levels, []).append(count)
    for levels, where in found.items():
        names = listed([bare(factor, level) for level in levels])
        shots = listed([*map(str, where[:-1]), counted(where[-1], "shot", "shots")])
        place = (
            tr("at every number of shots") if where == counts else tr("with {shots}", shots=shots)
        )
        yield tr(
            "{noun}s {names} give the same prompts {place}: {SO}",
            noun=noun(factor),
            names=names,
            place=place,
            SO=tr(_SO),
        )


def _groups(
    factor: str, cells: Sequence[Mapping[str, Any]], digests: Sequence[int]
) -> list[tuple[Any, ...]]:
    """Return the levels that have the same prompts whatever else the cells have."""
    by_level: dict[Any, dict[tuple[Any, ...], int]] = {}
    for cell, digest in zip(cells, digests, strict=True):
        rest = tuple([value for name, value in cell.items() if name != factor])
        by_level.setdefault(cell[factor], {})[rest] = digest
    groups: dict[frozenset[tuple[tuple[Any, ...], int]], list[Any]] = {}
    for level, prompts in by_level.items():
        groups.setdefault(frozenset(prompts.items()), []).append(level)
    return [tuple(levels) for levels in groups.values() if len(levels) > 1]


def _digest(requests: Sequence[Request]) -> int:
    """Return a hash, equal within one process for requests that a model answers alike."""
    return hash(tuple([hash((p.content, p.prompt.stop, _answers(p))) for p in requests]))


def _answers(request: Request) -> tuple[str, ...] | None:
    """Return the candidates of a request that asks for something else first."""
    return request.prompt.last.candidates if request.prompt.then else None
