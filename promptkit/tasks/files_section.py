"""`[files]` of a `task.toml`: where the rows are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from promptkit.tasks.input_section import Section


def _one_split(schema: dict[str, Any]) -> None:
    schema["dependencies"] = {name: ["data"] for name in ("split", "folds", "seed")}
    apart = (("data", "demos"), ("data", "tests"), ("split", "folds"))
    schema["not"] = {"anyOf": [{"required": [*pair]} for pair in apart]}


class FilesSection(Section):
    """`[files]`, relative to the task's folder."""

    model_config = ConfigDict(json_schema_extra=_one_split)

    demos: str | None = None
    """The pool that shots are drawn from: CSV, JSON Lines or Parquet."""
    tests: str | None = None
    """The examples that are asked; they never overlap the pool."""
    data: str | None = None
    """One file of all examples, in place of `demos` and `tests`: a draw splits it. Near-duplicates
    stay together, and the labels are spread evenly."""
    split: float | None = Field(default=None, gt=0, lt=1)
    """The share of the rows of `data` that become tests; 0.5 by default."""
    folds: Annotated[int, Field(ge=2, le=32)] | str | None = None
    """Number of folds of `data`: every row is a test, with shots from the other folds. Or the name
    of a column with the fold of each row, such as its author."""
    seed: int = 0
    """Number of the draw that splits `data`."""
    columns: dict[str, str] = Field(default={})
    """The columns of input fields, of `output` and of `id` whose names differ:
    `{ text = "sentence", output = "label" }`."""
    audit: str | None = None
    """Rows for `promptkit audit` with slots in braces among their texts: `{person} is a doctor.`"""
    repeats: Literal["error", "drop"] = "error"
    """The treatment of repeated rows, and of demonstrations that are also tests."""
