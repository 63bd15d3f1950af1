"""Costs of using a predictor: `python -m benchmarks.bulk PART` measures one part."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import first_answer, lookup, ray_actors, rows, serving
from benchmarks.parts import run_part

PARTS: dict[str, Callable[[], None]] = {
    "first": first_answer.main,
    "best": rows.best,
    "lookup": lookup.main,
    "memory": rows.memory,
    "rate": rows.rate,
    "ray": ray_actors.main,
    "serve": serving.main,
}


def main() -> None:
    run_part("bulk", PARTS)


if __name__ == "__main__":
    main()
