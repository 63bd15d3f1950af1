"""Tables of what a prompt leans to, in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from promptkit.auditing import prompt_bias_said as said
from promptkit.auditing.calibration_leans import LEARNT
from promptkit.auditing.prompt_bias_results import Ends, PromptBias
from promptkit.report.conclusions import item
from promptkit.report.rich_tables import table, titled
from promptkit.terminal_text import TextTable
from promptkit.text import counted, number, percent, points, visible
from promptkit.translation import tr

MOST_LABELS = 8
"""Largest number of labels that have a column each."""

MOST_GROUPS = 16
"""Largest number of groups and labels that are listed."""


def prompt_bias_tables(bias: PromptBias, width: int = 110) -> Iterator[RenderableType]:
    """Yield the tables of a prompt's bias, each with the sentences on it.

    Args:
        bias: The prompt's bias.
        width: Width in characters.
    """
    yield titled(
        tr("What the prompt leans to · {model} · {probes}", model=bias.model, probes=_probes(bias))
    )
    yield _by_shots(bias)
    yield from map(item, said.of_shots(bias))
    yield ""
    if bias.by_last:
        draws = counted(max(one.draws for one in bias.by_last), "draw", "draws")
        yield titled(
            tr(
                "By the label of the last shot · {shots}, {draws}",
                shots=counted(bias.shots, "shot", "shots"),
                draws=draws,
            )
        )
        yield _by_last(bias)
        yield from map(item, said.of_last(bias))
        yield from map(item, said.of_order(bias))
        yield ""
    if bias.calibrations:
        yield titled(tr("What calibration leaves, in points"))
        yield _calibrations(bias)
        yield from map(item, said.of_calibrations(bias))
        yield ""
    if bias.groups:
        yield titled(
            tr(
                "Shots that all have one label, against balanced ones · by {column}",
                column=bias.column,
            )
        )
        yield _groups(bias, width)
        if len(bias.groups) > MOST_GROUPS:
            yield Text(tr("… and {count} more", count=len(bias.groups) - MOST_GROUPS), "dim")
        yield from map(item, said.of_groups(bias))
        yield ""
    for note in bias.notes:
        yield item(note, "dim", "–")
    yield Text(tr("Brackets are 95 % intervals for new draws of shots, or for new queries."), "dim")


def _probes(bias: PromptBias) -> str:
    return counted(bias.probes, "content-free input", "content-free inputs")


def _labels(bias: PromptBias) -> tuple[str, ...]:
    """Return the labels that have a column: all, or those that content-free inputs lean to most."""
    last = bias.by_shots[-1].probs
    kept = sorted(last, key=lambda label: -last[label])[:MOST_LABELS]
    return tuple(label for label in bias.labels if label in kept)


def _by_shots(bias: PromptBias) -> TextTable:
    labels = _labels(bias)
    shares = (f"P({visible(label, 18)}):" for label in labels)
    made = table(tr("shots:"), tr("draws:"), *shares, tr("lean:"))
    for one in bias.by_shots:
        shown = [_share(one.probs[label], one.probs_ci.get(label)) for label in labels]
        made.add_row(str(one.shots), str(one.draws), *shown, points(one.lean))
    return made


def _by_last(bias: PromptBias) -> TextTable:
    made = table(*said.heads_by_last())
    ranges = {one.label: one for one in bias.by_order}
    for one in bias.by_last:
        style = "yellow" if one.significant else ""
        spread = ranges.get(one.label)
        made.add_row(
            Text(visible(one.label, 24)),
            str(one.draws),
            percent(one.last),
            percent(one.other),
            Text(said.change_of(one.delta, one.ci), style),
            ""
            if spread is None
            else tr("{mean}, worst {worst}", mean=points(spread.mean), worst=number(spread.worst)),
        )
    return made


def _calibrations(bias: PromptBias) -> TextTable:
    inputs = (tr("content-free:"), tr("random words:"))
    made = table(tr("calibration"), *inputs, tr("answers against gold:"))
    for one in bias.calibrations:
        learnt = LEARNT.get(one.method)
        made.add_row(
            one.method,
            tr("learnt from") if learnt == "content-free" else _points(one.content_free),
            tr("learnt from") if learnt == "random words" else _points(one.random_words),
            _points(one.answers),
        )
    return made


def _points(value: float | None) -> str:
    return "–" if value is None else number(value)


def _groups(bias: PromptBias, width: int) -> TextTable:
    made = table(
        *(tr("all shots"), bias.column or tr("group"), tr("queries:"), tr("P balanced:")),
        *(tr("P all:"), tr("change:"), tr("against the rest:")),
    )
    ranked = sorted(bias.groups, key=lambda one: -abs(one.from_rest or 0.0))
    for one in ranked[:MOST_GROUPS]:
        rest = "" if one.from_rest is None else said.change_of(one.from_rest, one.from_rest_ci)
        made.add_row(
            Text(visible(one.label, 18)),
            Text(visible(one.group, max(width // 5, 12))),
            f"{one.queries:,}",
            percent(one.balanced),
            percent(one.loaded),
            Text(said.change_of(one.delta, one.ci), "yellow" if one.significant else ""),
            Text(rest, "yellow" if one.apart else ""),
        )
    return made


def _share(value: float, ends: Ends | None) -> str:
    return percent(value) + (f" [{number(ends[0])}, {number(ends[1])}]" if ends else "")
