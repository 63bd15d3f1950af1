"""The notebook in `examples/`: it runs from start to end, and what is committed of it is small."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
TOUR = EXAMPLES / "tour.ipynb"


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_outputs_of_the_tour_are_committed_and_small() -> None:
    text = TOUR.read_text("utf-8")
    cells = code_cells(json.loads(text))
    assert len(text) < 100_000
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    assert not any(one["output_type"] == "error" for cell in cells for one in cell["outputs"])
    assert not any(place in text for place in ("/home/", "/tmp/", "/root/", "/work/"))


@pytest.mark.model
@pytest.mark.slow
def test_the_tour_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(EXAMPLES)
    names: dict[str, Any] = {"__name__": "tour"}
    for number, cell in enumerate(code_cells(json.loads(TOUR.read_text("utf-8"))), start=1):
        exec(compile("".join(cell["source"]), f"tour.ipynb, code cell {number}", "exec"), names)
    assert "pass: accuracy at least 5 %" in capsys.readouterr().out
