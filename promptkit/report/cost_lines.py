"""Costs of what a comparison compares: the lines of a table, and which of them are worth it.

Prompts are many: of each model the best of those without shots, with shots, with calibration and
with another selection of shots stand for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from promptkit.evaluation.metric import Metric
from promptkit.inference.cell import FACTORS, NO_PROMPT, RAW
from promptkit.report.cell_names import CellNames, Data, aggregates, grouped
from promptkit.report.interval_text import figure, metric_of
from promptkit.text import file_name, printable
from promptkit.translation import mark, tr

TRAINED_BASELINE = "trained baseline"
"""Architecture of the baselines that are trained in a comparison."""

SAME = 1.1
"""Ratio of two costs up to which they count as equal."""

AT_ONCE, NEVER = mark("at once"), "never"
"""Break-even of what costs no more to make, and of what saves nothing."""


@dataclass(frozen=True)
class CostLine:
    """A predictor with its costs."""

    name: str
    row: Data
    """Its row over all seeds."""
    seconds: float | None
    """Seconds for a query; None where no time was measured."""
    pays_after: str = ""
    """Number of predictions after which it is cheaper than the best prompt, in words."""
    on_front: bool = False
    """No other is at least as good and as fast, and better in one of the two."""

    @property
    def is_prompt(self) -> bool:
        """Return whether it is a prompt to a model."""
        return bool(self.row["template"] != NO_PROMPT)


def is_costed(data: Data) -> bool:
    """Return whether something else is compared than prompts and trained baselines.

    Then costs tell them apart.
    """
    kinds = {model["name"]: model["architecture"] for model in data["models"]}
    return any(
        kinds.get(row["model"]) != TRAINED_BASELINE
        and (row["template"] == NO_PROMPT or row.get("trained_parameters"))
        for row in aggregates(data)
    )


def cost_lines(data: Data) -> list[CostLine]:
    """Return the lines of the table, in the order of the rows.

    Args:
        data: A comparison in JSON.
    """
    metric = metric_of(data)
    rows = [row for row in aggregates(data) if row.get(metric.name) is not None]
    chosen = _chosen(rows, metric)
    names = CellNames([row for row in chosen if row["template"] != NO_PROMPT])
    lines = [CostLine(_name(row, names), row, _seconds(row)) for row in chosen]
    best = best_prompt(lines, metric)
    front = {id(line) for line in front_of(lines, metric, "seconds")}
    return [
        replace(line, pays_after=_pays_after(line, best), on_front=id(line) in front)
        for line in lines
    ]


def front_of(lines: Sequence[CostLine], metric: Metric, cost: str) -> list[CostLine]:
    """Return the lines that are not dominated: the Pareto front, the cheapest first.

    Costs that differ by less than a tenth count as equal, since times do from run to run.

    Args:
        lines: Lines of the table.
        metric: The metric of the comparison.
        cost: `seconds`, for a query, or `bytes`, on disk.
    """
    known = [
        (line, metric.sign * _value(line, metric), found)
        for line in lines
        if (found := cost_of(line, cost)) is not None
    ]
    front = [
        (found, line)
        for line, worth, found in known
        if not any(
            other >= worth and its <= SAME * found and (other > worth or SAME * its < found)
            for _, other, its in known
        )
    ]
    return [line for _, line in sorted(front, key=lambda one: one[0])]


def cost_of(line: CostLine, cost: str) -> float | None:
    """Return the seconds for a query, or the bytes; None where they are not known."""
    found = line.seconds if cost == "seconds" else line.row.get("bytes")
    return None if found is None else float(found)


def front_sentence(lines: Sequence[CostLine], metric: Metric) -> str:
    """Return the front of metric against time in words; empty where no time was measured."""
    front = front_of(lines, metric, "seconds")
    said = [
        f"{line.name} ({figure(metric, line.row).partition(' [')[0]}, {_rate(line)})"
        for line in front
    ]
    if len(said) < 2:
        return tr("Nothing else is better or faster than {said}.", said=said[0]) if said else ""
    return tr(
        "Nothing else is both better and faster than one of these: {said}.", said="; ".join(said)
    )


def _rate(line: CostLine) -> str:
    return tr("{rate} items/s", rate=rate(1 / line.seconds if line.seconds else None))


def _chosen(rows: Sequence[Data], metric: Metric) -> list[Data]:
    """Return everything but prompts, and the best prompt of each kind."""
    kinds = grouped([row for row in rows if row["template"] != NO_PROMPT], _kind)
    best = [max(kind, key=lambda row: metric.sign * row[metric.name]) for kind in kinds.values()]
    kept = {id(row) for row in best}
    return [row for row in rows if row["template"] == NO_PROMPT or id(row) in kept]


def _kind(row: Data) -> tuple[str, str, bool]:
    selection = row["selection"] if row["shots"] else ""
    return row["model"], selection, row.get("calibration", RAW) != RAW


def _name(row: Data, names: CellNames) -> str:
    if row["template"] == NO_PROMPT:
        return printable(file_name(row["model"]))
    shown = [i for i in names.factors if FACTORS[i] not in _idle(row)]
    return names.with_shots(row, shown)


def _idle(row: Data) -> set[str]:
    """Return the factors that a prompt's name needs not say."""
    without_shots = set() if row["shots"] else {"selection", "order"}
    return without_shots | ({"calibration"} if row.get("calibration", RAW) == RAW else set())


