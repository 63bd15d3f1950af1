from __future__ import annotations

from enum import Enum
from typing import Any, Literal

import pytest
from hypothesis import given
from pydantic import BaseModel, ConfigDict
from strategies import Family, Fruit, Kind, examples, fruits, some_text

from promptkit.errors import MAX_SHOWN, DataError, TaskError
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example, content_id, text_key
from promptkit.tasks.task import Task


class Place(BaseModel):
    city: str
    height: float


class Harvest(BaseModel):
    fruit: Fruit
    place: Place


def task_of(output: Any, *values: Any) -> Task[Fruit, Any]:
    """A task whose demonstrations have these outputs."""
    demos = [{"input": {"name": f"{i}"}, "output": value} for i, value in enumerate(values)]
    return Task[Fruit, output](name="t", demos=demos)


def problems(**parts: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        Task[Fruit, Family](name="t", **parts)
    return [str(problem) for problem in caught.value.problems]


# --- what a task takes ----------------------------------------------------------------------------


class Answer(BaseModel):
    kind: Literal["a", "b"]


@pytest.mark.parametrize(
    ("output", "given_value", "value", "labels"),
    [
        (Family, "pome", "pome", ("drupe", "pome", "berry")),
        (Kind, "pome", Kind.POME, ("drupe", "pome")),
        (bool, True, True, ("true", "false")),
        (int, 3, 3, ()),
        (float, 3.5, 3.5, ()),
        (str, "any text", "any text", ()),
        (Answer, {"kind": "a"}, Answer(kind="a"), ()),
        (list[str], ["x"], ["x"], ()),
    ],
)
def test_outputs_are_of_the_tasks_type(
    output: Any, given_value: Any, value: Any, labels: tuple[str, ...]
) -> None:
    task = task_of(output, given_value)
    assert task.demos[0].output == value
    assert type(task.demos[0].output) is type(value)
    assert task.labels == labels


def test_examples_and_dicts_make_the_same_task() -> None:
    as_examples = [Example(input=Fruit(name="apple"), output="pome", id="a")]
    as_typed = [Example[Fruit, Family](input=Fruit(name="apple"), output="pome", id="a")]
    as_dicts = [{"input": {"name": "apple"}, "output": "pome", "id": "a"}]
    tasks = [Task[Fruit, Family](name="t", demos=d) for d in (as_examples, as_typed, as_dicts)]
    assert tasks[0] == tasks[1] == tasks[2]
    assert len({task.fingerprint for task in tasks}) == 1


def test_a_generator_of_examples_is_read_once() -> None:
    task = Task[Fruit, Family](name="t", demos=(e for e in examples({"apple": "pome"})))
    assert task.demos[0].input == Fruit(name="apple")


def test_a_set_of_another_type_is_checked() -> None:
    other = Task[Fruit, str](name="t", demos=examples({"apple": "stone"})).demos
    assert "not one of the labels" in problems(demos=other)[0]


def test_a_subclass_names_the_types_once() -> None:
    class FruitTask(Task[Fruit, Family]):
        pass

    assert FruitTask(name="t", demos=examples({"apple": "pome"})).labels[1] == "pome"


@pytest.mark.parametrize("kind", [Task, Task[str, Family]], ids=["bare", "not a model"])
def test_a_task_without_an_input_model_is_refused(kind: Any) -> None:
    with pytest.raises(TaskError, match=r"write Task\[Input, Output\] with a pydantic model"):
        kind(name="t")


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"name": "t", "demo": []}, "demo: Extra inputs are not permitted"),
        ({}, "name: Field required"),
        ({"name": 3}, "name: Input should be a valid string"),
        ({"name": "t", "demos": None}, "demos: not a sequence of examples: None"),
    ],
)
def test_a_task_that_is_wrong_as_a_whole(parts: dict[str, Any], reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        Task[Fruit, Family](**parts)


@pytest.mark.parametrize("label", ["", " a", "b\n"])
def test_a_task_refuses_empty_and_padded_labels(label: str) -> None:
    with pytest.raises(TaskError, match="not empty and has no white space"):
        Task[Fruit, Literal[label, "c"]](name="t")  # type: ignore[valid-type]


def test_a_task_refuses_labels_of_equal_text() -> None:
    class Clash(Enum):
        TEXT = "1"
        NUMBER = 1

    with pytest.raises(TaskError, match="label '1' stands for both"):
        Task[Fruit, Clash](name="t")


def test_tasks_and_sets_do_not_change() -> None:
    task = fruits()
    with pytest.raises(Exception, match="frozen"):
        task.name = "other"
    with pytest.raises(Exception, match="frozen"):
        task.demos[0].id = "other"


# --- checks ---------------------------------------------------------------------------------------


def test_a_label_outside_the_set_names_the_nearest() -> None:
    demos = [{"input": {"name": "apple"}, "output": "pomme"}]
    assert problems(demos=demos) == [
        "example 'demos[0]', field 'output', value 'pomme': not one of the labels "
        "(drupe, pome, berry); did you mean 'pome'?"
    ]


def test_a_missing_output_is_a_problem() -> None:
    demos = [{"id": "a", "input": {"name": "apple"}}]
    assert problems(demos=demos) == ["example 'a', field 'output': missing"]


def test_a_missing_field_is_a_problem() -> None:
    assert problems(demos=[{"input": {}, "output": "pome"}]) == [
        "example 'demos[0]', field 'name': missing"
    ]


def test_an_unknown_input_field_is_a_problem() -> None:
    demos = [{"input": {"name": "apple", "nam": "pear"}, "output": "pome"}]
    assert problems(demos=demos) == [
        "example 'demos[0]', field 'nam', value 'pear': the input has no such field; it has 'name'"
    ]


def test_an_unknown_field_of_a_strict_model_is_one_problem() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(extra="forbid")
        name: str

    with pytest.raises(DataError) as caught:
        Task[Strict, Family](name="t", demos=[{"input": {"name": "a", "x": 1}, "output": "pome"}])
    assert len(caught.value.problems) == 1


def test_an_unknown_part_of_an_example_is_a_problem() -> None:
    demos = [{"input": {"name": "apple"}, "output": "pome", "metdata": {"x": 1}}]
    assert "field 'metdata'" in problems(demos=demos)[0]
    assert "it has input, output, id, metadata" in problems(demos=demos)[0]


def test_what_is_no_example_is_a_problem() -> None:
    assert problems(demos=["apple"]) == [
        "example 'demos[0]', value 'apple': not an Example; write Example(input=..., output=...)"
    ]


def test_a_value_of_the_wrong_type_names_field_and_value() -> None:
    with pytest.raises(DataError) as caught:
        Task[Harvest, Family](
            name="t",
            demos=[
                {
                    "input": {"fruit": {"name": 3}, "place": {"city": "x", "height": "tall"}},
                    "output": "pome",
                }
            ],
        )
    assert [p.field for p in caught.value.problems] == ["fruit.name", "place.height"]
    assert caught.value.problems[1].value == "tall"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        (Place.model_construct(city="\ud800", height=1.0), "half of a surrogate pair"),
        (Place(city="x", height=float("nan")), "not a finite number"),
    ],
)
def test_what_no_file_or_prompt_can_hold_is_a_problem_however_deep(
    place: Place, reason: str
) -> None:
    harvest = Harvest.model_construct(fruit=Fruit(name="apple"), place=place)
    with pytest.raises(DataError, match=reason):
        Task[Harvest, Family](name="t", demos=[{"input": harvest, "output": "pome"}])


