"""Lookup tables: inputs are found, missed, refreshed and rolled back."""

from __future__ import annotations

import json
import math
import multiprocessing
import pickle
import shutil
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from comparisons import compared
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import python
from samples import COLON, parity_task

from promptkit import FakeModel, Lookup, Predictor, build_lookup
from promptkit.errors import DataError, LookupFileError, LookupMissError, PromptkitError, TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.profile import Profile
from promptkit.lookup.lookup_build import roll_back
from promptkit.lookup.lookup_entries import Codec, StoredAnswer
from promptkit.lookup.lookup_keys import normaliser

pytest.importorskip("lmdb")

PROBS = {"even": 0.75, "odd": 0.25}
SCORED = {"probs": PROBS, "margin": 1.5, "coverage": 0.5}


def rows(answers: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"input": {"word": word}, "label": label, **more} for word, label in answers.items()]


def table(folder: Path, answers: Mapping[str, Any], **how: Any) -> Lookup:
    build_lookup(rows(answers), folder / "words.lookup", **how)
    return Lookup(folder / "words.lookup")


def label(lookup: Lookup, value: Any) -> Any:
    """The label of an input; "-" for one that is missed."""
    try:
        return lookup.find(value).label
    except LookupMissError:
        return "-"


# Finding.


def test_an_input_is_found_as_it_is_and_normalised(tmp_path: Path) -> None:
    build_lookup(rows({"One  word": "even"}, **SCORED), tmp_path / "words.lookup")
    words = Lookup(tmp_path / "words.lookup")
    expected = StoredAnswer("even", PROBS, 1.5, 0.5, match="exact", version=1)
    assert words.find("One  word") == words.find({"word": "One  word"}) == expected
    assert words.find(" ONE word") == expected._replace(match="normalised")
    assert len(words) == 1


def test_a_miss_is_an_error_that_names_the_input(tmp_path: Path) -> None:
    words = table(tmp_path, {"one": "odd"})
    with pytest.raises(LookupMissError, match=r"words.lookup: no answer to 'two', as it is"):
        words.find("two")
    with pytest.raises(LookupError):
        words.find_all(["one", "two"])
    with pytest.raises(PromptkitError, match="no field 'word'"):
        words.find({"wrod": "one"})


def test_a_miss_may_have_a_default(tmp_path: Path) -> None:
    table(tmp_path, {"one": "odd"})
    words = Lookup(tmp_path / "words.lookup", default=None)
    assert words.find("two") == StoredAnswer(None, match="default")
    assert [one.match for one in words.find_all(["one", "two"])] == ["exact", "default"]


def test_a_miss_may_ask_another_predictor_once_for_all(tmp_path: Path) -> None:
    table(tmp_path, {"t": "odd"})
    task, asked = parity_task(), list[int]()

    class Live(Predictor):
        def predict(self, queries: Iterable[Any], **how: Any) -> Any:
            asked.append(len(queries := [*queries]))
            return super().predict(queries, **how)

    live = Live(task, COLON, FakeModel())
    words = Lookup(tmp_path / "words.lookup", fallback=live, task=task)
    found = words.find_all(["t", "tt", "ttt"])
    assert [one.match for one in found] == ["exact", "predictor", "predictor"]
    direct = Predictor(task, COLON, FakeModel()).predict(task.tests[1:3])
    assert [(one.label, one.probs) for one in found[1:]] == [(p.label, p.probs) for p in direct]
    assert asked == [2]
    predictions = words.predict(task.tests)
    assert asked == [2, len(task.tests) - 1]
    assert [one.label for one in predictions[1:3]] == [one.label for one in direct]
    assert {one.model for one in predictions} == {"words.lookup"}
    assert words.usage is live.usage
    with pytest.raises(TaskError, match="not both"):
        Lookup(tmp_path / "words.lookup", fallback=live, default="odd")
    with pytest.raises(TaskError, match="needs the task"):
        Lookup(tmp_path / "words.lookup", fallback=live)


def test_an_exact_input_wins_where_normalised_ones_collide(tmp_path: Path) -> None:
    built = build_lookup(rows({"US": "odd", "us": "even", "uS": "even"}), tmp_path / "a.lookup")
    assert built.collisions == 2
    assert "'us' is answered 'even', and another input" in built.collided[0]
    words = Lookup(tmp_path / "a.lookup")
    assert [label(words, text) for text in ("US", "us", "uS")] == ["odd", "even", "even"]
    with pytest.raises(LookupMissError, match="different ones to several inputs"):
        words.find("Us")


