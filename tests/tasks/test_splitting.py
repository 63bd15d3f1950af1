"""One file for everything: splits and folds, without near-duplicates on both sides."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit import Example, ExampleSet, FakeModel, Store, Task, compare, load_task, save_task
from promptkit.errors import DataError, TaskError
from promptkit.linting.lint import lint
from promptkit.optimising.budget import plan_search
from promptkit.tasks.examples import texts_of
from promptkit.tasks.near_duplicates import alike, near_groups, normal_form


class In(BaseModel):
    text: str


Label = Literal["a", "b"]
LONG = "the quick brown fox jumps over the lazy dog and runs far into the forest number {}"
TOML = """
name = "t"
[input]
text = "str"
[output]
labels = ["a", "b"]
[files]
data = "all.csv"
"""


def examples(count: int, *more: tuple[str, Label]) -> ExampleSet[In, Label]:
    rows: list[tuple[str, Label]] = [(f"w{i}", "a" if i % 3 else "b") for i in range(count)]
    return ExampleSet[In, Label](
        tuple(Example(input=In(text=text), output=label) for text, label in (*rows, *more))
    )


def folder(path: Path, more: str = "", rows: int = 30) -> Path:
    lines = [f"w{i},{'ab'[i % 2]},{'xyz'[i % 3]}" for i in range(rows)]
    (path / "task.toml").write_text(TOML + more)
    (path / "all.csv").write_text("\n".join(["text,output,author", *lines]) + "\n")
    return path


@given(st.integers(4, 60), st.floats(0.1, 0.9), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_a_split_keeps_shares_of_labels(count: int, share: float, seed: int) -> None:
    whole = examples(count)
    try:
        pool, tests = whole.split(share, seed=seed)
    except TaskError:
        assert share * count < 0.51 or (1 - share) * count < 0.51
        return
    assert sorted(e.id for e in (*pool, *tests)) == sorted(e.id for e in whole)
    assert abs(len(tests) - share * count) <= 0.5
    total, chosen = (Counter(e.output for e in part) for part in (whole, tests))
    assert all(abs(chosen[label] - share * n) <= 1 for label, n in total.items())
    assert whole.split(share, seed=seed) == (pool, tests)


@given(st.integers(6, 60), st.integers(2, 6), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_folds_are_even_in_size_and_labels(count: int, folds: int, seed: int) -> None:
    whole = examples(count)
    fold = whole.folds(folds, seed=seed)
    sizes = Counter(fold.values())
    assert max(sizes.values()) - min(sizes.values()) <= 1
    for label in ("a", "b"):
        of_label = Counter(fold[e.id] for e in whole if e.output == label)
        assert max(of_label.values()) - min(of_label[f] for f in range(folds)) <= 1


def test_seeds_draw_other_splits() -> None:
    whole = examples(40)
    assert len({whole.split(seed=seed)[0].fingerprint for seed in range(5)}) == 5
    assert len({tuple(whole.folds(4, seed=seed).values()) for seed in range(5)}) == 5


def near(count: int) -> ExampleSet[In, Label]:
    """Many texts of which each is a near-duplicate of the one before it."""
    rows = [(LONG.format("x") + " indeed" * i + "", "ab"[i % 2]) for i in range(count)]
    return examples(40, *rows)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(6))
def test_near_duplicates_are_never_on_both_sides(seed: int) -> None:
    whole = near(8)
    normal = {e.id: normal_form(texts_of(e.input)) for e in whole}
    assert sum(alike(normal[one.id], normal[two.id]) for one in whole for two in whole) > 48
    pool, tests = whole.split(seed=seed)
    assert not any(alike(normal[one.id], normal[two.id]) for one in pool for two in tests)
    fold = whole.folds(4, seed=seed)
    pairs = [(one, two) for one in whole for two in whole if fold[one.id] != fold[two.id]]
    assert not any(alike(normal[one.id], normal[two.id]) for one, two in pairs)


def test_groups_are_joined_through_a_third() -> None:
    whole = near(8)
    normal = [normal_form(texts_of(e.input)) for e in whole]
    groups = near_groups(normal)
    assert len({*groups[40:]}) == 1
    assert groups[:40] == [*range(40)]
    assert near_groups([]) == []
    assert near_groups(["same", "other", "same", ""]) == [0, 1, 0, 3]


def test_a_file_is_split_and_the_counts_are_said(tmp_path: Path) -> None:
    said: list[str] = []
    task = load_task(folder(tmp_path, "split = 0.2\nseed = 3\n"), notify=said.append)
    assert (len(task.demos), len(task.tests)) == (24, 6)
    assert said == ["all.csv: 24 rows in the pool and 6 tests, drawn with seed 3"]
    again = load_task(folder(tmp_path, "split = 0.2\nseed = 4\n"))
    assert again.fingerprint != task.fingerprint


def test_every_row_of_folds_is_asked_with_shots_from_the_others(tmp_path: Path) -> None:
    said: list[str] = []
    task = load_task(folder(tmp_path, "folds = 5\n"), notify=said.append)
    assert said == ["all.csv: 30 rows in 5 folds, each asked with shots from the other folds"]
    grid: dict[str, Any] = {"shots": [0, 3], "seeds": 3, "selections": ["random", "similar"]}
    result = compare(task, models=[FakeModel()], store=Store(), **grid)
    assert {p.id for p in result.predictions} == {e.id for e in task.demos}
    for p in result.predictions:
        assert len(p.shot_ids) == p.shots
        assert all(task.folds[shot] != task.folds[p.id] for shot in p.shot_ids)
    assert result.notes == ("Each query has shots from the other 4 of 5 folds.",)
    assert not [finding for finding in lint(tmp_path) if finding.severity == "error"]


def test_folds_of_a_column(tmp_path: Path) -> None:
    task = load_task(folder(tmp_path, 'folds = "author"\n'))
    by_fold = {(task.folds[e.id], e.metadata["author"]) for e in task.demos}
    assert len(by_fold) == 3
    with pytest.raises(DataError, match=r"all\.csv:2, example .*, field 'writer': missing"):
        load_task(folder(tmp_path, 'folds = "writer"\n'))


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_folds_are_saved_and_loaded(tmp_path: Path, format: Any) -> None:
    task = load_task(folder(tmp_path, "folds = 4\n"))
    save_task(task, tmp_path / "one", format)
    one = load_task(tmp_path / "one")
    save_task(one, tmp_path / "two", format)
    assert task.fingerprint == one.fingerprint == load_task(tmp_path / "two").fingerprint


def test_folds_in_python() -> None:
    whole = examples(12)
    task = Task[In, Label](name="t", demos=whole, folds=whole.folds(3))
    assert task.tests is task.demos
    assert repr(task) == "<Task 't': 12 examples in 3 folds>"
    query = task.as_query({"text": "another"})
    assert task.pool_of(query) is task.demos
    assert len(task.pool_of(whole[0])) == 8


@pytest.mark.parametrize(
    ("folds", "tests", "reason"),
    [
        ({"x": 0, "y": 1}, None, "no fold for the example"),
        ({"x": 0}, None, "1 fold; there are from 2 to 32"),
        ({"x": 0, "y": 1}, (), "leave out tests"),
    ],
)
def test_folds_that_do_not_fit(folds: Any, tests: Any, reason: str) -> None:
    given = {} if tests is None else {"tests": tests}
    with pytest.raises(TaskError, match=reason):
        Task[In, Label](name="t", demos=examples(3), folds=folds, **given)


def test_a_search_needs_tests_apart() -> None:
    whole = examples(30)
    task = Task[In, Label](name="t", demos=whole, folds=whole.folds(3))
    with pytest.raises(TaskError, match="a search would learn from the tests"):
        plan_search(task, shots=2)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ('demos = "a.csv"\n', "files.demos: files.data holds all rows"),
        ("split = 0.5\nfolds = 3\n", "keep split or folds"),
        ("split = 1.5\n", "files.split: Input should be less than 1"),
        ("folds = 1\n", "files.folds: a number of folds from 2 to 32, or the column that holds"),
        ("folds = 33\n", "holds each row's fold, not 33"),
        ("folds = 31\n", "30 examples do not make 31 folds"),
    ],
)
def test_keys_that_do_not_fit(tmp_path: Path, more: str, reason: str) -> None:
    with pytest.raises(TaskError) as caught:
        load_task(folder(tmp_path, more))
    assert reason in str(caught.value)
    (tmp_path / "task.toml").write_text(TOML.replace("data =", "split = 0.5\ndemos ="))
    with pytest.raises(TaskError, match=r"files\.split: this splits the file of files.data"):
        load_task(tmp_path)


def test_rows_of_one_file_that_contradict_each_other_are_found(tmp_path: Path) -> None:
    folder(tmp_path, "split = 0.5\n")
    with (tmp_path / "all.csv").open("a") as file:
        file.write("w0,b,x\n")
    with pytest.raises(DataError, match=r"all\.csv:32, .*the same input as .*all\.csv:2"):
        load_task(tmp_path)
