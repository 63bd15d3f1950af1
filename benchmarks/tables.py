"""Measurements as tables: in a terminal, and in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

BEGIN, END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what must be said below it."""

    title: str
    columns: tuple[str, ...]
    """One whose name ends in a colon is of numbers."""
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def show(table: Table, console: Console) -> None:
    """Prints a table."""
    console.print()
    console.print(Text(table.title, "bold"))
    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(table.columns):
        right = name.endswith(":")
        shown.add_column(
            name.rstrip(":"), justify="right" if right else "left", no_wrap=right, max_width=60
        )
        assert all(len(row) == len(table.columns) for row in table.rows), index
    for row in table.rows:
        shown.add_row(*map(Text, row))
    console.print(shown)
    for note in table.notes:
        console.print(Text(note, "dim"))


def markdown(tables: Sequence[Table]) -> str:
    """The same tables as a section of a page."""
    parts = []
    for table in tables:
        lines = [f"### {table.title}", ""]
        lines += [_line([name.rstrip(":") for name in table.columns])]
        lines += [_line(["--:" if name.endswith(":") else "---" for name in table.columns])]
        lines += [_line(row) for row in table.rows]
        lines += [f"\n{note}" for note in table.notes]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def write(page: Path, section: str, marks: tuple[str, str] = (BEGIN, END)) -> None:
    """Puts a section between the marks of a page. Raises `ValueError` where it has none."""
    text, (begin, end) = page.read_text("utf-8"), marks
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page} has no {begin} … {end} to write between")
    page.write_text(pattern.sub(lambda _: f"{begin}\n\n{section}\n\n{end}", text, count=1), "utf-8")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
