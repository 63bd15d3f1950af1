"""Bulk prediction: any rows in, typed predictions and rejects out, in parts that resume."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import duckdb
import pandas as pd
import polars
import pyarrow
import pytest
from bulk_child import TASK, ByDigest, Name, write_rows
from hypothesis import given
from hypothesis import strategies as st
from processes import python
from pyarrow import parquet
from pydantic import create_model

import promptkit as pk
from promptkit.bulk.bulk_assembly import BulkResult, beside
from promptkit.bulk.bulk_estimate import estimate
from promptkit.bulk.bulk_inputs import input_stream
from promptkit.bulk.bulk_parts import PartFolder
from promptkit.bulk.bulk_rows import normalised
from promptkit.bulk.bulk_run import BulkProgress
from promptkit.errors import DataError, PromptTooLongError, TaskError
from promptkit.files.delimited import csv_rows, csv_stream
from promptkit.selection.draw import draws_of

Rows = list[dict[str, Any]]
PLAIN = "{% example %}{{ input.name }}: {{ output }}\n{% endexample %}"


def predicted(inputs: Any, out: Path, asked: Any = None, **how: Any) -> BulkResult:
    return pk.predict(asked or ByDigest(), inputs, out=out, store=pk.Store(), **how)


def lines_of(file: Path) -> Rows:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def rejects_of(out: Path) -> Rows:
    return lines_of(beside(out, "rejects.jsonl"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


# Rows out.


def test_rows_are_those_of_the_predictor_in_the_order_of_the_input(out: Path) -> None:
    task = pk.load_task("examples/fruit")
    predictor = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=4)
    done = predicted(task.tests, out, predictor, chunk_rows=7)
    made = predictor.predict(task.tests)
    assert (done.rows, done.rejects, done.asked, done.complete) == (51, 0, 51, True)
    rows = lines_of(out)
    assert [row["line"] for row in rows] == [*range(1, 52)]
    for row, one in zip(rows, made, strict=True):
        assert row["id"] == one.id
        assert row["input"] == one.input
        for name in ("label", "probs", "margin", "coverage", "abstained", "text", "failure"):
            assert row[name] == getattr(one, name, False)


def test_the_three_formats_hold_the_same(tmp_path: Path) -> None:
    for suffix in ("jsonl", "csv", "parquet"):
        predicted([{"name": f"n{i}"} for i in range(30)], tmp_path / f"o.{suffix}", chunk_rows=8)
    rows = lines_of(tmp_path / "o.jsonl")
    table = parquet.read_table(tmp_path / "o.parquet")
    assert table.to_pylist() == rows
    assert [str(kind) for kind in table.schema.types[-2:]] == ["string", "string"]
    manifest = json.loads(table.schema.metadata[b"promptkit"])
    assert manifest["made_of"]["predictor"] == "by digest"
    assert manifest == json.loads((tmp_path / "o.csv.manifest.json").read_text())
    frame = pd.read_csv(tmp_path / "o.csv")
    assert [*frame["input.name"]] == [row["input"]["name"] for row in rows]
    assert [*map(json.loads, frame["probs"])] == [row["probs"] for row in rows]
    assert [*frame["label"]] == [row["label"] for row in rows]


def test_options_of_each_query_are_a_map_in_parquet(tmp_path: Path) -> None:
    task = pk.load_task("examples/quiz")
    predictor = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    for suffix in ("jsonl", "parquet"):
        predicted(task.tests, tmp_path / f"o.{suffix}", predictor, chunk_rows=5)
    table = parquet.read_table(tmp_path / "o.parquet")
    assert str(table.schema.field("probs").type).startswith("map<string, double")
    probs = [dict(pairs) for pairs in table["probs"].to_pylist()]
    assert probs == [row["probs"] for row in lines_of(tmp_path / "o.jsonl")]


def test_values_without_a_common_type_are_json_in_parquet(tmp_path: Path) -> None:
    value = create_model("Either", value=(int | str, ...))
    task = pk.Task[value, str](name="either")  # type: ignore[valid-type]
    asked = pk.Predictor(task, pk.Template(PLAIN.replace("name", "value")), pk.FakeModel())
    rows = [{"value": 1}, {"value": "a\r\nb"}]
    predicted(rows, tmp_path / "o.parquet", asked)
    table = parquet.read_table(tmp_path / "o.parquet")
    assert [*map(json.loads, table["input"].to_pylist())] == rows
    predicted(rows, tmp_path / "o.csv", asked)
    assert [*pd.read_csv(tmp_path / "o.csv")["input.value"]] == ["1", "a\r\nb"]


# Rows in.


def test_files_and_streams_are_read_alike(tmp_path: Path) -> None:
    rows = [{"id": f"r{i}", "name": f"näme {i}", "more": i} for i in range(50)]
    frame = pd.DataFrame(rows)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "b.tsv", index=False, sep="\t", encoding="utf-8-sig")
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "c.jsonl").write_text(text)
    (tmp_path / "d.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    frame.to_parquet(tmp_path / "e.parquet", row_group_size=7)
    files: list[Any] = sorted(tmp_path.iterdir())
    table = pyarrow.Table.from_pandas(frame)
    lake = duckdb.connect()
    lake.register("frame", frame)
    relation = lake.sql("SELECT id, name, more FROM frame ORDER BY more")
    frames = [frame, polars.DataFrame(rows), relation]
    streams = [*frames, table, table.to_reader(max_chunksize=9), rows, iter(rows)]
    examples = [pk.Example(input=Name(name=row["name"]), id=row["id"]) for row in rows]
    found = []
    for number, inputs in enumerate([*files, *streams, examples]):
        out = tmp_path / f"out{number}.jsonl"
        assert predicted(inputs, out, chunk_rows=11).rows == 50
        found.append([{k: v for k, v in row.items() if k != "line"} for row in lines_of(out)])
    assert all(one == found[0] for one in found)
    assert [row["id"] for row in found[0]] == [row["id"] for row in rows]


def test_frames_of_other_types_are_read_as_texts(tmp_path: Path) -> None:
    """Categories and views of texts are texts, and what is missing is a reject."""
    names = ["plum", "fig", None, "plum"]
    categories = polars.DataFrame({"name": polars.Series(names, dtype=polars.Categorical)})
    relation = duckdb.connect().sql(
        "SELECT CAST(name AS ENUM ('plum', 'fig')) AS name "
        "FROM (VALUES (0, 'plum'), (1, 'fig'), (2, NULL), (3, 'plum')) rows (n, name) ORDER BY n"
    )
    frames = [pd.DataFrame({"name": pd.Categorical(names)}), categories, relation]
    for number, frame in enumerate(frames):
        out = tmp_path / f"{number}.jsonl"
        told: list[BulkProgress] = []
        done = predicted(frame, out, chunk_rows=2, progress=told.append)
        assert [row["input"]["name"] for row in lines_of(out)] == ["plum", "fig", "plum"]
        assert (done.rejects, rejects_of(out)[0]["line"]) == (1, 3)
        assert told[-1].fraction == 1.0


def test_a_relation_is_read_in_batches(out: Path) -> None:
    """Its first rows are there long before a hundred million are."""
    many = duckdb.connect().sql("SELECT CAST(range % 9 AS VARCHAR) AS name FROM range(100000000)")
    assert predicted(many, out, limit=20, chunk_rows=10).rows == 20


def test_a_model_without_an_id_gets_one_of_its_content(out: Path) -> None:
    predicted([Name(name="plum")], out)
    assert lines_of(out)[0]["id"] == TASK.as_query({"name": "plum"}).id


def test_rows_that_do_not_fit_are_rejected_with_line_and_reason(tmp_path: Path, out: Path) -> None:
    text = b'name,id\nplum,1\npear,2,3\nr\xe9d,4\n"fig,5\n\nkiwi,6\n'
    (tmp_path / "in.csv").write_bytes(text)
    done = predicted(tmp_path / "in.csv", out)
    assert [(row["line"], row["id"]) for row in lines_of(out)] == [(2, "1"), (7, "6")]
    assert done.rejects_file.exists()
    found = [(row["line"], row["reason"][:20], row["value"]) for row in rejects_of(out)]
    assert found == [
        (3, "3 fields, but the he", "pear,2,3"),
        (4, "byte 0xe9 is not UTF", {"name": "r\udce9d", "id": "4"}),
        (5, "not CSV: a quotation", '"fig,5'),
    ]


def test_records_and_lines_that_do_not_fit(tmp_path: Path, out: Path) -> None:
    rows = [{"name": "a"}, {"nome": "b"}, 3, {"name": None}, {"name": ["c"]}, {"name": "\ud800"}]
    predicted(rows, out)
    assert [(row["line"], row["field"], row["reason"]) for row in rejects_of(out)] == [
        (2, "name", "missing; did you mean 'nome'?"),
        (3, None, "not a record; a row is a mapping, this is a int"),
        (4, "name", "missing value"),
        (5, "name", "Input should be a valid string"),
        (6, "name", "half of a surrogate pair, which is no character"),
    ]
    (tmp_path / "in.jsonl").write_text('{"name": "a"}\n[1]\n{"name": NaN}\n{"name"\n')
    other = tmp_path / "other.jsonl"
    predicted(tmp_path / "in.jsonl", other)
    assert [row["line"] for row in rejects_of(other)] == [2, 3, 4]


def test_a_strict_run_stops_at_the_first_row_and_goes_on_when_it_is_mended(
    tmp_path: Path, out: Path
) -> None:
    file = tmp_path / "in.csv"
    file.write_text("name,id\n" + "".join(f"n{i},{i}\n" for i in range(9)) + "x,y,z\nn,10\n")
    with pytest.raises(DataError, match=r"in\.csv:11, value 'x,y,z': 3 fields"):
        predicted(file, out, strict=True, chunk_rows=4)
    assert not out.exists()
    done = predicted(file, out, chunk_rows=4)
    assert (done.before, done.rows, done.rejects) == (8, 10, 1)
    more = tmp_path / "more.jsonl"
    predicted(file, more, chunk_rows=4, shard="1/2")
    with pytest.raises(DataError, match=r"in\.csv:11"):
        predicted(file, more, strict=True, chunk_rows=4)


def test_a_prompt_that_does_not_fit_is_one_reject_among_the_rows(out: Path) -> None:
    template = pk.Template(PLAIN)
    asked = pk.Predictor(TASK, template, pk.FakeModel(context=60))
    rows = [{"name": "long " * 20 if i == 13 else f"n{i}"} for i in range(40)]
    done = predicted(rows, out, asked)
    assert (done.rows, done.rejects, done.asked) == (39, 1, 39)
    (reject,) = rejects_of(out)
    assert reject["line"] == 14
    assert "do not fit the context of 60" in reject["reason"]
    with pytest.raises(PromptTooLongError):
        predicted([{"name": "long " * 20}] * 3, out.with_name("all.jsonl"), asked)


def test_a_header_without_a_column_is_an_error_and_columns_can_be_named(
    tmp_path: Path, out: Path
) -> None:
    (tmp_path / "in.csv").write_text("key,fruit\n1,plum\n")
    with pytest.raises(DataError, match="field 'name': column not found"):
        predicted(tmp_path / "in.csv", out)
    predicted(tmp_path / "in.csv", out, columns={"name": "fruit", "id": "key"}, overwrite=True)
    assert [(row["id"], row["input"]) for row in lines_of(out)] == [("1", {"name": "plum"})]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ("nowhere.csv", "nowhere.csv: No such file"),
        ("in.txt", "a data file ends in"),
        (3, "no rows to predict: 3"),
        ({"name": "a"}, "no rows to predict"),
        (polars.Series(["a"]), "Series: no table of rows: .*; give a data frame"),
        (polars.LazyFrame({"name": ["a"]}), "a lazy one collected"),
    ],
)
def test_inputs_that_hold_no_rows(here: Path, inputs: Any, reason: str) -> None:
    (here / "in.txt").write_text("a")
    with pytest.raises(TaskError, match=reason):
        predicted(inputs, here / "out.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"", "the file is empty"),
        ("a.csv", "name\na\n".encode("utf-16"), "this is UTF-16"),
        ("a.jsonl.gz", gzip.compress(b'{"name": "a"}\n' * 99, mtime=0)[:-9], "damaged gzip"),
        ("a.jsonl.gz", b"not gzip", "damaged gzip"),
        ("a.parquet", b"PAR1 no", "not Parquet"),
    ],
    ids=["empty", "utf-16", "cut-gzip", "no-gzip", "no-parquet"],  # gzip writes the time
)
def test_files_that_cannot_be_read(here: Path, name: str, content: bytes, reason: str) -> None:
    (here / name).write_bytes(content)
    with pytest.raises((TaskError, DataError), match=f"{name}.*: .*{reason}"):
        predicted(here / name, here / "out.jsonl")


CELLS = st.text(st.sampled_from('ab"\n\r,; é'), max_size=8)


@given(st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=12), st.integers(1, 40))
def test_a_stream_of_csv_is_read_as_the_whole_text(rows: list[list[str]], window: int) -> None:
    quoted = [["a", "b"], *rows]
    text = "".join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in quoted
    )
    path, problems = Path("a.csv"), list[Any]()
    streamed = csv_stream(path, text.splitlines(keepends=True), [], ["a"], window)
    lines = text.replace("\r", "\n").count("\n")
    if lines == text.count("\n"):  # splitlines() splits at a lone carriage return too
        assert [*streamed] == [*csv_rows(path, text, problems, ["a"])]
        assert problems == []


# Equal rows.


def test_rows_that_are_equal_after_normalisation_are_asked_once(out: Path) -> None:
    names = ["café", "cafe\u0301", " café\n", "ca fé", "ca \u00a0 fé", "Café", "café"] * 50
    asked = ByDigest()
    done = predicted([{"name": name} for name in names], out, asked, chunk_rows=10)
    assert asked.asked == ["café", "ca fé", "Café"]
    assert (done.rows, done.asked) == (350, 3)
    rows = lines_of(out)
    assert [row["input"]["name"] for row in rows] == names
    assert len({row["label"] + str(row["probs"]) for row in rows}) <= 3
    verbatim = ByDigest()
    predicted([{"name": name} for name in names], out, verbatim, normalise=False, overwrite=True)
    assert verbatim.asked == names[:6]


@given(st.text())
def test_normalisation_does_nothing_twice(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_other_columns_count_where_the_template_may_print_them(out: Path) -> None:
    rows = [{"name": "a", "more": "x"}, {"name": "a", "more": "y"}]
    plain = pk.Template(PLAIN)
    model = pk.FakeModel()
    assert predicted(rows, out, pk.Predictor(TASK, plain, model)).asked == 1
    printed = pk.Template(PLAIN.replace("name", "metadata.more"))
    done = predicted(rows, out, pk.Predictor(TASK, printed, model), overwrite=True)
    assert done.asked == 2


# Going on.


def broken(rows: Rows, end: int) -> Iterator[dict[str, Any]]:
    yield from rows[:end]
    raise RuntimeError("the connection is lost")


def test_a_run_goes_on_from_its_parts(out: Path) -> None:
    rows = [{"name": f"n{i}"} for i in range(100)]
    with pytest.raises(RuntimeError, match="lost"):
        predicted(broken(rows, 55), out, chunk_rows=10)
    assert not out.exists()
    asked = ByDigest()
    done = predicted(rows, out, asked, chunk_rows=10)
    assert (done.before, done.rows) == (50, 100)
    assert asked.asked == [row["name"] for row in rows[50:]]
    assert not PartFolder(out).path.exists()


def test_a_complete_run_is_not_done_again(out: Path) -> None:
    rows = [{"name": f"n{i}"} for i in range(20)]
    first, asked = predicted(rows, out), ByDigest()
    again = predicted(rows, out, asked)
    assert (again.rows, again.asked, asked.asked) == (first.rows, first.asked, [])
    with pytest.raises(TaskError, match="the input has changed since it was predicted"):
        predicted([*rows[:-1], {"name": "m"}], out)
    with pytest.raises(TaskError, match=r"predicted from something else .*limit null, now 3"):
        predicted(rows, out, limit=3)
    assert predicted(rows, out, limit=3, overwrite=True).rows == 3
    (out.with_name("other.jsonl")).write_text("mine")
    with pytest.raises(TaskError, match="exists: it was not written by promptkit predict"):
        predicted(rows, out.with_name("other.jsonl"))


def test_parts_of_something_else_are_refused_or_replaced(out: Path) -> None:
    rows = [{"name": f"n{i}"} for i in range(30)]
    with pytest.raises(RuntimeError):
        predicted(broken(rows, 25), out, chunk_rows=10)
    with pytest.raises(TaskError, match=r"an unfinished run of something else .*chunk rows 10"):
        predicted(rows, out, chunk_rows=5)
    changed = [{"name": "other"}, *rows[1:]]
    with pytest.raises(TaskError, match="rows 1 to 10 are not those of the unfinished run"):
        predicted(changed, out, chunk_rows=10)
    done = predicted(changed, out, chunk_rows=10, overwrite=True)
    assert (done.before, done.rows) == (10, 30)
    assert lines_of(out)[0]["input"] == {"name": "other"}


def test_another_predictor_of_the_same_name_is_another_run(out: Path) -> None:
    task = pk.load_task("examples/fruit")
    predictors = [
        pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=shots) for shots in (1, 2)
    ]
    predicted(task.tests, out, predictors[0])
    with pytest.raises(TaskError, match=r"something else \(the predictor, under the same name\)"):
        predicted(task.tests, out, predictors[1])


def test_a_damaged_part_is_predicted_again(out: Path) -> None:
    rows = [{"name": f"n{i}"} for i in range(30)]
    with pytest.raises(RuntimeError):
        predicted(broken(rows, 25), out, chunk_rows=10)
    file = PartFolder(out).file(1)
    file.write_bytes(file.read_bytes()[:-20])
    assert predicted(rows, out, chunk_rows=10).before == 10
    assert [row["line"] for row in lines_of(out)] == [*range(1, 31)]


def test_stored_predictions_are_not_asked_again(out: Path) -> None:
    task, model = pk.load_task("examples/fruit"), pk.FakeModel()
    predictor = pk.Predictor(task, pk.Template.of(task), model)
    with pk.Store() as store:
        predictor.predict(task.tests, store=store)
        before = model.usage.decoded_tokens
        pk.predict(predictor, task.tests, out=out, store=store)
    assert model.usage.decoded_tokens == before


def test_queries_of_a_chunk_are_forgotten_after_it(out: Path) -> None:
    task = pk.load_task("examples/fruit")
    for shots in (0, 4):
        predictor = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=shots)
        predicted(task.tests, out, predictor, chunk_rows=10, overwrite=True)
        assert draws_of(task.demos).remembered == 0


MEASURE = """
import sys
from pathlib import Path
from bulk_child import ByDigest
from promptkit import Store, predict
rows = ({"name": f"a name that is the number {i}"} for i in range(int(sys.argv[2])))
predict(ByDigest(), [{"name": "a"}], out=sys.argv[1] + ".first.jsonl", store=Store())
def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
before = peak()
predict(ByDigest(), rows, out=sys.argv[1], store=Store())
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
def test_memory_does_not_grow_with_the_rows(out: Path) -> None:
    done = python(MEASURE, out, 60_000)
    assert done.stderr == ""
    print(f"\n60,000 rows: {float(done.stdout):.0f} MB")
    assert 0 < float(done.stdout) < 50


