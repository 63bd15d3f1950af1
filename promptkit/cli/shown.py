"""What `promptkit render` prints, writes and watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from promptkit.cli.console import err, exact, fail, say, screen
from promptkit.errors import PromptkitError, escaped
from promptkit.files import saving
from promptkit.models.base import Model
from promptkit.preview import colour, lines
from promptkit.preview.tokenized import preview, read_by
from promptkit.preview.watch import changes
from promptkit.prompts import html
from promptkit.prompts.invisible import marked
from promptkit.prompts.prompt import Prompt


class Look(NamedTuple):
    """What is shown of a prompt, and how."""

    tokens: bool = False
    spans: bool = False
    whitespace: bool = False


def show(prompts: Sequence[Prompt], model: Model | None, look: Look) -> None:
    """Prints prompts: in colour on a terminal, and to the byte for whoever redirects them."""
    for prompt in prompts:
        if len(prompts) > 1:
            sys.stdout.flush()
            number = f"{len(prompt.shots)} shot{'s' * (len(prompt.shots) != 1)}"
            err.print(Text(f"\n── {number}, {escaped(str(prompt.query))}", "dim"), soft_wrap=True)
        if look.tokens and model is not None:
            sys.stdout.write(lines.token_lines(prompt, model))
        elif look.spans:
            sys.stdout.write(lines.span_lines(prompt, model))
        elif sys.stdout.isatty():
            colour.show(screen(), preview(prompt, model), whitespace=look.whitespace)
        elif look.whitespace:
            print(marked(str(read_by(prompt, model)), spaces=True))
        else:
            exact(str(read_by(prompt, model)))


def write_page(file: Path, title: str, prompts: Sequence[Prompt], model: Model | None) -> None:
    """Writes prompts as a page to point at."""
    text = html.html(title, [preview(prompt, model) for prompt in prompts])
    saving.write(file, text)
    say(f"Written to {file}")


def places(task: str, template: str | None) -> list[Path]:
    """The files and folders that a rendering is made of."""
    folder = Path(task)
    found = [folder.parent if folder.name == "task.toml" else folder]
    if template is not None and Path(template).parent != Path():
        found.append(Path(template).parent)
    return [place for place in found if place.exists()]


def watch(watched: Sequence[Path], written: Path | None, show: Callable[[], None]) -> None:
    """Shows again whenever something changes, errors too, until Ctrl-C."""
    try:
        for _ in changes(watched, written):
            if sys.stdout.isatty():
                screen().clear()
            try:
                show()
            except PromptkitError as error:
                fail(str(error))
            sys.stdout.flush()
            if getattr(sys.stdout, "gone", False):
                return
            err.print(Text("\nwatching for changes; Ctrl-C ends", "dim"))
    except KeyboardInterrupt:
        err.print()