@pytest.mark.parametrize(
    "part", [{"id": "\udc00"}, {"metadata": {"note": "\udc00"}}, {"input": {"name": "\udc00"}}]
)
def test_half_a_character_is_a_problem_anywhere(part: dict[str, Any]) -> None:
    row = {"input": {"name": "apple"}, "output": "pome", **part}
    assert len(problems(demos=[row])) == 1


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_an_output_is_a_finite_number(value: float) -> None:
    with pytest.raises(DataError, match="finite number"):
        task_of(float, value)


def test_an_id_stands_once() -> None:
    demos = [
        {"id": "a", "input": {"name": "apple"}, "output": "pome"},
        {"id": "a", "input": {"name": "pear"}, "output": "pome"},
    ]
    assert problems(demos=demos) == [
        "example 'a', field 'id': the same id as demos[0], whose input is another; an id is unique "
        "among the demos: rename the column id, or leave it out"
    ]


def test_one_input_with_two_labels_is_a_problem() -> None:
    demos = [
        {"id": "a", "input": {"name": "apple"}, "output": "pome"},
        {"id": "b", "input": {"name": "apple"}, "output": "drupe"},
    ]
    assert problems(demos=demos) == [
        "example 'b', field 'output', value 'drupe': the same input as demos[0], "
        "which has the output 'pome'; keep one"
    ]


