"""Pages that are read from top to bottom: their files are written, their commands are run.

A block of code under a line that ends in a file's name and a colon is that file; an `sh` block is
run; a `text` block under it is what it prints. To write the outputs anew:

    python tests/support/walkthrough.py docs/tutorial.md docs/whitespace.md
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]

WALKED = ("tutorial.md", "whitespace.md")
"""The pages; tests/tasks/test_scaffold.py runs them."""

_BLOCK = re.compile(r"(?P<above>[^\n]*)\n\n?```(?P<language>\w+)\n(?P<body>.*?)^```$", re.M | re.S)
_FILE = re.compile(r"`(?P<file>[\w./-]+)`:$")


class Step(NamedTuple):
    """A block of a page that was carried out."""

    start: int
    end: int
    """Where its body stands in the page."""
    written: str
    """What the page says that is printed; None where it says nothing."""
    printed: str


def walk(page: str, folder: Path) -> Iterator[Step]:
    """Carries out a page in a folder, and gives what its `text` blocks say and what was printed."""
    printed = ""
    for block in _BLOCK.finditer(page):
        body, language = block["body"], block["language"]
        named = _FILE.search(block["above"])
        if language == "sh":
            printed = "".join(_run(line, folder) for line in body.splitlines())
        elif language == "text":
            yield Step(*block.span("body"), body, printed)
        elif named is not None:
            (folder / named["file"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / named["file"]).write_text(body, encoding="utf-8")


def _run(line: str, folder: Path) -> str:
    command, *words = shlex.split(line)
    assert command == "promptkit", line
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "promptkit", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout if done.stdout.endswith("\n") else f"{done.stdout}\n"


def main() -> None:
    for name in sys.argv[1:]:
        page = Path(name).read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as folder:
            for step in reversed([*walk(page, Path(folder))]):
                page = page[: step.start] + step.printed + page[step.end :]
        Path(name).write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
