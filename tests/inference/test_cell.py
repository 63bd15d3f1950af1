"""The definition of the factors, and what one more factor takes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import promptkit
from promptkit.inference.cell import FACTORS, FIELDS, Cell, describe, distinct, named, titled
from promptkit.templating.template import BUILT_IN

CELL = Cell(model="m.gguf", template="colon.j2", selection="balanced", shots=4)


def test_the_factors_and_their_order() -> None:
    own = ("selection", "order", "verbalizer", "calibration")
    assert ("model", "template", "language", *own) == FACTORS
    assert (*FACTORS, "shots", "seed") == FIELDS


@pytest.mark.parametrize(
    ("factor", "level", "said"),
    [
        ("shots", 1, "1 shot"),
        ("model", "/models/m.gguf", "model m.gguf"),
        ("order", "order 2/4", "order 2/4"),
        ("order", "reversed", "order reversed"),
        ("calibration", "none", "no calibration"),
        ("calibration", "batch", "batch calibration"),
        ("seed", 3, "draw 3"),
    ],
)
def test_levels_in_words(factor: str, level: Any, said: str) -> None:
    assert named(factor, level) == said


def test_titles_leave_defaults_out() -> None:
    assert describe(CELL) == "m.gguf · colon.j2 · balanced shots · 4 shots"
    assert titled({"verbalizer": "swapped", "order": "default"}) == ["verbalizer swapped"]


def test_factors_that_cannot_change_the_prompt_make_no_other_cell() -> None:
    zero = [CELL.at(shots=0, order=order, selection="first") for order in ("drawn", "reversed")]
    assert zero[0].idle == ("selection", "order", "seed")
    assert distinct(zero) == zero[:1]
    one = [CELL.at(shots=1, order=order) for order in ("drawn", "reversed")]
    assert distinct(one) == one[:1]
    assert len(distinct([CELL, CELL.at(order="reversed")])) == 2


FACTOR = '    tone: str = factor("en")\n'
"""The one line that a factor takes; the predictor below is its feature."""

FEATURE = """
import json, sys
from dataclasses import dataclass, fields
from pathlib import Path

from promptkit import FakeModel, Predictor, Store, Template, check, compare
from promptkit.experiments.grid import Grid
from promptkit.experiments.saved_runs import read_run
from samples import parity_task

INSTRUCTIONS = {"en": "Even or odd?", "fr": "Pair ou impair ?"}


@dataclass(frozen=True)
class Spoken(Predictor):
    tone: str = "en"

    @property
    def cell(self):
        return super().cell.at(tone=self.tone)

    def tokenize(self, queries, renderer=None):
        return super().tokenize(queries)


def spoken(self, task, notify=None):
    return [
        Spoken(**{field.name: getattr(one, field.name) for field in fields(one)}
            | {"tone": tone, "task": task.model_copy(update={"instruction": said})})
        for tone, said in INSTRUCTIONS.items()
        for one in predictors(self, task, notify)
    ]


predictors, Grid.predictors = Grid.predictors, spoken
template = Template(
    "{{ task.instruction }}\\n{% example %}\\n{{ input.word }}: {{ output }}\\n{% endexample %}\\n",
    "colon",
)
asked = {
    "models": [FakeModel(lambda prompt: "odd" if "Pair" in prompt.text else "even")],
    "templates": [template], "store": Store(), "shots": (0, 2), "seeds": 2, "lint": False,
}
result = compare(parity_task(asked=30), **asked)
folder = result.save(sys.argv[1])
saved = read_run(folder)
checked = check(parity_task(asked=30), no_worse_than=folder, **(asked | {"shots": (2,)}))
print(json.dumps({
    "rows": [row.tone for row in result.rows],
    "frame": list(result.to_pandas().columns),
    "pairs": [pair.verdict for pair in result.pairs if pair.a.tone != pair.b.tone],
    "variance": len(result.variance),
    "text": str(result),
    "saved": sorted({prediction.tone for prediction in saved.predictions}),
    "gates": [gate.cell.tone for gate in checked.gates],
    "checked": str(checked),
}))

before = read_run(sys.argv[2])  # saved before there was the factor
assert {one.tone for one in before.predictions} == {"en"}
"""


@pytest.mark.slow
def test_a_factor_is_one_line(tmp_path: Path) -> None:
    """A made-up factor, in a copy of the package."""
    copy = tmp_path / "promptkit"
    shutil.copytree(Path(promptkit.__file__).parent, copy, ignore=lambda *_: ["__pycache__"])
    shutil.copytree(BUILT_IN, tmp_path / "templates")
    cell = copy / "inference" / "cell.py"
    before, shots, after = cell.read_text("utf-8").partition("    shots: int")
    cell.write_text(before + FACTOR + shots + after, "utf-8")
    script = tmp_path / "feature.py"
    script.write_text(FEATURE, "utf-8")
    saved = Path(__file__).parents[1] / "experiments" / "saved_runs" / "parity"
    support = Path(__file__).parents[1] / "support"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "run"), str(saved)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}:{support}", "PATH": "", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["rows"] == ["en"] * 6 + ["fr"] * 6
    factors = [*FACTORS, "tone", "shots", "seed"]
    assert said["frame"][: len(factors)] == factors
    assert all("tone fr vs en: " in verdict.lower() for verdict in said["pairs"])
    assert len(said["pairs"]) == 2
    assert "colon · balanced shots · tone fr" in said["text"]
    assert (said["saved"], said["gates"]) == (["en", "fr"], ["en", "fr"])
    assert "colon · balanced shots · tone fr · 2 shots" in said["checked"]
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "en → fr" in page
    assert "tone fr vs en" in page
