"""Options that are a number, or `auto`."""

from __future__ import annotations

import typer

from promptkit.translation import tr

MOST_SEEDS = 10_000
"""The largest number of draws that a command takes."""


def number_or_auto(text: str) -> str:
    """Return a number of draws, or `auto`; a callback."""
    if text != "auto" and not (text.isdecimal() and 1 <= int(text[:6]) <= MOST_SEEDS):
        raise typer.BadParameter(
            tr(
                "{text!r} is not a number from 1 to {MOST_SEEDS:,}, nor auto.",
                text=text,
                MOST_SEEDS=MOST_SEEDS,
            )
        )
    return text


def layers_or_auto(text: str | None) -> str | None:
    """Return a number of layers, or `auto`; a callback."""
    if text is not None and text != "auto" and not (text.isdecimal() and len(text) <= 6):
        raise typer.BadParameter(tr("{text!r} is not a number of layers, nor auto.", text=text))
    return text
