"""Choice of one part of a benchmark on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping


def run_part(name: str, parts: Mapping[str, Callable[[], None]]) -> None:
    """Run the part that the first argument names, with the arguments after it."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part not in parts:
        sys.exit(f"usage: python -m benchmarks.{name} {{{','.join(parts)}}}")
    del sys.argv[1]
    parts[part]()
