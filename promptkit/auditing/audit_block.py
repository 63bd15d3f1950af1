"""A table of an audit as text, which the page and the card show alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditBlock:
    """A table of an audit, and what it shows in words."""

    title: str
    sentences: tuple[str, ...]
    heads: tuple[str, ...]
    """Names of the columns; those of numbers end in a colon."""
    rows: tuple[tuple[str, ...], ...]
