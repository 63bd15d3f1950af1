"""Messages in the reader's language, from the gettext catalogs in `locale/`.

The source is English. The command line takes the language of `--lang`, or of the environment as
gettext reads it (`LANGUAGE`, `LC_ALL`, `LC_MESSAGES`, `LANG`); from Python messages are English
until `use` is called.
"""

from __future__ import annotations

import gettext
from pathlib import Path

DOMAIN, SOURCE = "promptkit", "en"

FOLDER = Path(__file__).parent / "locale"

_FROM_THE_RIGHT = ("ar", "fa", "he", "ur")
"""Languages that are written from right to left."""

_catalog = gettext.NullTranslations()


def tr(message: str, /, **values: object) -> str:
    """Return a message in the language in use, with the values of its fields.

    Args:
        message: The message in English, with fields as `str.format` has them: a literal, since the
            catalogs are made of literals. Without values, braces are themselves.
        **values: The values, by field.

    Returns:
        The message; in English where it has no translation.

    Example:
        >>> tr("no column {name!r}", name="fruit")
        "no column 'fruit'"
    """
    text = _catalog.gettext(message) if message else ""  # "" is the head of a catalog
    if text is message:  # Python 3.10 does not look for it among those that have two forms
        text = _catalog.ngettext(message, message, 1)
    return text.format(**values) if values else text


def trn(one: str, many: str, n: int, /, **values: object) -> str:
    """Return the form of a message that fits a number, which is its field `n`.

    Args:
        one: The message for one thing, in English.
        many: The message for any other number.
        n: The number.
        **values: The values of the other fields.

    Returns:
        The message in the language in use.

    Example:
        >>> trn("{n:,} row of {file}", "{n:,} rows of {file}", 1200, file="a.csv")
        '1,200 rows of a.csv'
    """
    return _catalog.ngettext(one, many, n).format(n=n, **values)


def mark(message: str, /) -> str:
    """Return a message as it is, for `tr` where it is shown: constants are older than the language.

    Example:
        >>> mark("accuracy")
        'accuracy'
    """
    return message


def languages() -> list[str]:
    """Return the tags of the languages that there are."""
    return [SOURCE, *sorted(path.name for path in FOLDER.iterdir() if path.is_dir())]


def language() -> str:
    """Return the tag of the language in use, such as `hi`."""
    return _catalog.info().get("language", SOURCE)


def direction() -> str:
    """Return how text of the language in use runs, as HTML names it: `ltr` or `rtl`."""
    return "rtl" if language() in _FROM_THE_RIGHT else "ltr"


def use(tag: str | None = None) -> None:
    """Show messages in a language from now on; without a tag in that of the environment.

    Args:
        tag: The language, such as `hi` or `hi_IN`; one without translations is English.

    Example:
        >>> use("hi")
        >>> language()
        'hi'
        >>> use("en")
    """
    global _catalog
    wanted = None if tag is None else [tag]
    _catalog = gettext.translation(DOMAIN, FOLDER, wanted, fallback=True)
