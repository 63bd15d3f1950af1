"""Near-duplicates of a query: what they are, that they are named, and that they can be shown."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from command_line import Ran
from samples import COLON, CountingModel, Word, parity_task

from promptkit import Example, Store, Task, check, compare, load_task, optimise
from promptkit.selection.draw import draw, forget
from promptkit.tasks import near_duplicates
from promptkit.tasks.writing import save_task

PASSAGE = (
    "The ferry to the island leaves twice a day from the old harbour, and in winter it waits until "
    "the wind has dropped below force seven."
)
TASK = """name = "t"
instruction = "Answer."
[input]
{fields}
[output]
labels = ["yes", "no"]
[files]
demos = "demos.jsonl"
tests = "tests.jsonl"
"""


def write(folder: Path, demos: list[dict[str, str]], test: dict[str, str], **top: str) -> None:
    """A task whose outputs are yes and no in turn."""
    fields = "\n".join(f'{name} = "str"' for name in test)
    said = "".join(f'{key} = "{value}"\n' for key, value in top.items())
    (folder / "task.toml").write_text(said + TASK.format(fields=fields), "utf-8")
    for name, rows in (("demos", demos), ("tests", [test])):
        labelled = [{**row, "output": ("yes", "no")[i % 2]} for i, row in enumerate(rows)]
        text = "".join(json.dumps(row) + "\n" for row in labelled)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")


QUESTIONS = ["Does it leave at night?", "Does it wait in winter?", "Is it new?", "Is it a bridge?"]
PREMISE = "Two children in yellow coats are feeding the ducks by the pond behind the town hall."
CLAIMS = ["They feed ducks.", "They feed the ducks.", "They are asleep.", "They wear coats."]
SLOTS = ["Lisbon", "Kyoto", "Quito", "Oslo"]
FORM = "Destination: {}; travellers: two adults; class: economy; luggage: one piece; meal: yes"
SUMS = "A baker bakes {} loaves in the morning and sells all of them but three by noon"
LOGIC = ["True and {} ( False or not True ) and ( True or False ) and not False"] * 4
NOTS = ["not", "not not", "", "( True ) and"]


@pytest.mark.parametrize(
    "inputs",
    [
        [{"text": f"{PASSAGE} {question}"} for question in QUESTIONS],
        [{"passage": PASSAGE, "question": question} for question in QUESTIONS],
        [{"premise": PREMISE, "claim": claim} for claim in CLAIMS],
        [{"text": f"{PREMISE} {claim}"} for claim in CLAIMS],
        [{"text": FORM.format(slot)} for slot in SLOTS],
        [{"text": SUMS.format(number)} for number in (20, 30, 40, 56)],
        [{"text": form.format(word)} for form, word in zip(LOGIC, NOTS, strict=True)],
        [{"text": text} for text in ("( [ {", "( { [", "[ ( {", "{ ( [")],
        [{"text": f"for i in range({n}): print(i ** {n}, end=', ')"} for n in range(4)],
    ],
)
def test_tasks_whose_inputs_share_most_of_their_text_have_shots(
    inputs: list[dict[str, str]], tmp_path: Path, run: Callable[..., Ran]
) -> None:
    *demos, test = inputs
    write(tmp_path, demos, test)
    ran = run("render", ".", "--shots", 3)
    assert (ran.code, ran.err) == (0, "")
    assert all(demo[field] in ran.out for demo in demos for field in demo)


LETTER = "Dear Sir, the parcel that I ordered has not arrived at my address in Ghent"
LETTERS = [{"text": text} for text in (f"{LETTER}!", f"{LETTER.upper()}", "hello", "good bye")]


def test_what_is_left_out_is_said(tmp_path: Path, run: Callable[..., Ran]) -> None:
    write(tmp_path, LETTERS, {"text": LETTER})
    ran = run("render", ".", "--shots", 2, "--selection", "similar")
    assert ran.code == 0
    assert "2 near-duplicates left out of the shots of 1 of 1 query, such as 'Dear-" in ran.err
    assert "--near-duplicates allow" in ran.err
    ran = run("render", ".", "--shots", 3, "--selection", "similar")
    assert ran.code == 2
    assert "has only 2 demonstrations for example" in ran.err
    assert "since 2 near-duplicates of it are left out, such as 'D" in ran.err
    assert 'near_duplicates = "allow" in task.toml' in ran.err


def test_near_duplicates_are_shown_where_they_are_allowed(
    tmp_path: Path, run: Callable[..., Ran]
) -> None:
    write(tmp_path, LETTERS, {"text": LETTER})
    ran = run("render", ".", "--shots", 4, "--near-duplicates", "allow")
    assert (ran.code, ran.err) == (0, "")
    assert LETTER.upper() in ran.out
    write(tmp_path, LETTERS, {"text": LETTER}, near_duplicates="allow")
    assert run("render", ".", "--shots", 4).out == ran.out
    assert run("render", ".", "--shots", 4, "--near-duplicates", "exclude").code == 2
    ran = run("render", ".", "--near-duplicates", "maybe")
    assert (ran.code, "choose exclude or allow" in ran.err) == (2, True)
    task = load_task(tmp_path)
    save_task(task, tmp_path / "again")
    assert load_task(tmp_path / "again").near_duplicates == "allow"


def letters(**changed: Any) -> Task[Word, Any]:
    demos = [Example(input=Word(word=row["text"]), output=True) for row in LETTERS]
    tests = [Example(input=Word(word=text), output=True) for text in (LETTER, "another")]
    return Task[Word, bool](name="t", demos=demos, tests=tests, **changed)


def test_comparisons_and_checks_say_it_too() -> None:
    how: dict[str, Any] = {
        "models": [CountingModel()],
        "templates": [COLON],
        "shots": [1, 2],
        "seeds": 3,
        "store": Store(),
    }
    result = compare(letters(), **how)
    (warning,) = [one for one in result.warnings if "near-duplicate" in one]
    assert warning.startswith("2 near-duplicates left out of the shots of 1 of 2 queries, such as")
    assert {row.selection for row in result.rows if row.shots} == {"balanced"}
    allowing = compare(letters(near_duplicates="allow"), **how)
    assert not any("near-duplicate" in one for one in allowing.warnings)
    assert {row.selection for row in allowing.rows} == {"balanced, near-duplicates allowed"}
    checked = check(letters(), min={"accuracy": 0.1}, **how)
    assert any("near-duplicate" in one for one in checked.comparison.warnings)


def test_a_search_shows_near_duplicates_where_they_are_allowed() -> None:
    demos = [
        Example(input=Word(word=f"{LETTER} on day {'x' * n}{mark}"), output=True)
        for n in range(1, 16)
        for mark in (".", "!")
    ]
    plans = [
        optimise(
            Task[Word, bool](name="t", demos=demos, near_duplicates=allowed),  # type: ignore[arg-type]
            CountingModel(),
            shots=1,
            held_out=5,
            budget=100,
            store=Store(),
        ).plan
        for allowed in ("exclude", "allow")
    ]
    assert plans[0].near
    assert not plans[1].near


def test_case_and_unicode_form_may_tell_two_inputs_apart() -> None:
    demos = [Example(input=Word(word=word), output=True) for word in ("US", "caf\u00e9", "it")]
    tests = [Example(input=Word(word=word), output=False) for word in ("us", "cafe\u0301", "IT")]
    task = Task[Word, bool](name="t", demos=demos, tests=tests, near_duplicates="allow")
    for test in task.tests:
        assert len(draw(task.demos, test, 2)) == 2
        assert len(COLON.render(task, shots=3, query=test).shots) == 3


def test_threads_draw_from_one_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each asks for queries of its own while the keys of another's are computed."""
    keys = near_duplicates.band_keys

    def slowly(texts: list[str]) -> Any:
        time.sleep(0.002)
        return keys(texts)

    monkeypatch.setattr(near_duplicates, "band_keys", slowly)
    pool = parity_task(24).demos
    alone = [draw(pool, query, 4) for query in pool]
    forget(pool)
    together = threading.Barrier(4)

    def drawn(thread: int) -> list[Any]:
        together.wait()
        return [draw(pool, query, 4) for query in [*pool][thread::4]]

    with ThreadPoolExecutor(4) as threads:
        for thread, found in enumerate(threads.map(drawn, range(4))):
            assert found == alone[thread::4]
