"""Verdict on two predictions of a number from the same label scores, cell by cell.

The scores of labels that are numbers give their probability-weighted mean too. Its absolute errors
are compared with those of the most probable label over the same queries and draws.
"""

from __future__ import annotations

from promptkit.evaluation import intervals, metric_text, pairs, sentences, targets
from promptkit.evaluation.metric import BY_NAME
from promptkit.evaluation.outcomes import ByCell, Outcomes
from promptkit.evaluation.results import Best
from promptkit.inference.cell import Cell
from promptkit.text import capital, p_value, sentence
from promptkit.translation import tr

LEAST = 3
"""Number of labels from which a mean is compared: of two, none is between them."""


def mean_verdict(by_cell: ByCell, best: Best) -> str | None:
    """Return one sentence where the mean over a scale is nearer or farther than the argmax.

    P-values are corrected for the number of cells. The sentence is about the best cell where its
    difference is significant, else about the cell with the smallest p-value.

    Args:
        by_cell: The outcomes of a comparison.
        best: The best cell.

    Returns:
        The sentence; None where no cell has a significant difference.
    """
    found = {cell: one for cell in pairs.cells_of(by_cell) if (one := _difference(by_cell[cell]))}
    adjusted = intervals.holm([one.decisive.p for one in found.values()]).tolist()
    sure = {
        cell: p
        for (cell, one), p in zip(found.items(), adjusted, strict=True)
        if p <= sentences.ALPHA and not one.decisive.ci.low <= 0 <= one.decisive.ci.high
    }
    if not sure:
        return None
    cell = best.cell if best.cell in sure else min(sure, key=lambda cell: sure[cell])
    return _said(by_cell, cell, found[cell], sure[cell], len(sure), len(found))


def _difference(one: Outcomes) -> targets.Differences | None:
    """Return the MAE of the mean less that of the most probable label."""
    if one.scores is None or len(one.scores.labels) < LEAST:
        return None
    of_label, of_mean = BY_NAME["mae"].shares(one), BY_NAME["mae_of_mean"].shares(one)
    if of_label is None or of_mean is None:
        return None
    return targets.mean_difference(of_label, of_mean, one.drawn)


def _said(
    by_cell: ByCell, cell: Cell, found: targets.Differences, p: float, sure: int, cells: int
) -> str:
    one = found.decisive
    moved = metric_text.difference(BY_NAME["mae"], one.delta, one.ci.low, one.ci.high)
    where = capital(sentences.context(pairs.levels(cell, pairs.varied(by_cell))))
    adjusted = "Holm-adjusted " if cells > 1 else ""
    among = (
        tr("; so it is in {sure:,} of {cells:,} cells", sure=sure, cells=cells) if cells > 1 else ""
    )
    only = "" if found.general is not None else tr(" for this draw of shots")
    return sentence(
        tr(
            "{place}probability-weighted mean of the labels vs the most probable label: "
            "{moved}, significant ({adjusted}{p_value}){only}{among}",
            place=where + ": " if where else "",
            moved=moved,
            adjusted=adjusted,
            p_value=p_value(p),
            only=only,
            among=among,
        )
    )
