"""What a careful reader must know of a comparison: each a sentence that says what to do, or None.

All are pure functions over numbers. Accuracies, shares and probabilities are from 0 to 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from promptkit.inference.cell import named
from promptkit.text import capital, counted, listed, percent, points, quoted

FEW = 100
"""Below so many queries a comparison is warned of."""

COVERAGE = 0.5
"""Below this probability on the labels together, something else is likelier than any of them."""

FLATTERED = 0.005
"""From so much on, what picking adds to an accuracy is worth a number."""

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


def picked(cells: int, flattery: float) -> str | None:
    """Whether the best of several cells was picked on the tests that judge it.

    `flattery` is `promptkit.evaluation.variance.flattery`; where it is 0, all cells give the same
    answers and nothing was picked.
    """
    if cells < 2 or not flattery:
        return None
    less = (
        f"expect about {points(flattery)} less on new data, and " if flattery >= FLATTERED else ""
    )
    return (
        f"Selection bias: the best of {cells} cells was chosen on the tests that judge it; {less}"
        "confirm it on held-out tests before you report it."
    )


def one_seed(seeds: int) -> str | None:
    """Whether there is a single draw of shots that others may differ from."""
    if seeds > 1:
        return None
    return (
        "There is one draw of shots, so intervals and verdicts hold for these shots only; another "
        "draw may be several points better or worse: ask more, as --seeds 8 does."
    )


def low_coverage(
    where: str,
    coverage: float,
    said: Sequence[str] = (),
    low: tuple[int, int] = (1, 1),
    labels: int = 0,
) -> str | None:
    """Say that the labels get little of the model's probability, and what gets the rest.

    `where` names the cell with the least coverage, and `coverage` is its mean; `said` are the
    free-form answers there that are no label, and `labels` is how many are; `low` is how many
    cells are below `COVERAGE`, and of how many.
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
    """Whether always giving the commonest gold answer may do as well as the model.

    `share` is how often `label` is right; so many cells out of all are not significantly above it.
    """
    if not not_above:
        return None
    always = f"the majority-class baseline (always {quoted(label)}, {_percent(share)})"
    if not_above == cells:
        return (
            f"No cell is significantly above {always}; change the template, the labels or the "
            "model, or add tests."
        )
    are = "is" if not_above == 1 else "are"
    return f"{not_above} of {cells} cells {are} not significantly above {always}."


def labels_unseen(shots: int, label: object, share: float) -> str | None:
    """Whether prompts that have room for every label show no shot of one.

    `share` is the part of the prompts with `shots` shots that lack `label`, the one that is
    lacking most.
    """
    if share <= 0:
        return None
    return (
        f"{capital(_percent(share))} of the prompts with {named('shots', shots)} show no "
        f"example of {quoted(str(label))}, and small models seldom say what they were not shown: "
        "try --selection balanced."
    )


def ties(count: int, predictions: int) -> str | None:
    """Whether labels have exactly equal scores, of which the first is taken."""
    if not count:
        return None
    return (
        f"In {count:,} of {predictions:,} predictions the two best labels score the same and the "
        "first in the task is taken: look whether they have the same words."
    )


def collapsed(
    where: str,
    label: str,
    share: float,
    gold: float,
    count: tuple[int, int],
    helps: Sequence[str] = (),
) -> str:
    """Say that one label gets nearly all answers of a cell.

    `where` names the cell, `share` is the label's part of the answers and `gold` that of the gold
    labels; `count` is how many cells are so, and of how many; `helps` are options that were not
    tried.
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
    """Say that one label gets nearly all answers of single draws of shots.

    `draws` are such seeds with the label and its share of the answers, out of `seeds`.
    """
    shown = ", ".join(
        f"{quoted(label)} with seed {seed} ({_percent(share)})"
        for seed, label, share in draws[:_SAID]
    )
    more = ", …" if len(draws) > _SAID else ""
    place = f" {where}" if where else ""
    return (
        f"Label collapse{place} in {len(draws)} of {seeds} draws of shots: nearly all answers are "
        f"{shown}{more}; there the shots decide and not the query: {_try(helps)}."
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
    """Say that calibrations assume labels that are equally common, and these are not.

    `pool` and `queries` are the shares of the commonest label there, None where labels are not
    skewed; `fitted` tells whether vector scaling is in the comparison.
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
    """Say that vector scaling was fitted to label frequencies that the queries do not have."""
    return (
        f"Vector calibration is fitted to the label frequencies of the pool, and the queries have "
        f"others: {quoted(label)} is right for {_percent(pool)} of the pool and "
        f"{_percent(queries)} of the queries. Use a pool that is like the queries, or do without."
    )


def empty_options(label: str, empty: int, queries: int, chosen: int, answers: int) -> str:
    """Say that an option is empty for some queries, and a candidate there all the same.

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
