"""The messages of the page's script, which asks for them by their English."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from markupsafe import Markup

from promptkit.report.page_environment import page_file
from promptkit.translation import SOURCE, language, tr, trn

_CALL = re.compile(r'\btr\("((?:[^"\\]|\\.)*)"|\bcounted\([^"]*"([^"]*)", "([^"]*)"\)')


def script_messages() -> Iterator[str | tuple[str, str]]:
    """Yield each message of the script, or its forms for one thing and for many."""
    for call in _CALL.finditer(page_file("page.js")):
        yield call[1] or (call[2], call[3])


def translated_messages() -> Markup:
    """Return the translations as JSON by their English; nothing where the page is English."""
    if language() == SOURCE:
        return Markup("")
    found: dict[str, str | list[str]] = {}
    for message in script_messages():
        if isinstance(message, str):
            found[message] = tr(message)
        else:
            found["|".join(message)] = [trn(*message, n) for n in (1, 2)]
    return Markup(json.dumps(found, ensure_ascii=False).replace("<", "\\u003c"))
