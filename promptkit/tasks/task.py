"""A task: an instruction, a pool of demonstrations, and the tests that are asked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SkipValidation,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from promptkit.errors import DataError, Problem, TaskError
from promptkit.files.json_values import plain
from promptkit.tasks.example_set import ExampleSet, check_folds
from promptkit.tasks.examples import Example, I, O, canonical
from promptkit.tasks.generic_models import Typed
from promptkit.tasks.given_values import (
    given_examples,
    given_translations,
    given_verbalizers,
    parts_of,
)
from promptkit.tasks.judging import Judge
from promptkit.tasks.languages import Languages, Translation, translations_of, untranslated
from promptkit.tasks.measures import Scoring
from promptkit.tasks.options import options_field
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.pydantic_messages import said_of
from promptkit.tasks.row_checks import check_rows, placed
from promptkit.tasks.swap_slots import Swaps
from promptkit.tasks.task_card import TaskCard
from promptkit.tasks.validation import ExampleParser
from promptkit.tasks.verbalizers import BUILT_IN, LABELS, Verbalizer, built_in
from promptkit.translation import tr

NearDuplicates = Literal["exclude", "allow"]
"""The treatment of demonstrations that are near-duplicates of a query."""

ROWS_CHECKED = {"rows": "checked"}
"""The validation context of a task whose rows were already checked against each other."""


class Task(Typed, Generic[I, O]):
    """An instruction, a pool of demonstrations, and tests: queries with known outputs.

    `Task[Input, Output]` checks the examples against both types. No input is both in the pool and
    among the tests.

    Raises:
        DataError: Examples do not fit; `problems` lists all of them.
        TaskError: The task is invalid as a whole.

    Example:
        >>> class Fruit(BaseModel):
        ...     name: str
        >>> task = Task[Fruit, Literal["drupe", "pome"]](
        ...     name="fruit", demos=[Example(input=Fruit(name="plum"), output="drupe")]
        ... )
        >>> task.labels
        ('drupe', 'pome')
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: str
    """The name in reports."""
    instruction: str = ""
    """The text that a template prints as `{{ task.instruction }}`."""
    demos: ExampleSet[I, O] = Field(default=ExampleSet(()), validate_default=True)
    """The pool that shots are drawn from."""
    tests: ExampleSet[I, O] = Field(default=ExampleSet(()), validate_default=True)
    """The examples that are asked: the queries."""
    template: str = "colon.j2"
    """The default template: in the task's own `templates/`, else a built-in one."""
    verbalizers: tuple[Verbalizer, ...] = ()
    """Other words for the labels, to compare with; `verbalizer` finds them by name."""
    near_duplicates: NearDuplicates = "exclude"
    """`allow` lets near-duplicates of a query be among its shots."""
    scoring: Scoring = Scoring()
    """What counts as right, and what answers are measured by besides."""
    folds: Mapping[str, int] = Field(default_factory=dict, repr=False)
    """The fold of each example by its id (`ExampleSet.folds`). With folds, every demonstration is
    also a test, with shots from the other folds."""
    rationale: str = "rationale"
    """The metadata that holds the rationales of demonstrations, which {{ rationale }} prints."""
    card: TaskCard = Field(default=TaskCard(), repr=False)
    """What only people know of the task: sources and licences of its rows, its use and limits."""
    language: str = ""
    """The language of the texts as they stand, as a tag of BCP 47; empty where it is not said."""
    languages: tuple[Translation, ...] = Field(default=(), repr=False)
    """The texts in every language, the task's own first."""
    asked_in: Languages | None = Field(default=None, repr=False)
    """The languages of its prompts; None for its own (`asked_language.task_in` sets it)."""
    swaps: SkipValidation[Swaps] = Field(default=Swaps(), repr=False)
    """Terms that an audit puts into slots, and its sentences."""
    folder: Path | None = Field(default=None, repr=False)
    """The folder that the task was loaded from."""

    if TYPE_CHECKING:  # examples may be given in any sequence

        def __init__(
            self,
            *,
            name: str,
            instruction: str = "",
            demos: Iterable[Example[I, O]] = (),
            tests: Iterable[Example[I, O]] = (),
            template: str = "colon.j2",
            verbalizers: Mapping[str, Mapping[Any, str]] | Iterable[Verbalizer] = (),
            near_duplicates: NearDuplicates = "exclude",
            scoring: Scoring = Scoring(),
            folds: Mapping[str, int] = {},
            rationale: str = "rationale",
            card: TaskCard | Mapping[str, Any] = TaskCard(),
            language: str = "",
            languages: Mapping[str, Mapping[str, Any]] | Iterable[Translation] = (),
            swaps: Swaps = Swaps(),
            folder: Path | None = None,
        ) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _check(
        cls, data: Any, handler: ModelWrapValidatorHandler[Task[I, O]], info: ValidationInfo
    ) -> Task[I, O]:
        if isinstance(data, Task):
            return handler(data)
        problems: list[Problem] = []
        if isinstance(data, Mapping):
            data = cls._read(data, problems)
        if problems:
            raise DataError(problems)
        try:
            task = handler(data)
        except ValidationError as error:
            items = error.errors(include_url=False)
            reasons = [f"{'.'.join(map(str, item['loc']))}: {said_of(item)}" for item in items]
            raise TaskError("; ".join(reasons)) from None
        _ = task.labels, task.options  # labels that clash are an error of the task
        _ = task.judge  # so is a scoring that does not fit
        if problems := [*task._without_answer()]:
            raise DataError(problems)
        if task.folds:
            check_folds(task.folds, task.demos, task.tests)
        if task.languages and task.options is not None:
            raise TaskError(tr("languages: the options of each query have no translations"))
        if info.context != ROWS_CHECKED and (problems := [*task._of_rows()]):
            raise DataError(problems)
        return task

    @classmethod
    def _read(cls, given: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """Return the values of fields; examples that do not fit are problems."""
        data = dict(given)
        for part in ("demos", "tests"):
            if part in data:
                data[part] = given_examples(part, data[part], cls.types(), problems)
            elif data.get("folds"):
                data[part] = data.get("demos", ())
        output = OutputType(cls.types()[1])
        if "verbalizers" in data:
            data["verbalizers"] = given_verbalizers(data["verbalizers"], output)
        if data.get("language") or data.get("languages"):
            texts = data.get("language", ""), data.get("instruction", "")
            languages = given_translations(data.get("languages", ()), output)
            fields = cls.types()[0].model_fields
            data["languages"] = translations_of(*texts, languages, output, fields)
        return data

    def _of_rows(self) -> Iterator[Problem]:
        """Yield the problems between examples, and the translations that they lack."""
        tests = () if self.folds else self.tests
        yield from untranslated((*self.demos, *tests), self.language_tags[1:])
        rows = placed("demos", self.demos), placed("tests", tests)
        for found in check_rows(*rows, self.output_type, self.language_tags):
            yield found.as_problem("output")

    def _without_answer(self) -> Iterator[Problem]:
        """Yield the gold outputs that no answer can match."""
        if self.scoring.match == "exact":
            return
        for example in (*self.demos, *self.tests):
            for gold in example.golds if example.labelled else ():
                if (reason := self.scoring.flaw(gold)) is not None:
                    yield Problem(reason, example=example.id, field="output", value=gold)

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
            tr(
                "{name} has no input and output type; write Task[Input, Output] with a "
                "pydantic model for the input",
                name=cls.__name__,
            )
        )

    @property
    def language_tags(self) -> tuple[str, ...]:
        """The languages that the task has texts in, its own first; empty where none is named."""
        return tuple([one.language for one in self.languages])

    @cached_property
    def texts(self) -> Mapping[str, Translation]:
        """The texts by language."""
        return {one.language: one for one in self.languages}

    @cached_property
    def in_languages(self) -> dict[Languages, tuple[Task[I, O], Task[I, O]]]:
        """The task that was asked for in other languages, and what it is in them."""
        return {}

    @property
    def words(self) -> Verbalizer | None:
        """The words for the labels in the language that they are asked in; None for themselves."""
        return self.texts[self.asked_in.labels].words if self.asked_in else None

    @property
    def field_names(self) -> Mapping[str, str]:
        """The names of input fields, and of `output`, as templates print them."""
        tag = self.asked_in.shots if self.asked_in else self.language
        return self.texts[tag].fields if self.languages else {}

    def pool_of(self, query: Example[I, O]) -> ExampleSet[I, O]:
        """Return the examples that shots of a query are drawn from: with folds, the other folds.

        Args:
            query: A query; one that is no example of the task sees the whole pool.
        """
        known = self.demos.by_id(query.id) if self.folds else None
        if known is None or not (known is query or known.input == query.input):
            return self.demos
        return self._pools[self.folds[query.id]]

    @cached_property
    def _pools(self) -> Mapping[int, ExampleSet[I, O]]:
        """The examples outside each fold."""
        return {
            fold: self.demos.model_construct(
                tuple([demo for demo in self.demos if self.folds[demo.id] != fold])
            )
            for fold in {*self.folds.values()}
        }

    @cached_property
    def output_type(self) -> OutputType:
        """The output type, which writes and parses outputs."""
        return OutputType(self.types()[1])

    @property
    def judge(self) -> Judge:
        """The judge of answers, by the task's scoring."""
        return Judge(self.scoring, self.output_type, self.options is not None)

    @property
    def labels(self) -> tuple[str, ...]:
        """The closed set of answers; empty where answers are generated or options.

        Where `many` is true, an answer is a list of these.
        """
        return (self.output_type.items or self.output_type).labels

    @property
    def many(self) -> bool:
        """Whether an output is a list of labels, each of them scored (`ManyLabels`)."""
        return self.output_type.items is not None

    @cached_property
    def options(self) -> str | None:
        """The input field of the options that outputs are chosen from (`Options`), if there is."""
        return options_field(self.types()[0], self.output_type)

    @property
    def is_scored(self) -> bool:
        """Return whether answers are scored: labels, or options of each query."""
        return bool(self.labels) or self.options is not None

    def answers_of(self, example: Example[I, O]) -> tuple[str, ...]:
        """The possible answers to an example: the labels, or its own options, else none."""
        if self.options is None:
            return self.labels
        return tuple(getattr(example.input, self.options))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the types, the instruction, the pool and the tests; names do not count.

        How texts are matched and which fields count are part of it. Verbalizers are wording, as
        templates are, and change nothing.
        """
        input_type, _ = self.types()
        names = ("title", "description")
        schema = {k: v for k, v in input_type.model_json_schema().items() if k not in names}
        output = list(self.output_type.labels) or self.output_type.schema
        parts: list[Any] = [
            schema,
            output,
            self.instruction,
            self.demos.fingerprint,
            self.tests.fingerprint,
        ]
        if self.many:
            parts.append("many")
        if self.scoring.match != "exact" or self.scoring.counted:
            parts.append(dict(self.scoring.declared))
        if self.folds:
            numbers: dict[int, int] = {}
            folds = [self.folds[demo.id] for demo in self.demos]
            parts.append([numbers.setdefault(fold, len(numbers)) for fold in folds])
        if self.languages:
            parts.append([[one.language, one.instruction] for one in self.languages])
        return hashlib.sha256(canonical(parts)).hexdigest()

    def verbalizer(self, name: str) -> Verbalizer:
        """A verbalizer by name: the task's own, `labels`, a control or a casing.

        Raises `TaskError` where there is none, or the answers are generated.
        """
        known = {verbalizer.name: verbalizer for verbalizer in self.verbalizers}
        if name in known and self.words is not None:
            where = tr(
                "in {language!r}; ask for labels in it: labels={language}", language=self.language
            )
            raise TaskError(
                tr("the words of verbalizer {name!r} are {where}", name=name, where=where)
            )
        if name in known:
            return known[name]
        if name not in (LABELS, *BUILT_IN):
            names = ", ".join((LABELS, *known, *BUILT_IN))
            raise TaskError(
                tr("unknown verbalizer {name!r}; choose one of: {names}", name=name, names=names)
            )
        return built_in(name, self.labels, None if self.words is None else self.words.words)

    def is_test(self, example: Example[Any, Any]) -> bool:
        """Return whether an example is one of the tests, so that its id is unique among these."""
        demo = self.demos.by_id(example.id)
        if demo is not None and demo.input == example.input:
            return False
        known = self.tests.by_id(example.id)
        return known is not None and (known is example or known.input == example.input)

    def fields_of(self, example: Example[I, O]) -> Mapping[str, Any]:
        """An example's input as plain values."""
        return plain(example.input)

    def answer_of(self, example: Example[I, O]) -> Any:
        """An example's output as a template prints it: a label, a number, a text, or None."""
        value = example.output
        if not example.labelled:
            return None
        if not self.labels and isinstance(value, int | float) and not isinstance(value, bool):
            return value
        return self.output_type.text(value)

    def as_query(self, query: Example[I, O] | I | Mapping[str, Any]) -> Example[I, O]:
        """An example out of an input or a dict of its fields. Raises `DataError`."""
        if isinstance(query, Example) and type(query.input) is self.types()[0]:
            is_known = query.output is not None or self.output_type.allows_null
            if is_known or not query.labelled:
                return query
        parser = ExampleParser(*self.types(), [])
        if isinstance(query, Example):
            example = parser.parse(parts_of(query))
        else:
            example = parser.parse({"input": query}, example="query")
        if example is None:
            raise DataError(parser.problems)
        return example

    def __repr__(self) -> str:
        if self.folds:
            folds = len({*self.folds.values()})
            return f"<Task {self.name!r}: {len(self.demos)} examples in {folds} folds>"
        return f"<Task {self.name!r}: {len(self.demos)} demos, {len(self.tests)} tests>"

    __str__ = __repr__
