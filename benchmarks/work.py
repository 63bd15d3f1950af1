"""The grids that are measured, and their prompts as texts for the peers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import promptkit

ROOT = Path(__file__).parents[1]


OURS = ("promptkit as-is", "promptkit prepared", "limit")


@dataclass(frozen=True, slots=True)
class Grid:
    """The first tests of a task, with several shot counts."""

    name: str
    title: str
    folder: Path
    shots: tuple[int, ...]
    queries: int
    """Number of tests that are run."""
    contestants: tuple[str, ...] = ()
    """The labels of the first are what the others' labels are compared with."""
    rivals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Least and aimed speed-up of promptkit over some of them."""
    seeds: tuple[int, ...] = (0,)

    @property
    def size(self) -> int:
        """The number of prompts."""
        return len(self.shots) * len(self.seeds) * self.queries

    def task(self) -> promptkit.Task[Any, Any]:
        """Raises `PromptkitError` where its data is not there."""
        return promptkit.load_task(self.folder)

    def first(self, queries: int | None) -> Grid:
        """The same with fewer queries."""
        return self if queries is None else replace(self, queries=min(queries, self.queries))


SST2 = Grid(
    name="sst2",
    title="SST-2: 2 labels of 1 token",
    folder=ROOT / "benchmarks" / "sst2",
    shots=(0, 1, 2, 4, 8, 16),
    queries=60,
    contestants=("first token", "first token, sorted", "guidance select", *OURS),
    rivals={"first token": (2.8, 3.3)},
)
FRUIT = Grid(
    name="fruit",
    title="Fruit: 7 labels of 1 to 3 tokens",
    folder=ROOT / "examples" / "fruit",
    shots=(0, 1, 2, 4, 8),
    queries=51,
    contestants=("log-likelihood", "generate", "guidance select", *OURS),
    rivals={"generate": (2.5, 3.2)},
)
ROUTING = Grid(
    name="routing",
    title="Routing: 6 labels of 4 to 6 tokens",
    folder=ROOT / "examples" / "routing",
    shots=(0, 1, 2, 4, 8),
    queries=30,
    contestants=("log-likelihood", "log-likelihood anew", "guidance select", *OURS),
    rivals={"log-likelihood": (2.5, 3.5), "log-likelihood anew": (15.0, 40.0)},
)
GRIDS = {grid.name: grid for grid in (SST2, FRUIT, ROUTING)}


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
