"""Ways to adapt a model on SST-2: `python -m benchmarks.adapt PART` measures one against its goals.

The data is not part of this repository (`benchmarks/sst2/task.toml`). What is made is kept in
`runs/adapt` (`--out`), so that a part goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import adapt_cascade, adapt_lora, adapt_student
from benchmarks.parts import run_part

PARTS: dict[str, Callable[[], None]] = {
    "student": adapt_student.main,
    "lora": adapt_lora.gold,
    "prompt": adapt_lora.prompt_into_adapter,
    "cascade": adapt_cascade.main,
}


def main() -> None:
    run_part("adapt", PARTS)


if __name__ == "__main__":
    main()
