"""Data files as people have them: foreign columns, codes of labels, lists and records."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from promptkit import FakeModel, Store, Template, compare, load_task, save_task
from promptkit.errors import DataError, TaskError
from promptkit.files.paths import read_compressed
from promptkit.linting.lint import lint
from promptkit.tasks.tables import write_rows
from promptkit.text import shown


def folder(path: Path, toml: str, **files: str) -> Path:
    """Return a task's folder with a task.toml and files, whose names have `_` for the dot."""
    (path / "task.toml").write_text(f'name = "t"\n{toml}', "utf-8")
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text, "utf-8")
    return path


MOODS = """
[input]
text = "str"
[output]
labels = { 0 = "negative", 1 = "positive" }
[files]
demos = "demos.csv"
columns = { text = "sentence", output = "label", id = "guid" }
"""


def test_foreign_columns_and_codes(tmp_path: Path) -> None:
    rows = "guid;id;sentence;label\na;1;A joy;1\nb;1;Dull;0\nc;1;Fine;positive\n"
    task = load_task(folder(tmp_path, MOODS, demos_csv=rows))
    assert [demo.output for demo in task.demos] == ["positive", "negative", "positive"]
    assert [demo.id for demo in task.demos] == ["a", "b", "c"]
    assert task.labels == ("negative", "positive")


REMARKS = [
    ("7", 'She said "great; really" – größer', "positive"),
    ("8", "Line one\nline two, and\ta tab", "negative"),
    ("9", "", "negative"),
]


def as_written(name: str) -> bytes:
    """Return the rows of `REMARKS` as a program writes them to a file of this name."""
    table = [("guid", "sentence", "label"), *REMARKS]
    if name == "demos.parquet":
        sink = pyarrow.BufferOutputStream()
        columns = dict(zip(table[0], map(list, zip(*REMARKS, strict=True)), strict=True))
        parquet.write_table(pyarrow.table(columns), sink)
        return bytes(sink.getvalue())
    separator = "\t" if ".tsv" in name else ";"
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=separator, lineterminator="\r\n").writerows(table)
    text = file.getvalue()
    if name == "demos.csv":  # Excel's, with an empty row that was deleted
        return ("\ufeffsep=;\r\n" + text + ";;\r\n").encode()
    return gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()


@pytest.mark.parametrize("name", ["demos.csv", "demos.tsv", "demos.csv.gz", "demos.parquet"])
def test_a_table_is_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    folder(tmp_path, MOODS.replace("demos.csv", name))
    (tmp_path / name).write_bytes(as_written(name))
    demos = load_task(tmp_path).demos
    assert [(demo.id, demo.input.text, demo.output) for demo in demos] == REMARKS


@pytest.mark.parametrize(
    ("field", "cell", "advice"),
    [
        ("float", '"3,5"', "write it with a decimal point, as 1234.5"),
        ("int", '"1,200"', "write it with a decimal point, as 1234.5"),
        ("bool", "WAHR", "write true or false"),
    ],
)
def test_values_of_spreadsheets_get_advice(
    tmp_path: Path, field: str, cell: str, advice: str
) -> None:
    toml = MOODS.replace('text = "str"', f'text = "{field}"')
    with pytest.raises(DataError, match=f"field 'sentence', value .*; {advice}$"):
        load_task(folder(tmp_path, toml, demos_csv=f"guid,sentence,label\na,{cell},1\n"))


def test_numbers_for_labels_that_nothing_names_get_advice(tmp_path: Path) -> None:
    toml = MOODS.replace('{ 0 = "negative", 1 = "positive" }', '["negative", "positive"]')
    with pytest.raises(DataError, match="numbers stand for labels, say which in `labels`"):
        load_task(folder(tmp_path, toml, demos_csv="guid,sentence,label\na,Dull,0\n"))


def test_carriage_returns_within_cells_are_found(tmp_path: Path) -> None:
    rows = 'guid,sentence,label\r\na,"A joy,\r\nstill",1\r\nb,Dull,0\r\n'
    toml = f'template = "colon.j2"\n{MOODS}'
    found = list(lint(folder(tmp_path, toml, demos_csv=rows)))
    assert [f.rule for f in found if "U+000D" in f.message] == ["invisible-character"]


