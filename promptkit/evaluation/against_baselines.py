"""Trained baselines beside the prompts of a comparison: each against the best prompt.

They are a family of their own: the pairs, the best cell and the verdicts of the prompts are those
of a comparison without baselines. The best prompt was chosen among all by the same tests, so each
p-value counts as the least of as many as there are prompts (Bonferroni), and those of the baselines
are corrected for their number besides (Holm).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from promptkit.evaluation import headline, intervals, metric_text, sentences
from promptkit.evaluation import pairs as paired
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.outcomes import ByCell, Outcomes
from promptkit.evaluation.results import Best, Pair
from promptkit.inference.cell import NO_PROMPT
from promptkit.text import capital, counted, decimals, number, p_value, points
from promptkit.translation import tr

Trained = Mapping[str, int]
"""Number of labelled rows that each baseline was trained on, by its name."""


class Against(NamedTuple):
    """Baselines against the best prompt."""

    pairs: tuple[Pair, ...]
    """The best prompt with each baseline."""
    beside: headline.Beside
    """The best baseline against the best prompt, in a sentence."""


def without(by_cell: ByCell, trained: Trained) -> ByCell:
    """Return the outcomes of all cells that are no baselines."""
    return {cell: one for cell, one in by_cell.items() if cell.model not in trained}


def against(by_cell: ByCell, trained: Trained, best: Best, metric: Metric) -> Against | None:
    """Return the baselines against the best prompt; None without any.

    Args:
        by_cell: The outcomes of all cells.
        trained: The baselines.
        best: The best prompt.
        metric: The metric of the comparison.
    """
    prompts, prompt = without(by_cell, trained), by_cell[best.cell]
    baselines = {
        cell: _repeated(one, prompt) for cell, one in by_cell.items() if cell.model in trained
    }
    found = _found({best.cell: prompt, **baselines}, prompts, best, metric)
    if not found:
        return None
    # Of equal ones the first, which is the simplest.
    top = max(found, key=lambda one: metric.sign * one.compared.delta)
    around = metric.intervals(by_cell[top.b])
    value = metric.value(by_cell[top.b])
    assert value is not None  # it has been compared
    level = metric_text.said(
        metric, value, None if around is None else (around.decisive.low, around.decisive.high)
    )
    name = headline.subject(paired.levels(best.cell, paired.varied(prompts)))
    the_prompt = (
        tr("the best prompt, {initial}{rest},", initial=name[:1].lower(), rest=name[1:])
        if name
        else tr("the prompt")
    )
    prompted = best.cell.template != NO_PROMPT
    told = _sentence(
        top.compared, the_prompt if prompted else best.cell.model, trained[top.b.model], level
    )
    leads = metric.sign * top.compared.delta > 0
    pairs = tuple(paired.pairs({best.cell: prompt, **baselines}, found))
    return Against(
        pairs, headline.Beside(told, leads, tr("the prompts") if prompted else tr("the others"))
    )


def _repeated(one: Outcomes, prompt: Outcomes) -> Outcomes:
    """Return the outcomes of a baseline, which no seed changes, with the seeds of a prompt."""
    return one.of([*one.queries], [one.numbers[0]] * len(prompt.numbers))


def _found(by_cell: ByCell, prompts: ByCell, best: Best, metric: Metric) -> list[paired.Found]:
    """Return the pairs of the best prompt, the first cell, with each of the others."""
    prompt = by_cell[best.cell]
    differences = {
        cell: both
        for cell, one in by_cell.items()
        if cell != best.cell and (both := metric.difference(prompt, one)) is not None
    }
    choices = len(paired.cells_of(prompts))
    by_choice = [min(1.0, choices * both.decisive.p) for both in differences.values()]
    names = [name for name in paired.varied(prompts) if name != "model"]
    found = []
    for (cell, both), p in zip(
        differences.items(), intervals.holm(by_choice).tolist(), strict=True
    ):
        delta, ends = both.decisive.delta, both.decisive.ci
        words = sentences.Compared(
            "model",
            best.cell.model,
            cell.model,
            delta,
            ends.low,
            ends.high,
            p,
            choices * len(differences),
            paired.levels(best.cell, names),
            general=both.general is not None,
            metric=metric,
            answered=paired.answered(prompt, by_cell[cell], metric),
        )
        found.append(paired.Found(best.cell, cell, both, words))
    return found


def _sentence(c: sentences.Compared, prompt: str, rows: int, level: str) -> str:
    """Return a sentence on the best prompt, `a`, and the best baseline, `b`.

    Args:
        c: Their difference.
        prompt: The prompt in words.
        rows: The number of labelled rows that the baseline was trained on.
        level: The metric of the baseline in words.
    """
    labelled, kind = counted(rows, "labelled row", "labelled rows"), sentences.judge(c)
    only = "" if c.general else tr(" for this draw of shots")
    if c.metric.sign * c.delta > 0:
        baseline, (low, high) = (
            tr("{b}, trained on {labelled},", b=c.b, labelled=labelled),
            (c.low, c.high),
        )
        if kind == "better":
            by = _by(c.metric, c.delta, low, high)
            return tr(
                "{baseline} beats {prompt} {by} ({p}){only}: {level}.",
                baseline=baseline,
                prompt=prompt,
                by=by,
                p=_p(c),
                only=only,
                level=level,
            )
        scored = tr("scored lowest") if c.metric.sign < 0 else tr("scored highest")
        apart = metric_text.difference(c.metric, c.delta, low, high)
        return tr(
            "{baseline} {scored}, {level}: not separated from {prompt} ({apart}, {p}){only}.",
            baseline=baseline,
            scored=scored,
            level=level,
            prompt=prompt.rstrip(","),
            apart=apart,
            p=_p(c),
            only=only,
        )
    baseline = tr("the best trained baseline, {b} on {labelled}", b=c.b, labelled=labelled)
    delta, low, high = -c.delta, -c.high, -c.low
    subject = capital(prompt) if prompt.startswith("the ") else prompt
    if kind == "worse":
        by = _by(c.metric, delta, low, high)
        return tr(
            "{subject} beats {baseline}, {by} ({p}){only}.",
            subject=subject,
            baseline=baseline,
            by=by,
            p=_p(c),
            only=only,
        )
    apart = metric_text.difference(c.metric, delta, low, high)
    return tr(
        "{subject} is not separated from {baseline}: {apart} ({p}){only}.",
        subject=subject,
        baseline=baseline,
        apart=apart,
        p=_p(c),
        only=only,
    )


def _by(metric: Metric, delta: float, low: float, high: float) -> str:
    """Return what the better one has more, behind `beats`: `by 9 points [3, 15]`."""
    if not metric.is_share:
        return tr("with {difference}", difference=metric_text.difference(metric, delta, low, high))
    if metric.sign < 0:
        delta, low, high = -delta, -high, -low
    digits = decimals(low, high)
    ends = f"[{number(low, digits)}, {number(high, digits)}]"
    return tr(
        "by {delta}{of} {ends}", delta=points(delta, digits), of=metric_text.of(metric), ends=ends
    )


def _p(c: sentences.Compared) -> str:
    return tr(
        "{p_value} after correcting for {comparisons:,} comparisons",
        p_value=p_value(c.p),
        comparisons=c.comparisons,
    )
