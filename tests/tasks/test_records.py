"""Example sets of records, data frames and CSV files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas
import pytest
from pydantic import BaseModel

from promptkit import ExampleSet, Task
from promptkit.errors import DataError, TaskError


class Review(BaseModel):
    text: str
    stars: int | None = None


class Passages(BaseModel):
    passages: list[str]
    scores: list[float] = []


Mood = Literal["bad", "good"]
Reviews = ExampleSet[Review, Mood]
COLUMNS = {"text": "sentence", "output": "label"}
NAMES = {0: "bad", 1: "good"}


class Names:
    """A feature of a Hugging Face `Dataset` whose values are numbers of classes."""

    def __init__(self, *names: str) -> None:
        self.names = [*names]


class Listed:
    """A feature whose values are lists."""

    def __init__(self, feature: Any) -> None:
        self.feature = feature


class Image:
    """A feature whose values are decoded from files."""

    def decode_example(self, value: Any) -> Any:
        return value


class Dataset:
    """The part of a Hugging Face `Dataset` that is read."""

    def __init__(self, features: Mapping[str, Any], rows: list[dict[str, Any]]) -> None:
        self.features, self._rows = features, rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)


def test_records_become_examples_with_metadata() -> None:
    rows = [{"id": 7, "text": "A joy.", "output": "good", "source": "web"}, {"text": "Dull."}]
    first, second = Reviews.from_records(rows)
    assert (first.id, first.output, first.metadata) == ("7", "good", {"source": "web"})
    assert (second.input, second.labelled) == (Review(text="Dull."), False)


def test_a_set_of_records_is_the_pool_of_a_task() -> None:
    pool = Reviews.from_records([{"text": "A joy.", "output": "good"}])
    assert Task[Review, Mood](name="t", demos=pool).demos is pool


def test_columns_and_codes_are_renamed() -> None:
    rows = [
        {"sentence": "A joy.", "label": 1, "text": "another"},
        {"sentence": "No.", "label": "bad"},
    ]
    found = Reviews.from_records(rows, columns=COLUMNS, labels=NAMES)
    assert [example.output for example in found] == ["good", "bad"]
    assert found[0].metadata == {}


@pytest.mark.parametrize("code", [1, "1", 1.0, "1.0", np.int64(1), np.float32(1)])
def test_codes_are_read_from_numbers_and_texts(code: Any) -> None:
    (example,) = Reviews.from_records([{"text": "x", "output": code}], labels=NAMES)
    assert example.output == "good"


def test_rows_that_do_not_fit_are_all_named_by_their_numbers() -> None:
    rows = [
        {"sentence": "A joy.", "label": 1},
        {"sentence": "No.", "label": 2},
        {"sentence": 4, "label": 0},
        {"sentense": "No.", "label": 0},
        "No.",
    ]
    with pytest.raises(DataError) as caught:
        Reviews.from_records(rows, columns=COLUMNS, labels=NAMES)  # type: ignore[arg-type]
    assert [str(problem) for problem in caught.value.problems] == [
        "example 'rows[1]', field 'label', value 2: not one of the labels (bad, good), but the "
        "number 2",
        "example 'rows[2]', field 'sentence', value 4: Input should be a valid string",
        "example 'rows[3]', field 'sentence': missing; did you mean 'sentense'?",
        "example 'rows[4]', value 'No.': not a record; a row is a mapping, this is a str",
    ]


@pytest.mark.parametrize(
    ("columns", "labels", "reason"),
    [
        ({"txt": "sentence"}, {}, "columns: unknown field 'txt'; did you mean 'text'?"),
        ({}, {0: "sad"}, "labels: 0: 'sad' is not one of the labels"),
        ({}, {"good": "bad"}, "labels: 'good' is a label itself"),
    ],
)
def test_wrong_names_are_errors(columns: Any, labels: Any, reason: str) -> None:
    with pytest.raises(TaskError, match=reason.replace("?", r"\?")):
        Reviews.from_records([], columns=columns, labels=labels)


def test_a_set_without_types_and_a_mapping_of_splits_are_errors() -> None:
    with pytest.raises(TaskError, match=r"write ExampleSet\[Input, Output\]"):
        ExampleSet.from_records([])
    with pytest.raises(TaskError, match=r"choose one: \['train'\]"):
        Reviews.from_records({"train": []})  # type: ignore[arg-type]
    with pytest.raises(TaskError, match="no closed set"):
        ExampleSet[Review, str].from_records([], labels={0: "a"})


def test_the_classes_of_a_dataset_are_read_by_their_names() -> None:
    rows = [{"text": "A joy.", "label": 1, "topic": 0}, {"text": "?", "label": -1, "topic": 1}]
    data = Dataset({"text": None, "label": Names("bad", "good"), "topic": Names("a", "b")}, rows)
    first, second = Reviews.from_records(data, columns={"output": "label"})  # type: ignore[arg-type]
    assert (first.output, first.metadata) == ("good", {"topic": "a"})
    assert not second.labelled


def test_classes_stay_numbers_where_the_type_reads_numbers() -> None:
    data = Dataset({"output": Names("bad", "good")}, [{"text": "A joy.", "output": 1}])
    (example,) = ExampleSet[Review, int].from_records(data)  # type: ignore[arg-type]
    assert example.output == 1


def test_classes_in_lists_are_read_by_their_names() -> None:
    data = Dataset({"output": Listed(Names("new", "used"))}, [{"text": "A.", "output": [1, 0]}])
    (example,) = ExampleSet[Review, list[Literal["new", "used"]]].from_records(data)  # type: ignore[arg-type]
    assert example.output == ["used", "new"]


@pytest.mark.parametrize("feature", [Image(), Listed(Image())])
def test_images_are_refused_before_they_are_read(feature: Any) -> None:
    data = Dataset({"text": None, "photo": feature}, [])
    expected = r"the dataset's column 'photo' is of the type \w+, .*remove_columns\(\['photo'\]\)"
    with pytest.raises(TaskError, match=expected):
        Reviews.from_records(data)  # type: ignore[arg-type]


@pytest.mark.slow
def test_datasets_of_hugging_face_are_read_whatever_their_format() -> None:
    import datasets

    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["bad", "good"]),
            "topics": datasets.List(datasets.ClassLabel(names=["new", "used"])),
        }
    )
    columns: dict[str, list[Any]] = {"sentence": ["A joy.", "Dull.", "?"], "label": [1, 0, -1]}
    data = datasets.Dataset.from_dict(columns | {"topics": [[0, 1], [], [1]]}, features=features)
    golds, topics = ["good", "bad", None], [["new", "used"], [], ["used"]]
    formats = [data.with_format(name) for name in (None, "numpy", "pandas", "arrow")]
    for one in (*formats, data.to_iterable_dataset()):
        found = Reviews.from_records(one, columns=COLUMNS)
        assert [example.input.text for example in found] == columns["sentence"]
        assert [example.output for example in found] == golds
        assert [example.metadata["topics"] for example in found] == topics
    shuffled = Reviews.from_records(data.shuffle(seed=1).select([0, 1]), columns=COLUMNS)
    assert len(shuffled) == 2
    with pytest.raises(TaskError, match=r"choose one: \['train'\], \['test'\]"):
        Reviews.from_records(datasets.DatasetDict({"train": data, "test": data}))
    image = datasets.Features({"text": datasets.Value("string"), "photo": datasets.Image()})
    with pytest.raises(TaskError, match="the dataset's column 'photo' is of the type Image"):
        Reviews.from_records(datasets.Dataset.from_dict({"text": [], "photo": []}, features=image))


def test_a_record_without_a_value_is_named_with_its_field() -> None:
    with pytest.raises(DataError, match=r"'rows\[1\]', field 'text': missing value$"):
        Reviews.from_records([{"text": "A joy."}, {"text": None}])


def test_a_data_frame_with_missing_values_and_arrays() -> None:
    frame = pandas.DataFrame(
        {"text": ["a", "b"], "stars": [4, None], "output": [1, 0]}, index=["x", "y"]
    )
    first, second = Reviews.from_pandas(frame, labels=NAMES)
    assert (first.input.stars, second.input.stars) == (4, None)
    frame = pandas.DataFrame({"passages": [np.array(["a", "b"])], "scores": [np.array([1.5])]})
    (example,) = ExampleSet[Passages, str].from_pandas(frame)
    assert example.input == Passages(passages=["a", "b"], scores=[1.5])


def test_rows_of_a_data_frame_are_named_by_their_places() -> None:
    frame = pandas.DataFrame({"text": ["a", None], "output": ["good", "fine"]}, index=[10, 20])
    with pytest.raises(DataError) as caught:
        Reviews.from_pandas(frame)
    assert "example 'iloc[1]', field 'text': missing" in str(caught.value)
    with pytest.raises(TaskError, match="two columns 'text'"):
        Reviews.from_pandas(pandas.concat([frame, frame], axis=1))


def test_a_csv_file_with_lists_as_json(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('passages;scores;label\n"[""a"", ""b, c""]";[1, 2.5];fine\n', "utf-8")
    kind = ExampleSet[Passages, str]
    (example,) = kind.from_csv(path, columns={"output": "label"})
    assert example.input == Passages(passages=["a", "b, c"], scores=[1, 2.5])
    path.write_text("passages,output\na,fine\n", "utf-8")
    with pytest.raises(DataError, match=r"a\.csv:2, field 'passages'.*in CSV it is written as JS"):
        kind.from_csv(path)
    with pytest.raises(DataError, match=r"field 'label': column not found"):
        kind.from_csv(path, columns={"output": "label"})
