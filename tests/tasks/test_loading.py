from __future__ import annotations

import json
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from pydantic import BaseModel
from strategies import Family, Fruit, Kind, fruits, some_text, texts

from promptkit.errors import DataError, PromptkitError, TaskError
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example
from promptkit.tasks.loading import load_task
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.reading import read_examples
from promptkit.tasks.tables import DataFile, read_data_file
from promptkit.tasks.task import Task
from promptkit.tasks.validation import ExampleParser
from promptkit.tasks.writing import save_task, write_examples
from promptkit.templating.template import Template

TOML = """\
name = "fruit"
instruction = "Name the family."
[input]
name = "str"
[output]
labels = ["drupe", "pome"]
[files]
demos = "demos.csv"
"""

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"enum": ["a", "b"]}},
    "required": ["kind"],
}


class Folder:
    """A task folder in the making."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **files: str | bytes) -> Folder:
        """Writes files; `demos_csv` is `demos.csv`."""
        for name, content in files.items():
            raw = content.encode() if isinstance(content, str) else content
            (self.path / name.replace("_", ".")).write_bytes(raw)
        return self

    def demos(self, content: str | bytes, suffix: str = "csv") -> list[Example[Any, Any]]:
        """The demonstrations in a file of this content."""
        self.write(task_toml=TOML.replace("demos.csv", f"demos.{suffix}"))
        self.write(**{f"demos_{suffix}": content})
        return list(load_task(self.path).demos)

    def problems(self, content: str | bytes, suffix: str = "csv") -> list[str]:
        """What is wrong with a file of this content, without the folder's path."""
        with pytest.raises(DataError) as caught:
            self.demos(content, suffix)
        return [str(p).replace(f"{self.path}/", "") for p in caught.value.problems]

    def refusal(self, toml: str) -> str:
        """What is wrong with a `task.toml`, without the folder's path."""
        with pytest.raises(TaskError) as caught:
            load_task(self.write(task_toml=toml, demos_csv="name,output\npeach,drupe\n").path)
        return str(caught.value).replace(f"{self.path}/", "")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def names(examples: list[Example[Any, Any]]) -> list[str]:
    return [example.input.name for example in examples]


# --- CSV ------------------------------------------------------------------------------------------


def test_a_csv_row_is_an_example(folder: Folder) -> None:
    (found,) = folder.demos("id,name,output,note\np1,peach,drupe,ripe\n")
    assert (found.id, found.input.name, found.output) == ("p1", "peach", "drupe")
    assert found.metadata == {"note": "ripe"}


def test_a_row_without_an_id_gets_one_from_its_content(folder: Folder) -> None:
    one = folder.demos("name,output\npeach,drupe\n")[0].id
    assert one == folder.demos("output,id,name\ndrupe,,peach\n")[0].id
    assert one.startswith("peach-")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_marks_and_line_ends_of_any_system_are_read(
    folder: Folder, newline: str, mark: bytes
) -> None:
    content = mark + newline.join(["name,output", "peach,drupe", "pear,pome"]).encode()
    assert names(folder.demos(content)) == ["peach", "pear"]


def test_blank_lines_are_skipped_and_counted(folder: Folder) -> None:
    text = "\n\nname,output\n\npeach,drupe\n\n\npear,peer\n"
    assert folder.problems(text)[0].startswith("demos.csv:8, field 'output', value 'peer'")


def test_quoted_newlines_are_kept_and_counted(folder: Folder) -> None:
    text = 'name,output\n"a\nb\r\nc",drupe\nx,y\n'
    assert folder.problems(text)[0].startswith("demos.csv:5, field 'output', value 'y'")
    assert names(folder.demos(text.replace("x,y", "x,pome")))[0] == "a\nb\r\nc"


def test_a_problem_names_the_rows_id(folder: Folder) -> None:
    assert folder.problems("id,name,output\np7,peach,x\n")[0].startswith(
        "demos.csv:2, example 'p7', field 'output', value 'x'"
    )