def test_missing_records_of_parquet_are_missing_values(tmp_path: Path) -> None:
    toml = MOODS.replace("demos.csv", "demos.parquet")
    table = pyarrow.table({"sentence": ["A joy", None], "label": [1, 0], "guid": ["a", "b"]})
    parquet.write_table(table, folder(tmp_path, toml) / "demos.parquet")
    with pytest.raises(DataError, match=r"parquet:2, .*field 'sentence': missing value"):
        load_task(tmp_path)
    parquet.write_table(pyarrow.table({"quote": ["A"], "mood": [1]}), tmp_path / "demos.parquet")
    with pytest.raises(DataError, match="the columns are quote, mood; name the one that holds it"):
        load_task(tmp_path)


def test_problems_name_the_foreign_columns(tmp_path: Path) -> None:
    rows = "guid,sentence,label\na,A joy,2\n"
    with pytest.raises(
        DataError, match=r"demos\.csv:2, example 'a', field 'label', value '2': not"
    ):
        load_task(folder(tmp_path, MOODS, demos_csv=rows))
    with pytest.raises(DataError, match=r"field 'sentence': column not found"):
        load_task(folder(tmp_path, MOODS, demos_csv="guid,text,label\na,A joy,1\n"))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("text =", "txt =", "files.columns: unknown field 'txt'; did you mean 'text'?"),
        ('"str"', '{ type = "str", column = "t" }', "files.columns.text: its column is named twi"),
        ('"sentence"', '"label"', "output.column: 'label' is not the output's own column"),
        ('0 = "negative"', 'positive = "negative"', "output.labels: 'positive' is a label itself"),
        ('0 = "negative"', '0 = "positive"', "output.labels: 'positive' is repeated"),
        ('{ 0 = "negative", 1 = "positive" }', "{ 0 = 1 }", "output.labels"),
        ('{ 0 = "negative", 1 = "positive" }', "{}", "output.labels is empty"),
    ],
)
def test_wrong_names_in_task_toml(tmp_path: Path, old: str, new: str, reason: str) -> None:
    toml = MOODS.replace(f"{{ {old}", f"{{ {new}") if old == "text =" else MOODS.replace(old, new)
    with pytest.raises(TaskError) as caught:
        load_task(folder(tmp_path, toml, demos_csv="guid,sentence,label\na,A joy,1\n"))
    assert reason in str(caught.value)


PASSAGES = """
template = "own.j2"
[input]
passages = "list[str]"
years = "list[int]"
[input.author]
name = "str"
born = "int"
[[input.turns]]
speaker = ["A", "B"]
text = "str"
[output]
type = "str"
[files]
demos = "demos.jsonl"
"""
ROW: dict[str, Any] = {
    "passages": ["One", "Two"],
    "years": [1, 2],
    "author": {"name": "Ann", "born": 1970},
    "turns": [{"speaker": "A", "text": "Hi"}, {"speaker": "B", "text": "Ho"}],
    "output": "x",
}
OWN = """\
{% example %}
{{ input.passages | join("; ") }} ({{ input.passages }}; {{ input.years }}) {{ input.author.name }}
{% for turn in input.turns %}
{{ turn.speaker }}: {{ turn.text }}
{% endfor %}
Answer: {{ output }}
{% endexample %}
"""


def passages(path: Path) -> Path:
    (path / "templates").mkdir()
    (path / "templates" / "own.j2").write_text(OWN)
    return folder(path, PASSAGES, demos_jsonl=json.dumps(ROW) + "\n")


def test_lists_and_records_are_typed_printed_and_traced(tmp_path: Path) -> None:
    task = load_task(passages(tmp_path))
    prompt = Template.of(task).render(task, query=task.demos[0].input)
    assert prompt.text == "One; Two (One, Two; 1, 2) Ann\nA: Hi\nB: Ho\nAnswer:"
    fields = {p.field for p in prompt.pieces if p.kind == "data"}
    assert fields >= {"input.passages", "input.years"}
    assert [finding for finding in lint(task) if finding.severity == "error"] == []


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_lists_and_records_are_saved_and_loaded(tmp_path: Path, format: Any) -> None:
    task = load_task(passages(tmp_path))
    save_task(task, tmp_path / "copy", format)
    assert load_task(tmp_path / "copy").demos == task.demos


def test_parquet_holds_lists_and_records(tmp_path: Path) -> None:
    task = load_task(passages(tmp_path))
    table = pyarrow.Table.from_pylist([ROW])
    parquet.write_table(table, tmp_path / "demos.parquet")
    toml = tmp_path / "task.toml"
    toml.write_text(toml.read_text().replace("demos.jsonl", "demos.parquet"))
    assert load_task(tmp_path).demos == task.demos


