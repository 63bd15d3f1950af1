"""Cases of rules as task folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from promptkit.tasks.scaffold import write_task


@dataclass(frozen=True)
class Case:
    """Parts of a task that show a rule; the rest is what `promptkit new` writes."""

    template: str | None = None
    demos: str | None = None
    """Rows of `name,output` that are added to the pool."""
    tests: str | None = None
    """Rows that are added to the tests."""
    labels: str | None = None
    """As `task.toml` lists them; there are no rows then but those given here."""
    output: str | None = None
    """The content of `[output]` instead of labels; again there are no rows but those given here."""
    input: str = 'name = "str"'
    """The content of `[input]`, with `labels` or `output`."""
    header: str = "name,output"


def write_case(case: Case, folder: Path) -> Path:
    """The scaffold's task with what the case changes."""
    write_task(folder)
    spec = folder / "task.toml"
    output = f"labels = {case.labels}" if case.labels is not None else case.output
    if output is not None:
        begin, _, _ = spec.read_text("utf-8").partition("[input]")
        begin += f"[input]\n{case.input}\n[output]\n"
        files = '[files]\ndemos = "demos.csv"\n'
        files += 'tests = "tests.csv"\n' if case.tests is not None else ""
        spec.write_text(f"{begin}{output}\n{files}", encoding="utf-8")
    for name, rows in (("demos.csv", case.demos), ("tests.csv", case.tests)):
        path = folder / name
        before = f"{case.header}\n" if output is not None else path.read_text("utf-8")
        path.write_text(before + (rows or ""), encoding="utf-8", newline="")
    if case.template is not None:
        path = folder / "templates" / "prompt.j2"
        path.write_text(case.template, encoding="utf-8", newline="")
    return folder