def test_long_fields_are_read(folder: Folder) -> None:
    text = "long " * 100_000
    assert names(folder.demos(f"name,output\n{text},drupe\n")) == [text]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_an_empty_file_is_an_error(folder: Folder, suffix: str, content: str) -> None:
    assert folder.problems(content, suffix) == [f"demos.{suffix}: the file is empty"]


def test_a_header_alone_is_an_error(folder: Folder) -> None:
    assert folder.problems("name,output\n") == ["demos.csv: the file has a header but no rows"]


def test_ragged_rows_are_reported_with_their_lines(folder: Folder) -> None:
    assert folder.problems("name,output\npeach\npear,pome\na,b,c\n") == [
        "demos.csv:2, value 'peach': 1 fields, but the header names 2",
        "demos.csv:4, value 'a,b,c': 3 fields, but the header names 2; put a cell that holds a "
        "comma in quotation marks",
    ]


def test_a_repeated_column_is_an_error(folder: Folder) -> None:
    assert folder.problems("name,output,name\npeach,drupe,x\n") == [
        "demos.csv:1, field 'name': the header repeats this column"
    ]


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("nme,output", "field 'name': column not found; did you mean 'nme'?"),
        ("name,ouput", "field 'output': column not found; did you mean 'ouput'?"),
        ("x,output", "field 'name': column not found; the columns are x, output"),
        ("Name ,output", "field 'name': column not found; did you mean 'Name '?"),
    ],
)
def test_a_misnamed_column_is_one_problem(folder: Folder, header: str, problem: str) -> None:
    assert folder.problems(f"{header}\npeach,drupe\npear,pome\n") == [f"demos.csv:1, {problem}"]


def test_an_unclosed_quote_names_the_line_where_it_begins(folder: Folder) -> None:
    text = 'name,output\npeach,drupe\n"pear,pome\nplum,drupe\n'
    (problem,) = folder.problems(text)
    assert problem.startswith("demos.csv:3, value '\"pear,pome': not CSV: a quotation mark begins")


def test_an_empty_cell_is_no_output(folder: Folder) -> None:
    assert folder.problems("id,name,output\np,peach,\n") == [
        "demos.csv:2, example 'p', field 'output': missing"
    ]


def test_numbers_and_truth_values_are_read_from_cells(folder: Folder) -> None:
    toml = (
        '[input]\na = "int"\nb = "float"\nc = "bool"\nd = [1, "x", 2.5]\n'
        '[output]\ntype = "float"\n[files]\ndemos = "demos.csv"\n'
    )
    folder.write(task_toml='name = "n"\n' + toml, demos_csv="a,b,c,d,output\n1,2,true,2.5,3\n")
    (found,) = load_task(folder.path).demos
    assert found.input.model_dump() == {"a": 1, "b": 2.0, "c": True, "d": 2.5}
    assert found.output == 3.0


def test_cells_that_are_no_numbers_are_reported(folder: Folder) -> None:
    folder.write(
        task_toml=TOML.replace('"str"', '"int"').replace(
            'labels = ["drupe", "pome"]', 'type = "int"'
        ),
        demos_csv="name,output\n1.5,x\n",
    )
    with pytest.raises(DataError) as caught:
        load_task(folder.path)
    assert [(p.line, p.field, p.value) for p in caught.value.problems] == [
        (2, "name", "1.5"),
        (2, "output", "x"),
    ]


def test_an_empty_row_of_a_spreadsheet_is_none(folder: Folder) -> None:
    (demo,) = folder.demos("name,output\n,\npeach,drupe\n,\n\n")
    assert demo.output == "drupe"


def test_a_workbook_is_refused_by_name(folder: Folder) -> None:
    (problem,) = folder.problems(b"PK\x03\x04" + b"\0" * 99)
    assert "not text, but a ZIP archive, as workbooks are; save the sheet as CSV UTF-8" in problem


