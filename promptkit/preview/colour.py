"""A preview in colour, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from promptkit.graphemes import width
from promptkit.prompts.invisible import cells, is_quiet, on_one_line
from promptkit.prompts.view import PartCost, Preview, TextRun
from promptkit.terminal_text import TextTable
from promptkit.translation import tr

_STYLES = {"template": "", "task": "magenta", "query": "bold green", "chat": "dim cyan"}
_SHOTS = ("yellow", "blue")  # in turn, so that neighbouring shots differ


def style(part: str, shot: int | None) -> str:
    """Return the colour of a part."""
    return _SHOTS[((shot or 1) - 1) % 2] if part == "shot" else _STYLES[part]


def show(console: Console, shown: Preview, *, whitespace: bool = False) -> None:
    """Print the prompt in the colours of its parts, the answer's place, and their lengths."""
    prompt = Text()
    for run in shown.runs:
        _add(prompt, run, whitespace=whitespace)
    prompt.append("▯", "bold reverse")
    console.print(prompt, soft_wrap=True)
    console.print()
    console.print(_parts(shown))
    console.print()
    for line in _answers(shown):
        console.print(line, soft_wrap=True)


def _add(prompt: Text, run: TextRun, *, whitespace: bool) -> None:
    look = style(run.part, run.shot)
    if run.is_data:
        look += " underline"
    for part, sign in cells(run.text, whitespace):
        if sign is None:
            prompt.append(part, look)
        else:
            prompt.append(sign, f"{look} dim" if is_quiet(part) else "bold red")
            prompt.append("\n" * (part == "\n"))


def _parts(shown: Preview) -> TextTable:
    counted = [tr("characters"), *([tr("tokens")] if shown.tokens else [])]
    table = TextTable(tr("part"), *(f"{name}:" for name in counted), rule=False)
    for cost in (*shown.costs, total(shown)):
        tokens = "?" if cost.tokens is None else f"{cost.tokens:,}"
        counts = (f"{cost.characters:,}", tokens)[: 1 + bool(shown.tokens)]
        table.add_row(Text(on_one_line(cost.owner), style(cost.part, cost.shot)), *counts)
    return table


def total(shown: Preview) -> PartCost:
    """Return the length of all parts together."""
    characters = sum(cost.characters for cost in shown.costs)
    return PartCost(tr("all"), "template", None, characters, len(shown.tokens))


def _answers(shown: Preview) -> Iterator[Text]:
    answer, stop = tr("answer"), tr("stop")
    size = max(width(answer), width(stop)) + 2
    if not shown.candidates:
        yield Text.assemble((_padded(answer, size), "dim"), tr("generated"))
    for index, candidate in enumerate(shown.candidates):
        head = _padded("" if index else answer, size)
        line = Text.assemble((head, "dim"), repr(candidate.text))
        for token in candidate.tokens:
            line.append(f"  {token.id} {token.text!r}", "dim")
        yield line
    yield Text.assemble((_padded(stop, size), "dim"), repr(shown.stop))


def _padded(text: str, size: int) -> str:
    return text + " " * (size - width(text))