def _seconds(row: Data) -> float | None:
    rate = row.get("items_per_second")
    return 1 / rate if rate else None


def _value(line: CostLine, metric: Metric) -> float:
    return float(line.row[metric.name])


def best_prompt(lines: Sequence[CostLine], metric: Metric) -> CostLine | None:
    """Return the best prompt for which nothing was trained."""
    prompts = [line for line in lines if line.is_prompt and not line.row.get("trained_parameters")]
    return max(prompts, key=lambda line: metric.sign * _value(line, metric), default=None)


def _pays_after(line: CostLine, best: CostLine | None) -> str:
    """Return after how many predictions a line has cost less than the best prompt."""
    if best is None or line is best or line.seconds is None or best.seconds is None:
        return ""
    made = line.row.get("making_seconds")
    if made is None or (line.is_prompt and made == 0):
        return ""
    saved = best.seconds - line.seconds
    if saved <= 0:
        return NEVER
    return tr(AT_ONCE) if made <= 0 else f"{rounded(ceil(made / saved))}"


def rounded(count: int) -> str:
    """Return a number of items in two digits: `1,300`, `47`."""
    unit = 10 ** max(len(str(count)) - 2, 0)
    return f"{-(-count // unit) * unit:,}"


def rate(per_second: float | None) -> str:
    """Return a number of items a second: `12,300`, `45`, `0.52`."""
    if per_second is None:
        return "–"
    if per_second < 10:
        return f"{per_second:.2g}"
    digits = len(str(int(per_second))) - 3
    return f"{round(per_second, -digits if digits > 0 else 0):,.0f}"


def magnitude(value: float | None, unit: str = "") -> str:
    """Return a size: `4.6k`, `135M`; with a unit `91 MB`, and `–` where it is not known."""
    if value is None:
        return "–"
    sizes = (("G" if unit else "B", 1e9), ("M", 1e6), ("k", 1e3))
    for letter, size in sizes:
        if value >= 0.9995 * size:
            scaled, name = value / size, letter
            break
    else:
        scaled, name = value, ""
    digits = 1 if name and scaled < 9.95 else 0
    return f"{scaled:.{digits}f}{' ' if unit else ''}{name}{unit}"


def duration(seconds: float | None) -> str:
    """Return a time: `0`, `0.4 s`, `35 s`, `3.5 min`, `1.2 h`."""
    if seconds is None:
        return "–"
    if not seconds:
        return "0"
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.{1 if seconds < 10 * size else 0}f} {unit}"
    return f"{seconds:.1g} s" if seconds < 1 else f"{seconds:.0f} s"
