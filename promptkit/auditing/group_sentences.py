"""Findings on groups in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptkit.auditing.group_metrics import metric_of_groups
from promptkit.auditing.group_results import Gap, Group
from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import Metric
from promptkit.evaluation.slices import SMALL
from promptkit.text import about, capital, counted, ends, listed, p_value, points, quoted

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
        yield (
            f"By {by}: no gap is significant after correcting for all of them; what gaps may be "
            "there is what their intervals say."
        )
    yield from _apart(by, groups)
    yield from (_rule(gap) for gap in gaps if gap.four_fifths is not None)
    yield from _small(by, groups)
    if not gaps:
        yield f"By {by}: fewer than two groups have {SMALL} queries, so nothing is ranked."


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


def _gap(gap: Gap) -> str:
    metric = metric_of_groups(gap.metric)
    assert gap.p_holm is not None
    return (
        f"{capital(metric.noun)}: a gap of {size_of(metric, gap)} between "
        f"{quoted(gap.highest)} and {quoted(gap.lowest)}, significant "
        f"(Holm-adjusted {p_value(gap.p_holm)})."
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
            more = [f"{len(said) - SHOWN} more"] if len(said) > SHOWN else []
            yield (
                f"{capital(metric.noun)} by {by} differs significantly from that of the other "
                f"queries in {listed([*said[:SHOWN], *more])}."
            )


def _rule(gap: Gap) -> str:
    metric = metric_of_groups(gap.metric)
    verdict = {
        "kept": "is kept, by the whole interval",
        "missed": "is missed, by the whole interval",
        "open": "is kept by the estimate, and the interval cannot tell"
        if gap.ratio is not None and gap.ratio >= 0.8
        else "is missed by the estimate, and the interval cannot tell",
    }
    rule = verdict[gap.four_fifths or "open"]
    return (
        f"Four-fifths rule: the {metric.noun} of {quoted(gap.lowest)} is {ratio_of(gap)} times "
        f"that of {quoted(gap.highest)}; the rule {rule}."
    )


def _small(by: str, groups: Sequence[Group]) -> Iterator[str]:
    small = [group for group in groups if group.small]
    if not small:
        return
    names = [quoted(group.name) for group in small[:SHOWN]]
    names += [f"{len(small) - SHOWN} more"] if len(small) > SHOWN else []
    needed = [group.needed for group in small]
    known = [each for each in needed if each is not None]
    takes = (
        f"about {about(max(known))} in a group would show a difference of 10 points"
        if known
        else "and the other queries are too few as well to show a difference of 10 points"
    )
    yield (
        f"{counted(len(small), 'group')} by {by} {'has' if len(small) == 1 else 'have'} fewer than "
        f"{SMALL} queries ({listed(names)}): too few to rank; {takes}."
    )
