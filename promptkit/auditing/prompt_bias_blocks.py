"""What a prompt leans to, as titled tables of text."""

from __future__ import annotations

from collections.abc import Iterator

from promptkit.auditing import prompt_bias_said as said
from promptkit.auditing.audit_block import AuditBlock
from promptkit.auditing.prompt_bias_results import PromptBias
from promptkit.text import counted, number, percent, points
from promptkit.translation import tr

MOST_LABELS = 8
"""Largest number of labels that have a column each."""


def prompt_bias_blocks(bias: PromptBias) -> Iterator[AuditBlock]:
    """Yield the tables of a prompt's bias.

    Args:
        bias: The prompt's bias.
    """
    yield _by_shots(bias)
    if bias.by_last:
        yield _by_last(bias)
    if bias.calibrations:
        yield _calibrations(bias)
    if bias.groups:
        yield _groups(bias)


def _by_shots(bias: PromptBias) -> AuditBlock:
    last = bias.by_shots[-1].probs if bias.by_shots else {}
    kept = sorted(last, key=lambda label: -last[label])[:MOST_LABELS]
    labels = [label for label in bias.labels if label in kept]
    rows = []
    for one in bias.by_shots:
        shown = []
        for label in labels:
            ends = one.probs_ci.get(label)
            around = "" if ends is None else f" [{number(ends[0])}, {number(ends[1])}]"
            shown.append(f"{percent(one.probs[label])}{around}")
        rows.append((str(one.shots), str(one.draws), *shown, points(one.lean)))
    shares = (f"P({label}):" for label in labels)
    heads = (tr("shots"), tr("draws:"), *shares, tr("lean:"))
    title = tr(
        "Lean of the prompt, {inputs}",
        inputs=counted(bias.probes, "content-free input", "content-free inputs"),
    )
    return AuditBlock(title, (*said.of_shots(bias), *bias.notes), heads, tuple(rows))


def _by_last(bias: PromptBias) -> AuditBlock:
    ranges = {one.label: one for one in bias.by_order}
    rows = []
    for one in bias.by_last:
        spread = ranges.get(one.label)
        over = (
            ""
            if spread is None
            else tr("{mean}, worst {worst}", mean=points(spread.mean), worst=number(spread.worst))
        )
        change = said.change_of(one.delta, one.ci)
        rows.append(
            (one.label, str(one.draws), percent(one.last), percent(one.other), change, over)
        )
    sentences = (*said.of_last(bias), *said.of_order(bias))
    title = tr("By the label of the last shot")
    return AuditBlock(title, sentences, said.heads_by_last(), tuple(rows))


def _calibrations(bias: PromptBias) -> AuditBlock:
    heads = (
        tr("calibration"),
        tr("content-free:"),
        tr("random words:"),
        tr("answers against gold:"),
    )
    rows = [
        (one.method, *map(_points, (one.content_free, one.random_words, one.answers)))
        for one in bias.calibrations
    ]
    sentences = tuple(said.of_calibrations(bias))
    return AuditBlock(tr("Lean that calibration leaves, in points"), sentences, heads, tuple(rows))


def _points(value: float | None) -> str:
    return "–" if value is None else number(value)


def _groups(bias: PromptBias) -> AuditBlock:
    rows = []
    for one in sorted(bias.groups, key=lambda one: -abs(one.from_rest or 0.0)):
        rest = "" if one.from_rest is None else said.change_of(one.from_rest, one.from_rest_ci)
        figures = (percent(one.balanced), percent(one.loaded), said.change_of(one.delta, one.ci))
        rows.append((one.label, one.group, f"{one.queries:,}", *figures, rest))
    heads = (
        *(tr("all shots"), bias.column or tr("group"), tr("queries:"), tr("P balanced:")),
        *(tr("P all:"), tr("change:"), tr("against the rest:")),
    )
    title = tr("Shots that all have one label, by {column}", column=bias.column)
    return AuditBlock(title, tuple(said.of_groups(bias)), heads, tuple(rows))