# --- encodings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"name,output\npeach,drupe\np\xeache,drupe\n", "demos.csv:3: column 2: byte 0xea"),
        ("name,output\né,".encode() + b"\xff\n", "demos.csv:2: column 3: byte 0xff"),
        (b"\xef\xbb\xbfname,\xff\n", "demos.csv:1: column 6: byte 0xff"),
        (b"\xff\n", "demos.csv:1: column 1: byte 0xff"),
        (b"name,output\npeach\xc3", "demos.csv:2: column 6: byte 0xc3"),
    ],
)
def test_a_wrong_byte_is_reported_with_line_and_column(
    folder: Folder, content: bytes, where: str
) -> None:
    advice = 'save the file as UTF-8 (in Excel, as "CSV UTF-8")'
    assert folder.problems(content) == [f"{where} is not UTF-8; {advice}"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_refused_by_name(folder: Folder, encoding: str) -> None:
    content = ("\ufeff" if encoding == "utf-16-be" else "") + "name,output\npeach,drupe\n"
    assert folder.problems(content.encode(encoding)) == [
        'demos.csv:1: column 1: this is UTF-16; save the file as UTF-8 (in Excel, as "CSV UTF-8")'
    ]


# --- JSON Lines -----------------------------------------------------------------------------------


def test_a_json_object_is_an_example(folder: Folder) -> None:
    row = {"id": 0, "name": "peach", "output": "drupe", "note": {"ripe": [True, None]}}
    (found,) = folder.demos(json.dumps(row), "jsonl")
    assert (found.id, found.input.name, found.output) == ("0", "peach", "drupe")
    assert found.metadata == {"note": {"ripe": [True, None]}}


def test_line_separators_of_unicode_end_no_row(folder: Folder) -> None:
    row = '{"name": "a\u2028b\x85c", "output": "drupe"}\r\n\n'
    assert names(folder.demos(row, "jsonl")) == ["a\u2028b\x85c"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"name": "a", "name": "b"}', "not JSON: key 'name' is repeated"),
        ('{"name": NaN}', "not JSON: NaN is not a JSON value"),
        ('{"name": -Infinity}', "not JSON: -Infinity is not a JSON value"),
        ("[1]", 'not an object; a row reads {"field": value, …}'),
        ('"peach"', 'not an object; a row reads {"field": value, …}'),
        ('{"name": "a"', "not JSON: Expecting ',' delimiter"),
        ("name,output", "not JSON: Expecting value"),
        ("[" * 100_000, "not JSON: maximum recursion depth exceeded"),
    ],
)
def test_a_line_that_is_no_row_is_reported(folder: Folder, content: str, reason: str) -> None:
    text = f'{{"name": "x", "output": "pome"}}\n\n{content}\n'
    (problem,) = folder.problems(text, "jsonl")
    assert problem.startswith("demos.jsonl:3, value ")
    assert reason in problem


def test_values_of_the_wrong_type_are_reported_with_their_lines(folder: Folder) -> None:
    text = '{"name": 3, "output": ["pome"]}\n{"nam": "x", "output": null}\n'
    assert [p.split(":")[1] for p in folder.problems(text, "jsonl")] == [
        "1, field 'name', value 3",
        "1, field 'output', value ['pome']",
        "2, field 'name'",
    ]


def test_half_a_surrogate_pair_is_reported(folder: Folder) -> None:
    (problem,) = folder.problems('{"name": "\\ud800", "output": "pome"}\n', "jsonl")
    assert problem.startswith("demos.jsonl:1, field 'name'")


def test_an_unhashable_value_in_a_list_of_values_is_reported(folder: Folder) -> None:
    folder.write(
        task_toml=TOML.replace('"str"', '["a", "b"]').replace(".csv", ".jsonl"),
        demos_jsonl='{"name": ["a"], "output": "pome"}',
    )
    with pytest.raises(DataError, match="Input should be 'a' or 'b'"):
        load_task(folder.path)