@pytest.mark.parametrize("part", ["demos", "tests"])
def test_the_same_row_twice_is_a_problem(part: str) -> None:
    rows = [{"input": {"name": "apple"}, "output": "pome"}] * 2
    assert len(problems(**{part: rows})) == 1
    assert f"value 'apple': the same row as {part}[0]; delete one" in problems(**{part: rows})[0]


def test_a_test_does_not_stand_in_the_pool() -> None:
    demos = [{"input": {"name": "apple"}, "output": "pome", "id": "a"}]
    tests = [{"input": {"name": "apple"}, "output": "pome", "id": "b"}]
    assert problems(demos=demos, tests=tests) == [
        "example 'b', field 'input', value 'apple': this test is also in the pool, "
        "as demos[0]; a test that can be its own demonstration measures nothing"
    ]


@pytest.mark.parametrize(
    ("demo", "test"),
    [
        ("apple", "APPLE"),
        ("caf\u00e9", "cafe\u0301"),
        ("CAF\u00c9", "cafe\u0301"),
        ("Stra\u00dfe", "STRASSE"),
        ("\u0958\u0932\u092e", "\u0915\u093c\u0932\u092e"),  # Devanagari qa, alone and with nukta
        ("\u212bpple", "\u00e5pple"),  # the sign for angstrom
    ],
)
def test_inputs_that_differ_in_case_or_unicode_form_are_two(demo: str, test: str) -> None:
    demos = [{"input": {"name": demo}, "output": "pome"}]
    tests = [{"input": {"name": test}, "output": "pome"}]
    task = Task[Fruit, Family](name="t", demos=demos, tests=tests)  # type: ignore[arg-type]
    assert (len(task.demos), len(task.tests)) == (1, 1)


@pytest.mark.parametrize(("one", "other"), [("apple", "apples"), ("क", "क़"), ("e", "é"), ("1", 1)])
def test_inputs_that_read_differently_have_different_keys(one: Any, other: Any) -> None:
    class Anything(BaseModel):
        name: Any

    assert text_key(Anything(name=one)) != text_key(Anything(name=other))


def test_pool_and_tests_may_number_their_rows_alike() -> None:
    demos = [{"input": {"name": "apple"}, "output": "pome", "id": "0"}]
    tests = [
        {"input": {"name": "pear"}, "output": "pome", "id": "0"},
        {"input": {"name": "apple"}, "output": "pome", "id": "1"},
    ]
    task = Task[Fruit, Family](name="t", demos=demos, tests=tests[:1])  # type: ignore[arg-type]
    assert task.is_test(task.tests[0])
    assert not task.is_test(task.demos[0])
    (problem,) = problems(demos=demos, tests=tests)
    assert "example '1', field 'input', value 'apple': this test is also in" in problem


def test_every_problem_is_reported_at_once() -> None:
    demos = [{"input": {"name": 1}, "output": "x"}, {"input": {"nme": "a"}, "output": "pome"}]
    tests = [{"input": {"name": "a"}, "output": "y"}]
    found = problems(demos=demos, tests=tests)
    assert [line.split(":")[0] for line in found] == [
        "example 'demos[0]', field 'name', value 1",
        "example 'demos[0]', field 'output', value 'x'",
        "example 'demos[1]', field 'nme', value 'a'",
        "example 'demos[1]', field 'name'",
        "example 'tests[0]', field 'output', value 'y'",
    ]


