"""Findings: the rule that is broken, the place, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from promptkit.templating.source import Edit, Where
from promptkit.translation import tr

Severity = Literal["error", "warning", "note"]
"""`error`: certainly wrong; `warning`: most likely; `note`: worth knowing, never a failure."""


@dataclass(frozen=True)
class Rule:
    """A rule and its reason."""

    id: str
    reason: str
    """One line: why it matters."""
    severity: Severity
    fixable: bool = False
    """True where `--fix` can correct a template, at least where that is safe."""
    needs_model: bool = False

    def at(self, where: Where, message: str, fix: str, edits: Sequence[Edit] = ()) -> Finding:
        """A finding of this rule."""
        return Finding(self.id, self.severity, *where, message, fix, tuple(edits))


@dataclass(frozen=True)
class Finding:
    """A fault of a task or a template, or something worth knowing about it.

    Example:
        >>> print(Finding("tab", "warning", "prompt.j2", 3, 1, "a tab", "write a space"))
        prompt.j2:3:1: warning tab: a tab; write a space
    """

    rule: str
    """The id of the rule, as `docs/lint.md` lists it."""
    severity: Severity
    """The severity of the rule."""
    file: str | None
    """A template or a data file; for a row of a task in Python, its place, such as `demos[3]`."""
    line: int | None
    """The line, counted from 1."""
    column: int | None
    """The column, counted from 1."""
    message: str
    """A description of the fault."""
    fix: str
    """Advice about the finding."""
    edits: tuple[Edit, ...] = field(default=(), repr=False)
    """The edits of `--fix`; empty where only a person can decide."""

    @property
    def where(self) -> Where:
        return Where(self.file, self.line, self.column)

    def __str__(self) -> str:
        where = f"{self.where}: " if self.file or self.line else ""
        return f"{where}{tr(self.severity)} {self.rule}: {self.message}; {self.fix}"