# --- task.toml ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("instruction", "instructon", "instructon: unknown key; did you mean 'instr"),
        ("labels", "lables", "output.lables: unknown key; did you mean 'labels'"),
        ("demos =", "xyzzy =", "files.xyzzy: unknown key; choose one of: demos, tests, data"),
        ('"Name the family."', "3", "instruction: Input should be a valid string, not 3"),
        (
            'name = "str"',
            'name = "string"',
            "input.name: a type is str, int, float, bool, list[str]",
        ),
        ('name = "str"', "name = [true]", "input.name: a type is str, int, float, bool, list[str]"),
        ('name = "str"', "name = []", "input.name: the list of allowed values is empty"),
        ('name = "str"', "", "[input] names no field"),
        ('name = "str"', 'id = "str"', "input.id: a field's name is letters, digits and"),
        ('name = "str"', 'output = "str"', "input.output: a field's name is letters, digits"),
        ('name = "str"', '"a b" = "str"', "input.a b: a field's name is letters, digits and"),
        ('name = "str"', '_name = "str"', "input._name: a field's name is letters, digits and"),
        ('name = "str"', 'model_fields = "str"', "input.model_fields: pydantic keeps this name"),
        ('["drupe", "pome"]', "[]", "output.labels is empty"),
        ('["drupe", "pome"]', '["a", "a"]', "output.labels: 'a' is repeated"),
        ('["drupe", "pome"]', '["a", " b"]', "output.labels: label ' b': a label is not empty"),
        (
            '["drupe", "pome"]',
            '["a", 1.5]',
            "output.labels.1: a label is text or a whole number",
        ),
        (
            "labels =",
            'type = "str"\nlabels =',
            "exactly one of labels, scale, type, schema, fields and options",
        ),
        (
            'labels = ["drupe", "pome"]',
            "",
            "[output] has exactly one of labels, scale, type, schema, fields and options",
        ),
        ("labels =", 'column = "name"\nlabels =', "output.column: 'name' is not the output's own"),
        (
            "[files]",
            '[files]\nrepeats = "keep"',
            "files.repeats: Input should be 'error' or 'drop'",
        ),
        ('name = "fruit"\n', "", "name: missing"),
        ('"fruit"', '"fruit', "not TOML: "),
        ("demos.csv", "other.csv", "other.csv: No such file or directory"),
        ("demos.csv", "d.txt", "d.txt: a data file ends in .csv, .tsv, .jsonl or"),
    ],
)
def test_a_wrong_task_file_says_what_and_where(
    folder: Folder, old: str, new: str, reason: str
) -> None:
    assert old in TOML
    assert reason in folder.refusal(TOML.replace(old, new, 1))


def test_every_wrong_key_is_named_at_once(folder: Folder) -> None:
    message = folder.refusal(TOML.replace("labels", "lables").replace("demos =", "demo ="))
    assert message.startswith("task.toml:\n")
    assert "output.lables" in message
    assert "files.demo: unknown key; did you mean 'demos'?" in message


def test_a_missing_folder_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"not found \(the folder does not exist\); `promptkit new"):
        load_task(tmp_path / "nothing")
    with pytest.raises(TaskError, match=r"task.toml: not found; `promptkit new DIR` makes a task"):
        load_task(tmp_path)


def test_a_task_file_in_another_encoding_is_reported_with_its_place(folder: Folder) -> None:
    folder.write(task_toml=b'name = "fruit"\ninstruction = "\xe9"')
    with pytest.raises(TaskError, match=r"task\.toml:2: column 16: byte 0xe9 is not UTF-8"):
        load_task(folder.path)


def test_a_task_file_may_have_a_byte_order_mark(folder: Folder) -> None:
    folder.write(task_toml="\ufeff" + TOML, demos_csv="name,output\npeach,drupe\n")
    assert load_task(folder.path / "task.toml").name == "fruit"


@pytest.mark.parametrize("name", ["json", "copy", "class", "model_year", "größe", "origin"])
def test_a_field_may_have_any_other_name(folder: Folder, name: str) -> None:
    folder.write(
        task_toml=TOML.replace('name = "str"', f'"{name}" = "str"'),
        demos_csv=f"{name},output\npeach,drupe\n",
    )
    task = load_task(folder.path)
    prompt = Template("{{ query." + name + " }}:").render(task, query={name: "x"})
    assert task.fields_of(task.demos[0]) == {name: "peach"}
    assert prompt.text == "x:"


