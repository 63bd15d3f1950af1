"""Comparison of free texts: normalisation, token F1, and numbers in a text.

Normalisation is that of SQuAD (case, punctuation, articles, white space) with what it lacks:
Unicode's compatibility forms (NFKC), marks and symbols of all scripts, and numbers, whose decimal
mark and sign stay. Rajpurkar et al., "SQuAD: 100,000+ questions for machine comprehension of
text", 2016.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from promptkit.graphemes import clusters, is_unspaced
from promptkit.tasks.digits import plain_digits

Language = Literal["en", "de", "fr", "es", "it", "nl", "other"]
"""The language of answers, which decides on articles and on how numbers are written."""


class _Rules(NamedTuple):
    """Rules of one language."""

    articles: frozenset[str]
    decimal: str = "."
    """The mark before decimals; the other one of comma and point groups thousands."""


def _rules(articles: str, decimal: str = ",") -> _Rules:
    return _Rules(frozenset(articles.split()), decimal)


RULES: Mapping[Language, _Rules] = {
    "en": _rules("a an the", "."),
    "de": _rules("der die das den dem des ein eine einen einem einer eines"),
    "fr": _rules("le la les un une des"),
    "es": _rules("el la los las un una unos unas"),
    "it": _rules("il lo la i gli le un uno una"),
    "nl": _rules("de het een"),
    "other": _rules("", "."),
}
"""Articles and the decimal mark of each language; `other` has no articles."""

_MINUS = str.maketrans("\u2212\u2010\u2011", "---")


def normalised(text: str, language: Language = "en") -> str:
    """Return a text without what makes no difference to an answer.

    Args:
        text: The text.
        language: Its language.

    Returns:
        The words in lower case (`str.casefold`, NFKC), a space between them, without punctuation,
        symbols and articles. Decimal marks and signs of numbers stay, and marks that group
        thousands go; digits are in ASCII. A text of nothing else keeps its
        punctuation and articles.

    Example:
        >>> normalised("The  Eiffel Tower!"), normalised("-1,234.5 m")
        ('eiffel tower', '-1234.5 m')
    """
    rules = RULES[language]
    folded = _in_ascii_digits(text, rules).casefold()
    grouped = re.compile(rf"(?<=\d){re.escape(_grouping(rules))}(?=\d{{3}}(?!\d))")
    bare = "".join(_kept(grouped.sub("", folded)))
    words = [word for word in bare.split() if word not in rules.articles]
    return " ".join(words or folded.split())


def _grouping(rules: _Rules) -> str:
    return "." if rules.decimal == "," else ","


def _in_ascii_digits(text: str, rules: _Rules) -> str:
    """Return a text in NFKC, with its numbers as the language writes them in ASCII."""
    marks: dict[str, int | str | None] = {"\u066b": rules.decimal, "\u066c": _grouping(rules)}
    plain = unicodedata.normalize("NFKC", text.translate(_MINUS))
    return plain_digits(plain.translate(str.maketrans(marks)))


def _kept(text: str) -> Iterator[str]:
    """Yield the characters of a text without marks and symbols, except those of numbers."""
    for at, char in enumerate(text):
        kind = unicodedata.category(char)
        if kind == "Cf" or kind[0] in "PS":
            before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
            decimal = char in ".,:/" and before.isdigit() and after.isdigit()
            sign = char == "-" and after.isdigit() and not before.isalnum()
            if not decimal and not sign:
                continue
        yield char


def tokens(text: str, language: Language = "en") -> list[str]:
    """Return the words of a normalised text; of scripts without spaces, its characters.

    Those are Chinese, Japanese, Thai, Lao, Tibetan, Burmese and Khmer.
    """
    whole = normalised(text, language)
    if whole.isascii():
        return whole.split()
    apart = [f" {char} " if is_unspaced(char) else char for char in clusters(whole)]
    return "".join(apart).split()


def token_f1(said: str, gold: str, language: Language = "en") -> float:
    """Return the F1 of an answer's tokens against those of the gold answer, as SQuAD has it.

    Args:
        said: The answer.
        gold: The gold answer.
        language: Their language.

    Example:
        >>> round(token_f1("in the Eiffel Tower", "Eiffel Tower"), 2)
        0.8
    """
    ours, theirs = tokens(said, language), tokens(gold, language)
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


def contains(said: str, gold: str, language: Language = "en") -> bool:
    """Return whether the gold answer's words stand side by side in an answer.

    Args:
        said: The answer.
        gold: The gold answer; an empty one is in no answer but an empty one.
        language: Their language.

    Example:
        >>> contains("It is a plum.", "Plum"), contains("I know", "no")
        (True, False)
    """
    ours, theirs = tokens(said, language), tokens(gold, language)
    if not theirs:
        return not ours
    places = range(len(ours) - len(theirs) + 1)
    return any(ours[at : at + len(theirs)] == theirs for at in places)


def number_in(text: str, language: Language = "en") -> float | None:
    """Return the last number that a text writes in digits; None where there is none.

    Args:
        text: The text.
        language: Its language: 1,234.5 in English is 1.234,5 in German.

    Example:
        >>> number_in("3 + 4 = 7."), number_in("It costs $1,200.50"), number_in("seven")
        (7.0, 1200.5, None)
        >>> number_in("कुल ४२ फल।"), number_in("٣٫٥")
        (42.0, 3.5)
    """
    rules = RULES[language]
    point, group = re.escape(rules.decimal), re.escape(_grouping(rules))
    number = re.compile(
        rf"(?:(?<!\w)[-+])?(?:\d{{1,3}}(?:{group}\d{{3}})+(?!\d)|\d+|(?<!\d)(?={point}\d))"
        rf"(?:{point}\d+)?(?:[eE][-+]?\d+)?"
    )
    text = _in_ascii_digits(text, rules)
    for found in reversed(number.findall(text)):
        plain = found.replace(_grouping(rules), "").replace(rules.decimal, ".")
        if math.isfinite(value := float(plain)):
            return value
    return None
