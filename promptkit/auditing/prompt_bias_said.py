"""Sentences on what a prompt leans to."""

from __future__ import annotations

from collections.abc import Iterator

from promptkit.auditing.prompt_bias_results import Ends, GroupShift, PromptBias
from promptkit.text import capital, counted, p_value, percent, points, quoted, signed
from promptkit.translation import mark, tr

SHOWN = 6
"""Number of significant shifts of groups that are told one by one."""


def heads_by_last() -> tuple[str, ...]:
    """Return the headings of a table by the label of the last shot."""
    return (
        tr("label"),
        tr("draws:"),
        tr("last shot has it:"),
        tr("has another:"),
        tr("change:"),
        tr("over orders:"),
    )


def of_shots(bias: PromptBias) -> Iterator[str]:
    """Yield what inputs that say nothing lean to, without shots and with all of them.

    Args:
        bias: The prompt's bias.
    """
    for one in {each.shots: each for each in (bias.by_shots[0], bias.by_shots[-1])}.values():
        label = max(one.probs, key=one.probs.__getitem__)
        at = (
            tr("Without shots")
            if not one.shots
            else tr("With {shots}", shots=counted(one.shots, "shot", "shots"))
        )
        lean, share = points(one.lean), percent(one.probs[label])
        yield (
            tr(
                "{at} the prompt leans by {lean}; content-free inputs are {share} {label}.",
                at=at,
                lean=lean,
                share=share,
                label=quoted(label),
            )
            if one.draws == 1
            else tr(
                "{at} a draw of shots leans by {lean} on average; content-free inputs are "
                "{share} {label} over draws.",
                at=at,
                lean=lean,
                share=share,
                label=quoted(label),
            )
        )


def of_last(bias: PromptBias) -> Iterator[str]:
    """Yield the labels that are more or less probable where the last shot has them.

    Args:
        bias: The prompt's bias.
    """
    every = bias.by_last[:1] if len(bias.labels) == 2 else bias.by_last
    found = [one for one in every if one.significant]
    for one in found:
        change = change_of(one.delta, one.ci)
        p = "" if one.p_holm is None else tr(" (Holm-adjusted {p})", p=p_value(one.p_holm))
        what = tr("A label") if len(bias.labels) == 2 else quoted(one.label)
        more = mark("{what} is more probable where the last shot has it: {change} points{p}.")
        less = mark("{what} is less probable where the last shot has it: {change} points{p}.")
        yield tr(more if one.delta > 0 else less, what=what, change=change, p=p)
    if bias.by_last and not found:
        yield tr("The label of the last shot makes no significant difference.")


def of_order(bias: PromptBias) -> Iterator[str]:
    """Yield the label whose probability depends most on the order of the shots.

    Args:
        bias: The prompt's bias.
    """
    if bias.by_order:
        one = max(bias.by_order, key=lambda each: each.mean)
        yield tr(
            "The order alone moves P({label}) by {mean} on average, and by {worst} at "
            "worst ({orders} of the same shots).",
            label=one.label,
            mean=points(one.mean),
            worst=points(one.worst),
            orders=counted(one.orders, "order", "orders"),
        )


def of_calibrations(bias: PromptBias) -> Iterator[str]:
    """Yield the method that leaves the least lean, on inputs that it did not learn from.

    Args:
        bias: The prompt's bias.
    """
    plain = next((one for one in bias.calibrations if one.method == "none"), None)
    if plain is None or plain.answers is None:
        return
    others = [one for one in bias.calibrations if one.method != "none" and one.answers is not None]
    if others:
        best = min(others, key=lambda one: one.answers or 0.0)
        yield tr(
            "The answers are {answers} off the frequencies of the gold labels; with "
            "{method} calibration {left}.",
            answers=points(plain.answers),
            method=best.method,
            left=points(best.answers or 0.0),
        )


def of_groups(bias: PromptBias) -> Iterator[str]:
    """Yield the groups that move more or less than the others, and the power of the claim.

    Args:
        bias: The prompt's bias.
    """
    if not bias.groups:
        return
    found = sorted(
        [one for one in bias.groups if one.apart], key=lambda one: -abs(one.from_rest or 0.0)
    )
    for one in found[:SHOWN]:
        yield _shift(one)
    if found[SHOWN:]:
        yield tr(
            "{count} more groups move significantly more or less than the others.",
            count=len(found) - SHOWN,
        )
    if not found:
        yield tr(
            "No group by {column} moves significantly more or less than the others.",
            column=bias.column,
        )


def _shift(one: GroupShift) -> str:
    more = change_of(one.from_rest or 0.0, one.from_rest_ci)
    p = (
        ""
        if one.from_rest_p_holm is None
        else tr(" (Holm-adjusted {p})", p=p_value(one.from_rest_p_holm))
    )
    return capital(
        tr(
            "shots that are all {label} move {group} by {change} points, {more} "
            "against the other queries, significant{p}.",
            label=quoted(one.label),
            group=quoted(one.group),
            change=change_of(one.delta, one.ci),
            more=more,
            p=p,
        )
    )


def change_of(delta: float, ends: Ends | None) -> str:
    """Return a difference of shares with its sign and interval: `+12 [+8, +16]`."""
    digits = int(ends is not None and ends[1] - ends[0] < 0.04)
    shown = [signed(one, digits) for one in (delta, *(ends or ()))]
    return shown[0] + (f" [{shown[1]}, {shown[2]}]" if ends else "")