# Shards.


def test_shards_merge_into_what_one_run_writes(tmp_path: Path, out: Path) -> None:
    inputs, whole = tmp_path / "in.csv", tmp_path / "whole.jsonl"
    write_rows(inputs, 950)
    predicted(inputs, whole, chunk_rows=100)
    for shard in ("3/3", "1/3"):
        done = predicted(inputs, out, chunk_rows=100, shard=shard)
        assert not done.complete
        assert not out.exists()
    with pytest.raises(TaskError, match=r"3 parts of 10 missing \(number 2, 5, 8\)"):
        pk.merge_shards(out)
    predicted(inputs, out, chunk_rows=100, shard="2/3")
    merged = pk.merge_shards(out)
    assert out.read_bytes() == whole.read_bytes()
    assert rejects_of(out) == rejects_of(whole)
    assert pk.merge_shards(out).rows == merged.rows
    assert not PartFolder(out).path.exists()


def test_a_run_without_shards_completes_what_shards_left(tmp_path: Path, out: Path) -> None:
    inputs = tmp_path / "in.csv"
    write_rows(inputs, 500)
    predicted(inputs, out, chunk_rows=100, shard="2/2")
    assert predicted(inputs, out, chunk_rows=100).before == 200


@pytest.mark.parametrize("shard", ["3", "0/2", "3/2", "a/b", "1/2/3"])
def test_shards_are_named_by_two_numbers(out: Path, shard: str) -> None:
    with pytest.raises(TaskError, match="such as 2/4"):
        predicted([], out, shard=shard)


