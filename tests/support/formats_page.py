"""docs/formats.md out of the built-in templates and their golden prompts.

Write it again with: python tests/support/formats_page.py
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "formats.md"

ORDER = [
    *("colon", "lines", "qa", "xml", "json", "instruction-last"),
    *("letters", "letters-reversed", "letters-shuffled", "chat", "chat-one-turn"),
]

_INTRODUCTION = """\
# Formats

The built-in templates, each with the prompt that it makes of two shots and a query. The model goes
on at `⟨`, where the candidates stand, and the text behind `⟩` ends an answer. The `chat` formats
are shown as turns, before they go through a model's own chat template. This page is written from
`tests/templating/golden/`.

`promptkit compare TASK --template colon.j2 --template xml.j2` compares formats on your task. A copy
in the task's own `templates/` is yours to change.

Most have a twin that lists the labels after the instruction, `colon-labels.j2` and so on (or, where
each query has options of its own, these options in each example):

"""

_LETTERS = """\

In the `letters` formats the model is asked for a letter, and every letter stands for its label in
scores and reports. A small model likes some letters and some places more than others, so the order
of the options is a factor of its own, and has a name: `letters.j2` shows them in the order of the
task, `letters-reversed.j2` backwards, `letters-shuffled.j2` in the order that seed 2 draws.
`{{ output | letter(labels | shuffle(3)) }}` in a copy gives another.
"""


def page() -> str:
    """The page as it should be."""
    parts = [_INTRODUCTION, _golden("colon-labels")]
    for name in ORDER:
        source = (ROOT / "templates" / f"{name}.j2").read_text(encoding="utf-8")
        (says,) = re.findall(r"^\{# (.*) #\}\n", source)
        parts += [f"\n## {name}.j2\n\n{says}\n\n", _golden(name)]
        if name == "letters":
            parts.append(_LETTERS)
    return "".join(parts)


def _golden(name: str) -> str:
    text = (ROOT / "tests" / "templating" / "golden" / f"{name}.j2.txt").read_text(encoding="utf-8")
    return f"```text\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