def test_the_output_may_stand_in_a_column_of_another_name(folder: Folder) -> None:
    folder.write(
        task_toml=TOML.replace("labels =", 'column = "family"\nlabels ='),
        demos_csv="name,family,note\npeach,drupe,x\n",
    )
    (found,) = load_task(folder.path).demos
    assert found.output == "drupe"
    assert found.metadata == {"note": "x"}


def test_problems_of_every_file_are_reported_together(folder: Folder) -> None:
    folder.write(
        task_toml=TOML + 'tests = "tests.csv"\n',
        demos_csv="name,output\npeach,x\nplum,drupe\npear,pome\n",
        tests_csv="name,output\nfig\nplum,drupe\n",
    )
    with pytest.raises(DataError) as caught:
        load_task(folder.path)
    assert [(Path(p.file or "").name, p.line) for p in caught.value.problems] == [
        ("demos.csv", 2),
        ("tests.csv", 2),
        ("tests.csv", 3),
    ]
    assert f"as {folder.path}/demos.csv:3;" in caught.value.problems[2].reason


def test_repeats_are_errors_with_both_places(folder: Folder) -> None:
    assert folder.problems("id,name,output\n1,peach,drupe\n2,peach,drupe\n3,peach,pome\n") == [
        "demos.csv:3, example '2', field 'input', value 'peach': "
        'the same row as demos.csv:2; delete one, or write repeats = "drop" in [files] of '
        "task.toml",
        "demos.csv:4, example '3', field 'output', value 'pome': the same input as "
        "demos.csv:2, which has the output 'drupe'; keep one",
    ]


def test_repeats_can_be_dropped_and_the_caller_is_told(folder: Folder) -> None:
    folder.write(
        task_toml=TOML + 'tests = "tests.csv"\nrepeats = "drop"\n',
        demos_csv="name,output\npeach,drupe\npeach,drupe\nplum,drupe\npear,pome\n",
        tests_csv="name,output\nplum,drupe\nfig,pome\nfig,pome\n",
    )
    told: list[str] = []
    task = load_task(folder.path, notify=told.append)
    assert names(list(task.demos)) == ["peach", "pear"]
    assert names(list(task.tests)) == ["plum", "fig"]
    assert told == [
        "tests: 1 rows left out (repeated, or also among the tests)",
        "demos: 2 rows left out (repeated, or also among the tests)",
    ]


def test_dropping_repeats_keeps_two_labels_for_one_input_an_error(folder: Folder) -> None:
    folder.write(
        task_toml=TOML + 'repeats = "drop"\n',
        demos_csv="name,output\npeach,drupe\npeach,drupe\npeach,pome\n",
    )
    with pytest.raises(DataError, match=r"demos.csv:4.*the same input as"):
        load_task(folder.path)


# --- JSON Schema ----------------------------------------------------------------------------------


def schema_folder(folder: Folder, demos: str, schema: str = json.dumps(SCHEMA)) -> Path:
    toml = TOML.replace('labels = ["drupe", "pome"]', 'schema = "answer.schema.json"')
    folder.write(task_toml=toml.replace("demos.csv", "demos.jsonl"), demos_jsonl=demos)
    (folder.path / "answer.schema.json").write_text(schema)
    return folder.path


def test_outputs_can_have_a_json_schema(folder: Folder) -> None:
    task = load_task(schema_folder(folder, '{"name": "x", "output": {"kind": "a"}}'))
    assert task.demos[0].output == {"kind": "a"}
    assert task.output_type.schema == SCHEMA
    assert task.labels == ()


def test_an_output_outside_the_schema_is_reported_with_its_place(folder: Folder) -> None:
    path = schema_folder(folder, '{"name": "x", "output": {"kind": "c"}}')
    with pytest.raises(DataError, match=r"demos.jsonl:1, field 'output'.*\$\.kind: 'c' is not one"):
        load_task(path)


