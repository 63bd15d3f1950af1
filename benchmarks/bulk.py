"""Costs of using a predictor: `python -m benchmarks.bulk PART` measures one part."""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import lookup, rows, serving

PARTS: dict[str, Callable[[], None]] = {
    "lookup": lookup.main,
    "memory": rows.memory,
    "rate": rows.rate,
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
