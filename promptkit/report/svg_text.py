"""Charts as images with a text alternative."""

from __future__ import annotations

import re

from markupsafe import Markup

_TAG = re.compile(r"<[^>]*>")
_ROLE = re.compile(r' (?:role|aria-[a-z]+|class)="[^"]*"')


def labelled(svg: str, alternative: str) -> Markup:
    """Return the SVG as one image with a text alternative, instead of a role for every mark."""
    plain = _TAG.sub(lambda tag: _ROLE.sub("", tag[0]), svg)
    label = Markup.escape(alternative)
    return Markup(plain.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