def test_inputs_of_several_fields(tmp_path: Path) -> None:
    data = [
        {"input": {"name": "Plum", "year": year, "tags": ["a"]}, "label": {"n": year}}
        for year in (1, 2)
    ]
    build_lookup(data, tmp_path / "a.lookup", normalise="name=case")
    found = Lookup(tmp_path / "a.lookup")
    assert found.find({"tags": ["a"], "name": "PLUM", "year": 2.0}).label == {"n": 2}
    default = ("nfc", "case", "space")
    assert [field.rules for field in found.fields] == [("case",), default, default]
    assert [field.is_text for field in found.fields] == [True, False, False]


def test_generated_texts_failures_and_held_back_answers(tmp_path: Path) -> None:
    data = [
        {"input": {"word": "a"}, "label": "even", "text": " even"},
        {"input": {"word": "b"}, "label": None, "failure": "cut"},
        {
            "input": {"word": "c"},
            "label": None,
            "failure": "held back",
            "abstained": True,
            **SCORED,
        },
        {"input": {"word": "d"}, "label": 3},
    ]
    built = build_lookup(data, tmp_path / "a.lookup")
    words = Lookup(tmp_path / "a.lookup")
    assert (built.unanswered, built.version.inputs) == (1, 3)
    assert words.find("a").text == " even"
    assert words.find("c")[:5] == (None, PROBS, 1.5, 0.5, True)
    assert words.find("d").label == 3
    assert label(words, "b") == "-"


# As a predictor.


def test_a_lookup_table_is_a_predictor_of_a_comparison(tmp_path: Path) -> None:
    task = parity_task()
    table(tmp_path, {"t": "odd", "tt": "even", "TTT": "odd", "tttt": "odd"})
    words = Lookup(tmp_path / "words.lookup", task=task)
    assert isinstance(words, AnyPredictor)
    result = compared(predictors=[words])
    rows = [row for row in result.rows if row.model == "words.lookup"]
    assert {(row.accuracy, row.failures) for row in rows if row.seed is not None} == {(3 / 6, 2)}
    (made, *_) = words.predict(task.tests[:1])
    assert (made.label, made.correct, made.failure, made.probs) == ("odd", True, None, None)


def test_a_lookup_table_knows_its_size_and_what_its_answers_took(tmp_path: Path) -> None:
    words = table(tmp_path, {"t": "odd"})
    size = words.file.stat().st_size
    assert words.profile == Profile(parameters=0, bytes=size, is_timed=False)
    took = {"tokens": 7, "seconds": 0.25}
    build_lookup(rows({"t": "odd", "tt": "even"}, **took), words.file)
    words.reload()
    assert words.profile == Profile(
        parameters=0, bytes=words.file.stat().st_size, tokens=14, seconds=0.5
    )
    build_lookup(rows({"ttt": "odd"}, **took), words.file, add=True)
    words.reload()
    assert (words.profile.tokens, words.profile.seconds) == (21, 0.75)
    build_lookup(rows({"tttt": "even"}), words.file, add=True)
    assert not Lookup(words.file).profile.is_timed
    made = Predictor(parity_task(), COLON, FakeModel()).predict(parity_task().tests)
    build_lookup(made, tmp_path / "made.lookup")
    assert Lookup(tmp_path / "made.lookup").version.tokens == sum(one.tokens for one in made)


def test_predictions_need_a_task_that_fits(tmp_path: Path) -> None:
    words, task = table(tmp_path, {"t": "seven"}), parity_task()
    with pytest.raises(TaskError, match="need the task"):
        words.predict(task.tests)
    with pytest.raises(TaskError, match="'seven' is none of the task"):
        Lookup(words.file, task=task).predict(task.tests)
    build_lookup(rows({"t": None}, abstained=True, **SCORED), words.file)
    (held,) = Lookup(words.file, task=task).predict(task.tests[:1])
    assert (held.label, held.abstained, held.probs) == (None, True, PROBS)
    assert held.failure == "held back when it was predicted"


def test_the_identity_is_that_of_the_content_and_of_what_completes_it(tmp_path: Path) -> None:
    one = table(tmp_path, {"t": "odd"})
    other = Lookup(one.file, default="even")
    assert one.identity.sha256 == other.identity.sha256 == one.sha256
    assert one.identity.key != other.identity.key
    assert one.usage.decoded_tokens == 0


