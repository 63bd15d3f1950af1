"""Typed examples, and the task they belong to.

`Task[Fruit, Family]` holds a pool of demonstrations and the tests that are asked, both checked
against the types. Reading a task from a folder and writing it back is in `promptkit.files`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    RootModel,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from promptkit.errors import DataError, Problem, TaskError, shorten
from promptkit.outputs import OutputType

I = TypeVar("I", bound=BaseModel)  # noqa: E741 - input, as in Task[I, O]
O = TypeVar("O")  # noqa: E741

_SURROGATE = re.compile("[\ud800-\udfff]")

_WORD = re.compile(r"[^\W_]+")

Place = tuple[str, int]
"""The file and the line on which a row begins."""

RESERVED = ("id", "output")
"""Column names that are not input fields."""


class Example(BaseModel, Generic[I, O]):
    """An input and, where it is known, the output that belongs to it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input: I
    output: O | None = None
    """The gold output; None for an input whose output is not known."""
    id: str = ""
    """Unique in its set; where none is given, a digest of the input."""
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    """Whatever else the row says; templates can read it, models never see it unasked."""

    @model_validator(mode="after")
    def _fill_id(self) -> Example[I, O]:
        if not self.id:
            object.__setattr__(self, "id", content_id(self.input))
        return self


class ExampleSet(RootModel[tuple[Example[I, O], ...]], Generic[I, O]):
    """An ordered, immutable set of examples."""

    model_config = ConfigDict(frozen=True)

    def __len__(self) -> int:
        return len(self.root)

    def __iter__(self) -> Iterator[Example[I, O]]:  # type: ignore[override]
        return iter(self.root)

    @overload
    def __getitem__(self, index: int) -> Example[I, O]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Example[I, O], ...]: ...
    def __getitem__(self, index: int | slice) -> Example[I, O] | tuple[Example[I, O], ...]:
        return self.root[index]

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        shown = ", ".join([*(e.id for e in self.root[:3]), "…"][: len(self)])
        return f"<ExampleSet of {len(self)}{': ' if shown else ''}{shown}>"

    __str__ = __repr__

    def by_id(self, id: str) -> Example[I, O] | None:
        """The example with this id, if there is one."""
        return self._index.get(id)

    @cached_property
    def _index(self) -> Mapping[str, Example[I, O]]:
        return {example.id: example for example in self.root}

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all ids, inputs and outputs, in order; metadata does not count."""
        digest = hashlib.sha256()
        for example in self.root:
            digest.update(_canonical([example.id, _plain(example.input), _plain(example.output)]))
        return digest.hexdigest()


class Task(BaseModel, Generic[I, O]):
    """What is asked of a model: an instruction, a pool of demonstrations, and tests.

    Raises `DataError` with every row that does not fit, and `TaskError` for what is wrong as a
    whole. No test stands in the pool, by id or by text (after Unicode NFC and case folding).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    instruction: str = ""
    demos: ExampleSet[I, O] = Field(default=ExampleSet(()), validate_default=True)
    """The pool that shots are drawn from."""
    tests: ExampleSet[I, O] = Field(default=ExampleSet(()), validate_default=True)
    """What is asked."""
    template: str = "colon.j2"
    """The default template: in the task's own `templates/`, else a built-in one."""
    folder: Path | None = Field(default=None, repr=False)
    """Where the task was read from."""

    if TYPE_CHECKING:  # examples may be given in any sequence

        def __init__(
            self,
            *,
            name: str,
            instruction: str = "",
            demos: Iterable[Example[I, O]] = (),
            tests: Iterable[Example[I, O]] = (),
            template: str = "colon.j2",
            folder: Path | None = None,
        ) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _check(
        cls, data: Any, handler: ModelWrapValidatorHandler[Task[I, O]], info: ValidationInfo
    ) -> Task[I, O]:
        if isinstance(data, Task):
            return handler(data)
        places: Mapping[str, Sequence[Place]] = (info.context or {}).get("places", {})
        problems: list[Problem] = []
        if isinstance(data, Mapping):
            data = dict(data)
            for part in ("demos", "tests"):
                if part in data:
                    data[part] = cls._parse_set(part, data[part], problems)
        if problems:
            raise DataError(problems)
        try:
            task = handler(data)
        except ValidationError as error:
            raise TaskError("; ".join(_reasons(error))) from None
        _ = task.labels  # labels that clash are an error of the task
        problems = check_sets(task.demos, task.tests, places)
        if problems:
            raise DataError(problems)
        return task

    @classmethod
    def types(cls) -> tuple[type[BaseModel], Any]:
        """The input and output type. Raises `TaskError` for a bare `Task`."""
        for base in cls.__mro__:
            args = getattr(base, "__pydantic_generic_metadata__", {}).get("args", ())
            if len(args) == 2:
                input_type, output_type = args
                if isinstance(input_type, type) and issubclass(input_type, BaseModel):
                    return input_type, output_type
                break
        raise TaskError(
            f"{cls.__name__} has no input and output type; write Task[Input, Output] with a "
            "pydantic model for the input"
        )

    @classmethod
    def _parse_set(
        cls, part: str, values: Iterable[Any], problems: list[Problem]
    ) -> ExampleSet[Any, Any]:
        """Examples of the task's types out of examples or dicts; what does not fit is a problem."""
        parser = ExampleParser(*cls.types(), problems)
        if isinstance(values, parser.set_type):
            return values
        if not isinstance(values, Iterable):
            raise TaskError(f"{part}: not a sequence of examples: {shorten(values)}")
        examples = []
        for index, value in enumerate(values):
            name = f"{part}[{index}]"
            if isinstance(value, Example):
                value = _parts(value)
            if not isinstance(value, Mapping):
                reason = "not an Example; write Example(input=..., output=...)"
                problems.append(Problem(reason, example=name, value=value))
                continue
            example = parser.parse(value, example=name)
            if example is not None:
                examples.append(example)
        return parser.set_of(examples)

    @cached_property
    def output_type(self) -> OutputType:
        """How outputs are written and read."""
        return OutputType(self.types()[1])

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed set of answers; empty where answers are generated."""
        return self.output_type.labels

    @cached_property
    def fingerprint(self) -> str:
        """A digest of what is asked: types, instruction, pool and tests, but no names."""
        input_type, _ = self.types()
        names = ("title", "description")
        schema = {k: v for k, v in input_type.model_json_schema().items() if k not in names}
        output = list(self.labels) or self.output_type.schema
        parts = [schema, output, self.instruction, self.demos.fingerprint, self.tests.fingerprint]
        return hashlib.sha256(_canonical(parts)).hexdigest()

    def fields_of(self, example: Example[I, O]) -> Mapping[str, Any]:
        """An example's input as plain values."""
        return _plain(example.input)  # type: ignore[no-any-return]

    def answer_of(self, example: Example[I, O]) -> Any:
        """An example's output as a template prints it: a label, a number, a text, or None."""
        value = example.output
        if value is None:
            return None
        if not self.labels and isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return self.output_type.text(value)

    def as_query(self, query: Example[I, O] | I | Mapping[str, Any]) -> Example[I, O]:
        """An example out of an input or a dict of its fields. Raises `DataError`."""
        parser = ExampleParser(*self.types(), [])
        if not isinstance(query, Example):
            example = parser.parse({"input": query}, example="query")
        elif type(query.input) is parser.input_type:
            return query
        else:
            example = parser.parse(_parts(query))
        if example is None:
            raise DataError(parser.problems)
        return example

    def __repr__(self) -> str:
        return f"<Task {self.name!r}: {len(self.demos)} demos, {len(self.tests)} tests>"

    __str__ = __repr__


