"""Table of the unintended bias of scores."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from promptkit.auditing.group_sentences import positive_name
from promptkit.auditing.unintended_bias import KINDS, SMALL_SIDE, Area, UnintendedBias, worst
from promptkit.report import conclusions
from promptkit.report.rich_tables import table, titled
from promptkit.text import listed, quoted, visible
from promptkit.translation import mark, tr, trn

SHOWN = 15
"""Number of subgroups that a terminal shows, the worst first."""

PERFECT = 0.995
"""Area that is shown as 1.00, of which nothing is said to be the lowest."""

_READ = {
    "subgroup": mark("positive and negative texts of {name} are told apart least"),
    "bpsn": mark("negative texts of {name} are most often scored above positive ones elsewhere"),
    "bnsp": mark("positive texts of {name} are most often scored below negative ones elsewhere"),
}


def biased(found: UnintendedBias, width: int) -> Iterator[RenderableType]:
    """Yield the table of subgroups, and what it shows in words.

    Args:
        found: The unintended bias.
        width: Width in characters.
    """
    yield titled(
        tr(
            "Unintended bias by {by}, scores of {positive}",
            by=found.by,
            positive=positive_name(found.positive),
        )
    )
    made = table(
        *(found.by, tr("queries:"), tr("positive:")),
        *(tr("subgroup AUC:"), tr("BPSN AUC:"), tr("BNSP AUC:")),
    )
    for one in found.subgroups[:SHOWN]:
        style = "dim" if one.small else ""
        areas = [Text(area_text(getattr(one, kind)), style) for kind in KINDS]
        size = f"{one.n:,}" + (tr(" (small)") if one.small else "")
        name = Text(visible(one.name, max(width // 4, 12)), style)
        made.add_row(name, Text(size, style), Text(f"{one.positives:,}", style), *areas)
    made.add_section()
    means = (found.subgroup_mean, found.bpsn_mean, found.bnsp_mean)
    made.add_row(
        tr("generalised mean, p = {power:g}", power=found.power), "", "", *map(area_text, means)
    )
    yield made
    if len(found.subgroups) > SHOWN:
        yield Text(
            tr("… and {count} more in audit.json", count=len(found.subgroups) - SHOWN), "dim"
        )
    yield from map(conclusions.item, sentences(found))
    yield ""


def sentences(found: UnintendedBias) -> Iterator[str]:
    """Yield what the areas show in words."""
    yield tr(
        "AUC over all queries: {area}; 0.5 is chance, 1 the best.",
        area=area_text(found.overall),
    )
    for kind, one, area in worst(found):
        if area.value >= PERFECT:
            continue
        name = tr("subgroup") if kind == "subgroup" else kind.upper()
        yield tr(
            "Lowest {name} AUC, {area}: {meaning}.",
            name=name,
            area=area_text(area),
            meaning=tr(_READ[kind], name=quoted(one.name)),
        )
    small = [one for one in found.subgroups if one.small]
    if small:
        names = [quoted(one.name) for one in small[:5]]
        names += [tr("{count} more", count=len(small) - 5)] if small[5:] else []
        yield trn(
            "{n:,} subgroup has fewer than {least} positive or negative queries "
            "({names}): shown, and in no mean.",
            "{n:,} subgroups have fewer than {least} positive or negative queries "
            "({names}): shown, and in no mean.",
            len(small),
            least=SMALL_SIDE,
            names=listed(names),
        )


def area_text(area: Area | None) -> str:
    """Return an area with its interval: `0.87 [0.81, 0.92]`; `–` for none."""
    if area is None:
        return "–"
    around = "" if area.ci is None else f" [{area.ci[0]:.2f}, {area.ci[1]:.2f}]"
    return f"{area.value:.2f}{around}"
