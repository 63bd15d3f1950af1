"""Sets of typed examples, and the data that they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, overload

from pydantic import BaseModel, ConfigDict, RootModel

from promptkit.errors import DataError, TaskError, shorten
from promptkit.files.json_values import plain
from promptkit.tasks.dataset_features import dataset_rows
from promptkit.tasks.examples import Example, I, O, canonical, output_key
from promptkit.tasks.generic_models import Typed
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.reading import read_examples, record_examples
from promptkit.tasks.tables import read_data_file
from promptkit.tasks.validation import ExampleParser
from promptkit.text import counted
from promptkit.translation import tr

if TYPE_CHECKING:
    import pandas

MOST_FOLDS = 32

Labels = Mapping[Any, Any]
"""Labels by the codes that stand for them in data: `{0: "negative", 1: "positive"}`."""


class ExampleSet(Typed, RootModel[tuple[Example[I, O], ...]], Generic[I, O]):
    """An ordered, immutable set of examples.

    Example:
        >>> class Fruit(BaseModel):
        ...     name: str
        >>> ExampleSet([Example(input=Fruit(name="plum"), output="drupe", id="1")])
        <ExampleSet of 1: 1>
    """

    model_config = ConfigDict(frozen=True)

    root: tuple[Example[I, O], ...]
    """The examples, in their order."""

    @classmethod
    def from_records(
        cls,
        rows: Iterable[Mapping[str, Any]],
        *,
        columns: Mapping[str, str] | None = None,
        labels: Labels | None = None,
    ) -> ExampleSet[I, O]:
        """Return the examples of flat records: dicts, or a `Dataset` of Hugging Face.

        A record holds the fields of the input and, where it is known, the output; other columns are
        metadata. None stands for a value that is not there. Columns of a Hugging Face `Dataset`
        that number their classes are read by the names of these.

        Args:
            rows: The records.
            columns: The column of an input field, of `output` or of `id`, where its name differs.
            labels: Labels by the codes that the records have for them.

        Returns:
            A set of this class, which has types: `ExampleSet[Input, Output]`.

        Raises:
            DataError: Records do not fit the types; `problems` lists all of them, with the number
                of each row.
            TaskError: The class has no types, or `columns` or `labels` name what is not there.

        Example:
            >>> from typing import Literal
            >>> from pydantic import BaseModel
            >>> class Review(BaseModel):
            ...     text: str
            >>> rows = [{"sentence": "A joy.", "label": 1}, {"sentence": "Dull.", "label": 0}]
            >>> examples = ExampleSet[Review, Literal["bad", "good"]].from_records(
            ...     rows,
            ...     columns={"text": "sentence", "output": "label"},
            ...     labels={0: "bad", 1: "good"},
            ... )
            >>> [example.output for example in examples]
            ['good', 'bad']
        """
        if isinstance(rows, Mapping):
            splits = ", ".join(f"[{split!r}]" for split in [*rows][:5]) or "['train']"
            raise TaskError(
                tr(
                    "rows: a mapping, not a sequence of records; choose one: {splits}",
                    splits=splits,
                )
            )
        parser = cls._parser()
        codes = codes_of(labels or {}, parser.output)
        rows = dataset_rows(rows, columns or {}, parser)
        return set_of(parser, record_examples(rows, parser, columns, codes=codes))

    @classmethod
    def from_pandas(
        cls,
        frame: pandas.DataFrame,
        *,
        columns: Mapping[str, str] | None = None,
        labels: Labels | None = None,
    ) -> ExampleSet[I, O]:
        """Return the examples of a data frame's rows; NaN stands for a value that is not there.

        Args:
            frame: The data frame; its index does not count.
            columns: The column of an input field, of `output` or of `id`, where its name differs.
            labels: Labels by the codes that the frame has for them.

        Raises:
            DataError: Rows do not fit the types; `problems` lists all of them, with the number of
                each row, as `frame.iloc` counts.
            TaskError: As `from_records`, or the frame has two columns of one name.

        Example:
            >>> from typing import Literal
            >>> import pandas
            >>> from pydantic import BaseModel
            >>> class Fruit(BaseModel):
            ...     name: str
            >>> frame = pandas.DataFrame({"name": ["plum", "pear"], "family": ["drupe", "pome"]})
            >>> examples = ExampleSet[Fruit, Literal["drupe", "pome"]].from_pandas(
            ...     frame, columns={"output": "family"}
            ... )
            >>> examples[0].input.name, examples[0].output
            ('plum', 'drupe')
        """
        parser = cls._parser()
        names = [str(name) for name in frame.columns]
        if twice := [name for name in names if names.count(name) > 1]:
            raise TaskError(
                tr("the data frame has two columns {twice!r}; rename or drop one", twice=twice[0])
            )
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
        codes = codes_of(labels or {}, parser.output)
        found = record_examples(rows, parser, columns, codes=codes, name="iloc[{}]")
        return set_of(parser, found)

    @classmethod
    def from_csv(
        cls,
        path: str | Path,
        *,
        columns: Mapping[str, str] | None = None,
        labels: Labels | None = None,
    ) -> ExampleSet[I, O]:
        """Return the examples of a CSV file, with any separator.

        JSON Lines and Parquet are read too, by the suffix of the file, and `.gz` behind a suffix.

        Args:
            path: The file.
            columns: The column of an input field, of `output` or of `id`, where its name differs.
            labels: Labels by the codes that the file has for them.

        Raises:
            DataError: Rows do not fit the types; `problems` lists all of them, each with its line.
            TaskError: As `from_records`, or the file cannot be read.

        Example:
            >>> from pydantic import BaseModel
            >>> class Fruit(BaseModel):
            ...     name: str
            >>> len(ExampleSet[Fruit, str].from_csv("examples/fruit/tests.csv"))
            51
        """
        parser = cls._parser()
        codes = codes_of(labels or {}, parser.output)
        labelled = "output" in (columns or {})
        file = read_data_file(Path(path))
        found, _ = read_examples(file, parser, columns, labelled=labelled, codes=codes)
        if parser.problems:
            raise DataError(parser.problems)
        return set_of(parser, found)

    @classmethod
    def _parser(cls) -> ExampleParser:
        """Return a parser of the set's types. Raises `TaskError` for a bare `ExampleSet`."""
        args = cls.__pydantic_generic_metadata__["args"]
        if len(args) != 2 or not (isinstance(args[0], type) and issubclass(args[0], BaseModel)):
            raise TaskError(
                tr(
                    "{name} has no input and output type; write ExampleSet[Input, Output] with "
                    "a pydantic model for the input",
                    name=cls.__name__,
                )
            )
        return ExampleParser(*args, [])

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

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExampleSet) and self.root == other.root

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        shown = ", ".join([*(e.id for e in self.root[:3]), "…"][: len(self)])
        return f"<ExampleSet of {len(self)}{(': ' if shown else '')}{shown}>"

    __str__ = __repr__

    def split(
        self, tests: float = 0.5, *, seed: int = 0
    ) -> tuple[ExampleSet[I, O], ExampleSet[I, O]]:
        """Return a pool and tests: a random split of the set.

        Labels are spread evenly, and near-duplicates are never on both sides. The same for one seed
        and set, in every process.

        Args:
            tests: The share of tests.
            seed: Number of the draw.

        Raises:
            TaskError: `tests` is not between 0 and 1, or leaves one side empty.

        Example:
            >>> from promptkit import load_task
            >>> pool, tests = load_task("examples/fruit").tests.split(0.3)
            >>> len(pool), len(tests)
            (36, 15)
        """
        from promptkit.tasks.splitting import tests_of

        if not 0 < tests < 1:
            raise TaskError(
                tr("tests is {tests}; it is a share between 0 and 1", tests=shorten(tests))
            )
        chosen = tests_of(self.root, tests, seed)
        if not 0 < len(chosen) < len(self):
            raise TaskError(
                tr(
                    "{count} examples cannot be split: near-duplicates stay together, and "
                    "nothing is left for the pool or the tests",
                    count=len(self),
                )
            )
        made = self.model_construct
        pool = made(tuple([e for i, e in enumerate(self.root) if i not in chosen]))
        return pool, made(tuple([self.root[index] for index in sorted(chosen)]))

    def folds(self, count: int, *, seed: int = 0) -> Mapping[str, int]:
        """Return the fold of each example by its id, for `Task(folds=...)`.

        Labels are spread evenly, and near-duplicates are in one fold. The same for one seed and
        set, in every process.

        Args:
            count: Number of folds.
            seed: Number of the draw.

        Raises:
            TaskError: The set has too few examples for so many folds.

        Example:
            >>> from promptkit import load_task
            >>> folds = load_task("examples/fruit").tests.folds(3)
            >>> [list(folds.values()).count(fold) for fold in range(3)]
            [17, 17, 17]
        """
        from promptkit.tasks.splitting import folds_of

        if not 2 <= count <= MOST_FOLDS:
            raise TaskError(
                tr(
                    "{count} folds; it is a number from 2 to {MOST_FOLDS}",
                    count=shorten(count),
                    MOST_FOLDS=MOST_FOLDS,
                )
            )
        folds = folds_of(self.root, count, seed)
        if len({*folds}) < count:
            raise TaskError(
                tr(
                    "{count} examples do not make {folds} folds, since near-duplicates stay "
                    "together; choose fewer",
                    count=len(self),
                    folds=count,
                )
            )
        return {example.id: fold for example, fold in zip(self.root, folds, strict=True)}

    def by_id(self, id: str) -> Example[I, O] | None:
        """Return the example with this id, or None."""
        return self._index.get(id)

    @cached_property
    def _index(self) -> Mapping[str, Example[I, O]]:
        return {example.id: example for example in self.root}

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all ids, inputs and outputs, in order; metadata does not count."""
        digest = hashlib.sha256()
        for example in self.root:
            gold = None if example.output is None else output_key(example.output)
            others = [*map(output_key, example.alternatives)]
            parts: list[Any] = [example.id, plain(example.input), gold]
            parts += [others] if others else []
            if example.translations:
                parts.append({tag: plain(one) for tag, one in example.translations.items()})
            digest.update(canonical(parts))
        return digest.hexdigest()


def check_folds(
    folds: Mapping[str, int], demos: ExampleSet[Any, Any], tests: ExampleSet[Any, Any]
) -> None:
    """Raise `TaskError` for folds that are not those of all examples."""
    count = len({*folds.values()})
    if not 2 <= count <= MOST_FOLDS:
        raise TaskError(
            tr(
                "folds: {folds}; there are from 2 to {MOST_FOLDS}",
                folds=counted(count, "fold", "folds"),
                MOST_FOLDS=MOST_FOLDS,
            )
        )
    if tests != demos:
        raise TaskError(
            tr("folds: every demonstration is a test, and nothing else; leave out tests")
        )
    for demo in demos:
        if demo.id not in folds:
            raise TaskError(tr("folds: no fold for the example {id!r}", id=demo.id))


def set_of(parser: ExampleParser, examples: Iterable[Example[Any, Any]]) -> ExampleSet[Any, Any]:
    """Return a set of examples that a parser made, without checking them again."""
    kind = ExampleSet[parser.input_type, parser.output.annotation]  # type: ignore[name-defined]
    return kind.model_construct(tuple(examples))


def codes_of(labels: Labels, output: OutputType) -> dict[str, str]:
    """Return labels by the texts of their codes. Raises `TaskError` for one that is no label."""
    found = {}
    output = output.items or output
    for code, value in labels.items():
        try:
            label = output.text(output.validate(value)) if output.labels else None
        except ValueError as error:
            raise TaskError(
                tr(
                    "labels: {code}: {value} is {error}",
                    code=shorten(code),
                    value=shorten(value),
                    error=error,
                )
            ) from None
        if label is None:
            raise TaskError(tr("labels: the output type has no closed set of labels"))
        if str(code) in output.labels and str(code) != label:
            raise TaskError(
                tr(
                    "labels: {code!r} is a label itself, and cannot be the code of {label!r}",
                    code=str(code),
                    label=label,
                )
            )
        found[str(code)] = label
    return found
