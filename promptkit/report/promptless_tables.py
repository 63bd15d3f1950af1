"""Predictors without a prompt, such as trained baselines, as a table and as values for a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from promptkit.evaluation.metric import ACCURACY
from promptkit.inference.cell import levels_of
from promptkit.report import interval_text
from promptkit.report.cell_names import CellNames, Data, aggregates, has_prompt
from promptkit.report.rich_tables import change, table, titled
from promptkit.text import counted, percent, visible
from promptkit.translation import tr

_SCORES = ("log_loss", "ece")


def promptless(data: Data) -> Iterator[RenderableType]:
    """Yield a table of the predictors without a prompt, each against the best prompt."""
    found = promptless_rows(data)
    if not found:
        return
    metric, lines = interval_text.metric_of(data), found["lines"]
    queries = counted(lines[0]["row"]["n"], "query", "queries")
    yield ""
    yield titled(
        tr("{data} · without a prompt · {queries}", data=data["task"]["name"], queries=queries)
    )
    made = table(
        "",
        f"{metric.noun}:",
        *([tr("vs {found}:", found=found["best"])] if found["best"] else []),
        *([tr("accuracy:")] if metric != ACCURACY else []),
        *([tr("log loss:"), tr("cal. error:")] if found["scored"] else [tr("failed:")]),
    )
    for line in lines:
        row = line["row"]
        scores = ["–" if row[name] is None else f"{row[name]:.2f}" for name in _SCORES]
        made.add_row(
            Text(visible(line["name"], 40)),
            interval_text.figure(metric, row),
            *([change(line["pair"], metric)] if found["best"] else []),
            *([percent(row["accuracy"])] if metric != ACCURACY else []),
            *(scores if found["scored"] else [row["failed"]]),
        )
    yield made
    yield ""


def promptless_rows(data: Data) -> dict[str, Any]:
    """Return the rows of predictors without a prompt, with their difference from the best prompt.

    Empty where there are none.
    """
    rows = [row for row in aggregates(data) if not has_prompt(row)]
    if not rows:
        return {}
    names, pairs, failed = CellNames(data["rows"]), _against_best(data), interval_text.failed(data)
    lines = [
        {
            "name": names.with_shots(row),
            "row": {**row, "failed": failed[levels_of(row), row["shots"]]},
            "pair": pairs.get(row["model"]),
        }
        for row in rows
    ]
    return {
        "lines": lines,
        "best": names.with_shots(data["best"]["cell"]) if pairs else "",
        "scored": any(row["log_loss"] is not None for row in rows),
    }


def _against_best(data: Data) -> Mapping[str, Data]:
    """Return the pair of the best prompt with each predictor without one, by its name."""
    best = data.get("best")
    if best is None:
        return {}
    return {
        pair["b"]["model"]: pair
        for pair in data["pairs"]
        if not has_prompt(pair["b"]) and _is(pair["a"], best["cell"])
    }


def _is(one: Data, other: Data) -> bool:
    return levels_of(one) == levels_of(other) and one["shots"] == other["shots"]
