"""A comparison in a terminal: what each shot count came to, and whose answers changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from itertools import groupby
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

MAX_CHANGED = 20
"""How many queries the table of changed answers shows."""

Data = Mapping[str, Any]
Records = Sequence[Mapping[str, Any]]


def text(data: Data, records: Records, width: int = 110) -> str:
    """The report without colours."""
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(render(data, records))
    return capture.get().rstrip("\n")


def render(data: Data, records: Records) -> RenderableType:
    """The whole report: a table per model, template and selection, changed answers, cost."""
    parts: list[RenderableType] = []
    for key, rows in groupby(data["rows"], key=_grid_line):
        parts += [_accuracy_table(key, list(rows), data), ""]
    parts += _changed_table(records)
    parts.append(_cost(data["usage"]))
    return Group(*parts)


def _grid_line(row: Data) -> tuple[str, str, str]:
    return row["model"], row["template"], row["selection"]


def _accuracy_table(key: tuple[str, str, str], rows: Records, data: Data) -> Table:
    model, template, selection = key
    identity = next(m for m in data["models"] if m["name"] == model)
    n = rows[0]["n"]
    table = Table(
        title=f"{data['task']['name']} · {model} ({identity['weights']}) · {template} · "
        f"{selection} shots · {n} queries",
        title_justify="left",
        title_style="bold",
        caption="accuracy and change with 95 % intervals; change is paired over the same queries",
        caption_justify="left",
    )
    for name in ("shots", "accuracy", "change", "by seed", "coverage", "tokens", "time"):
        table.add_column(name, justify="left" if name == "by seed" else "right")
    changes = {
        pair["b"]["shots"]: pair
        for pair in data["pairs"]
        if _grid_line(pair["a"]) == _grid_line(pair["b"]) == key
    }
    for row in rows:
        if row["seed"] is None:
            seeds = [r for r in rows if r["shots"] == row["shots"] and r["seed"] is not None]
            table.add_row(*_cells(row, seeds, changes.get(row["shots"])))
    return table


def _cells(row: Data, seeds: Records, change: Data | None) -> Iterator[str | Text]:
    yield str(row["shots"])
    low, high = row["accuracy_ci"]
    yield f"{percent(row['accuracy'])} [{percent(low)}, {percent(high)}]"
    yield _change(change)
    yield " ".join(percent(seed["accuracy"]) for seed in seeds)
    yield "" if row["coverage"] is None else f"{row['coverage']:.2f}"
    yield f"{row['tokens']:,}"
    yield f"{row['seconds']:.1f} s"


def _change(pair: Data | None) -> Text:
    if pair is None:
        return Text("")
    low, high = pair["ci"]
    style = "green" if low > 0 else "red" if high < 0 else ""
    shown = f"{signed(pair['delta'])} [{signed(low)}, {signed(high)}]"
    return Text(shown, style=style)


def _changed_table(records: Records) -> list[RenderableType]:
    """The answers per shot count, of the first model, template and selection."""
    first = [r for r in records if _grid_line(r) == _grid_line(records[0])]
    counts = sorted({r["shots"] for r in first})
    moved = list(changed(first).items())
    if len(counts) < 2:
        return []
    if not moved:
        return ["No answer changed with the number of shots.", ""]
    gold = {r["id"]: (r["input"], r["gold"]) for r in first}
    table = Table(
        title=f"{len(moved)} of {len(gold)} answers changed with the number of shots",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("query", overflow="fold")
    table.add_column("gold")
    for count in counts:
        table.add_column(f"{count} shots")
    for id, answers in moved[:MAX_CHANGED]:
        query, right = gold[id]
        cells = [_answer(answers[count], right) for count in counts]
        table.add_row(Text(_short(query)), Text(str(right)), *cells)
    parts: list[RenderableType] = [table]
    if len(moved) > MAX_CHANGED:
        parts.append(f"... and {len(moved) - MAX_CHANGED} more in predictions.jsonl")
    return [*parts, ""]


def changed(records: Records) -> dict[str, dict[int, Counter[str]]]:
    """The queries whose commonest answer changes with the shots: their answers per shot count."""
    answers: dict[str, dict[int, Counter[str]]] = {}
    for record in records:
        shown = "(none)" if record["label"] is None else str(record["label"])
        answers.setdefault(record["id"], {}).setdefault(record["shots"], Counter())[shown] += 1
    return {
        id: counts
        for id, counts in answers.items()
        if len({count.most_common(1)[0][0] for count in counts.values()}) > 1
    }


def _answer(answers: Counter[str], gold: Any) -> Text:
    """The commonest answer over the seeds, and of how many seeds it is the answer."""
    label, count = answers.most_common(1)[0]
    total = answers.total() if hasattr(answers, "total") else sum(answers.values())
    share = f" {count}/{total}" if count < total else ""
    return Text(f"{_cut(label, 24)}{share}", style="green" if label == str(gold) else "red")


def _cost(usage: Data) -> str:
    asked = usage["prompts"] - usage["cached"]
    line = f"{usage['prompts']:,} prompts: {usage['cached']:,} from the store, {asked:,} asked"
    if asked:
        line += (
            f"; {usage['naive_tokens']:,} tokens one by one, {usage['unique_tokens']:,} unique, "
            f"{usage['decoded_tokens']:,} decoded in {usage['decode_seconds']:.1f} s"
        )
    return f"{line}; {usage['wall_seconds']:.1f} s in all"


def percent(share: float) -> str:
    """A share as whole percent."""
    return f"{100 * share:.0f} %"


def signed(difference: float) -> str:
    """A difference of shares in points."""
    return f"{100 * difference:+.0f}"


def _short(query: Mapping[str, Any]) -> str:
    values = [str(value) for value in query.values()]
    return _cut(" · ".join(values).replace("\n", "⏎"), 48)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