class ExampleParser:
    """Makes examples of two types out of their parts, and collects what does not fit."""

    def __init__(
        self, input_type: type[BaseModel], output_type: Any, problems: list[Problem]
    ) -> None:
        self.input_type, self.output = input_type, OutputType(output_type)
        self.problems = problems
        self.example_type = Example[input_type, output_type]  # type: ignore[valid-type]
        self.set_type = ExampleSet[input_type, output_type]  # type: ignore[valid-type]

    def set_of(self, examples: Iterable[Example[Any, Any]]) -> ExampleSet[Any, Any]:
        """A set of examples that this parser made: they need no second look."""
        return self.set_type.model_construct(tuple(examples))

    def parse(
        self,
        value: Mapping[str, Any],
        *,
        example: str | None = None,
        place: Place | None = None,
    ) -> Example[Any, Any] | None:
        """The example, or None after adding the reasons to `problems`.

        `value` has `input` (an input, or its fields), and perhaps `output`, `id` and `metadata`.
        """
        found: list[_Flaw] = []
        given = value.get("id")
        id = str(given) if given is not None else ""
        parsed = self._input(value.get("input"), found)
        gold = value.get("output")
        if gold is not None:
            try:
                gold = self.output.validate(gold)
                found += _flaws("output", _plain(gold))
            except ValueError as error:
                found.append((str(error), "output", gold))
        metadata = value.get("metadata") or {}
        found += _flaws("id", id)
        if metadata:
            found += _flaws("metadata", _encode(metadata))
        for key in value:
            if key not in Example.model_fields:
                reason = f"an example has no such field; it has {', '.join(Example.model_fields)}"
                found.append((reason, str(key), value[key]))
        if found or parsed is None:
            file, line = place or (None, None)
            self.problems += (
                Problem(reason, file, line, example or id or None, field, value)
                for reason, field, value in found
            )
            return None
        return self.example_type.model_construct(
            input=parsed, output=gold, id=id or content_id(parsed), metadata=metadata
        )

    def _input(self, given: Any, found: list[_Flaw]) -> BaseModel | None:
        if isinstance(given, Mapping):
            for field in given:
                if field not in self.input_type.model_fields:
                    known = ", ".join(map(repr, self.input_type.model_fields))
                    reason = f"the input has no such field; it has {known}"
                    found.append((reason, str(field), given[field]))
        try:
            parsed = (
                given if type(given) is self.input_type else self.input_type.model_validate(given)
            )
        except ValidationError as error:
            for item in error.errors(include_url=False):
                if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
                    continue  # said above
                field = ".".join(str(part) for part in item["loc"]) or "input"
                absent = item["type"] == "missing"
                reason = "missing" if absent else item["msg"]
                found.append((reason, field, None if absent else item["input"]))
            return None
        for field, plain in _plain(parsed).items():
            found += _flaws(field, plain)
        return parsed


