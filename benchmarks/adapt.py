"""Ways to adapt a model on SST-2: `python -m benchmarks.adapt PART` measures one against its goals.

The data is not part of this repository (`benchmarks/sst2/task.toml`). What is made is kept in
`runs/adapt` (`--out`), so that a part goes on from there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from benchmarks import adapt_cascade, adapt_lora, adapt_student

PARTS: dict[str, Callable[[], None]] = {
    "student": adapt_student.main,
    "lora": adapt_lora.gold,
    "prompt": adapt_lora.prompt_into_adapter,
    "cascade": adapt_cascade.main,
}


def main() -> None:
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    if part not in PARTS:
        sys.exit(f"usage: python -m benchmarks.adapt {{{','.join(PARTS)}}}")
    del sys.argv[1]
    PARTS[part]()


if __name__ == "__main__":
    main()
