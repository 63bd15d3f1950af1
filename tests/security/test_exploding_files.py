"""Small files that stand for large ones, and patterns that take for ever."""

from __future__ import annotations

import gzip
import json
import time
from contextlib import suppress
from pathlib import Path

import pytest

import promptkit as pk
from promptkit.errors import PromptkitError

FRUIT = Path(__file__).parents[2] / "examples" / "fruit"

HEAD = 'name = "t"\n\n[input]\nword = "str"\n\n[output]\nlabels = ["a", "b"]\n\n'

TOML = {
    "lists in lists": "a = " + "[" * 100_000,
    "tables in tables": "a = " + "{b = " * 50_000,
    "dotted keys": ".".join("a" * 20_000) + " = 1",
    "headers": "[" + ".".join("a" * 20_000) + "]\n",
    "a number": "a = " + "9" * 100_000,
    "an exponent": "a = 1e999999999",
    "a key twice": 'name = "a"\nname = "b"\n',
    "a date": "a = 9999-99-99",
    "a text without an end": 'a = """' + "x" * 1_000_000,
    "many keys": "".join(f"k{n} = {n}\n" for n in range(50_000)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOML)
def test_a_task_file_that_explodes_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(TOML[kind] + "\n" + HEAD, "utf-8")
    with pytest.raises(PromptkitError) as caught:
        pk.load_task(tmp_path)
    assert len(str(caught.value)) < 250_000


def test_keys_of_many_parts_are_refused_before_they_are_parsed(tmp_path: Path) -> None:
    """The parser takes the square of their number."""
    for parts in (100, 101, 10**6):
        for key in (".".join(["a"] * parts), " . ".join(['"a.b"'] * parts)):
            (tmp_path / "task.toml").write_text(f"{key} = 1\n{HEAD}", "utf-8")
            with pytest.raises(PromptkitError) as caught:
                pk.load_task(tmp_path)
            assert ("a key of more than 100 parts" in str(caught.value)) == (parts > 100)


ROWS = {
    "lists in lists": '{"word": ' + "[" * 100_000 + "\n",
    "objects in objects": '{"word": ' * 100_000 + "\n",
    "a number": '{"word": ' + "9" * 1_000_000 + "}\n",
    "an exponent": '{"word": 1e999999999, "output": "a"}\n',
    "a key twice": '{"word": "a", "word": "b", "output": "a"}\n',
    "not a number": '{"word": NaN, "output": "a"}\n',
}


@pytest.mark.parametrize("kind", ROWS)
def test_rows_that_explode_are_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(HEAD + '[files]\ndemos = "d.jsonl"\n', "utf-8")
    (tmp_path / "d.jsonl").write_text(ROWS[kind], "utf-8")
    with pytest.raises(PromptkitError, match=r"d\.jsonl"):
        pk.load_task(tmp_path)


def test_a_schema_that_explodes_is_refused(tmp_path: Path) -> None:
    for schema in (
        '{"type": "array", "items": ' * 5_000 + "{}" + "}" * 5_000,
        json.dumps({"$ref": "#"}),
        json.dumps({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}),
        json.dumps({"type": "string", "pattern": "(a+)+" * 40 + "$", "maxLength": 10**12}),
        json.dumps({"type": "array", "items": {}, "minItems": 10**12}),
        json.dumps({"$ref": "file:///etc/passwd"}),
        json.dumps({"$ref": "https://evil.example/schema.json"}),
    ):
        (tmp_path / "s.json").write_text(schema, "utf-8")
        text = HEAD.replace('labels = ["a", "b"]', 'schema = "s.json"')
        (tmp_path / "task.toml").write_text(text, "utf-8")
        start = time.process_time()
        with suppress(PromptkitError):
            task = pk.load_task(tmp_path)
            pk.Template("{% example %}{{ output }}{% endexample %}").render(
                task, shots=0, query={"word": "a"}
            )
        assert time.process_time() - start < 20


def test_few_bytes_of_parquet_stand_for_few_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    from pyarrow import parquet

    monkeypatch.setattr("promptkit.tasks.tables.MOST_BYTES", 10_000_000)
    file = tmp_path / "d.parquet"
    for column in (pyarrow.nulls(2_000_000), pyarrow.array(["x" * 1000] * 100_000)):
        parquet.write_table(pyarrow.table({"word": column}), file)
        assert file.stat().st_size < 100_000
        (tmp_path / "task.toml").write_text(HEAD + '[files]\ndemos = "d.parquet"\n', "utf-8")
        with pytest.raises(PromptkitError, match="more than 1 GB of rows"):
            pk.load_task(tmp_path)


def test_a_line_of_gigabytes_is_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptkit.bulk.bulk_inputs._LONGEST", 1_000_000)
    task = pk.load_task(FRUIT)
    own = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    for name in ("a.csv.gz", "a.jsonl.gz", "a.jsonl"):
        file = tmp_path / name
        content = b"0" * 50_000_000 if name.endswith("gz") else b"0" * 2_000_000
        file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        with pytest.raises(PromptkitError, match="a line of 1,000,000 characters or more"):
            pk.predict(own, file, out=tmp_path / f"{name}.jsonl", store=tmp_path / "s.sqlite")


YAML = {
    "aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
        for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    ),
    "an alias of itself": "a: &a [*a]\n",
    "merges": "a: &a {x: 1}\n" + "b: {<<: [" + ", ".join(["*a"] * 150_000) + "]}\n",
    "lists in lists": "a: " + "[" * 100_000,
    "code": "a: !!python/object/apply:os.system ['touch ran']\n",
    "a class": "a: !!python/name:os.system\n",
    "a function": "doc_to_text: !function os.system\n",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", YAML)
def test_yaml_that_explodes_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promptkit.cli import app

    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(YAML[kind] + "task: t\n", "utf-8")
    start = time.process_time()
    with pytest.raises(SystemExit) as ended:
        app(["import", "a.yaml", "--out", "o"])
    assert ended.value.code == 2
    assert time.process_time() - start < 30
    assert not Path("ran").exists()


SLOW: tuple[str, ...] = ("(a+)+$", "(a|aa)+$", "(.*)*b", "((a*)*)*b", "(?:a?){60}a{60}")


@pytest.mark.parametrize("pattern", SLOW)
def test_no_pattern_of_a_task_takes_long(pattern: str) -> None:
    """They are matched by RE2, in a time that grows as the text does."""
    from promptkit.tasks.measures import Scoring

    start = time.process_time()
    with suppress(PromptkitError):  # for one that RE2 does not know
        Scoring(match="regex", pattern=f"({pattern})").matches("a" * 50_000 + "!", "b")
    assert time.process_time() - start < 10