def test_merging_without_parts_is_an_error(out: Path) -> None:
    with pytest.raises(TaskError, match="no parts of shards"):
        pk.merge_shards(out)


def test_two_shards_run_at_once_and_no_whole_run_beside_them(out: Path) -> None:
    folder = PartFolder(out)
    rows = [{"name": f"n{i}"} for i in range(30)]

    def during(name: str) -> Callable[[BulkProgress], None]:
        def tell(_: BulkProgress) -> None:
            with pytest.raises(TaskError, match="another process is writing it"):
                predicted(rows, out, chunk_rows=10, shard=name)

        return tell

    with pytest.raises(TaskError, match="another process"), folder.locked(), folder.locked():
        pass  # pragma: no cover
    predicted(rows, out, chunk_rows=10, shard="1/2")
    done = predicted(rows, out, chunk_rows=10, shard="2/2", progress=during("2/2"))
    assert done.rows == 10


# Progress and estimates.


def test_progress_counts_rows_and_tokens(tmp_path: Path, out: Path) -> None:
    task = pk.load_task("examples/fruit")
    predictor = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    rows = [{"name": f"fruit {i % 40}"} for i in range(80)]
    seen: list[BulkProgress] = []
    predicted(rows, out, predictor, chunk_rows=20, progress=seen.append)
    assert [one.rows for one in seen] == sorted(one.rows for one in seen)
    fractions = [one.fraction or 0.0 for one in seen]
    assert fractions == sorted(fractions)
    last = seen[-1]
    assert (last.rows, last.asked, last.fraction) == (80, 40, 1.0)
    assert last.tokens == pytest.approx(2 * last.decoded, rel=0.01)


