"""Cases of rules as task folders."""

from __future__ import annotations

from pathlib import Path

from promptkit.linting.findings import Case
from promptkit.tasks.scaffold import write_task


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
