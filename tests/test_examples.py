"""The tasks in `examples/` and `benchmarks/`: loaded, linted and rendered as a newcomer would."""

from __future__ import annotations

from pathlib import Path

import pytest

from promptkit import FakeModel, Store, Template, compare, lint, load_task

ROOT = Path(__file__).parents[1]
TASKS = sorted(path.parent for path in ROOT.glob("examples/*/task.toml"))


@pytest.mark.parametrize("folder", TASKS, ids=lambda folder: folder.name)
def test_examples_are_without_findings_and_run(folder: Path) -> None:
    task = load_task(folder)
    assert [finding for finding in lint(task) if finding.severity != "note"] == []
    template = Template.of(task)
    prompt = template.render(task, shots=2, query=task.tests[0])
    assert len(prompt.shots) == 2
    result = compare(task, models=[FakeModel()], shots=[0, 2], seeds=1, limit=4, store=Store())
    assert len(result.predictions) == 8
    assert task.demos


def test_examples_have_a_page() -> None:
    pages = [folder / "README.md" for folder in TASKS if folder.name != "fruit"]
    assert [page for page in pages if not page.exists()] == []
