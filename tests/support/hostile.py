"""Renders hostile templates in a process of its own, which may use so much memory and no more.

Reads one JSON object per line, `{"kind": "template", "chat" or "lint", "source": ..., "files": ...,
"steps": ...}`, and answers with a line: what was raised, or what was rendered and its length.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from pydantic import BaseModel

from promptkit import Task, Template
from promptkit.errors import PromptkitError
from promptkit.linting.lint import lint_template
from promptkit.prompts import chat_template
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt
from promptkit.sandbox import limits

MEMORY = 3 * 2**30  # bytes


class Fruit(BaseModel):
    name: str
    note: str = ""


TASK = Task[Fruit, Literal["drupe", "pome"]](
    name="fruit",
    instruction="Name the family.",
    demos=[{"id": "d1", "input": {"name": "apple"}, "output": "pome"}],
)


def render(kind: str, source: str, files: dict[str, str]) -> dict[str, Any]:
    """What became of a template, as JSON."""
    with TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        template = Template(source, "t.j2", (Path(folder),))
        try:
            if kind == "chat":
                turns = (Message("user", (Piece("hi", "data"),)),)
                text = chat_template.apply(Prompt(messages=turns), source).text
            elif kind == "lint":
                text = "\n".join(map(str, lint_template(TASK, template)))
            else:
                text = template.render(TASK, shots=1, query={"name": "fig"}).text
        except PromptkitError as error:
            return {"error": type(error).__name__, "message": str(error)}
    return {"length": len(text), "text": text[:100_000]}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    usual = limits.MAX_STEPS
    for line in sys.stdin:
        asked = json.loads(line)
        limits.MAX_STEPS = asked["steps"] or usual
        try:
            answer = render(asked["kind"], asked["source"], asked.get("files", {}))
        except BaseException as error:  # which is what must not happen: the test says so
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
