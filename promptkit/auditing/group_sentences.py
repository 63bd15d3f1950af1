"""Findings on groups in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptkit.auditing.group_metrics import metric_of_groups
from promptkit.auditing.group_results import Gap, Group
from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.slices import SMALL
from promptkit.text import about, capital, ends, listed, p_value, points, quoted
from promptkit.translation import mark, tr, trn

OR_MORE = mark("{number} or more")
"""A positive output that is every number from one on, as files have it."""

SHOWN = 5
"""Number of groups that a sentence names."""


def of_grouping(by: str, groups: Sequence[Group], gaps: Sequence[Gap]) -> Iterator[str]:
    """Yield the gaps that are significant, the groups that stand out, and those too small.

    Args:
        by: Name of the column.
        groups: The groups.
        gaps: The gaps between them.
    """
    found = [gap for gap in gaps if gap.significant]
    for gap in found:
        yield _gap(gap)
    if gaps and not found:
        yield tr(
            "By {by}: no gap is significant after correcting for all of them; what "
            "gaps may be there is what their intervals say.",
            by=by,
        )
    yield from _apart(by, groups)
    yield from (_rule(gap) for gap in gaps if gap.four_fifths is not None)
    yield from _small(by, groups)
    if not gaps:
        yield tr(
            "By {by}: fewer than two groups have {least} queries, so nothing is ranked.",
            by=by,
            least=SMALL,
        )


def size_of(metric: Metric, gap: Gap) -> str:
    """Return a gap with its interval: `12 points [4, 21]`, `0.31 [0.02, 0.66]`."""
    if metric.is_share:
        around = "" if gap.ci is None else f" [{', '.join(ends(*gap.ci))}]"
        return f"{points(gap.value)}{around}"
    return metric_text.figure(metric, gap.value, gap.ci)


def ratio_of(gap: Gap) -> str:
    """Return a ratio with its interval: `0.71 [0.55, 0.88]`; `–` for none."""
    if gap.ratio is None:
        return "–"
    around = "" if gap.ratio_ci is None else f" [{gap.ratio_ci[0]:.2f}, {gap.ratio_ci[1]:.2f}]"
    return f"{gap.ratio:.2f}{around}"


def group_name(group: Group, overall: Group) -> str:
    """Return what a table calls a group, or all queries together."""
    return tr("all") if group is overall else group.name


def positive_name(positive: str | None) -> str | None:
    """Return what a title calls the positive output that `positive_text` gives."""
    number = (positive or "").removesuffix(OR_MORE.format(number=""))
    return positive if number == (positive or "") else tr(OR_MORE, number=number)


def _gap(gap: Gap) -> str:
    metric = metric_of_groups(gap.metric)
    assert gap.p_holm is not None
    return tr(
        "{metric}: a gap of {size} between {highest} and {lowest}, significant "
        "(Holm-adjusted {p}).",
        metric=capital(metric.noun),
        size=size_of(metric, gap),
        highest=quoted(gap.highest),
        lowest=quoted(gap.lowest),
        p=p_value(gap.p_holm),
    )


def _apart(by: str, groups: Sequence[Group]) -> Iterator[str]:
    """Yield the groups that differ significantly from the other queries, of more than two."""
    if len(groups) < 3:
        return
    names = dict.fromkeys(name for group in groups for name in group.figures)
    for name in names:
        metric, said = metric_of_groups(name), []
        for group in groups:
            figure = group.figures.get(name)
            if figure is None or figure.rest is None or not figure.rest.significant:
                continue
            low, high = figure.rest.ends
            said.append(
                f"{quoted(group.name)} ({metric_text.change(metric, figure.rest.delta, low, high)})"
            )
        if said:
            more = [tr("{count} more", count=len(said) - SHOWN)] if len(said) > SHOWN else []
            yield tr(
                "{metric} by {by} differs significantly from that of the other queries in "
                "{groups}.",
                metric=capital(metric.noun),
                by=by,
                groups=listed([*said[:SHOWN], *more]),
            )


def _rule(gap: Gap) -> str:
    metric = metric_of_groups(gap.metric)
    verdict = {
        "kept": tr("is kept, by the whole interval"),
        "missed": tr("is missed, by the whole interval"),
        "open": tr("is kept by the estimate, and the interval cannot tell")
        if gap.ratio is not None and gap.ratio >= 0.8
        else tr("is missed by the estimate, and the interval cannot tell"),
    }
    rule = verdict[gap.four_fifths or "open"]
    return tr(
        "Four-fifths rule: the {noun} of {lowest} is {ratio} times that of "
        "{highest}; the rule {rule}.",
        noun=metric.noun,
        lowest=quoted(gap.lowest),
        ratio=ratio_of(gap),
        highest=quoted(gap.highest),
        rule=rule,
    )


def _small(by: str, groups: Sequence[Group]) -> Iterator[str]:
    small = [group for group in groups if group.small]
    if not small:
        return
    names = [quoted(group.name) for group in small[:SHOWN]]
    names += [tr("{count} more", count=len(small) - SHOWN)] if len(small) > SHOWN else []
    needed = [group.needed for group in small]
    known = [each for each in needed if each is not None]
    takes = (
        tr("about {n} in a group would show a difference of 10 points", n=about(max(known)))
        if known
        else tr("and the other queries are too few as well to show a difference of 10 points")
    )
    yield trn(
        "{n:,} group by {by} has fewer than {least} queries ({names}): too few to rank; {takes}.",
        "{n:,} groups by {by} have fewer than {least} queries ({names}): too few to rank; {takes}.",
        len(small),
        by=by,
        least=SMALL,
        names=listed(names),
        takes=takes,
    )
