"""Ids that files share, and ids that stand twice in one."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from promptkit import Template, lint, load_task
from promptkit.errors import DataError

TASK = """name = "t"
[input]
text = "str"
[output]
labels = ["pos", "neg"]
[files]
demos = "demos.{0}"
tests = "tests.{0}"
"""


def write(folder: Path, suffix: str, numbers: bool, more: str = "", **parts: list[str]) -> Path:
    """Files that number their texts from 0, each label in turn."""
    (folder / "task.toml").write_text(TASK.format(suffix) + more, "utf-8")
    for part, texts in parts.items():
        rows = [
            {"id": i if numbers else str(i), "text": text, "output": ("pos", "neg")[i % 2]}
            for i, text in enumerate(texts)
        ]
        file = folder / f"{part}.{suffix}"
        if suffix == "parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), file)
        elif suffix == "jsonl":
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        else:
            lines = ["id,text,output", *(",".join(map(str, row.values())) for row in rows)]
            file.write_text("\n".join(lines), "utf-8")
    return folder


DEMOS = ["Good film", "Bad film", "So good", "So bad"]
TESTS = ["Quite nice", "Quite dull", "Nice"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("repeats", ["error", "drop"])
def test_files_that_number_their_rows_from_0_go_together(
    tmp_path: Path, suffix: str, numbers: bool, repeats: str
) -> None:
    told: list[str] = []
    more = f'repeats = "{repeats}"\n'
    folder = write(tmp_path, suffix, numbers, more, demos=DEMOS, tests=TESTS)
    task = load_task(folder, notify=told.append)
    assert ([len(task.demos), len(task.tests)], told) == ([4, 3], [])
    assert not [found for found in lint(folder) if found.severity == "error"]
    template = Template.load("colon.j2")
    for test in task.tests:  # the row of the same number is another one
        for selection in ("balanced", "random", "similar", "similar-balanced"):
            shots = (
                Template.load("colon.j2")
                .render(task, query=test, shots=4, selection=selection)
                .shots
            )
            assert sorted(shots) == ["0", "1", "2", "3"]
    with pytest.raises(Exception, match="only 3 demonstrations"):
        template.render(task, query=task.demos[1], shots=4)
    assert template.render(task, query=task.tests[0], shots=list(task.demos)).shots
    with pytest.raises(Exception, match="among its own shots"):
        template.render(task, query=task.demos[0], shots=list(task.demos))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_every_test_that_stands_in_the_pool_is_reported(tmp_path: Path, suffix: str) -> None:
    texts = [f"text {i}" for i in range(30)]
    folder = write(tmp_path, suffix, True, demos=texts[::-1], tests=texts[:18])
    with pytest.raises(DataError) as caught:
        load_task(folder)
    assert len(caught.value.problems) == 18
    assert str(caught.value).count("this test is also in the pool, as ") == 18
    assert 'repeats = "drop"' in caught.value.problems[0].reason


def test_an_id_that_stands_twice_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(TASK.format("csv"), "utf-8")
    rows = "id,text,output\n7,Nice,pos\n7,Not nice,neg\n8,Fine,pos\n"
    (tmp_path / "demos.csv").write_text(rows, "utf-8")
    (tmp_path / "tests.csv").write_text("text,output\nDull,neg\n", "utf-8")
    with pytest.raises(DataError) as caught:
        load_task(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}/demos.csv:3, example '7', field 'id': the same id as {tmp_path}/demos.csv:2, "
        "whose input is another; an id is unique among the demos: rename the column id, or leave "
        'it out, or write repeats = "drop" in [files] of task.toml'
    )
    (tmp_path / "task.toml").write_text(TASK.format("csv") + 'repeats = "drop"\n', "utf-8")
    told: list[str] = []
    task = load_task(tmp_path, notify=told.append)
    first, second, third = (demo.id for demo in task.demos)
    assert (first[:5], second[:9], third) == ("Nice-", "Not-nice-", "8")
    assert told == [
        "demos: 2 rows share their id with another, such as '7'; their ids are made from their "
        "inputs"
    ]