def test_a_file_says_how_much_of_it_was_read(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.csv", 150_000)
    stream = input_stream(tmp_path / "in.csv")
    rows = stream.rows([])
    found = [stream.fraction(number) or 0.0 for number, _ in enumerate(rows) if not number % 15_000]
    assert found == sorted(found)
    assert found[1] < 0.6
    assert stream.fraction(150_000) == 1.0


def test_an_estimate_is_what_a_run_takes(tmp_path: Path, out: Path) -> None:
    task = pk.load_task("examples/fruit")
    predictor = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=2)
    rows = [{"name": f"fruit {i % 300:03}"} for i in range(600)] + [{"nom": "x"}]
    told = estimate(predictor, rows, task=task)
    before = predictor.usage.decoded_tokens
    done = predicted(rows, out, predictor)
    assert (told.rows, told.rejects, told.distinct) == (600, 1, done.asked)
    assert told.tokens == pytest.approx(predictor.usage.decoded_tokens - before, rel=0.1)
    assert told.naive_tokens == pytest.approx(2 * told.tokens, rel=0.1)
    assert out.stat().st_size < told.disk < 6 * out.stat().st_size
    assert "Rows: 600, about 300 of them distinct" in str(told)
    many = [{"name": f"fruit {i % 20_000}"} for i in range(30_000)]
    assert estimate(ByDigest(), many, task=TASK).distinct == pytest.approx(20_000, rel=0.06)
    halves = estimate(ByDigest(), many, task=TASK, shards=2)
    assert halves.rows == 15_000


