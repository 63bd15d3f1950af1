"""What a careful reader must know of a comparison: each a sentence that says what to do, or None.

All are pure functions over numbers. Accuracies, shares and probabilities are from 0 to 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from promptkit.verdicts import named

FEW = 100
"""Below so many queries a comparison is warned of."""

COVERAGE = 0.5
"""Below this probability on the labels together, something else is likelier than any of them."""

FLATTERED = 0.005
"""From so much on, what picking adds to an accuracy is worth a number."""

_SAID = 3
_LENGTH = 20


def few_queries(n: int, detectable: float | None) -> str | None:
    """Whether the tests are few; `detectable` is `promptkit.power.detectable` for them."""
    if n >= FEW:
        return None
    unseen = (
        "no difference would be sure"
        if detectable is None
        else f"a difference of less than about {_points(detectable)} will mostly go unseen"
    )
    return f"{_are(n, 'query', 'queries')} few: {unseen}; add tests before you decide."


def picked(cells: int, flattery: float) -> str | None:
    """Whether the best of several cells was picked on the tests that judge it.

    `flattery` is `promptkit.variance.flattery`; where it is 0, all cells give the same answers and
    nothing was picked.
    """
    if cells < 2 or not flattery:
        return None
    much = f" by about {_points(flattery)}" if flattery >= FLATTERED else ""
    return (
        f"The best of {cells} settings was picked on the tests that judge it, which flatters its "
        f"accuracy{much}: ask it again on new tests before you report it."
    )


def one_seed(seeds: int) -> str | None:
    """Whether there is a single draw of shots that others may differ from."""
    if seeds > 1:
        return None
    return (
        "There is one draw of shots, and another may be several points better or worse: "
        "ask more seeds, as --seeds 3 does."
    )


def low_coverage(
    where: str, coverage: float, said: Sequence[str] = (), low: tuple[int, int] = (1, 1)
) -> str | None:
    """Whether the model wants to say something else than the labels.

    `where` names the cell with the least coverage, and `coverage` is its mean; `said` is what the
    model wrote there where it was free to, an answer per query that was asked; `low` is how many
    cells are below `COVERAGE`, and of how many.
    """
    if coverage >= COVERAGE:
        return None
    instead = ""
    if said:
        times = Counter(said).most_common(_SAID)
        shown = ", ".join(f"{_quoted(text)} ({count} of {len(said)})" for text, count in times)
        instead = f", such as {shown}"
    beside = f" (and less than half in {low[0]} of {low[1]} settings)" if low[0] > 1 else ""
    place = f" {where}" if where else ""
    return (
        f"The model gives {_percent(coverage)} of its probability to the labels{place}{beside}, so "
        f"it wants to say something else{instead}: name the labels in the template, word them as "
        "it would, or add shots."
    )


def majority(label: object, share: float, accuracies: Sequence[float]) -> str | None:
    """Whether always giving the commonest gold answer does as well as the model.

    `share` is how often `label` is right, `accuracies` are those of all cells.
    """
    below = sum(accuracy <= share for accuracy in accuracies)
    if not below:
        return None
    always = f"always answering {_quoted(str(label))} is right {_percent(share)} of the time"
    if below == len(accuracies):
        return (
            f"Nothing that was tried beats a constant: {always}; change the template, the labels "
            "or the model."
        )
    are = "is" if below == 1 else "are"
    return f"{below} of {len(accuracies)} settings {are} no better than a constant: {always}."


def labels_unseen(shots: int, label: object, share: float) -> str | None:
    """Whether prompts that have room for every label show no shot of one.

    `share` is the part of the prompts with `shots` shots that lack `label`, the one that is
    lacking most.
    """
    if share <= 0:
        return None
    return (
        f"{_capital(_percent(share))} of the prompts with {named('shots', shots)} show no "
        f"example of {_quoted(str(label))}, and small models seldom say what they were not shown: "
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


def _are(n: int, one: str, many: str) -> str:
    return f"{n:,} {one} is" if n == 1 else f"{n:,} {many} are"


def _points(share: float) -> str:
    number = f"{100 * share:.0f}"
    return f"{number} {'point' if number == '1' else 'points'}"


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _quoted(text: str) -> str:
    text = "".join(char if char.isprintable() else "·" for char in text)
    return f'"{text if len(text) <= _LENGTH else text[: _LENGTH - 1] + "…"}"'


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
