"""A comparison as one self-contained HTML page, without scripts or network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2

from promptkit.report.terminal import (
    changed,
    changes_of,
    cost,
    counted,
    grid_line,
    line_names,
    notes,
    percent,
    points,
    shown,
    signed,
)

Data = Mapping[str, Any]
Records = Sequence[Mapping[str, Any]]


def html(data: Data, records: Records) -> str:
    """The page: the cells, the paired differences, and every answer per shot count."""
    models = {model["name"]: model for model in data["models"]}
    pairs = data["pairs"]
    parts = [
        {
            "name": " · ".join(line_names(key)),
            "model": models[key[0]],
            "rows": [
                (row, changes_of(pairs, key).get(row["shots"]))
                for row in rows
                if row["seed"] is None
            ],
            "items": _items([record for record in records if grid_line(record) == key]),
        }
        for key, rows in groupby(data["rows"], key=grid_line)
    ]
    along = [pair for part in parts for _, pair in part["rows"]]
    against = [pair for pair in pairs if pair not in along]
    return _template().render(
        task=data["task"],
        parts=parts,
        against=against,
        notes=[*notes(records), *cost(data["usage"])],
    )


def _items(records: Records) -> list[dict[str, Any]]:
    """A line per query: its answers per shot count, each with how many seeds gave it."""
    moved = changed(records)
    queries: dict[str, dict[str, Any]] = {}
    for record in records:
        new = {"record": record, "changed": record["id"] in moved, "answers": {}}
        answers = queries.setdefault(record["id"], new)["answers"]
        answer = None if record["label"] is None else shown(record["label"])
        answers.setdefault(record["shots"], Counter())[answer, bool(record["correct"])] += 1
    return list(queries.values())


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    filters = (counted, grid_line, line_names, percent, points, shown, signed)
    environment.filters |= {function.__name__: function for function in filters}
    return environment.from_string(Path(__file__).with_name("page.html").read_text("utf-8"))
