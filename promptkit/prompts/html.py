"""Previews as HTML without scripts or network access: a whole page, or one for a notebook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from promptkit.graphemes import right_to_left
from promptkit.prompts.invisible import cells, is_quiet, seen
from promptkit.prompts.view import Preview, TextRun
from promptkit.text import counted
from promptkit.translation import direction, language, tr

if TYPE_CHECKING:
    import jinja2


def html(title: str, previews: Sequence[Preview]) -> str:
    """Return the page: every prompt with its parts, tokens, costs, candidates and stop."""
    return _environment().get_template("page.html").render(title=title, previews=previews)


def fragment(shown: Preview) -> str:
    """Return one preview as HTML for another page, such as a notebook."""
    return _environment().get_template("fragment.html").render(shown=shown)


def page_messages(plain: Callable[[str], str]) -> dict[str, Callable[..., object]]:
    """Return what the templates of a page call for messages in the language in use.

    `tr` returns markup: its values are escaped, unless they are markup, and as `plain` shows them.
    """

    def safe(value: object) -> object:
        return value if isinstance(value, Markup) else plain(str(value))

    def message(text: str, **values: object) -> Markup:
        said = Markup(escape(tr(text)))
        return said.format(**{name: safe(one) for name, one in values.items()}) if values else said

    def bdi(text: object) -> Markup:
        """Return a text whose direction does not reach beyond it."""
        return Markup("<bdi>{}</bdi>").format(safe(text))

    return {
        "tr": message,
        "bdi": bdi,
        "counted": counted,
        "language": language,
        "direction": direction,
    }


def isolated(text: str) -> Markup:
    """Return a text as HTML, with what is written from right to left isolated from the rest."""
    marked, end = Markup(), 0
    for start, stop in right_to_left(text):
        marked += Markup("{}<bdi>{}</bdi>").format(text[end:start], text[start:stop])
        end = stop
    return marked + text[end:]


def tip(run: TextRun, shown: Preview) -> str:
    """Return the tooltip of a run: its owner, its template line, its field, its tokens."""
    tokens = [shown.tokens[index] for index in run.tokens]
    said = [tr("token {id} {text!r}", id=token.id, text=token.text) for token in tokens]
    return " · ".join(filter(None, (run.owner, run.place, run.field, *said)))


def _classes(run: TextRun) -> str:
    names: list[str] = [run.part]
    if run.part == "shot":
        names.append("odd" if (run.shot or 0) % 2 else "even")
    if run.is_data:
        names.append("data")
    if run.tokens:
        names.append("t1" if run.tokens[0] % 2 else "t0")
    return " ".join(names)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: seen(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"classes": _classes, "cells": cells, "tip": tip}
    environment.filters["isolated"] = lambda text: isolated(seen(text))
    environment.tests["quiet"] = is_quiet
    environment.globals |= page_messages(seen)
    return environment
