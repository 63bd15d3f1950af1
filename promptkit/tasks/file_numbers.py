"""The number types that `task.toml` names: bounds of an int or float, and scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from promptkit.errors import TaskError
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.task_file import OutputSection
from promptkit.translation import tr

_NUMBERS: dict[str, type] = {"int": int, "float": float}
_BOUNDS = {"minimum": "min", "maximum": "max"}


def bounded_type(section: OutputSection, path: Path) -> Any:
    """Return the type of numbers from `min` to `max`. Raises `TaskError`."""
    bounds, kind = {"min": section.min, "max": section.max}, _NUMBERS.get(section.type or "")
    for name, value in bounds.items():
        where = f"{path}: output.{name}"
        if value is None:
            continue
        if kind is None or section.schema_file is not None:
            raise TaskError(
                tr('{where}: bounds go with type = "int" or type = "float" alone', where=where)
            )
        if not math.isfinite(value):
            raise TaskError(
                tr(
                    "{where}: {value} is no bound; leave {name} out",
                    where=where,
                    value=value,
                    name=name,
                )
            )
        if section.type == "int" and isinstance(value, float):
            raise TaskError(
                tr(
                    "{where}: the bound of an int is a whole number, not {value}",
                    where=where,
                    value=value,
                )
            )
    least, most = section.min, section.max
    if least is not None and most is not None and least > most:
        raise TaskError(
            tr(
                "{path}: output.min: {least} is larger than max, {most}",
                path=path,
                least=least,
                most=most,
            )
        )
    return Annotated[kind, Field(ge=least, le=most)]


def scale_type(scale: Sequence[int | float], path: Path) -> Any:
    """Return the closed set of the numbers of a scale. Raises `TaskError`."""
    where = f"{path}: output.scale"
    if len(scale) < 2:
        raise TaskError(
            tr("{where}: a scale has at least two numbers, such as [1, 2, 3]", where=where)
        )
    for value in scale:
        if not math.isfinite(value):
            raise TaskError(tr("{where}: {value} is no finite number", where=where, value=value))
    for before, after in pairwise(scale):
        if before >= after:
            reason = (
                tr("is repeated") if before == after else tr("comes after {before}", before=before)
            )
            raise TaskError(
                tr(
                    "{where}: {after} {reason}; write numbers in ascending order",
                    where=where,
                    after=after,
                    reason=reason,
                )
            )
    return Literal[tuple(scale)]


def is_scale(values: Sequence[Any]) -> bool:
    """Return whether values are what `scale` may be."""
    numbers = all(type(value) in (int, float) for value in values)
    return numbers and len(values) > 1 and all(a < b for a, b in pairwise(values))


def bounds_of(output: OutputType) -> dict[str, Any] | None:
    """Return the `[output]` section of a number with inclusive bounds; None for other types."""
    schema = output.written_schema or {}
    bounds = {name: schema[key] for key, name in _BOUNDS.items() if key in schema}
    if not output.is_number or not bounds:
        return None
    for name, kind in _NUMBERS.items():
        plainly = OutputType(kind).written_schema or {}
        same = {k: v for k, v in schema.items() if k not in _BOUNDS} == plainly
        if same and all(type(value) in (int, kind) for value in bounds.values()):
            return {"type": name, **bounds}
    return None
