"""Templates of pages: everything in them is escaped, control characters too."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from promptkit.errors import escaped
from promptkit.prompts.html import isolated
from promptkit.text import capital, counted, number, percent, shown, signed
from promptkit.translation import language, tr


def page_environment() -> jinja2.Environment:
    """Return an environment of pages, with the filters that all of them have."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: escaped(value, "\n\t") if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (capital, percent, number, shown, signed)
    environment.filters |= {function.__name__: function for function in filters}
    environment.filters |= {
        "digest": _digest,
        "prose": _prose,
    }
    environment.globals |= {
        "tr": _message,
        "counted": counted,
        "bdi": _isolated,
        "marked": _marked,
        "language": language(),
        "direction": "rtl" if language() in _FROM_THE_RIGHT else "ltr",
    }
    return environment


_FROM_THE_RIGHT = ("ar", "fa", "he", "ur")
"""Languages that are written from right to left."""


@cache
def page_file(name: str) -> Markup:
    """Return a file of the page: its template, style or script."""
    return Markup(Path(__file__).with_name(name).read_text("utf-8"))


def _prose(text: str) -> Markup:
    """Return a sentence without line ends before a %, right-to-left words in it isolated."""
    return isolated(escaped(text.replace(" %", "\u00a0%"), "\n\t"))


def _message(message: str, **values: object) -> Markup:
    """Return a message in the language in use; values are escaped, unless they are markup."""
    text = Markup(escape(tr(message)))
    safe = {name: _plain(value) for name, value in values.items()}
    return text.format(**safe) if values else text


def _plain(value: object) -> object:
    return value if isinstance(value, Markup) else escaped(str(value), "\n\t")


def _isolated(text: object) -> Markup:
    """Return a text whose direction does not reach beyond it."""
    return Markup("<bdi>{}</bdi>").format(_plain(text))


def _marked(verdict: str) -> Markup:
    """Return the mark and the word of a significant difference, in its colour."""
    sign, word = ("▸", tr("better")) if verdict == "better" else ("◂", tr("worse"))
    return Markup('<span class="{}">{} {}</span>').format(verdict, sign, word)


def _digest(text: str) -> str:
    """Return a text's hash as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