# Versions.


def test_a_refresh_replaces_what_changed_and_can_be_rolled_back(tmp_path: Path) -> None:
    words = table(tmp_path, {"a": "odd", "b": "odd", "c": "odd"})
    before = words.versions
    built = build_lookup(rows({"a": "odd", "B": "odd", "c": "even", "d": "odd"}), words.file)
    version = built.version
    assert (version.added, version.changed, version.removed, version.inputs) == (2, 1, 1, 4)
    assert label(words, "c") == "odd"
    assert words.reload()
    assert not words.reload()
    assert [label(words, word) for word in "aBcd"] == ["odd", "odd", "even", "odd"]
    assert [words.find(word).version for word in "aBcd"] == [1, 2, 2, 2]
    assert words.versions[:1] == before
    restored = words.roll_back()
    assert (restored.number, restored.restores, restored.inputs) == (3, 1, 3)
    assert [words.find(word).match for word in "abc"] == ["exact"] * 3
    assert [label(words, word) for word in "abcd"] == ["odd", "odd", "odd", "-"]
    assert words.roll_back().restores == 2
    assert label(words, "d") == "odd"


def test_entries_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    words = table(tmp_path, {"a": "odd", "b": "odd"})
    built = build_lookup(rows({"b": "even", "A": "even"}), words.file, add=True)
    assert (built.version.added, built.version.changed, built.version.removed) == (1, 1, 0)
    assert built.collisions == 1
    words.reload()
    assert [label(words, word) for word in ("a", "A", "b", "B")] == ["odd", "even", "even", "even"]
    with pytest.raises(PromptkitError, match="rules of normalisation that the lookup table has"):
        build_lookup(rows({"c": "odd"}), words.file, add=True, normalise="none")
    with pytest.raises(PromptkitError, match="build another file"):
        build_lookup([{"input": {"name": "c"}, "label": "odd"}], words.file)


def test_rules_belong_to_a_version(tmp_path: Path) -> None:
    words = table(tmp_path, {"a": "odd"}, normalise="none")
    assert label(words, "A") == "-"
    build_lookup(rows({"a": "odd"}), words.file)
    assert words.reload()
    assert label(words, "A") == "-"
    build_lookup(rows({"a": "odd"}), words.file, normalise=["case"])
    words.reload()
    assert label(words, "A") == "odd"
    words.roll_back()
    assert label(words, "A") == "-"


def test_as_many_versions_are_kept_as_are_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "a.lookup"
    for number in range(4):
        build_lookup(rows({"a": number}), file, keep=2)
    for to in (0, 1, 4, 9):
        with pytest.raises(LookupFileError, match=f"version {to}; version 2 or 3 can be"):
            roll_back(file, to)
    roll_back(file, 2)
    assert label(Lookup(file), "a") == 1
    build_lookup(rows({"a": 9}), file, keep=0)
    with pytest.raises(LookupFileError, match="no other version is kept"):
        roll_back(file)
    with pytest.raises(TaskError, match="keep -1"):
        build_lookup(rows({"a": 9}), file, keep=-1)


WORD = st.text("aAéÉe\u0301 ", max_size=3)
ANSWERS = st.dictionaries(WORD, st.sampled_from(["odd", "even"]), min_size=1, max_size=6)


def oracle(answers: Mapping[str, str], text: str) -> str:
    normalise = normaliser(("nfc", "case", "space"))
    if text in answers:
        return answers[text]
    same = {said for word, said in answers.items() if normalise(word) == normalise(text)}
    return same.pop() if len(same) == 1 else "-"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(ANSWERS, st.booleans()), min_size=1, max_size=4), st.lists(WORD))
