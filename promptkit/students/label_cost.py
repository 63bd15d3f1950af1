"""Cost of a teacher's answers to a pool, which is kept beside their file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from promptkit.bulk.bulk_run import BulkProgress
from promptkit.files import saving
from promptkit.inference.answering import counting_reused
from promptkit.models.base import Usage
from promptkit.students.teacher import Teacher


@dataclass
class LabelCost:
    """Seconds and tokens that answers took, in all runs.

    They are kept after each chunk of rows, as the answers are: a run that goes on adds its own. An
    answer from the prediction store counts with the time that it took when it was made, and with
    the tokens that had to be decoded for it.
    """

    file: Path
    teacher: Teacher
    reused: Usage
    """What answers from the store took."""
    seconds: float = 0.0
    tokens: int = 0
    asked: int = 0
    """Rows of this run that were asked up to the last time that it was kept."""
    since: float = field(default_factory=perf_counter)
    tokens_then: int = 0
    """Tokens that the teacher had decoded at that time."""

    def add(self, now: BulkProgress) -> None:
        """Add what a chunk took, once its answers are kept."""
        if now.asked > self.asked:
            self.asked = now.asked
            self.keep()

    def keep(self) -> None:
        """Add what was done since the last time, and write it."""
        self.seconds += perf_counter() - self.since + self.reused.decode_seconds
        self.tokens += self.teacher.tokens - self.tokens_then + self.reused.decoded_tokens
        self.since, self.tokens_then = perf_counter(), self.teacher.tokens
        self.reused.decode_seconds, self.reused.decoded_tokens = 0.0, 0
        saving.write(self.file, json.dumps({"seconds": self.seconds, "tokens": self.tokens}))


@contextmanager
def counted_cost(out: Path, teacher: Teacher) -> Iterator[LabelCost]:
    """Count what the answers in a file take while they are made.

    Args:
        out: File of the answers; where it is complete, nothing is added.
        teacher: The teacher that is asked.
    """
    file, complete = out.with_suffix(".cost.json"), out.exists()
    with counting_reused() as reused:
        cost = LabelCost(file, teacher, reused, tokens_then=teacher.tokens)
        if file.exists():
            known = json.loads(file.read_text("utf-8"))
            cost.seconds, cost.tokens = float(known["seconds"]), round(known["tokens"])
        yield cost
        if not complete:
            cost.keep()