def test_a_margin_that_json_cannot_hold_is_null(out: Path) -> None:
    class Sure(ByDigest):
        def predict(self, queries: Any) -> Any:
            return [replace(one, margin=float("inf")) for one in super().predict(queries)]

    predicted([{"name": "a"}], out, Sure())
    assert lines_of(out)[0]["margin"] is None


def test_lists_of_labels_are_lists_in_parquet(tmp_path: Path) -> None:
    task = pk.load_task("examples/topics")
    predictor = pk.Predictor(task, pk.Template.of(task), pk.FakeModel())
    for suffix in ("jsonl", "parquet"):
        predicted(task.tests, tmp_path / f"o.{suffix}", predictor, chunk_rows=9)
    table = parquet.read_table(tmp_path / "o.parquet")
    assert table["label"].to_pylist() == [r["label"] for r in lines_of(tmp_path / "o.jsonl")]


def test_a_predictor_without_a_task_is_told_it(out: Path) -> None:
    asked: Any = ByDigest()
    asked.task = None
    with pytest.raises(TaskError, match="by digest: a predictor without a task"):
        predicted([{"name": "a"}], out, asked)
    assert predicted([{"name": "a"}], out, asked, task=TASK).rows == 1


def test_predictions_that_are_not_those_of_the_queries_are_refused(out: Path) -> None:
    class Lazy(ByDigest):
        def predict(self, queries: Any) -> Any:
            return super().predict([*queries][1:])

    with pytest.raises(TaskError, match="its predictions are not one for each query"):
        predicted([{"name": "a"}, {"name": "b"}], out, Lazy())


