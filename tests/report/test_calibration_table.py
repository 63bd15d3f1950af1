"""Raw and calibrated figures in a terminal."""

from __future__ import annotations

from typing import Any

from rich.cells import cell_len
from samples import ARROW, COLON, parity_task

from promptkit import Comparison, FakeModel, Store, Template, compare
from promptkit.calibration.methods import CALIBRATIONS
from promptkit.report import terminal


def compared(**changed: Any) -> Comparison:
    arguments: dict[str, Any] = {
        "models": [FakeModel()],
        "templates": [COLON],
        "shots": (0, 2),
        "seeds": 2,
        "store": Store(),
        "calibrations": "all",
    }
    return compare(parity_task(pool=40, asked=12), **(arguments | changed))


def shown(result: Comparison, width: int = 110) -> str:
    return terminal.text(result.to_dict(), result.to_records(), width)


def test_every_calibrated_row_stands_below_its_raw_one() -> None:
    result = compared()
    text = shown(result)
    table = text[text.index("Calibrated, against") :].splitlines()[3:]
    names = [line.split()[-6 if "[" in line else -4] for line in table[:15] if line.strip()]
    for method in ("none", *CALIBRATIONS):
        assert sum(method in line.split() for line in table[:15]) == 2, names
    for row in result.rows:
        if row.seed is None and row.calibration == "batch":
            (line,) = [
                line
                for line in table
                if "batch" in line.split() and f"{row.log_loss:.2f}" in line.split()
            ]
            assert f"{100 * row.accuracy:.0f} %" in line
            assert line.endswith(f"{row.ece:.2f}")


def test_it_says_what_each_method_learnt_from() -> None:
    text = shown(compared(calibrations=["batch", "temperature", "vector"]))
    assert "batch: from 12 tests of the cell, without their labels.\n" in text
    assert "temperature and vector: from 38 labelled examples of the pool that are no shots" in text


def test_calibrations_stand_in_no_other_table() -> None:
    raw, beside = shown(compared(calibrations=())), shown(compared())
    assert "Calibrated" not in raw
    cells = raw[: raw.index("Brackets")]
    assert beside.startswith(cells)
    assert "Against the first" not in beside


def test_lines_of_the_grid_have_their_own_tables_whatever_they_are_called() -> None:
    odd = Template(ARROW.source, name="[link=http://x]&<t>\x1b[2J")
    result = compared(templates=[COLON, odd], calibrations=["batch"])
    text = shown(result, 80)
    assert text.count("Calibrated, against") == 2
    assert "[link=http://x]&<t>·[2J" in text
    assert "\x1b" not in text
    start = text.index("Calibrated")
    lines = text[start : text.index("answers", start)].splitlines()
    assert all(cell_len(line) <= 80 for line in lines if "─" in line or "batch" in line)
