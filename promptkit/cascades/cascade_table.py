"""Table of a cascade: what each step answers, how often it is wrong, and what it costs."""

from __future__ import annotations

from io import StringIO

from rich.console import Group, RenderableType
from rich.text import Text

from promptkit.cascades.cascade_evidence import CascadeEvidence
from promptkit.errors import escaped
from promptkit.report.rich_tables import table
from promptkit.terminal_text import text_console
from promptkit.text import number, percent, signed, visible
from promptkit.translation import tr


def text(evidence: CascadeEvidence, width: int = 110) -> str:
    """Return the table without colours, and the sentences below it.

    Args:
        evidence: The evidence on a cascade.
        width: Number of characters of a line.
    """
    console = text_console(StringIO(), width)
    with console.capture() as capture:
        console.print(render(evidence))
    lines = capture.get().split("\n")
    return "\n".join(escaped(line.rstrip()) for line in lines).rstrip()


def render(evidence: CascadeEvidence) -> RenderableType:
    """Return the table of a cascade, and the sentences below it."""
    made = table(
        tr("step"),
        tr("answers above:"),
        tr("asked:"),
        tr("answered:"),
        tr("wrong:"),
        tr("error:"),
        tr("time:"),
    )
    rows = evidence.rows
    for one in evidence.steps:
        made.add_row(
            visible(one.name, 40),
            tr("everything") if one.threshold is None else f"{one.threshold:.3f}",
            percent(one.asked / rows),
            percent(one.answered / rows),
            tr("{wrong:,} of {answered:,}", wrong=one.wrong, answered=one.answered),
            _error(one.wrong, one.answered, one.bound),
            duration(one.seconds),
        )
    made.add_section()
    made.add_row(
        tr("cascade"),
        "",
        "100 %",
        percent(evidence.answered / rows),
        tr("{wrong:,} of {answered:,}", wrong=evidence.wrong, answered=evidence.answered),
        _error(evidence.wrong, evidence.answered, evidence.bound),
        duration(evidence.seconds),
    )
    last = evidence.steps[-1].name
    made.add_row(
        visible(tr("{last} alone", last=last), 40),
        "",
        "",
        "",
        tr(
            "{wrong:,} of {answered:,}",
            wrong=evidence.answered - evidence.last_right,
            answered=evidence.answered,
        ),
        _error(evidence.answered - evidence.last_right, evidence.answered, None),
        duration(evidence.last_seconds),
    )
    return Group(made, "", *map(Text, sentences(evidence)))


def sentences(evidence: CascadeEvidence) -> list[str]:
    """Return what is stated of a cascade, and how it stands beside its last step."""
    delta, low, high = evidence.difference
    last = visible(evidence.steps[-1].name, 40)
    said = [
        evidence.sentence,
        tr(
            "Thresholds were learnt from {learnt:,} other rows; ≤ is the upper bound "
            "of 95 % on each error alone, and that of the cascade is the one which the "
            "thresholds keep.",
            learnt=evidence.learnt,
        ),
    ]
    if len(evidence.steps) > 1 and evidence.answered:
        said.append(
            tr(
                "Accuracy against {last} alone, on the rows that are answered: {delta} "
                "points [{low}, {high}]{ratio}.",
                last=last,
                delta=signed(delta),
                low=signed(low),
                high=signed(high),
                ratio=_ratio(evidence),
            )
        )
    return said


def duration(seconds: float) -> str:
    """Return a time in the unit that it has few digits in: `41 µs`, `3.1 ms`, `0.25 s`."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= (0.1 if unit == "s" else 1):
            return f"{seconds * scale:.2g} {unit}"
    return f"{seconds * 1e6:.2g} µs"


def _error(wrong: int, answered: int, bound: float | None) -> str:
    if not answered:
        return ""
    shown = f"{number(wrong / answered, 1)} %"
    return shown if bound is None else f"{shown} (≤ {number(bound, 1)} %)"


def _ratio(evidence: CascadeEvidence) -> str:
    if not evidence.last_seconds:
        return ""
    return tr(
        ", in {percent} of its time", percent=percent(evidence.seconds / evidence.last_seconds)
    )
