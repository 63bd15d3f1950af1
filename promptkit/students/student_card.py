"""Cards of students as text: what they were made of, and how well they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from promptkit.students.left_out import reason_text
from promptkit.text import number, percent, plain, signed
from promptkit.translation import mark, tr

Card = Mapping[str, Any]
Figures = Mapping[str, Any]


class CardTable(NamedTuple):
    """A table of a card: names of columns, those of numbers with a colon, and rows of texts."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


_NAMES = {
    "accuracy": mark("accuracy"),
    "macro_f1": mark("macro-F1"),
    "log_loss": mark("log loss"),
    "ece": mark("calibration error"),
    "mae": "MAE",
    "rmse": "RMSE",
    "pearson": "Pearson",
}
_SHARES = ("accuracy", "macro_f1", "ece")


def tables_of(card: Card, parameters: int) -> list[CardTable]:
    """Return the tables of a card: figures on the tests, then the learning curve.

    Args:
        card: The card.
        parameters: Number of parameters of the student.
    """
    tests = card.get("tests") or {}
    if not tests:
        return []
    own, teacher = tests["student"], tests.get("teacher")
    names = [name for name in _NAMES if name in own]
    columns = [
        "",
        *(f"{tr(_NAMES[name])}:" for name in names),
        tr("items a second:"),
        tr("parameters:"),
    ]
    shown = [shown_figure(name, own) for name in names]
    rows = [[tr("student"), *shown, _rate(own), f"{parameters:,}"]]
    if teacher is not None:
        shown = [shown_figure(name, teacher) for name in names]
        rows.insert(0, [tr("teacher"), *shown, _rate(teacher), ""])
    title = tr("{count:,} tests, against gold", count=own["n"])
    made = [CardTable(title, columns, rows)]
    if curve := tests.get("curve"):
        made.append(_curve(curve, own["metric"]))
    return made


def _curve(points: Sequence[Figures], metric: str) -> CardTable:
    """Return the table of a learning curve: a row for each number of rows."""
    kinds = [*dict.fromkeys(point["labels"] for point in points)]
    name = tr(_NAMES.get(metric, metric))
    columns = [tr("rows:")]
    if len(kinds) > 1:
        columns += [tr("{name}, {kind} labels:", name=name, kind=tr(kind)) for kind in kinds]
        columns += [tr("agreement, {kind}:", kind=tr(kind)) for kind in kinds]
    else:
        columns += [f"{name}:" for _ in kinds]
    rows = []
    for size in dict.fromkeys(point["rows"] for point in points):
        at = {point["labels"]: point for point in points if point["rows"] == size}
        cells = [shown_figure(metric, at[kind]) for kind in kinds]
        if len(kinds) > 1:
            cells += [percent(at[kind]["agreement"]) for kind in kinds]
        rows.append([f"{size:,}", *cells])
    return CardTable(tr("Students of fewer rows of the pool"), columns, rows)


def lines_of(card: Card) -> Iterator[str]:
    """Yield sentences on what a student was made of, and how it does beside its teacher.

    Args:
        card: The card.
    """
    pool, training = card["pool"], card["training"]
    teacher = card["teacher"]
    yield (
        tr("Teacher: {name}", name=teacher["name"])
        if teacher
        else tr("Learnt from gold labels, without a teacher")
    )
    left = ", ".join(f"{count:,} {reason_text(why)}" for why, count in pool["dropped"].items())
    said = tr(
        "Pool: {name}, {rows:,} rows, {learnt:,} learnt from",
        name=pool["name"],
        rows=pool["rows"],
        learnt=training["rows"],
    )
    yield tr("{said} (left out: {left})", said=said, left=left) if left else said
    own = (card.get("tests") or {}).get("student")
    if own is None:
        yield tr("The task has no tests: nothing is known of the student's answers")
        return
    if "agreement" in own:
        ends = "–".join(number(end) for end in own["agreement_ci"])
        yield tr(
            "It agrees with its teacher on {share} of the tests [{ends}], at a mean "
            "KL divergence of {kl:.3f} nats",
            share=percent(own["agreement"]),
            ends=ends,
            kl=own["kl"],
        )
    if "difference" in own and own["metric"] == "accuracy":
        low, high = (signed(end) for end in own["difference_ci"])
        share = (
            tr(", {share:.2f} of it", share=own["share_of_teacher"])
            if "share_of_teacher" in own
            else ""
        )
        change = signed(own["difference"])
        yield tr(
            "Its accuracy is {change} points from its teacher's [{low}, {high}]{share}",
            change=change,
            low=low,
            high=high,
            share=share,
        )
    faster = _faster(card)
    if faster:
        yield faster


def _faster(card: Card) -> str:
    tests = card["tests"]
    rates = [tests.get(who, {}).get("items_per_second") for who in ("teacher", "student")]
    if None in rates:
        return ""
    return tr(
        "It answers {times:,.0f} times as many inputs a second as its teacher",
        times=rates[1] / rates[0],
    )


def card_text(card: Card, parameters: int, size: int | None) -> str:
    """Return a card as Markdown; empty for one of another kind.

    Args:
        card: The card.
        parameters: Number of parameters of the student.
        size: Bytes of the student.
    """
    if not {"teacher", "pool", "training"} <= card.keys():
        return ""
    training = card["training"]
    lines = [
        tr("# A student of {task}", task=card["task"]),
        "",
        *(f"- {line}" for line in lines_of(card)),
    ]
    lines += [
        tr(
            "- Student: {kind}, {parameters:,} parameters",
            kind=training["student"],
            parameters=parameters,
        )
        + (tr(", {size:,} bytes", size=size) if size is not None else ""),
        tr(
            "- Training: temperature {temperature:g}, gold weight {weight:g} "
            "({gold:,} rows with gold), C = {strength:g}, seed {seed}, "
            "{seconds:.1f} s",
            temperature=training["temperature"],
            weight=training["gold_weight"],
            gold=training["gold"],
            strength=training["strength"],
            seed=training["seed"],
            seconds=training["seconds"],
        ),
        tr("- Pool: SHA-256 {sha256}", sha256=card["pool"]["sha256"]),
        tr("- Made: {date}, promptkit {version}", date=card["made"], version=card["promptkit"]),
    ]
    for table in tables_of(card, parameters):
        heads = [name.rstrip(":") for name in table.columns]
        rule = ["--:" if name.endswith(":") else "---" for name in table.columns]
        rows = [_row(cells) for cells in (heads, rule, *table.rows)]
        lines += ["", f"## {table.title}", "", *rows]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def shown_figure(name: str, figures: Figures) -> str:
    """Return a figure with its interval."""
    value, ends = figures.get(name), figures.get(f"{name}_ci")
    if value is None:
        return "–"
    if name in _SHARES:
        digits = 1
        shown = number(value, digits) + " %"
        return shown if not ends else f"{shown} [{number(ends[0])}, {number(ends[1])}]"
    shown = plain(value, 3)
    return shown if not ends else f"{shown} [{plain(ends[0], 3)}, {plain(ends[1], 3)}]"


def _rate(figures: Figures) -> str:
    rate = figures.get("items_per_second")
    return "–" if rate is None else f"{rate:,.0f}"
