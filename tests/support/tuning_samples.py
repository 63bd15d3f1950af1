"""A task that tiny random models learn in seconds."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

import promptkit as pk


class Fruit(BaseModel):
    name: str


Family = Literal["drupe", "pome", "citrus"]
OPTIONS = pk.TuningOptions(epochs=4, learning_rate=0.02, patience=4, batch=8, rank=2)


def rows(count: int) -> list[dict[str, Any]]:
    """Fruits whose first letter says their family."""
    families = ("drupe", "pome", "citrus")
    random = np.random.default_rng(0)
    made: dict[str, str] = {}
    while len(made) < count:
        first = int(random.integers(3))
        rest = "".join(chr(ord("a") + int(x)) for x in random.integers(0, 26, 3))
        made["xyz"[first] + rest] = families[first]
    return [{"input": {"name": name}, "output": family} for name, family in made.items()]


def task(count: int = 40, **more: Any) -> Any:
    return pk.Task[Fruit, Family](
        name="fruit", instruction="Name the family.", demos=rows(count), **more
    )
