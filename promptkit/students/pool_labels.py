"""Labels that a teacher gives an unlabelled pool, by bulk prediction: resumable, and kept.

Each member's answers are a file of their own, whose name is a digest of the member and the pool. So
another student of the same pool, with other filters or settings, asks nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.bulk.bulk import predict
from promptkit.bulk.bulk_inputs import Inputs, input_stream
from promptkit.bulk.bulk_rows import digest_of
from promptkit.bulk.bulk_run import BulkProgress
from promptkit.inference.store import Store
from promptkit.students.label_cost import LabelCost, counted_cost
from promptkit.students.left_out import NEARLY_TEST, NO_ANSWER, UNREADABLE
from promptkit.students.teacher import Teacher, targets_of
from promptkit.students.tested_rows import is_tested
from promptkit.students.training_set import Table
from promptkit.tasks.examples import canonical
from promptkit.tasks.reading import Columns
from promptkit.tasks.task import Task

Tell = Callable[[int, int, BulkProgress], None]
"""Called with the number of a member from 1, the number of all, and how far it is."""


@dataclass(frozen=True, slots=True)
class PoolSource:
    """Rows of a pool that can be read several times."""

    rows: Inputs
    name: str
    """Name in cards: that of its file."""
    sha256: str

    @classmethod
    def of(cls, pool: Inputs) -> PoolSource:
        """Return the source of a file, an Arrow stream or records.

        Raises:
            TaskError: The file is not there, or `pool` holds no rows.
        """
        if not isinstance(pool, str | Path):
            numbered = [*input_stream(pool).rows(())]
            rows = [row if isinstance(row, Mapping) else row.value for _, row in numbered]
            return cls(rows, "rows", digest_of(numbered))
        input_stream(pool)  # says what is wrong with the file
        digest = hashlib.sha256()
        with Path(pool).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return cls(pool, Path(pool).name, digest.hexdigest())


@dataclass(frozen=True, eq=False)
class PoolLabels:
    """Rows of a pool that every member of a teacher has answered."""

    lines: NDArray[np.int64]
    """Line of each row in the pool's file, or its number from 1, (rows,)."""
    fields: tuple[Mapping[str, Any], ...]
    """Input of each row."""
    tables: Table
    """Probabilities of the labels, or numbers, (members, rows, outputs)."""
    coverage: Table
    """Mean probability mass on the labels, (rows,); NaN where it is not known."""
    rows: int
    """Number of rows of the pool."""
    dropped: Mapping[str, int]
    """Number of rows without a label, by the reason."""
    seconds: float
    """Time that the labels took, in all runs; of those from the store, when they were made."""
    tokens: int
    """Number of tokens that were decoded for them, in all runs."""

    @property
    def targets(self) -> Table:
        """Mean over the members, (rows, outputs)."""
        mean: Table = self.tables.mean(axis=0)
        return mean


def label_pool(
    teacher: Teacher,
    pool: PoolSource,
    folder: Path,
    *,
    columns: Columns | None = None,
    limit: int | None = None,
    store: Store | None = None,
    tell: Tell | None = None,
) -> PoolLabels:
    """Return the labels of a pool, those that `folder` has already without asking.

    Args:
        teacher: The teacher.
        pool: The rows.
        folder: Folder of the answers.
        columns: Columns of input fields and of `id`, where they have other names.
        limit: Number of rows to read at the most.
        store: The prediction store.
        tell: A function that is called as rows are done.

    Raises:
        TaskError: The pool cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    named = {k: v for k, v in (columns or {}).items() if k != "output"}
    answers, rejects, costs = [], 0, []
    for number, (member, key) in enumerate(zip(teacher.members, teacher.keys, strict=True), 1):
        parts = canonical([key, pool.sha256, limit, {k: str(v) for k, v in named.items()}])
        out = folder / f"{hashlib.sha256(parts).hexdigest()[:16]}.jsonl"
        with counted_cost(out, teacher) as cost:
            done = predict(
                member,
                pool.rows,
                out=out,
                task=teacher.task,
                columns=named,
                limit=limit,
                store=store,
                progress=_teller(cost, tell, number, len(teacher.members)),
            )
        costs.append(cost)
        rejects = max(rejects, done.rejects)
        answers.append({row["line"]: row for row in _rows(out)})
    return _joined(teacher.task, answers, rejects, costs)


def _teller(
    cost: LabelCost, tell: Tell | None, number: int, members: int
) -> Callable[[BulkProgress], None]:
    def told(now: BulkProgress) -> None:
        cost.add(now)
        if tell is not None:
            tell(number, members, now)

    return told


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _joined(
    task: Task[Any, Any],
    answers: Sequence[Mapping[int, Mapping[str, Any]]],
    rejects: int,
    costs: Sequence[LabelCost],
) -> PoolLabels:
    """Return the rows that all members have answered, without those that are tests too."""
    first, *_ = answers
    tested = is_tested(task, [row["input"] for row in first.values()])
    lines, fields, tables, coverage = [], [], [], []
    dropped = {UNREADABLE: rejects, NO_ANSWER: 0, NEARLY_TEST: 0}
    for is_test, (line, row) in zip(tested.tolist(), first.items(), strict=True):
        own = [one[line] for one in answers if line in one]
        targets = [targets_of(task, SimpleNamespace(**one)) for one in own]
        if len(own) < len(answers) or any(one is None for one in targets):
            dropped[NO_ANSWER] += 1
        elif is_test:
            dropped[NEARLY_TEST] += 1
        else:
            lines.append(line)
            fields.append(row["input"])
            tables.append(targets)
            known = [one["coverage"] for one in own]
            coverage.append(np.nan if None in known else float(np.mean(known)))
    outputs = len(task.labels) or 1
    table = np.array(tables, np.float64).reshape(len(lines), len(answers), outputs)
    return PoolLabels(
        np.array(lines, np.int64),
        tuple(fields),
        table.transpose(1, 0, 2),
        np.array(coverage, np.float64),
        len(first) + rejects,
        {reason: count for reason, count in dropped.items() if count},
        sum(cost.seconds for cost in costs),
        sum(cost.tokens for cost in costs),
    )
