"""Declaration of what counts as right, and of the measures beside it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from promptkit.errors import TaskError, shorten
from promptkit.tasks.answer_patterns import answer_pattern
from promptkit.tasks.answer_texts import RULES, Language, contains, normalised, number_in
from promptkit.tasks.output_type import OutputType
from promptkit.translation import tr

Match = Literal["exact", "normalised", "contains", "regex", "number"]
"""The comparison of a text with its gold answer that decides whether it is right."""

Scorer = Callable[[Any, Any], float]
"""A function of an answer and its gold output that returns a number from 0 to 1."""


@dataclass(frozen=True)
class Scoring:
    """What counts as right, and the measures of an answer beside it.

    `[output]` of task.toml declares it; `scorer` is for Python only.

    Args:
        within: The distance from the gold number up to which a number counts as near enough.
        match: The comparison that decides whether a text is right: `exact`; `normalised`, without
            case, punctuation and articles; `contains`, the gold answer's words within the answer;
            `regex`, the last capture of `pattern`, normalised; `number`, the last number in the
            answer against that in the gold answer, up to `within`.
        pattern: For `regex`: a regular expression with one group that captures.
        language: The language of texts, for articles and numbers.
        scorer: A function `(answer, gold) -> float` from 0 to 1. It gives the measure `score`; a
            generated answer is right where it is 1. Answers that failed are not shown to it.
        counted: For records: the fields that have to be right, each exactly or within its
            tolerance; without them the whole record has to be equal.
        tolerances: For records: the distance up to which a field that is a number is right, by
            name; `within` is that of the others.

    Raises:
        TaskError: The arguments do not fit together.

    Example:
        >>> Scoring(within=0.5).measures(4.2, 4.0)
        {'within': 1.0}
        >>> Scoring(match="regex", pattern="answer is (.*)").matches("The answer is 4.", "4")
        True
    """

    within: float | None = None
    match: Match = "exact"
    pattern: str | None = None
    language: Language = "en"
    scorer: Scorer | None = None
    counted: tuple[str, ...] = ()
    tolerances: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name, value, known in (
            ("match", self.match, get_args(Match)),
            ("language", self.language, [*RULES]),
        ):
            if value not in known:
                raise TaskError(
                    tr(
                        "{name}: unknown {value}; choose one of: {known}",
                        name=name,
                        value=shorten(value),
                        known=", ".join(known),
                    )
                )
        if (self.pattern is None) == (self.match == "regex"):
            raise TaskError(tr('pattern: it goes with match = "regex", such as "answer is (.*)"'))
        if self.pattern is not None:
            try:
                answer_pattern(self.pattern)
            except TaskError as error:
                raise TaskError(
                    tr("pattern: {pattern}: {error}", pattern=shorten(self.pattern), error=error)
                ) from None

    @property
    def declared(self) -> Mapping[str, Any]:
        """Return what differs from the defaults, as task.toml has it; a scorer is left out."""
        found: dict[str, Any] = {
            "within": self.within,
            "match": None if self.match == "exact" else self.match,
            "pattern": self.pattern,
            "language": None if self.language == "en" else self.language,
            "counted": [*self.counted] or None,
            "tolerances": dict(self.tolerances) or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def check(self, output: OutputType) -> None:
        """Raise `TaskError` where the declaration does not fit an output type."""
        if self.match != "exact" and not _is_free_text(output):
            raise TaskError(
                tr(
                    'match = "{match}" compares texts; it needs the output type str',
                    match=self.match,
                )
            )

    def flaw(self, gold: Any) -> str | None:
        """Return why no answer can match a gold text; None where one can."""
        if self.match == "number" and number_in(gold, self.language) is None:
            return tr('no number in it, and match = "number" compares numbers')
        return None

    def matches(self, said: str, gold: str) -> bool:
        """Return whether a text is right by `match`.

        Args:
            said: The answer.
            gold: The gold answer.
        """
        match self.match:
            case "normalised":
                return self._same(said, gold)
            case "contains":
                return contains(said, gold, self.language)
            case "regex":
                captured = answer_pattern(self.pattern or "").last_capture(said)
                return captured is not None and self._same(captured, gold)
            case "number":
                ours, theirs = number_in(said, self.language), number_in(gold, self.language)
                if ours is None or theirs is None:
                    return False
                return abs(ours - theirs) <= max(self.within or 0, 1e-9 * abs(theirs))
        return said == gold

    def form(self, text: str) -> str:
        """Return the form of a text that is equal for texts that give the same answer.

        Args:
            text: An answer.

        Returns:
            What is compared by `match`: the number, the capture, or the text, normalised.
        """
        if self.match == "number" and (number := number_in(text, self.language)) is not None:
            return repr(number)
        if self.match == "regex":
            text = answer_pattern(self.pattern or "").last_capture(text) or text
        return normalised(text, self.language)

    def measures(self, value: Any, gold: Any) -> dict[str, float]:
        """Return the measures of a number by name; none for what they do not apply to.

        Args:
            value: The answer, as a prediction holds it; None where there is none.
            gold: The gold output, in the same form.
        """
        if self.within is None or self.match == "number" or (right := number_of(gold)) is None:
            return {}
        said = number_of(value)
        return {"within": float(said is not None and abs(said - right) <= self.within)}

    def _same(self, one: str, other: str) -> bool:
        return normalised(one, self.language) == normalised(other, self.language)


def _is_free_text(output: OutputType) -> bool:
    return output.is_text and not output.labels


def number_of(value: Any, *, text: bool = True) -> float | None:
    """Return a value as a finite number, a text that writes one too if `text`; else None."""
    if isinstance(value, bool) or not (isinstance(value, int | float) or text):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
