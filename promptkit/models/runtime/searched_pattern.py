"""Regular expressions of JSON Schemas in the language of llguidance."""

from __future__ import annotations

import re

from promptkit.errors import PromptError
from promptkit.translation import tr

ANY = "/(?s:.*)/"
"""Any text."""


def searched(pattern: str | None) -> str:
    """Return a regular expression for the whole of a text in which `pattern` is found."""
    from llguidance import regex_to_lark

    if pattern is None:
        return ANY
    begins, ends = pattern.startswith("^"), bool(re.search(r"(?<!\\)(?:\\\\)*\$$", pattern))
    inner = pattern[begins : len(pattern) - ends]
    bare = re.sub(r"\[\^?\]?[^\]]*\]", "", re.sub(r"\\.", "", inner))  # no escapes, no classes
    anchored = bool(re.search(r"[$^]", bare))
    while bare != (outer := re.sub(r"\([^()]*\)", "", bare)):
        bare = outer
    if anchored or ((begins or ends) and "|" in bare):
        raise PromptError(tr("the pattern {pattern!r} has anchors inside", pattern=pattern))
    before, after = "" if begins else "(?s:.*)", "" if ends else "(?s:.*)"
    return f"/{regex_to_lark(f'{before}(?:{inner}){after}', '')}/"