def test_a_known_answers_file_that_is_damaged_is_said(out: Path) -> None:
    folder = PartFolder(out)
    folder.path.mkdir()
    rows = [{"name": "a"}]
    with pytest.raises(RuntimeError):
        predicted(broken(rows * 5, 5), out, chunk_rows=2)
    (folder.path / "answers.sqlite").write_bytes(b"no database, whatever it says" * 500)
    with pytest.raises(pk.PromptkitError, match=r"answers\.sqlite: cannot be written or read"):
        predicted(rows * 5, out, chunk_rows=2)
    assert sqlite3.sqlite_version


def test_labels_of_other_types_stay_what_they_are(tmp_path: Path) -> None:
    flag = create_model("Flag", name=(str, ...))
    task = pk.Task[flag, bool](name="flags")  # type: ignore[valid-type]
    stars = pk.Task[flag, Literal[1, 2]](name="stars")  # type: ignore[valid-type]
    template = pk.Template(PLAIN)
    for one, kinds in ((task, {bool}), (stars, {int, str})):
        out = tmp_path / f"{one.name}.jsonl"
        rows = [{"name": f"n{i}"} for i in range(9)]
        predicted(rows, out, pk.Predictor(one, template, pk.FakeModel()))
        assert {type(row["label"]) for row in lines_of(out)} <= kinds


