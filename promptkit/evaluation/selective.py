"""Selective answering: the threshold of confidence above which few answers are wrong.

A threshold that is read off the risk-coverage curve is chosen by the same answers that it is judged
by, and its error on new queries is larger than stated more often than not. Here a few thresholds
are tested, each by an exact binomial test, and their number is corrected for (Bonferroni): the
chance that the stated error is exceeded on new queries is at most 5 %, whatever the model.

The thresholds are those above which fixed shares of the queries lie. Given such a threshold, the
queries above it are a random sample of all that are, so that their errors are binomial; no query
need be set aside to choose it.

Angelopoulos, Bates, Candès, Jordan and Lei, "Learn then test", arXiv 2110.01052, 2021; Clopper and
Pearson, Biometrika 26, 1934.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.errors import TaskError
from promptkit.evaluation import confidence_metrics
from promptkit.evaluation.outcomes import ByCell
from promptkit.evaluation.pairs import cells_of
from promptkit.evaluation.results import RiskPoint, Selective
from promptkit.inference.cell import RAW, Cell, describe
from promptkit.inference.prediction import Prediction
from promptkit.text import about, counted, percent
from promptkit.translation import tr

SHARES = tuple(tenth / 10 for tenth in range(1, 11))
"""Shares of the queries that lie above the thresholds that are tested."""

LEVEL = 0.95
"""Confidence of the statement."""

POINTS = 100
"""Largest number of points of a curve that are kept."""

MOST_QUERIES = 1_000_000
"""Number of queries beyond which no number is named."""


class Threshold(NamedTuple):
    """A rule that answers where the confidence is above a threshold."""

    above: float
    answered: int
    """Number of queries that it answers, of those that it was tested on."""
    wrong: int
    bound: float
    """Upper bound on its error, corrected for the number of thresholds."""


def selective(
    predictions: Iterable[Prediction], error: float = 0.1, *, choices: int = 1
) -> Selective:
    """Return how many queries can be answered with an error of at most `error`.

    The statement has 95 % confidence, for new queries from the same source: queries that were used
    for neither shots nor the choice of the prompt.

    Args:
        predictions: Predictions of one cell and one seed, with probabilities and known gold
            outputs.
        error: The largest share of wrong answers among those given, between 0 and 1.
        choices: Number of cells that this one was chosen from by the same predictions.

    Returns:
        The threshold and what is known of it; print its `sentence`.

    Raises:
        TaskError: The predictions are of several cells or seeds, of none, or have no probabilities
            or gold outputs; or `error` is not between 0 and 1.

    Example:
        >>> from promptkit import FakeModel, Predictor, Template, load_task
        >>> task = load_task("examples/fruit")
        >>> predictor = Predictor(task, Template.of(task), FakeModel())
        >>> selective(predictor.predict(task.tests), error=0.2).share
        0.0
    """
    check_error(error)
    made = list(predictions)
    cells = list(dict.fromkeys(one.cell for one in made))
    if len(cells) != 1:
        found = (
            tr(
                "{describe} with seed {seed} and others",
                describe=describe(cells[0]),
                seed=cells[0].seed,
            )
            if cells
            else "none"
        )
        raise TaskError(
            tr("predictions of one cell and one seed are needed, got those of {found}", found=found)
        )
    if any(one.correct is None for one in made):
        raise TaskError(tr("the gold output of a prediction is not known"))
    confidence = [_confidence(one) for one in made]
    return of_confidence(
        cells[0].factors(), confidence, [not one.correct for one in made], error, choices
    )


def check_error(error: float) -> None:
    """Raise `TaskError` for a share of wrong answers that nothing or everything keeps."""
    if not 0 < error < 1:
        raise TaskError(tr("error is {error}; it is between 0 and 1, such as 0.1", error=error))


def _confidence(one: Prediction) -> float:
    """Return the probability of the answer; 0 for one that failed, which is never given."""
    if one.failure is not None:
        return 0.0
    if not one.probs:
        raise TaskError(
            tr(
                "{describe}: its answers have no probabilities, so none can be held back",
                describe=describe(one.cell),
            )
        )
    if isinstance(one.label, list):
        raise TaskError(
            tr(
                "{describe}: its answers are lists of labels, which have no probability as a whole",
                describe=describe(one.cell),
            )
        )
    return max(one.probs.values())


def of_best(
    by_cell: ByCell, best: Cell, predictions: Iterable[Prediction], error: float
) -> Selective:
    """Return the selective answering of the best cell with its first draw of shots.

    Args:
        by_cell: The outcomes of all cells.
        best: The cell that was chosen.
        predictions: The predictions of all cells.
        error: The largest share of wrong answers.

    Raises:
        TaskError: The answers of the cell have no probabilities.
    """
    one, choices = by_cell[best], len(cells_of(by_cell))
    cell = best.at(seed=one.numbers[0])
    if one.scores is None or best.calibration == RAW:
        own = [made for made in predictions if made.cell == cell]
        return selective(own, error, choices=choices)
    confidence = np.exp(one.scores.logprobs[:, 0].max(axis=1)).tolist()
    wrong = (one.correct[:, 0] == 0).tolist()
    return of_confidence(cell.factors(), confidence, wrong, error, choices)


def of_confidence(
    factors: Mapping[str, Any],
    confidence: Sequence[float],
    wrong: Sequence[bool],
    error: float,
    choices: int = 1,
) -> Selective:
    """Return the selective answering of a cell.

    Args:
        factors: The levels of the cell.
        confidence: The confidence of each answer, (queries,).
        wrong: True for wrong answers, (queries,).
        error: The largest share of wrong answers.
        choices: Number of cells that this one was chosen from by these queries.
    """
    n, chance = len(confidence), (1 - LEVEL) / choices
    best = threshold(confidence, wrong, error, chance)
    needed = None if best is not None else _queries_needed(confidence, wrong, error, chance)
    return Selective(
        **factors,
        error=error,
        level=LEVEL,
        n=n,
        threshold=None if best is None else best.above,
        answered=0 if best is None else best.answered,
        wrong=0 if best is None else best.wrong,
        bound=None if best is None else best.bound,
        choices=choices,
        queries_needed=needed,
        curve=_curve(confidence, wrong),
        sentence=_sentence(best, n, error, choices, needed),
    )


def threshold(
    confidence: ArrayLike, wrong: ArrayLike, error: float, chance: float = 1 - LEVEL
) -> Threshold | None:
    """Return the lowest threshold that keeps an error; None if none is shown to.

    Args:
        confidence: The confidence of each answer, (queries,).
        wrong: True for wrong answers, (queries,).
        error: The largest share of wrong answers.
        chance: The chance that the error of what is returned is larger.
    """
    sure, errors = np.asarray(confidence, np.float64), np.asarray(wrong, bool)
    tested = _tested(len(sure), error, chance)
    in_order = np.sort(sure)[::-1]
    for k in reversed(tested):
        above = float(in_order[k]) if k < len(sure) else 0.0
        given = sure > above
        bound = error_bound(int(errors[given].sum()), int(given.sum()), chance / len(tested))
        if bound <= error:
            return Threshold(above, int(given.sum()), int(errors[given].sum()), bound)
    return None


def _tested(n: int, error: float, chance: float) -> list[int]:
    """Return the numbers of queries above the thresholds, of those that no error could refuse.

    Which these are depends on the number of queries only, so that fewer tests are corrected for.
    """
    for number in range(len(SHARES), 0, -1):
        sizes = sorted({round(share * n) for share in SHARES[-number:]})
        if sizes[0] and error_bound(0, sizes[0], chance / number) <= error:
            return sizes
    return [n]


def error_bound(wrong: int, answered: int, chance: float) -> float:
    """Return the upper bound of Clopper and Pearson on an error."""
    from scipy.special import betaincinv  # imported where it is needed: it takes a moment

    if wrong >= answered:
        return 1.0
    return float(betaincinv(wrong + 1, answered - wrong, 1 - chance))


def _queries_needed(
    confidence: Sequence[float], wrong: Sequence[bool], error: float, chance: float
) -> int | None:
    """Return about how many queries would show a threshold if errors stay as frequent as here.

    None if the answers are wrong too often at every threshold, or beyond `MOST_QUERIES`.
    """
    errors = np.asarray(wrong, bool)[np.argsort(-np.asarray(confidence), kind="stable")]
    risks = {share: errors[: max(1, round(share * len(errors)))].mean() for share in SHARES}
    within = [(share, risk) for share, risk in risks.items() if risk < error]
    n = len(errors)
    while within and n <= MOST_QUERIES:
        n = math.ceil(n * 1.05)
        tests = len(_tested(n, error, chance))
        for share, risk in within:
            size = round(share * n)
            # Errors as frequent as here, and never fewer than were seen.
            if size and error_bound(math.ceil(risk * size), size, chance / tests) <= error:
                return n
    return None


def _curve(confidence: Sequence[float], wrong: Sequence[bool]) -> tuple[RiskPoint, ...]:
    risks: NDArray[np.float64] = confidence_metrics.risk_coverage(confidence, wrong)
    n = len(risks)
    places = np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(int))
    return tuple(RiskPoint((int(at) + 1) / n, float(risks[at])) for at in places)


def _sentence(
    best: Threshold | None, n: int, error: float, choices: int, needed: int | None
) -> str:
    most = tr("an error of at most {error}", error=percent(error))
    corrected = (
        tr(", corrected for the choice among {choices} cells", choices=choices)
        if choices > 1
        else ""
    )
    said = tr("({LEVEL} confidence{corrected})", LEVEL=percent(LEVEL), corrected=corrected)
    asked = counted(n, "query", "queries")
    if best is None:
        if needed is None:
            more = tr("even the most confident answers are wrong too often")
        else:
            more = tr(
                "about {about} queries would show one if answers stay as good", about=about(needed)
            )
        return tr(
            "No threshold of confidence is shown to keep {most} {said} with {asked}: {more}.",
            most=most,
            said=said,
            asked=asked,
            more=more,
        )
    where = (
        tr("everywhere")
        if not best.above
        else tr("where the probability is above {decimal}", decimal=_decimal(best.above))
    )
    return tr(
        "Answers {percent} of queries with {most} {said}: {where}; of {asked}, "
        "{wrong:,} of {answered:,} answers given are wrong.",
        percent=percent(best.answered / n),
        most=most,
        said=said,
        where=where,
        asked=asked,
        wrong=best.wrong,
        answered=best.answered,
    )


def _decimal(value: float) -> str:
    """Return a probability with digits enough, also next to 1."""
    digits = 4 if value < 0.99 else min(4 - math.floor(math.log10(max(1 - value, 1e-12))), 12)
    return f"{value:.{digits}f}"
