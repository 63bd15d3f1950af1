"""The grids that are measured, and their prompts as texts for the peers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promptkit

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Grid:
    """The tests of a task, asked with some numbers of shots."""

    name: str
    folder: Path
    shots: tuple[int, ...]
    queries: int
    """How many of the tests are asked."""
    seeds: tuple[int, ...] = (0,)

    def task(self) -> promptkit.Task[Any, Any]:
        """Raises `PromptkitError` where its data is not there."""
        return promptkit.load_task(self.folder)


GRIDS = {
    grid.name: grid
    for grid in (
        Grid("sst2", ROOT / "benchmarks" / "sst2", (0, 1, 2, 4, 8, 16), 60),
        Grid("fruit", ROOT / "examples" / "fruit", (0, 1, 2, 4, 8), 51),
        Grid("routing", ROOT / "benchmarks" / "routing", (0, 1, 2, 4, 8), 36),
    )
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One rendered prompt of a grid."""

    text: str
    labels: tuple[str, ...]
    answers: tuple[str, ...]
    """The labels as they follow the text, the space in front included."""
    stop: str


def prompts(grid: Grid) -> Iterator[Asked]:
    """The grid's prompts in its order: shot counts, seeds, queries."""
    task = grid.task()
    template = promptkit.Template.of(task)
    for shots in grid.shots:
        for seed in grid.seeds:
            for query in list(task.tests)[: grid.queries]:
                prompt = template.render(task, shots=shots, query=query, seed=seed)
                yield Asked(prompt.text, task.labels, prompt.candidates or (), prompt.stop)