def test_the_message_shows_twenty_problems_and_counts_the_rest() -> None:
    with pytest.raises(DataError) as caught:
        task_of(Family, *["x"] * 25)
    lines = str(caught.value).splitlines()
    assert lines[0] == "25 problems in the data:"
    assert len(lines) == 1 + MAX_SHOWN + 1
    assert lines[-1].strip() == "... and 5 more"
    assert len(caught.value.problems) == 25


def test_a_long_value_is_shown_shortened() -> None:
    with pytest.raises(DataError) as caught:
        task_of(Family, "x" * 1000)
    assert len(str(caught.value)) < 250
    assert "x…" in str(caught.value)


# --- ids and fingerprints -------------------------------------------------------------------------


@given(some_text, some_text)
def test_inputs_share_an_id_only_if_they_are_equal(one: str, other: str) -> None:
    assert (content_id(Fruit(name=one)) == content_id(Fruit(name=other))) == (one == other)


def test_an_id_from_the_content_can_be_read() -> None:
    example = Example(input=Fruit(name="Fuji apple, red"))
    assert example.id.startswith("Fuji-apple-red-")


@pytest.mark.parametrize(("given_id", "id"), [(0, "0"), (17, "17"), ("x", "x")])
def test_an_id_is_kept_as_text(given_id: Any, id: str) -> None:
    demos = [{"id": given_id, "input": {"name": "apple"}, "output": "pome"}]
    assert Task[Fruit, Family](name="t", demos=demos).demos[0].id == id


def test_the_fingerprint_says_what_is_asked_and_no_names() -> None:
    task = fruits()
    assert task.model_copy(update={"name": "other", "template": "x"}).fingerprint == (
        fruits().fingerprint
    )
    assert fruits({"apple": "pome"}).fingerprint != task.fingerprint
    assert (
        fruits({"apple": "pome"}).demos.fingerprint != fruits({"apple": "berry"}).demos.fingerprint
    )


def test_an_enum_and_its_texts_have_one_fingerprint() -> None:
    assert (
        task_of(Kind, "pome").demos.fingerprint
        == task_of(Literal["drupe", "pome"], "pome").demos.fingerprint
    )
    assert (
        task_of(Kind, "pome").fingerprint == task_of(Literal["drupe", "pome"], "pome").fingerprint
    )


def test_a_set_finds_by_id_and_slices() -> None:
    demos = fruits().demos
    assert demos.by_id("peach") is demos[1]
    assert demos.by_id("nothing") is None
    assert demos[1:] == (demos[1], demos[2])
    assert len({demos, fruits().demos}) == 1


def test_tasks_and_sets_print_short() -> None:
    task = fruits({f"fruit {i}": "pome" for i in range(1000)})
    assert repr(task) == "<Task 'fruit': 1000 demos, 0 tests>"
    assert repr(task.demos) == "<ExampleSet of 1000: fruit 0, fruit 1, fruit 2, …>"
    assert repr(task.tests) == "<ExampleSet of 0>"


# --- queries --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query", [{"name": "fig"}, Fruit(name="fig"), Example(input=Fruit(name="fig"))]
)
def test_a_query_is_an_example_an_input_or_its_fields(query: Any) -> None:
    found = fruits().as_query(query)
    assert found.input == Fruit(name="fig")
    assert found.id == content_id(Fruit(name="fig"))
    assert found.output is None


@pytest.mark.parametrize(
    "query",
    [
        {"nme": "fig"},
        {"name": 3},
        "fig",
        None,
        Example(input=Place(city="x", height=1)),
    ],
)
def test_a_query_that_does_not_fit_is_an_error(query: Any) -> None:
    with pytest.raises(DataError):
        fruits().as_query(query)


def test_an_example_set_stands_on_its_own() -> None:
    found = ExampleSet[Fruit, Family]((Example[Fruit, Family](input=Fruit(name="x")),))
    assert len(found) == 1