@pytest.mark.parametrize("schema", ["{", '{"type": "thing"}'])
def test_a_wrong_schema_is_an_error_of_the_task(folder: Folder, schema: str) -> None:
    with pytest.raises(TaskError, match=r"answer.schema.json: not a JSON Schema"):
        load_task(schema_folder(folder, "", schema))


# --- out and in again -----------------------------------------------------------------------------


rows = st.lists(
    st.tuples(some_text, texts.filter(bool), st.sampled_from(["drupe", "pome", "berry"]), texts),
    unique_by=(lambda row: row[0].casefold(), lambda row: row[1]),
    min_size=1,
    max_size=5,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(rows=rows, column=some_text, format=st.sampled_from(["csv", "jsonl"]))
def test_a_task_survives_saving_and_loading(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, Family, str]],
    column: str,
    format: Literal["csv", "jsonl"],
) -> None:
    if column in ("id", "name", "output"):
        column = "note"
    task = Task[Fruit, Family](
        name="fruit",
        instruction=rows[0][0],
        demos=[
            Example(input=Fruit(name=name), output=family, id=id, metadata={column: note})
            for name, id, family, note in rows
        ],
    )
    path = tmp_path_factory.mktemp("task")
    nul = any("\0" in text for row in (*rows, (column,)) for text in row)
    if sys.version_info < (3, 11) and format == "csv" and nul:
        with pytest.raises(TaskError, match="write JSON Lines"):
            save_task(task, path / "one", format)
        return
    save_task(task, path / "one", format)
    once = load_task(path / "one")
    save_task(once, path / "two", format)
    twice = load_task(path / "two")
    for found in (once, twice):
        assert found.fingerprint == task.fingerprint
        assert found.instruction == task.instruction
        assert [e.id for e in found.demos] == [e.id for e in task.demos]
        assert [dict(e.metadata) for e in found.demos] == [dict(e.metadata) for e in task.demos]


class Number(Enum):
    ONE = 1
    TWO = 2


class Answer(BaseModel):
    kind: Literal["a", "b"]


class Mixed(BaseModel):
    """Every type that task.toml knows."""

    text: str
    count: int
    size: float
    ripe: bool
    kind: Literal["a", 1]
    place: Kind


@pytest.mark.parametrize("format", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("output", "value", "loaded"),
    [
        (Family, "pome", "pome"),
        (Kind, Kind.POME, "pome"),
        (Number, Number.TWO, 2),
        (Literal[1, 2], 2, 2),
        (bool, False, False),
        (int, 3, 3),
        (float, 0.1, 0.1),
        (str, "", ""),
        (str, "null", "null"),
        (list[str], ["é", '"'], ["é", '"']),
        (Answer, Answer(kind="a"), {"kind": "a"}),
    ],
)
def test_every_type_of_output_survives(
    tmp_path: Path, output: Any, value: Any, loaded: Any, format: Literal["csv", "jsonl"]
) -> None:
    task = Task[Fruit, output](name="t", demos=[{"input": {"name": "x"}, "output": value}])
    save_task(task, tmp_path, format)
    found = load_task(tmp_path)
    assert found.demos[0].output == loaded
    assert found.labels == task.labels
    assert found.answer_of(found.demos[0]) == task.answer_of(task.demos[0])


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_every_type_of_input_survives(tmp_path: Path, format: Literal["csv", "jsonl"]) -> None:
    values = {"text": "1", "count": 1, "size": 1e300, "ripe": True, "kind": 1, "place": "pome"}
    task = Task[Mixed, str](name="t", demos=[{"input": values, "output": "x"}])
    save_task(task, tmp_path, format)
    assert load_task(tmp_path).demos[0].input.model_dump() == values


def test_a_task_without_tests_or_demonstrations_survives(tmp_path: Path) -> None:
    save_task(fruits({}), tmp_path)
    assert load_task(tmp_path).fingerprint == fruits({}).fingerprint