_Flaw = tuple[str, str | None, object]
"""What is wrong, with which field, and its value."""


def _flaws(field: str, value: Any) -> Iterator[_Flaw]:
    """What no file or prompt can hold: half characters, and numbers that are none."""
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            yield "half of a surrogate pair, which is no character", field, value
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield "not a finite number", field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flaws(f"{field}.{key}", item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flaws(field, item)


def _parts(example: Example[Any, Any]) -> dict[str, Any]:
    return {field: getattr(example, field) for field in Example.model_fields}


def check_sets(
    demos: Iterable[Example[Any, Any]],
    tests: Iterable[Example[Any, Any]],
    places: Mapping[str, Sequence[Place]],
) -> list[Problem]:
    """What is wrong between rows: repeated ids and inputs, tests that stand in the pool."""
    demos, tests = tuple(demos), tuple(tests)
    return [
        *_check_rows(demos, "demos", places.get("demos")),
        *_check_rows(tests, "tests", places.get("tests")),
        *_check_overlap(demos, tests, places),
    ]


def _check_rows(
    examples: Sequence[Example[Any, Any]], part: str, places: Sequence[Place] | None
) -> Iterator[Problem]:
    ids: dict[str, int] = {}
    inputs: dict[bytes, int] = {}
    for index, example in enumerate(examples):
        file, line = places[index] if places else (None, None)
        if example.output is None:
            yield Problem("missing", file, line, example.id, "output")
        first = inputs.setdefault(_canonical(_plain(example.input)), index)
        if first != index:
            before, gold = _where(part, first, places), examples[first].output
            if gold == example.output:
                reason = f"the same row as {before}; delete one"
                yield Problem(reason, file, line, example.id, "input", _short(example))
            else:
                reason = f"the same input as {before}, which has the output {gold!r}; keep one"
                yield Problem(reason, file, line, example.id, "output", example.output)
        elif (first := ids.setdefault(example.id, index)) != index:
            reason = f"the same id as {_where(part, first, places)}; an id is unique"
            yield Problem(reason, file, line, example.id, "id")


def _check_overlap(
    demos: Sequence[Example[Any, Any]],
    tests: Sequence[Example[Any, Any]],
    places: Mapping[str, Sequence[Place]],
) -> Iterator[Problem]:
    if not tests or not demos:
        return
    ids = {example.id: index for index, example in enumerate(demos)}
    texts = {text_key(example.input): index for index, example in enumerate(demos)}
    for index, test in enumerate(tests):
        found = texts.get(text_key(test.input), ids.get(test.id))
        if found is not None:
            file, line = places["tests"][index] if "tests" in places else (None, None)
            demo = _where("demos", found, places.get("demos"))
            reason = (
                f"this test also stands in the pool, as {demo}; "
                "a test that can be its own demonstration measures nothing"
            )
            yield Problem(reason, file, line, test.id, "input", _short(test))


def _where(part: str, index: int, places: Sequence[Place] | None) -> str:
    """A row as a person finds it: `demos.csv:7`, or `demos[5]`."""
    return f"{places[index][0]}:{places[index][1]}" if places else f"{part}[{index}]"


def text_key(value: BaseModel) -> str:
    """The same for inputs that read the same: after Unicode NFC and case folding."""
    text = _canonical(_plain(value)).decode()
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def content_id(value: BaseModel) -> str:
    """The id of an input that has none of its own: its first words and a digest of all of it."""
    plain = _plain(value)
    text = next((v for v in plain.values() if isinstance(v, str)), "") if plain else ""
    words = "-".join(_WORD.findall(text[:80]))[:24].strip("-")
    digest = hashlib.sha256(_canonical(plain)).hexdigest()[:10]
    return f"{words}-{digest}" if words else digest


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if not isinstance(value, BaseModel):
        return value
    fields = value.__dict__
    if all(type(field) in _SIMPLE for field in fields.values()):
        return fields  # the common case, and much faster than a dump
    return value.model_dump(mode="json")


_SIMPLE = frozenset((str, int, float, bool))


_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
).encode


def _canonical(value: Any) -> bytes:
    return _encode(value).encode("utf-8", "surrogatepass")


def _short(example: Example[Any, Any]) -> Any:
    plain = _plain(example.input)
    return next(iter(plain.values())) if len(plain) == 1 else plain


def _reasons(error: ValidationError) -> Iterator[str]:
    for item in error.errors(include_url=False):
        yield f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}"