def test_versions_answer_like_dictionaries(
    builds: list[tuple[dict[str, str], bool]], asked: list[str]
) -> None:
    with TemporaryDirectory() as folder:
        file, states = Path(folder) / "words.lookup", list[dict[str, str]]()
        for answers, add in builds:
            states.append((states[-1] | answers) if add and states else answers)
            build_lookup(rows(answers), file, add=add, keep=9)
        for number, state in enumerate(states, 1):
            copy = shutil.copy(file, Path(folder) / f"{number}.lookup")
            if number < len(states):
                roll_back(copy, number)
            words = Lookup(copy)
            assert len(words) == len(state)
            for text in [*state, *asked]:
                assert label(words, text) == oracle(state, text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
SHARE = st.floats(0, 1, width=32)
PACKED = st.builds(
    StoredAnswer,
    label=VALUES,
    probs=st.none() | st.dictionaries(st.text(), SHARE, min_size=1, max_size=3),
    margin=st.none() | SHARE,
    coverage=st.none() | SHARE,
    abstained=st.booleans(),
    text=st.none() | st.text(),
    match=st.just("exact"),
    version=st.just(7),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(PACKED, min_size=1, max_size=3))
def test_answers_survive_being_packed(answers: list[StoredAnswer]) -> None:
    codec = Codec()
    checks = [bytes([number]) * 8 for number in range(len(answers))]
    parts = [codec.pack(check, 7, one) for check, one in zip(checks, answers, strict=True)]
    again = Codec(json.loads(json.dumps(codec.labels)), json.loads(json.dumps(codec.names)))
    entry = b"".join(parts)
    assert again.split(entry) == parts
    for check, answer in zip(checks, answers, strict=True):
        scored = answer.probs is not None
        expected = answer._replace(
            margin=answer.margin if scored else None,
            coverage=answer.coverage if scored else None,
            text=None if answer.text == answer.label else answer.text,
        )
        assert again.find(entry, check) == expected


def test_there_may_be_more_labels_than_numbers(tmp_path: Path) -> None:
    codec = Codec([*range(0xFFFF)], [(str(n),) for n in range(256)])
    answer = StoredAnswer("new", {"a": 0.5, "b": 0.5}, 0.25, 0.5)
    part = codec.pack(b"12345678", 1, answer)
    assert codec.answer(part) == answer._replace(version=1)
    assert codec.split(part + part) == [part, part]


# What is read.


def test_predictions_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    file, out = tmp_path / "p.jsonl", tmp_path / "a.lookup"
    lines = [
        '{"input": {"word": "a"}, "label": "odd"}',
        "{",
        "[1]",
        '{"input": {"word": "b"}}',
        '{"input": {"name": "b"}, "label": "odd"}',
        '{"input": {"word": "a"}, "label": "even"}',
        '{"input": {"word": NaN}, "label": "even"}',
        '{"input": {"word": "c"}, "label": "even", "seed": 1}',
    ]
    file.write_text("\n".join(lines))
    with pytest.raises(DataError) as caught:
        build_lookup(file, out)
    text = str(caught.value)
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4, 5, 6, 7, 8]
    for reason in (
        "no JSON object",
        "it has no label",
        "input fields name, where those before have word",
        "the same input as an earlier row, with the answer 'even', not 'odd'",
        "no value of an input",
        "of another seed than those before",
    ):
        assert reason in text
    assert not out.exists()
    for bad in (tmp_path / "p.csv", tmp_path / "none.jsonl"):
        with pytest.raises((TaskError, OSError)):
            build_lookup(bad, out)
    with pytest.raises(PromptkitError, match="no prediction with an answer"):
        build_lookup([], out)
    assert [path.name for path in tmp_path.iterdir()] == ["p.jsonl"]


def test_predictions_of_a_run_and_of_parquet(tmp_path: Path) -> None:
    task = parity_task()
    made = Predictor(task, COLON, FakeModel()).predict(task.tests)
    built = build_lookup(made, tmp_path / "a.lookup")
    assert (built.version.model, built.version.template) == ("fake", "colon")
    words = Lookup(tmp_path / "a.lookup")
    for one in made:
        found = words.find(one.input)
        assert (found.label, found.match) == (one.label, "exact")
        assert found.probs == pytest.approx(one.probs, rel=1e-6)
        assert found.margin == pytest.approx(one.margin, rel=1e-6)
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = [
        {"line": n, "id": one.id, "input": one.input, "label": one.label, "probs": one.probs}
        for n, one in enumerate(made)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(data), tmp_path / "p.parquet")
    manifest = {"made_of": {"predictor": "smol", "predictor_key": "ab"}}
    (tmp_path / "p.parquet.manifest.json").write_text(json.dumps(manifest))
    version = build_lookup(tmp_path / "p.parquet", tmp_path / "b.lookup").version
    assert (version.model, version.predictor, version.source) == ("smol", "ab", "p.parquet")
    again = Lookup(tmp_path / "b.lookup")
    for one in made:
        assert again.find(one.input).probs == words.find(one.input).probs
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with pytest.raises(TaskError, match="not Parquet"):
        build_lookup(tmp_path / "bad.parquet", tmp_path / "b.lookup")


