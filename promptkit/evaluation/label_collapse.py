"""Label collapse: cells, or draws of shots, that answer nearly every query with one label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from promptkit.calibration.methods import ASSUME_BALANCED
from promptkit.evaluation import sentences
from promptkit.evaluation.caveats import share_text
from promptkit.evaluation.outcomes import ByCell, Outcomes
from promptkit.evaluation.pairs import cells_of, levels, varied
from promptkit.inference.cell import Cell, named
from promptkit.text import listed, quoted
from promptkit.translation import tr

SHARE = 0.9
"""Share of the answers from which a label gets nearly all of them."""

EXCESS = 0.1
"""Least difference between that share and the label's share of the gold labels."""

CHANCE = 0.01
"""Highest probability of such a share among answers drawn with the gold frequencies."""


NAMED = 3
"""Number of draws that a warning names."""


class Collapse(NamedTuple):
    """A label that gets nearly all answers, though it is not nearly always right."""

    label: str
    share: float
    """Its share of the answers."""
    gold: float
    """Its share of the gold labels."""


def warnings(by_cell: ByCell, *, skewed: bool) -> Iterator[str]:
    """Yield a warning of cells that collapse and one of single draws that do.

    `skewed` labels decide which calibration is suggested.
    """
    cells = cells_of(by_cell)
    whole = {cell: one for cell in cells if (one := collapse(by_cell[cell])) is not None}
    rest = [cell for cell in cells if cell not in whole]
    draws = {cell: found for cell in rest if (found := _draws(by_cell[cell]))}
    untried = _untried(by_cell, skewed=skewed)
    if whole:
        worst = max(whole, key=lambda cell: whole[cell].share - whole[cell].gold)
        label, share, gold = whole[worst]
        more = tr(
            " ({count} of {cells} cells collapse onto one label)",
            count=len(whole),
            cells=len(cells),
        )
        helps = [*_without_collapse(worst, cells, whole), *_help(worst, untried)]
        yield tr(
            "Label collapse: {share} of the answers{place} are {label}, the gold "
            "label of {gold} of the queries{more}: {advice}.",
            share=share_text(share),
            place=_place(worst, by_cell),
            label=quoted(label),
            gold=share_text(gold),
            more=more if len(whole) > 1 else "",
            advice=_try(helps),
        )
    if draws:
        worst = max(draws, key=lambda cell: len(draws[cell]))
        shown = [
            tr(
                "{label} with seed {seed} ({share_text})",
                label=quoted(one.label),
                seed=seed,
                share_text=share_text(one.share),
            )
            for seed, one in draws[worst].items()
        ]
        more = ", …" if len(shown) > NAMED else ""
        yield tr(
            "Label collapse{place} in {count} of {draws} draws of shots: nearly all "
            "answers are {names}{more}; the shots decide there, not the query: {advice}.",
            place=_place(worst, by_cell),
            count=len(shown),
            draws=len(by_cell[worst].numbers),
            names=", ".join(shown[:NAMED]),
            more=more,
            advice=_try(_help(worst, untried)),
        )


def collapse(one: Outcomes) -> Collapse | None:
    """Return the label that gets nearly all answers of a cell, if one does."""
    from scipy.special import bdtrc

    scores = one.scores
    if scores is None or not scores.labels:
        return None
    ((label, times),) = Counter(scores.said.T.ravel().tolist()).most_common(1)
    n, right = len(scores.gold), int((scores.gold == label).sum())
    share, gold = times / scores.said.size, right / n
    likely = float(bdtrc(round(share * n) - 1, n, (right + 1) / (n + 2)))
    if share < SHARE or share - gold < EXCESS - 1e-9 or likely > CHANCE:
        return None
    return Collapse(scores.labels[label], share, gold)


def _draws(outcomes: Outcomes) -> dict[int | None, Collapse]:
    """Return the collapses of single seeds, where there are several that can differ."""
    if len(outcomes.numbers) < 2 or not outcomes.cell.shots:
        return {}
    found = {one.cell.seed: collapse(one) for one in outcomes.by_seed()}
    return {seed: one for seed, one in found.items() if one is not None}


def _place(cell: Cell, by_cell: ByCell) -> str:
    where = sentences.context(levels(cell, dict.fromkeys(["shots", *varied(by_cell)])))
    return f" {where}" if where else ""


def _without_collapse(cell: Cell, cells: Sequence[Cell], others: Collection[Cell]) -> list[str]:
    """Return the calibration under which a cell does not collapse, if one was compared.

    `others` are all cells that do.
    """
    alike = [one for one in cells if one.at(calibration=cell.calibration) == cell]
    names = [named("calibration", one.calibration) for one in alike if one not in others]
    return [tr("{name} (there is no collapse with it)", name=name) for name in names[:1]]


def _untried(by_cell: ByCell, *, skewed: bool) -> dict[str, str]:
    """Return options against a collapse that the comparison lacks, by the factor they change."""
    options = {}
    if not any("balanced" in cell.selection for cell in by_cell):
        options["selection"] = tr("--selection balanced")
    if not {cell.calibration for cell in by_cell} & {*ASSUME_BALANCED, "vector"}:
        options["calibration"] = tr("--calibrate {method}", method="vector" if skewed else "batch")
    return options


def _try(helps: Sequence[str]) -> str:
    if helps:
        return tr("try {helps}", helps=listed(helps, "or"))
    return tr("read the prompt, and try another template, order or model")


def _help(cell: Cell, options: Mapping[str, str]) -> list[str]:
    return [option for factor, option in options.items() if factor not in cell.idle]
