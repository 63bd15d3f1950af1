"""Templates of pages: everything in them is escaped, control characters too."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from promptkit.errors import escaped
from promptkit.prompts.html import isolated, page_messages
from promptkit.text import capital, number, percent, shown, signed
from promptkit.translation import tr


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
    environment.globals |= page_messages(lambda text: escaped(text, "\n\t"))
    environment.globals["marked"] = _marked
    return environment


@cache
def page_file(name: str) -> Markup:
    """Return a file of the page: its template, style or script."""
    return Markup(Path(__file__).with_name(name).read_text("utf-8"))


def _prose(text: str) -> Markup:
    """Return a sentence without line ends before a %, right-to-left words in it isolated."""
    return isolated(escaped(text.replace(" %", "\u00a0%"), "\n\t"))


def _marked(verdict: str) -> Markup:
    """Return the mark and the word of a significant difference, in its colour."""
    sign, word = ("▸", tr("better")) if verdict == "better" else ("◂", tr("worse"))
    return Markup('<span class="{}">{} {}</span>').format(verdict, sign, word)


def _digest(text: str) -> str:
    """Return a text's hash as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