def test_columns_are_input_fields_where_no_input_is_named(tmp_path: Path) -> None:
    build_lookup([{"id": "1", "word": "a", "label": "odd", "margin": None}], tmp_path / "a.lookup")
    assert [field.name for field in Lookup(tmp_path / "a.lookup").fields] == ["word"]


# Many readers.


def test_threads_pickles_and_forked_children_share_a_table(tmp_path: Path) -> None:
    words = table(tmp_path, {str(n): n for n in range(2000)})
    failed: list[int] = []

    def read() -> None:
        failed.extend(n for n in range(2000) if label(words, str(n)) != n)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    copied = pickle.loads(pickle.dumps(words))
    assert (failed, label(copied, "7"), copied.default) == ([], 7, ...)
    if sys.platform == "linux":
        context = multiprocessing.get_context("fork")
        child = context.Process(target=lambda: sys.exit(int(label(words, "7") + 1)))
        child.start()
        child.join()
        assert child.exitcode == 8


READER = """
import sys
from promptkit import Lookup

seen, words = [], Lookup(sys.argv[1])
print("ready", flush=True)
while seen[-1:] != [int(sys.argv[2])]:
    words.reload()
    found = {words.find(str(n)).label for n in range(50)}
    assert len(found) == 1, found
    if seen[-1:] != [*found]:
        seen += found
assert seen == sorted(seen), seen
"""


def test_processes_read_whole_versions_while_they_are_replaced(tmp_path: Path) -> None:
    import subprocess

    from processes import environment

    file, last = tmp_path / "words.lookup", 12
    build_lookup(rows({str(n): 0 for n in range(50)}), file)
    command = [sys.executable, "-c", READER, str(file), str(last)]
    readers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True)
        for _ in range(3)
    ]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    for number in range(1, last + 1):
        build_lookup(rows({str(n): number for n in range(50)}), file)
    for reader in readers:
        assert reader.wait(60) == 0
        assert reader.stdout is not None
        reader.stdout.close()


def test_a_table_that_is_replaced_while_it_is_opened_can_be_reloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lmdb

    def made(number: int) -> Path:
        return build_lookup(rows({"a": number}), tmp_path / f"{number}.lookup").file

    file, opening = made(0), lmdb.open
    words, newer = Lookup(file), [made(number) for number in (4, 3, 2, 1)]

    def replaced_meanwhile(path: str, **settings: object) -> object:
        if len(newer) > 1:
            newer.pop().replace(file)
        return opening(path, **settings)

    newer.pop().replace(file)
    monkeypatch.setattr(lmdb, "open", replaced_meanwhile)
    assert words.reload()
    assert words.find("a").label == 3
    assert not words.reload()
    newer.pop().replace(file)
    assert words.reload()
    assert words.find("a").label == 4


def test_a_table_that_another_process_has_changed_meanwhile_is_left(tmp_path: Path) -> None:
    words = table(tmp_path, {"a": "odd"})

    def slowly() -> Iterable[dict[str, Any]]:
        yield from rows({"a": "even"})
        build_lookup(rows({"a": "other"}), words.file)

    with pytest.raises(LookupFileError, match="another process has changed it meanwhile"):
        build_lookup(slowly(), words.file)
    words.reload()
    assert (label(words, "a"), words.version.number) == ("other", 2)
    assert [path.name for path in tmp_path.iterdir()] == ["words.lookup"]


def test_a_lookup_imports_nothing_heavy(tmp_path: Path) -> None:
    table(tmp_path, {"a": "odd"})
    done = python(
        "import sys, promptkit; print(promptkit.Lookup(sys.argv[1]).find('A').label);"
        "heavy = {'pydantic', 'numpy', 'pyarrow', 'jinja2', 'llama_cpp', 'typer', 'rich', 'scipy'};"
        "print(heavy & {*sys.modules})",
        tmp_path / "words.lookup",
    )
    assert (done.stdout, done.stderr) == ("odd\nset()\n", "")


def test_scores_are_kept_in_single_precision(tmp_path: Path) -> None:
    build_lookup(rows({"a": "even"}, probs={"even": 1 / 3, "odd": 2 / 3}), tmp_path / "a.lookup")
    found = Lookup(tmp_path / "a.lookup").find("a")
    assert found.probs is not None
    assert math.isclose(found.probs["even"], 1 / 3, rel_tol=1e-7)
    assert (found.margin, found.coverage) == (None, None)
