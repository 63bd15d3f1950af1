"""Saved audits: read again, and checked against the types of their parts."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from promptkit.auditing.audit import FILE, FORMAT, Audit
from promptkit.errors import DataError, Problem
from promptkit.files.paths import read_bytes
from promptkit.tasks.pydantic_messages import said_of
from promptkit.translation import mark, tr

MOST_BYTES = 1 << 30
"""Largest file that is read."""

_AGAIN = mark("run promptkit audit again, or restore the file")


def load_audit(path: str | Path) -> Audit:
    """Load an audit that `Audit.save` or `promptkit audit --out` wrote.

    Args:
        path: The folder with `audit.json`, or the file.

    Returns:
        The audit.

    Raises:
        DataError: The file is missing, damaged or of a later version; with the place.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> prompt = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
        >>> made = pk.audit(prompt, groups=["source"], store=pk.Store())
        >>> load_audit(made.save("runs/fruit-audit")) == made
        True
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    try:
        data = json.loads(read_bytes(file, MOST_BYTES))
    except OSError as error:
        raise _bad(
            file,
            tr("{problem}; promptkit audit --out writes it", problem=error.strerror or error),
        ) from None
    except (ValueError, RecursionError) as error:
        raise _bad(file, tr("not JSON ({error}); {hint}", error=error, hint=tr(_AGAIN))) from None
    if not isinstance(data, dict) or "format" not in data:
        raise _bad(file, tr("no audit; {hint}", hint=tr(_AGAIN)))
    if data.pop("format") != FORMAT:
        raise _bad(file, tr("written by a later version of promptkit; update it"))
    try:
        return _adapter().validate_python(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise _bad(file, f"{said_of(first)}; {tr(_AGAIN)}", place) from None


@cache
def _adapter() -> TypeAdapter[Audit]:
    return TypeAdapter(Audit)


def _bad(file: Path, reason: str, field: str | None = None) -> DataError:
    return DataError([Problem(reason, file=str(file), field=field)])
