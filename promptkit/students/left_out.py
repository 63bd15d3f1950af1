"""Reasons for which a student does not learn from rows: in English in its card, and as text."""

from __future__ import annotations

from promptkit.translation import mark, tr

UNREADABLE = mark("unreadable")
NO_ANSWER = mark("without an answer")
NEARLY_TEST = mark("nearly a test")
CONFIDENCE = mark("of a confidence below")
COVERAGE = mark("of a coverage below")
AGREEMENT = mark("of an agreement below")
"""The last three have a number behind them: `of a coverage below 0.5`."""


def reason_text(reason: str) -> str:
    """Return a reason of a card in the language in use."""
    words, _, value = reason.rpartition(" ")
    return f"{tr(words)} {value}" if words in (CONFIDENCE, COVERAGE, AGREEMENT) else tr(reason)
