"""A saved comparison, read again and checked: what `Comparison.save` wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from promptkit.errors import DataError, Problem
from promptkit.files import saving
from promptkit.files.paths import read_bytes
from promptkit.inference.cell import FIELDS, RAW, Cell
from promptkit.inference.prediction import Prediction

MOST_BYTES = 8 << 30
"""The largest file of a run that is read."""

_AGAIN = "run promptkit compare again, or restore the file"


@dataclass(frozen=True)
class Run:
    """A saved comparison."""

    folder: Path
    data: Mapping[str, Any]
    """`comparison.json`, as `Comparison.to_dict()` wrote it."""
    predictions: tuple[Prediction, ...]

    @property
    def task(self) -> str:
        """The task's name."""
        return str(self.data["task"]["name"])

    @property
    def pool(self) -> Mapping[str, str] | None:
        """A digest of each demonstration by its id (`Comparison.pool`); None if not saved."""
        pool = self.data.get("pool")
        return pool if isinstance(pool, dict) else None

    @property
    def most_shots(self) -> int:
        """The largest number of shots that was asked."""
        return max(prediction.shots for prediction in self.predictions)


def read_run(folder: str | Path) -> Run:
    """Reads `comparison.json` and `predictions.jsonl` out of a folder.

    Runs of earlier versions are read too. Raises `DataError` with file and line for a file that is
    missing, damaged, cut short or of another kind.
    """
    folder = Path(folder)
    data = _comparison(folder / "comparison.json")
    file = folder / "predictions.jsonl"
    raw = _bytes(file)
    predictions = tuple(_predictions(file, raw))
    said = _rows_say(data)
    if said != len(predictions):
        raise _bad(
            file,
            f"{len(predictions):,} predictions, where comparison.json speaks of {said:,}; one of "
            f"the two is cut short or of another run: {_AGAIN}",
        )
    check_together(data, file, raw)
    return Run(folder, data, predictions)


def check_together(data: Mapping[str, Any], file: Path, raw: bytes) -> None:
    """Raises `DataError` for a file that was not saved with a `comparison.json`.

    Runs of versions that saved no digests pass.
    """
    digests = data.get("files")
    known = digests.get(file.name) if isinstance(digests, dict) else None
    if known is not None and saving.digest(raw) != known:
        raise _bad(
            file,
            "not the file that was saved with comparison.json: it was changed, or saving a later "
            f"run was interrupted; {_AGAIN}",
        )


def _comparison(file: Path) -> Mapping[str, Any]:
    data = _json(_bytes(file), file)
    parts = {"task": dict, "models": list, "rows": list, "pairs": list, "usage": dict}
    for name, kind in parts.items():
        if not isinstance(data.get(name), kind):
            raise _bad(file, f"no {name!r} as a comparison has; {_AGAIN}")
    if not {"name", "fingerprint"} <= set(data["task"]):
        raise _bad(file, f"the task has no name or no fingerprint; {_AGAIN}")
    return {**data, "rows": [*map(_known, data["rows"])], "pairs": [*map(_known, data["pairs"])]}


def _known(value: Any) -> Any:
    """Return a row or a pair as it is written today.

    Earlier versions had one interval, which was for these shots.
    """
    if not isinstance(value, dict):
        return value
    for name in ("accuracy_ci", "ci"):
        if name in value and f"{name}_fixed" not in value:
            value = {**value, f"{name}_fixed": value[name], name: None}
            if "p" in value:
                value |= {"p_fixed": value["p"], "p": None}
    return value


def _rows_say(data: Mapping[str, Any]) -> int:
    """How many predictions the rows of single seeds are made of."""
    total = 0
    for row in data["rows"]:
        raw = isinstance(row, dict) and row.get("calibration", RAW) == RAW
        if raw and row.get("seed") is not None and isinstance(row.get("n"), int):
            total += row["n"]
    return total


def _predictions(file: Path, raw: bytes) -> Iterator[Prediction]:
    seen: dict[tuple[Cell, str], int] = {}
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        last = number == len(lines)  # a whole file ends in a newline
        prediction = _prediction(_json(line, file, number, cut=last), file, number)
        first = seen.setdefault((prediction.cell, prediction.id), number)
        if first != number:
            reason = f"the same cell and example as line {first}; {_AGAIN}"
            raise _bad(file, reason, number, prediction.id)
        yield prediction
    if not seen:
        raise _bad(file, f"no predictions; {_AGAIN}")


def _prediction(record: Mapping[str, Any], file: Path, line: int) -> Prediction:
    logprobs = record.get("logprobs")
    if isinstance(logprobs, dict):  # JSON has no infinities
        restored = {k: -math.inf if v is None else v for k, v in logprobs.items()}
        record = {**record, "logprobs": restored}
    try:
        prediction = _reader().validate_python(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "missing":
            reason = f"no field {field!r}, which every prediction has; {_AGAIN}"
            raise _bad(file, reason, line) from None
        problem = Problem(
            f"{first['msg']}; {_AGAIN}",
            file=str(file),
            line=line,
            field=field,
            value=first["input"],
        )
        raise DataError([problem]) from None
    unknown = [name for name in FIELDS if getattr(prediction, name) is None]
    if unknown:
        raise _bad(file, f"no field {unknown[0]!r}, which every prediction has; {_AGAIN}", line)
    return prediction


@cache
def _reader() -> TypeAdapter[Prediction]:
    return TypeAdapter(Prediction)


def _bytes(file: Path) -> bytes:
    try:
        return read_bytes(file, MOST_BYTES)
    except OSError as error:
        raise _bad(
            file,
            f"{error.strerror or error}; a saved comparison is a folder with comparison.json and "
            "predictions.jsonl, as promptkit compare --out writes it",
        ) from None


def _json(text: bytes, file: Path, line: int | None = None, *, cut: bool = False) -> dict[str, Any]:
    try:
        value = json.loads(text.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        place = getattr(error, "lineno", None) if line is None else line
        why = "the file is cut short" if cut else f"not JSON ({error})"
        raise _bad(file, f"{why}; {_AGAIN}", place) from None
    if not isinstance(value, dict):
        raise _bad(file, f"not a JSON object; {_AGAIN}", line)
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")


def _bad(file: Path, reason: str, line: int | None = None, example: str | None = None) -> DataError:
    return DataError([Problem(reason, file=str(file), line=line, example=example)])