def test_items_that_do_not_fit_are_named(tmp_path: Path) -> None:
    bad = {**ROW, "passages": ["One", 2], "author": {"name": "Ann", "born": "?"}}
    place = folder(tmp_path, PASSAGES, demos_jsonl=json.dumps(bad) + "\n")
    with pytest.raises(DataError) as caught:
        load_task(place)
    assert [p.field for p in caught.value.problems] == ["passages.1", "author.born"]


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ('passages = "list"', "a list is list[str], list[int], list[float] or list[bool]"),
        ('passages = "list[text]"', "a list is list[str]"),
        ("author = {}", "the record has no field"),
        ('author = { _name = "str" }', "input.author._name: a field's name"),
        ('author = { name = "text" }', "input.author: a type is str"),
        ("turns = [{}]", "the record has no field"),
        ('turns = [{ a = "str" }, { b = "str" }]', "input.turns"),
    ],
)
def test_types_that_are_none(tmp_path: Path, field: str, reason: str) -> None:
    toml = f'[input]\n{field}\n[output]\ntype = "str"\n'
    with pytest.raises(TaskError) as caught:
        load_task(folder(tmp_path, toml))
    assert reason in str(caught.value)


def test_a_table_with_type_and_column_is_a_field(tmp_path: Path) -> None:
    toml = '[input.text]\ntype = "str"\ncolumn = "str"\n[output]\ntype = "str"\n'
    toml += '[files]\ndemos = "demos.csv"\n'
    task = load_task(folder(tmp_path, toml, demos_csv="str,output\na,b\n"))
    assert task.types()[0].model_fields["text"].annotation is str


def test_a_task_of_lists_is_compared(tmp_path: Path) -> None:
    toml = '[input]\nwords = "list[str]"\n[output]\nlabels = ["a", "b"]\n'
    toml += '[files]\ndemos = "demos.csv"\ntests = "tests.csv"\n'
    rows = ['"[""x{}"", ""y""]",a', '"[""z{}""]",b']
    files = {
        f"{part}_csv": "words,output\n" + "\n".join(row.format(part) for row in rows) + "\n"
        for part in ("demos", "tests")
    }
    task = load_task(folder(tmp_path, toml, **files))
    result = compare(task, models=[FakeModel()], shots=[1], seeds=2, store=Store())
    assert next(iter(result.prompts.values())).text.count("y") >= 1
    assert {row.n for row in result.rows} == {2}


GZIPPED = '[input]\ntext = "str"\n[output]\ntype = "str"\n[files]\ndemos = "{}"\n'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("d.csv.gz", "text,output\na,b\n"),
        ("d.csv.gz", "\ufeffsep=;\r\ntext;output\r\na;b\r\n"),
        ("d.tsv.gz", "text\toutput\na\tb\n"),
        ("d.jsonl.gz", '{"text": "a", "output": "b"}\n'),
    ],
)
def test_gzip_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    task = load_task(folder(tmp_path, GZIPPED.format(name)))
    assert [(demo.id[0], demo.output) for demo in task.demos] == [("a", "b")]


def test_lines_of_gzip_are_counted(tmp_path: Path) -> None:
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"text,output\na\n"))
    with pytest.raises(DataError, match=r"d\.csv\.gz:2, value 'a': 1 fields"):
        load_task(folder(tmp_path, GZIPPED.format("d.csv.gz")))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"text,output\na,b\n", "not gzip"),
        (gzip.compress(b"text,output\na,b\n", mtime=0)[:-9], "damaged gzip"),
        (gzip.compress(b"text,output\na,b\n", mtime=0)[:12] + b"\xff\xff" * 9, "damaged gzip"),
        (b"", "the file is empty"),
    ],
)
def test_damaged_gzip_is_an_error(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "d.csv.gz").write_bytes(content)
    with pytest.raises((TaskError, DataError), match=rf"d\.csv\.gz: .*{reason}|{reason}"):
        load_task(folder(tmp_path, GZIPPED.format("d.csv.gz")))


def test_decompression_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(bytes(1_000_000)))
    with pytest.raises(OSError, match="when decompressed"):
        read_compressed(path, 10_000)


@pytest.mark.parametrize("name", ["d.parquet.gz", "d.txt.gz", "d.gz"])
def test_other_files_of_gzip_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TaskError, match=r"a data file ends in .*or in \.gz"):
        load_task(folder(tmp_path, GZIPPED.format(name)))


def test_gzip_is_not_written() -> None:
    with pytest.raises(TaskError, match=r"a \.gz file is only read"):
        write_rows(Path("a.csv.gz"), [])


def test_lists_and_records_are_shown_in_tables() -> None:
    value = {"passages": ["a", "b"], "author": {"name": "Ann", "born": None}, "n": 3}
    assert shown(value) == "a, b · Ann · None · 3"
