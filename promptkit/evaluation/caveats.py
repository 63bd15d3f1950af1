"""Warnings on a comparison: each a sentence that says what to do, or None.

All are pure functions over numbers. Accuracies, shares and probabilities are from 0 to 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from promptkit.inference.cell import named
from promptkit.text import capital, counted, listed, percent, points, quoted

FEW = 100
"""Number of queries below which a comparison has a warning."""

COVERAGE = 0.5
"""Coverage below which another text is more probable than the labels together."""

SHOWN_BIAS = 0.005
"""Selection bias from which its size is given."""

_SAID = 3


def few_queries(n: int, detectable: float | None) -> str | None:
    """Return a warning where the tests are few; `detectable` is what `power.detectable` gives."""
    if n >= FEW:
        return None
    unseen = (
        "no difference would be significant"
        if detectable is None
        else f"true differences below about {points(detectable)} mostly go unseen"
    )
    few = f"{counted(n, 'query', 'queries')} {'is' if n == 1 else 'are'} few"
    return f"{few}: {unseen}; add tests before you decide."


def picked(cells: int, tests: int, bias: float) -> str | None:
    """Return a warning of the selection bias of the best of several cells.

    Args:
        cells: The number of cells.
        tests: The number of queries that they were chosen on.
        bias: The selection bias; 0 where all cells give the same answers, so nothing was chosen.
    """
    if cells < 2 or not bias:
        return None
    less = f"; expect about {points(bias)} less on new data" if bias >= SHOWN_BIAS else ""
    return (
        f"Selection bias: the best of {cells} cells was chosen on the same {tests:,} tests{less}. "
        "Confirm it on held-out tests before reporting it."
    )


def one_seed(seeds: int) -> str | None:
    """Return a warning of a single draw of shots."""
    if seeds > 1:
        return None
    return (
        "One draw of shots: intervals and verdicts hold for these shots only, and another draw may "
        "be several points better or worse; use more seeds, such as --seeds 8."
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
    beside = f" (and less than half in {low[0]} of {low[1]} cells)" if low[0] > 1 else ""
    place = f" {where}" if where else ""
    gives = f"The model gives {_percent(coverage)} of its probability to the labels{place}{beside}"
    total = len(said) + labels
    shown = [
        f"{quoted(text)} ({count} of {total})"
        for text, count in Counter(filter(None, said)).most_common(_SAID)
    ]
    if labels > len(said):
        rest = f"; the others are such as {', '.join(shown)}" if shown else ""
        return (
            f"{gives}, yet {labels} of {total} free-form answers are labels: the labels fit, and "
            f"the rest of the probability is spread over other texts{rest}."
        )
    empty = said.count("")
    if empty and not shown:
        return (
            f"{gives}, and {empty} of {total} free-form answers are empty: look at the white space "
            "around the answer (promptkit render --whitespace), or add shots."
        )
    instead = (
        f"; its free-form answers are something else, such as {', '.join(shown)}"
        if shown
        else ", so something else is likelier"
    )
    return (
        f"{gives}{instead}: name the labels in the template, word them as the model would, or add "
        "shots."
    )


def majority(label: str, share: float, not_above: int, cells: int) -> str | None:
    """Return a warning of cells that are not significantly above the majority-class baseline.

    Args:
        label: The commonest gold label.
        share: Its share of the gold labels.
        not_above: The number of cells that are not above it.
        cells: The number of all cells.
    """
    if not not_above:
        return None
    baseline = f"the majority-class baseline ({quoted(label)}, {_percent(share)})"
    if not_above == cells:
        return (
            f"No cell significantly beats {baseline}; change the template, the labels or the "
            "model, or add tests."
        )
    verb = "does" if not_above == 1 else "do"
    return f"{not_above} of {cells} cells {verb} not significantly beat {baseline}."


def labels_unseen(shots: int, label: object, share: float) -> str | None:
    """Return a warning of prompts with enough shots for every label that show none of one.

    Args:
        shots: The number of shots.
        label: The label that is missing most often.
        share: The share of the prompts with so many shots that it is missing in.
    """
    if share <= 0:
        return None
    return (
        f"{capital(_percent(share))} of the prompts with {named('shots', shots)} have no "
        f"shot of {quoted(str(label))}, and small models seldom answer a label without a shot: try "
        "--selection balanced."
    )


def ties(count: int, predictions: int) -> str | None:
    """Return a warning of labels with exactly equal scores, of which the first is the answer."""
    if not count:
        return None
    return (
        f"Exact ties: in {count:,} of {predictions:,} predictions the two best labels have the "
        "same score, and the first of them in the task is the answer; check that their words "
        "differ."
    )


def collapsed(
    where: str,
    label: str,
    share: float,
    gold: float,
    count: tuple[int, int],
    helps: Sequence[str] = (),
) -> str:
    """Return a warning of a cell in which one label gets nearly all answers.

    Args:
        where: The cell in words.
        label: The label.
        share: Its share of the answers.
        gold: Its share of the gold labels.
        count: The number of such cells, and of all cells.
        helps: Options that were not tried.
    """
    place = f" {where}" if where else ""
    more = f" ({count[0]} of {count[1]} cells collapse onto one label)" if count[0] > 1 else ""
    return (
        f"Label collapse: {_percent(share)} of the answers{place} are {quoted(label)}, the gold "
        f"label of {_percent(gold)} of the queries{more}: {_try(helps)}."
    )


def collapsed_draws(
    where: str,
    draws: Sequence[tuple[int | None, str, float]],
    seeds: int,
    helps: Sequence[str] = (),
) -> str:
    """Return a warning of single draws of shots in which one label gets nearly all answers.

    Args:
        where: The cell in words.
        draws: Such seeds, each with the label and its share of the answers.
        seeds: The number of all seeds.
        helps: Options that were not tried.
    """
    shown = ", ".join(
        f"{quoted(label)} with seed {seed} ({_percent(share)})"
        for seed, label, share in draws[:_SAID]
    )
    more = ", …" if len(draws) > _SAID else ""
    place = f" {where}" if where else ""
    return (
        f"Label collapse{place} in {len(draws)} of {seeds} draws of shots: nearly all answers are "
        f"{shown}{more}; the shots decide there, not the query: {_try(helps)}."
    )


def skewed_labels(
    methods: Sequence[str],
    label: str,
    pool: float | None,
    queries: float | None,
    labels: int,
    *,
    fitted: bool = False,
) -> str:
    """Return a warning of calibrations that assume balanced labels, where labels are skewed.

    Args:
        methods: The calibrations.
        label: The commonest label.
        pool: Its share of the pool; None where that is not skewed.
        queries: Its share of the queries; None where they are not skewed.
        labels: The number of labels.
        fitted: Whether vector scaling is in the comparison.
    """
    shares = [(pool, "of the pool"), (queries, "of the queries")]
    where = " and ".join([f"{_percent(share)} {of}" for share, of in shares if share is not None])
    verbs = ("assumes", "gives") if len(methods) == 1 else ("assume", "give")
    instead = "prefer" if fitted else "try"
    return (
        f"The labels are skewed: {quoted(label)} is right for {where}, {_percent(1 / labels)} "
        f"would be balanced. {capital(listed(methods))} calibration {verbs[0]} balanced labels and "
        f"{verbs[1]} rare ones too many answers, which can cost 20 points of accuracy and more: "
        f"{instead} vector, which is fitted to the label frequencies of the pool."
    )


def other_frequencies(label: str, pool: float, queries: float) -> str:
    """Return a warning of vector scaling fitted to label frequencies that queries lack."""
    return (
        f"Vector calibration is fitted to the label frequencies of the pool, and those of the "
        f"queries differ: {quoted(label)} is right for {_percent(pool)} of the pool and "
        f"{_percent(queries)} of the queries. Use a pool like the queries, or another calibration."
    )


def empty_options(label: str, empty: int, queries: int, chosen: int, answers: int) -> str:
    """Return a warning of an option that is empty for some queries, and a candidate there too.

    `chosen` of all `answers` are an empty option.
    """
    return (
        f"The option {quoted(label)} is empty for {empty:,} of {queries:,} queries, and a "
        f"candidate there all the same, since every label is one for every query: {chosen:,} of "
        f"{answers:,} answers are an empty option. Compare queries with as many options as a task."
    )


def _try(helps: Sequence[str]) -> str:
    if helps:
        return f"try {' or '.join(helps)}"
    return "read the prompt, and try another template, order or model"


def _are(n: int, one: str, many: str) -> str:
    return f"{n:,} {one} is" if n == 1 else f"{n:,} {many} are"


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.005 else percent(share)
