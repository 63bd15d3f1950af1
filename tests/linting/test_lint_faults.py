"""Single faults in the built-in templates and the example tasks are found, and nothing else is."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from faults import DATA_FAULTS, TEMPLATE_FAULTS, leak

from promptkit.linting.lint import lint
from promptkit.tasks.scaffold import write_task
from promptkit.templating.template import BUILT_IN

ROOT = Path(__file__).parents[2]
EACH = 12
"""How many faults of a kind are made."""
LOOP = re.search(
    r"^```jinja\n(\{% for shot in shots %\}.*?)\n```",
    (ROOT / "docs" / "templates.md").read_text("utf-8"),
    re.MULTILINE | re.DOTALL,
)
assert LOOP is not None
QA_LOOP = (
    "{{ task.instruction }}\n\n{% for shot in shots %}\nQuestion: {{ shot.input.name }}\n"
    "Answer: {{ shot.output }}\n\n{% endfor %}\nQuestion: {{ query.name }}\nAnswer:"
)

EXTENDING = (
    '{% extends "colon.j2" %}\n{% block labels %}\n{% if labels %}\n'
    'Answer with one of: {{ labels | join(", ") }}.\n{% endif %}\n{% endblock %}\n'
)


def templates() -> dict[str, str]:
    """The sources of templates without a fault."""
    files = [*BUILT_IN.glob("*.j2"), *(ROOT / "examples" / "fruit").glob("templates/*.j2")]
    sources = {f"{path.parent.parent.name}/{path.name}": path.read_text("utf-8") for path in files}
    assert LOOP is not None
    return {**sources, "docs/loop": LOOP[1], "qa loop": QA_LOOP, "extending": EXTENDING}


def tasks(folder: Path) -> list[Path]:
    """Tasks of labels in CSV without a fault: an example, and what `promptkit new` writes."""
    example = ROOT / "examples" / "fruit"
    write_task(folder / "new")
    return [Path(shutil.copytree(example, folder / example.name)), folder / "new"]


def names(folder: Path, *templates: Path) -> set[str]:
    """The rules that say something, notes left out."""
    found = lint(folder, templates=templates)
    return {finding.rule for finding in found if finding.severity != "note"}


@pytest.mark.slow
def test_there_is_no_finding_in_the_originals(tmp_path: Path) -> None:
    for task in tasks(tmp_path):
        assert lint(task) == ()
    fruit = ROOT / "examples" / "fruit"
    for name, source in templates().items():
        path = tmp_path / "original.j2"
        path.write_text(source, encoding="utf-8")
        assert lint(fruit, templates=[path]) == (), name


def template_faults(rng: random.Random, folder: Path) -> list[tuple[str, str, bool]]:
    """The kind of every fault, what it is made of, and whether it is found."""
    results = []
    sources = sorted(templates().items())
    for fault in TEMPLATE_FAULTS:
        seen = set()
        for _ in range(20 * EACH):
            name, source = rng.choice(sources)
            changed = fault(rng, source)
            if changed is None or changed in seen or len(seen) == EACH:
                continue
            seen.add(changed)
            path = folder / "fault.j2"
            path.write_text(changed, encoding="utf-8", newline="")
            is_found = bool(names(ROOT / "examples" / "fruit", path))
            results.append((fault.__name__, f"{name}: {changed!r}", is_found))
    return results


def data_faults(rng: random.Random, folder: Path) -> list[tuple[str, str, bool]]:
    results = []
    for kind, fault in DATA_FAULTS.items():
        for number in range(EACH):
            task = rng.choice(tasks(folder / f"{kind}{number}"))
            path = task / (rng.choice(["demos.csv", "tests.csv"]) if kind != "label_without_rows"
                           else "demos.csv")  # fmt: skip
            before = path.read_text("utf-8")
            while (changed := fault(rng, before)) is None:
                task = rng.choice(sorted(task.parent.iterdir()))
                path = task / path.name
                before = path.read_text("utf-8")
            path.write_text(changed, encoding="utf-8", newline="")
            new = set(changed.splitlines()) ^ set(before.splitlines())
            results.append((kind, f"{path.name} {sorted(new)[:3]}", bool(names(task))))
    for number in range(EACH):
        task = rng.choice(tasks(folder / f"leak{number}"))
        leak(rng, task)
        results.append(("leak", task.name, bool(names(task))))
    return results


@pytest.mark.slow
def test_single_faults_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(20261124)
    results = [*template_faults(rng, tmp_path), *data_faults(rng, tmp_path)]
    made = Counter(kind for kind, _, _ in results)
    caught = Counter(kind for kind, _, is_found in results if is_found)
    with capsys.disabled():
        print()
        for kind, number in made.items():
            print(f"{kind:26} {caught[kind]:3} of {number:3}")
        for kind, what, is_found in results:
            if not is_found:
                print(f"not found: {kind}: {what}")
        print(f"{'all':26} {caught.total():3} of {made.total():3}")
    assert made.total() >= 300
    assert set(made) == {fault.__name__ for fault in TEMPLATE_FAULTS} | {*DATA_FAULTS, "leak"}
    assert caught.total() >= 0.95 * made.total()
