"""Costs of using a predictor: `python -m benchmarks.bulk PART` measures one part."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import first_answer, lookup, ray_actors, rows, serving

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
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part not in PARTS:
        sys.exit(f"usage: python -m benchmarks.bulk {{{','.join(PARTS)}}}")
    del sys.argv[1]
    PARTS[part]()


if __name__ == "__main__":
    main()