def test_a_saved_task_keeps_its_own_templates(tmp_path: Path) -> None:
    own = tmp_path / "one" / "templates"
    own.mkdir(parents=True)
    (own / "mine.j2").write_text("{{ query.name }}?")
    task = fruits(template="mine.j2", folder=tmp_path / "one")
    save_task(task, tmp_path / "two")
    found = load_task(tmp_path / "two")
    assert Template.of(found).render(found, query={"name": "fig"}).text == "fig?"


@pytest.mark.parametrize(
    ("metadata", "format", "reason"),
    [
        ({"note": 3}, "csv", "metadata 'note': CSV holds text only, this is 3; write JSON Lines"),
        ({"note": None}, "csv", "column 'note': CSV cannot leave a value out"),
        ({"note": float("nan")}, "jsonl", "JSON cannot hold this row"),
        ({"note": object()}, "jsonl", "JSON cannot hold this row"),
        ({"output": "x"}, "jsonl", "the metadata 'output' has the name of a column"),
        ({"name": "x"}, "csv", "the metadata 'name' has the name of a column"),
    ],
)
def test_what_a_format_cannot_hold_is_an_error_and_no_loss(
    tmp_path: Path, metadata: dict[str, Any], format: Literal["csv", "jsonl"], reason: str
) -> None:
    demos = [Example(input=Fruit(name="a"), output="pome", metadata=metadata)]
    with pytest.raises(TaskError) as caught:
        save_task(Task[Fruit, Family](name="t", demos=demos), tmp_path, format)
    assert reason in str(caught.value)


def test_metadata_of_some_rows_only_needs_json_lines(tmp_path: Path) -> None:
    demos = [
        Example(input=Fruit(name="a"), output="pome", metadata={"note": "x"}),
        Example(input=Fruit(name="b"), output="pome"),
    ]
    task = Task[Fruit, Family](name="t", demos=demos)
    with pytest.raises(TaskError, match="cannot leave a value out"):
        save_task(task, tmp_path, "csv")
    save_task(task, tmp_path, "jsonl")
    assert [e.metadata for e in load_task(tmp_path).demos] == [{"note": "x"}, {}]


class Nested(BaseModel):
    fruit: Fruit


def nested() -> Task[Nested, Any]:
    demos = [{"input": {"fruit": {"name": "apple"}}, "output": "pome"}]
    return Task[Nested, Family](name="t", demos=demos)


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_nested_input_is_saved_and_loaded(tmp_path: Path, format: Any) -> None:
    save_task(nested(), tmp_path, format)
    (demo,) = load_task(tmp_path).demos
    assert demo.input.model_dump() == {"fruit": {"name": "apple"}}


def test_a_mapping_as_an_input_stays_in_python(tmp_path: Path) -> None:
    class Counts(BaseModel):
        of: dict[str, int]

    demos = [{"input": {"of": {"apple": 1}}, "output": "pome"}]
    with pytest.raises(TaskError, match=r"input field 'of': task\.toml knows str, int"):
        save_task(Task[Counts, Family](name="t", demos=demos), tmp_path)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_nested_inputs_are_written_as_json(tmp_path: Path, name: str) -> None:
    task = nested()
    write_examples(tmp_path / name, task.demos, task.output_type)
    found, _ = read_examples(read_data_file(tmp_path / name), ExampleParser(Nested, Family, []))
    assert found == list(task.demos)