@pytest.mark.model
def test_smollm2_predicts_in_bulk_as_it_does_by_query(smollm2: Any, out: Path) -> None:
    task = pk.load_task("examples/fruit")
    predictor = pk.Predictor(task, pk.Template.of(task), smollm2, shots=4)
    rows = [{"name": test.input.name, "id": test.id} for test in task.tests[:20]]
    done = predicted([*rows, {"nome": "x"}, *rows], out, predictor, chunk_rows=8)
    assert (done.rows, done.rejects, done.asked) == (40, 1, 20)
    made = predictor.predict([task.as_query({"name": row["name"]}) for row in rows])
    for row, one in zip(lines_of(out)[:20], made, strict=True):
        assert one.near_tie or row["label"] == one.label
        assert row["probs"] == pytest.approx(one.probs, abs=0.2)


def test_the_id_of_a_demonstration_changes_no_prompt(here: Path) -> None:
    task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    asked = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 2, selection="first")
    rows = [{"id": task.demos[0].id, "name": "medlar tree"}, {"id": "x", "name": "medlar tree"}]
    predicted(rows[:1], here / "a.jsonl", asked)
    predicted(rows[1:], here / "b.jsonl", asked)
    (one,), (other,) = lines_of(here / "a.jsonl"), lines_of(here / "b.jsonl")
    assert one["id"] == task.demos[0].id
    assert one["probs"] == other["probs"]
