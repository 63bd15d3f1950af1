"""Warnings on a comparison: each a sentence that says what to do, or None.

All are pure functions over numbers. Accuracies, shares and probabilities are from 0 to 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import ACCURACY, UNANSWERED, Metric
from promptkit.inference.cell import named
from promptkit.text import capital, percent, quoted
from promptkit.translation import tr, trn

FEW = 100
"""Number of queries below which a comparison has a warning."""

COVERAGE = 0.5
"""Coverage below which another text is more probable than the labels together."""

SHOWN_BIAS = 0.005
"""Selection bias from which its size is given."""

_SAID = 3


def few_queries(n: int, detectable: float | None, metric: Metric = ACCURACY) -> str | None:
    """Return a warning where the tests are few; `detectable` is what `power.detectable` gives."""
    if n >= FEW:
        return None
    unseen = (
        tr("no difference would be significant")
        if detectable is None
        else tr(
            "true differences{of} below about {size} mostly go unseen",
            of=metric_text.of(metric),
            size=metric_text.size(metric, detectable),
        )
    )
    few = trn("{n:,} query is few", "{n:,} queries are few", n)
    return tr("{few}: {unseen}; add tests before you decide.", few=few, unseen=unseen)


def picked(cells: int, tests: int, bias: float, metric: Metric = ACCURACY) -> str | None:
    """Return a warning of the selection bias of the best of several cells.

    Args:
        cells: The number of cells.
        tests: The number of queries that they were chosen on.
        bias: The selection bias; 0 where all cells give the same answers, so nothing was chosen.
        metric: The metric that they were chosen by.
    """
    if cells < 2 or not bias:
        return None
    less = ""
    if not metric.is_share or bias >= SHOWN_BIAS:
        size = metric_text.size(metric, bias)
        worse = tr("higher") if metric.sign < 0 else tr("lower")
        other = tr(
            "the {noun} to be about {size} {worse}", noun=metric.noun, size=size, worse=worse
        )
        less = tr(
            "; expect {expected} on new data",
            expected=tr("about {size} less", size=size) if metric == ACCURACY else other,
        )
    return tr(
        "Selection bias: the best of {cells} cells was chosen on the same "
        "{tests:,} tests{less}. Confirm it on held-out tests before reporting it.",
        cells=cells,
        tests=tests,
        less=less,
    )


def one_seed(seeds: int, metric: Metric = ACCURACY) -> str | None:
    """Return a warning of a single draw of shots."""
    if seeds > 1:
        return None
    much = tr("several points") if metric.is_share else "much"
    return tr(
        "One draw of shots: intervals and verdicts hold for these shots only, and "
        "another draw may be {much} better or worse; use more seeds, such as "
        "--seeds 8.",
        much=much,
    )


def low_coverage(
    where: str,
    coverage: float,
    said: Sequence[str] = (),
    low: tuple[int, int] = (1, 1),
    labels: int = 0,
) -> str | None:
    """Return a warning of low coverage, with free-form answers of the model.

    Args:
        where: The cell with the lowest coverage, in words.
        coverage: Its mean coverage.
        said: Its free-form answers that are no label.
        low: The number of cells below `COVERAGE`, and of all cells.
        labels: The number of its free-form answers that are labels.
    """
    if coverage >= COVERAGE:
        return None
    beside = (
        tr(" (and less than half in {low} of {cells} cells)", low=low[0], cells=low[1])
        if low[0] > 1
        else ""
    )
    place = f" {where}" if where else ""
    gives = tr(
        "The model gives {share_text} of its probability to the labels{place}{beside}",
        share_text=share_text(coverage),
        place=place,
        beside=beside,
    )
    total = len(said) + labels
    shown = [
        tr("{text} ({count} of {total})", text=quoted(text), count=count, total=total)
        for text, count in Counter(filter(None, said)).most_common(_SAID)
    ]
    if labels > len(said):
        rest = tr("; the others are such as {shown}", shown=", ".join(shown)) if shown else ""
        return tr(
            "{gives}, yet {labels} of {total} free-form answers are labels: the labels "
            "fit, and the rest of the probability is spread over other texts{rest}.",
            gives=gives,
            labels=labels,
            total=total,
            rest=rest,
        )
    empty = said.count("")
    if empty and not shown:
        return tr(
            "{gives}, and {empty} of {total} free-form answers are empty: look at the "
            "white space around the answer (promptkit render --whitespace), or add "
            "shots.",
            gives=gives,
            empty=empty,
            total=total,
        )
    instead = (
        tr("; its free-form answers are something else, such as {shown}", shown=", ".join(shown))
        if shown
        else tr(", so something else is likelier")
    )
    return tr(
        "{gives}{instead}: name the labels in the template, word them as the model "
        "would, or add shots.",
        gives=gives,
        instead=instead,
    )


def not_above_constant(
    name: str, value: float, not_above: int, cells: int, metric: Metric
) -> str | None:
    """Return a warning of cells that are not significantly better than a baseline in a metric.

    Args:
        name: The baseline in words.
        value: The metric of the baseline.
        not_above: The number of cells that are not better.
        cells: The number of all cells.
        metric: The metric.
    """
    if not not_above:
        return None
    baseline = f"{name}, {metric.noun} {metric_text.figure(metric, value)}"
    if not_above == cells:
        return tr(
            "No cell significantly beats {baseline}; change the template or the model, "
            "or add tests.",
            baseline=baseline,
        )
    return _some_do_not_beat(not_above, cells, baseline)


def unanswered(where: str, share: float, many: int, cells: int, metric: Metric) -> str | None:
    """Return a warning of cells with many answers that have no metric, such as no numbers.

    Args:
        where: The cell with the most of them, in words.
        share: Their share in that cell.
        many: The number of cells with more than `UNANSWERED` of them.
        cells: The number of all cells.
        metric: The metric.
    """
    if not many:
        return None
    place = f" {where}" if where else ""
    beside = (
        tr(
            " (and more than {UNANSWERED} in {many} of {cells} cells)",
            UNANSWERED=percent(UNANSWERED),
            many=many,
            cells=cells,
        )
        if many > 1
        else ""
    )
    so = tr("look at what failed") if many == cells else tr("so such a cell is not called best")
    return tr(
        "{capital} of the answers{place} have no {noun}{beside}, which is over the "
        "others alone: these may be the easy ones, {so}.",
        capital=capital(share_text(share)),
        place=place,
        noun=metric.noun,
        beside=beside,
        so=so,
    )


def not_above_baseline(label: str | None, share: float, not_above: int, cells: int) -> str | None:
    """Return a warning of cells that are not significantly above a baseline.

    Args:
        label: The commonest gold label; None where the baseline is chance.
        share: The accuracy of the baseline.
        not_above: The number of cells that are not above it.
        cells: The number of all cells.
    """
    if not not_above:
        return None
    baseline = tr(
        "the majority-class baseline ({quoted}, {share_text})",
        quoted=quoted(label or ""),
        share_text=share_text(share),
    )
    if label is None:
        baseline = tr("chance ({share_text})", share_text=share_text(share))
    if not_above == cells:
        labels = "" if label is None else tr(", the labels")
        what = tr("the template{labels} or the model", labels=labels)
        return tr(
            "No cell significantly beats {baseline}; change {what}, or add tests.",
            baseline=baseline,
            what=what,
        )
    return _some_do_not_beat(not_above, cells, baseline)


def _some_do_not_beat(some: int, cells: int, baseline: str) -> str:
    return trn(
        "{n} of {cells} cells does not significantly beat {baseline}.",
        "{n} of {cells} cells do not significantly beat {baseline}.",
        some,
        cells=cells,
        baseline=baseline,
    )


def labels_unseen(shots: int, label: object, share: float) -> str | None:
    """Return a warning of prompts with enough shots for every label that show none of one.

    Args:
        shots: The number of shots.
        label: The label that is missing most often.
        share: The share of the prompts with so many shots that it is missing in.
    """
    if share <= 0:
        return None
    return tr(
        "{capital} of the prompts with {named} have no shot of {quoted}, and small "
        "models seldom answer a label without a shot: try --selection balanced.",
        capital=capital(share_text(share)),
        named=named("shots", shots),
        quoted=quoted(str(label)),
    )


def ties(count: int, predictions: int) -> str | None:
    """Return a warning of labels with exactly equal scores, of which the first is the answer."""
    if not count:
        return None
    return tr(
        "Exact ties: in {count:,} of {predictions:,} predictions the two best "
        "labels have the same score, and the first of them in the task is the "
        "answer; check that their words differ.",
        count=count,
        predictions=predictions,
    )


def share_text(share: float) -> str:
    """Return a share as whole percent, `less than 1 %` for a small one."""
    return tr("less than 1 %") if 0 < share < 0.005 else percent(share)