def test_a_file_of_another_kind_is_neither_read_nor_written(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("name\n")
    with pytest.raises(TaskError, match=r"a data file ends in .csv, .tsv, .jsonl or .parquet"):
        list(read_data_file(tmp_path / "a.txt").rows([]))
    with pytest.raises(TaskError, match=r"a data file ends in .csv, .tsv, .jsonl or .parquet"):
        write_examples(tmp_path / "a.txt", ExampleSet(()), OutputType(str))


# --- Parquet --------------------------------------------------------------------------------------


def test_parquet_is_read_with_its_rows_as_lines(tmp_path: Path) -> None:
    table = {"name": ["peach", "pear"], "output": ["drupe", "pome"], "ripe": [True, None]}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    found, lines = read_examples(
        read_data_file(tmp_path / "a.parquet"), ExampleParser(Fruit, Family, [])
    )
    assert names(found) == ["peach", "pear"]
    assert [example.metadata for example in found] == [{"ripe": True}, {}]
    assert lines[1] == 2


def test_parquet_rows_that_do_not_fit_are_named(tmp_path: Path) -> None:
    table = {"name": ["peach", "pear"], "output": ["drupe", "pomme"]}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    parser = ExampleParser(Fruit, Family, [])
    read_examples(read_data_file(tmp_path / "a.parquet"), parser)
    assert "a.parquet:2, field 'output', value 'pomme'" in str(parser.problems[0])


def test_what_only_looks_like_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("name,output\npeach,drupe\n")
    with pytest.raises(TaskError, match=r"a\.parquet: .*[Pp]arquet"):
        list(read_data_file(tmp_path / "a.parquet").rows([]))
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(TaskError, match=r"a\.parquet: not Parquet: \S+") as caught:
        list(read_data_file(tmp_path / "a.parquet").rows([]))
    assert str(caught.value).count("a.parquet") == 1
    with pytest.raises(TaskError, match=r"absent\.parquet: No such file or directory$") as caught:
        list(read_data_file(tmp_path / "absent.parquet").rows([]))
    assert str(caught.value).count("absent.parquet") == 1
    with pytest.raises(TaskError, match="only read"):
        write_examples(tmp_path / "b.parquet", ExampleSet(()), OutputType(str))


# --- inputs without outputs -----------------------------------------------------------------------


class Optional(BaseModel):
    name: str
    colour: str = "green"


def test_inputs_need_no_output_and_no_column_that_has_a_default(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name\npeach\nfig\n")
    parser = ExampleParser(Optional, Family, [])
    found, lines = read_examples(read_data_file(tmp_path / "a.csv"), parser)
    assert [e.input.colour for e in found] == ["green", "green"]
    assert [e.output for e in found] == [None, None]
    assert lines == [2, 3]
    assert parser.problems == []


@pytest.mark.parametrize("name", ["id", "output"])
def test_an_input_field_does_not_take_a_reserved_name(tmp_path: Path, name: str) -> None:
    from pydantic import create_model

    parser = ExampleParser(create_model("Input", **{name: (str, ...)}), Family, [])
    with pytest.raises(TaskError, match=f"input field '{name}': this name is reserved"):
        read_examples(DataFile(tmp_path / "a.csv", ""), parser)


# --- size and damage ------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_hundred_thousand_rows_load_in_half_a_minute_of_a_processor(folder: Folder) -> None:
    rows = "".join(f"fruit number {i} é,drupe,{i}\n" for i in range(200_000))
    folder.write(task_toml=TOML, demos_csv=f"name,output,note\n{rows}")
    start = time.process_time()
    assert len(load_task(folder.path).demos) == 200_000
    assert time.process_time() - start < 30


@settings(deadline=None, max_examples=100)
@given(
    content=st.binary(max_size=40) | texts.map(str.encode), suffix=st.sampled_from(["csv", "jsonl"])
)
def test_any_file_loads_or_is_refused_on_purpose(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str
) -> None:
    folder = Folder(tmp_path_factory.mktemp("task"))
    prefix = b"name,output\n" if suffix == "csv" else b'{"name": "a", "output": "pome"}\n'
    try:
        found = folder.demos(prefix + content, suffix)
    except PromptkitError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert all(example.output in ("drupe", "pome") for example in found)
    assert not refusal or f"demos.{suffix}" in refusal


def test_whole_numbers_may_be_labels(tmp_path: Path) -> None:
    task = Task[Fruit, Literal[1, 2, 10]](
        name="stars", demos=[Example(input=Fruit(name="fig"), output=10)]
    )
    for format in ("csv", "jsonl"):
        save_task(task, tmp_path / format, format)  # type: ignore[arg-type]
        again = load_task(tmp_path / format)
        assert (again.fingerprint, again.demos[0].output) == (task.fingerprint, 10)
