"""Findings as people read them on a terminal, and as JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from promptkit.errors import escaped
from promptkit.linting.findings import Finding
from promptkit.translation import mark, tr, trn

MOST = 10
"""Number of findings of one rule that a terminal shows."""
_COLOURS = {mark("error"): "bold red", mark("warning"): "yellow", mark("note"): "cyan"}


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print findings, each with a place that a terminal makes clickable."""
    shown: Counter[str] = Counter()
    for finding in findings:
        shown[finding.rule] += 1
        if shown[finding.rule] > MOST:
            continue
        where = finding.where._replace(file=shown_path(finding.file or ""))
        head = Text.assemble(
            f"{escaped(str(where))}: " if finding.file else "",
            (tr(finding.severity), _COLOURS[finding.severity]),
            (f" {finding.rule}", "bold"),
        )
        console.print(head, soft_wrap=True)
        console.print(Text(f"  {escaped(finding.message)}"), soft_wrap=True)
        console.print(Text(tr("  fix: {fix}", fix=escaped(finding.fix)), "dim"), soft_wrap=True)
    for rule, count in shown.items():
        if count > MOST:
            console.print(
                Text(
                    tr(
                        "… and {count} more of {rule}; --json has them all",
                        count=count - MOST,
                        rule=rule,
                    )
                )
            )
    console.print(Text(summary(findings)))


def summary(findings: Iterable[Finding]) -> str:
    """Return the numbers of findings: `2 errors, 1 warning`."""
    counts = Counter[str](finding.severity for finding in findings)
    named = [
        trn("{n} error", "{n} errors", counts["error"]),
        trn("{n} warning", "{n} warnings", counts["warning"]),
        trn("{n} note", "{n} notes", counts["note"]),
    ]
    shown = [text for text, level in zip(named, _COLOURS, strict=True) if counts[level]]
    return ", ".join(shown) or tr("no findings")


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings as plain values."""
    names = ("rule", "severity", "file", "line", "column", "message", "fix")
    return [
        {**{name: getattr(finding, name) for name in names}, "fixable": bool(finding.edits)}
        for finding in findings
    ]


def fails(findings: Iterable[Finding]) -> bool:
    """Return whether there is an error or a warning."""
    return any(finding.severity != "note" for finding in findings)


def shown_path(file: str) -> str:
    """Return a path relative to the working folder, where it stands inside."""
    inside = Path(file).is_absolute() and Path(file).is_relative_to(Path.cwd())
    return os.path.relpath(file) if inside else file
