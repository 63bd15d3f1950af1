"""Loading of tasks and example sets from files.

A folder holds data only, and no code in it is run. All rows that do not fit are reported at once,
each with its file and line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from promptkit.errors import DataError, Problem, TaskError
from promptkit.files.paths import is_inside
from promptkit.tasks.audit_sentences import swaps_of
from promptkit.tasks.example_set import codes_of, set_of
from promptkit.tasks.examples import content_id, text_key
from promptkit.tasks.file_types import input_type, output_type
from promptkit.tasks.judging import Judge
from promptkit.tasks.languages import Translation, translations_of
from promptkit.tasks.measures import Scoring
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.reading import read_examples, unknown_part
from promptkit.tasks.row_checks import PARTS, Part, PlacedExample, RowProblem, check_rows
from promptkit.tasks.swap_slots import Swaps
from promptkit.tasks.tables import read_data_file
from promptkit.tasks.task import ROWS_CHECKED, Task
from promptkit.tasks.task_file import TaskFile, read_task_file
from promptkit.tasks.validation import ExampleParser
from promptkit.tasks.verbalizers import Verbalizer, own
from promptkit.text import counted
from promptkit.translation import tr


def load_task(folder: str | Path, *, notify: Callable[[str], None] | None = None) -> Task[Any, Any]:
    """Load the task of a folder.

    Args:
        folder: The folder, or its `task.toml`.
        notify: A function that is called with notes: the rows that `repeats = "drop"` left out,
            the sizes of the parts of a split file, and data files outside the folder.

    Returns:
        The task, with the types that `task.toml` describes.

    Raises:
        TaskError: The folder or its `task.toml` is invalid.
        DataError: Rows do not fit; `problems` lists all of them.

    Example:
        >>> load_task("examples/fruit").labels[:2]
        ('drupe', 'pome')
    """
    source = read_folder(folder, notify=notify)
    problems = [found.as_problem(source.spec.output_column) for found in source.row_problems]
    if source.problems or problems:
        raise DataError([*source.problems, *problems])
    return source.task()


@dataclass(frozen=True)
class TaskFolder:
    """A task folder as it was read, with the rows that fit the task's types."""

    path: Path
    """The `task.toml`."""
    spec: TaskFile
    parser: ExampleParser
    verbalizers: Sequence[Verbalizer]
    languages: Sequence[Translation]
    """Texts in every language, the task's own first."""
    scoring: Scoring
    rows: Mapping[Part, Sequence[PlacedExample]]
    """With folds, all of them are in the pool."""
    folds: Mapping[str, int] = field(default_factory=dict)
    """The fold of each row by its id, where rows are asked fold by fold."""
    swaps: Swaps = field(default_factory=Swaps)
    """The slots and sentences of an audit."""

    @property
    def problems(self) -> Sequence[Problem]:
        """Rows and files that do not fit the types."""
        return self.parser.problems

    @cached_property
    def row_problems(self) -> tuple[RowProblem, ...]:
        """Problems between rows."""
        parts = self.rows["demos"], self.rows["tests"]
        tags = [one.language for one in self.languages]
        return tuple(check_rows(*parts, self.parser.output, tags))

    def task(self, *, empty: bool = False) -> Task[Any, Any]:
        """Return the task, whose rows are known to fit; `empty` leaves them out."""
        task_type = Task[self.parser.input_type, self.parser.output.annotation]  # type: ignore[name-defined]
        return task_type.model_validate(
            {
                "name": self.spec.name,
                "instruction": self.spec.instruction,
                "template": self.spec.template,
                "verbalizers": self.verbalizers,
                "language": self.spec.language or "",
                "languages": self.languages,
                "near_duplicates": self.spec.near_duplicates,
                "scoring": self.scoring,
                "rationale": self.spec.output.rationale,
                "card": self.spec.card,
                "swaps": self.swaps,
                "folder": self.path.parent,
                **{
                    part: set_of(self.parser, () if empty else [row.example for row in rows])
                    for part, rows in self.rows.items()
                    if rows or not self.folds
                },
                "folds": {} if empty else self.folds,
            },
            context=ROWS_CHECKED,
        )


def read_folder(folder: str | Path, *, notify: Callable[[str], None] | None = None) -> TaskFolder:
    """Read the task in a folder, or in a `task.toml`; each data file is read once.

    Rows that do not fit are among the result's `problems`. Raises `TaskError` for the folder and
    `task.toml`.
    """
    path = Path(folder)
    path = path / "task.toml" if path.name != "task.toml" else path
    spec = read_task_file(path)
    types = input_type(spec, path), output_type(spec, path)
    parser = ExampleParser(*types, [], several=spec.output.several)
    try:
        codes = codes_of(spec.output.codes, parser.output)
    except TaskError as error:
        raise TaskError(f"{path}: output.{error}") from None
    words = own(
        spec.output.verbalizers,
        (parser.output.items or parser.output).labels,
        f"{path}: output.verbalizers",
    )
    languages = _languages(spec, path, parser.output)
    scoring = _scoring(spec, path, parser.output)
    notify = notify or (lambda message: None)
    names = spec.files.data or spec.files.demos, spec.files.tests
    rows: dict[Part, Sequence[PlacedExample]] = {}
    for name in (*names, spec.files.audit):
        if name is not None and not is_inside(path.parent / name, path.parent):
            notify(tr("{path} reads data outside its folder: {name}", path=path, name=name))
    for part, name in zip(PARTS, names, strict=True):
        rows[part] = []
        if name is not None:
            rows[part] = _read_rows(part, path.parent / name, spec, parser, codes)
    if spec.files.repeats == "drop":
        rows = _without_repeats(rows, parser.output, notify)
    folds: Mapping[str, int] = {}
    if spec.files.data is not None and not parser.problems:
        rows, folds = _divided(rows["demos"], spec, path, parser, notify)
    swaps = swaps_of(spec.audit, spec.files.audit, path, parser, spec.columns, codes)
    return TaskFolder(path, spec, parser, words, languages, scoring, rows, folds, swaps)


def _read_rows(
    part: Part,
    path: Path,
    spec: TaskFile,
    parser: ExampleParser,
    codes: Mapping[str, str],
) -> list[PlacedExample]:
    """Return the rows of a data file; what does not fit is among the parser's problems."""
    try:
        file = read_data_file(path)
        how: dict[str, Any] = {"codes": codes, "translated": spec.translated}
        found = read_examples(file, parser, spec.columns, labelled=True, **how)
    except DataError as error:  # of the file as a whole
        parser.problems += error.problems
        return []
    pairs = enumerate(zip(*found, strict=True))
    return [PlacedExample(part, i, example, file, line) for i, (example, line) in pairs]


def _divided(
    rows: Sequence[PlacedExample],
    spec: TaskFile,
    path: Path,
    parser: ExampleParser,
    notify: Callable[[str], None],
) -> tuple[dict[Part, Sequence[PlacedExample]], Mapping[str, int]]:
    """Return the rows of one file as pool and tests, or as a pool with its folds."""
    files, examples = spec.files, set_of(parser, [row.example for row in rows])
    try:
        if isinstance(files.folds, str):
            folds = _folds_by(files.folds, rows, parser.problems)
        elif files.folds is not None:
            folds = examples.folds(files.folds, seed=files.seed)
        else:
            _, tests = examples.split(files.split or 0.5, seed=files.seed)
            chosen = {id(example) for example in tests}
            asked = [row._replace(part="tests") for row in rows if id(row.example) in chosen]
            pool = [row for row in rows if id(row.example) not in chosen]
            sizes = tr(
                "{rows} in the pool and {tests}",
                rows=counted(len(pool), "row", "rows"),
                tests=counted(len(asked), "test", "tests"),
            )
            notify(
                tr(
                    "{data}: {sizes}, drawn with seed {seed}",
                    data=files.data,
                    sizes=sizes,
                    seed=files.seed,
                )
            )
            return {"demos": pool, "tests": asked}, {}
    except TaskError as error:
        raise TaskError(f"{path}: {files.data}: {error}") from None
    sizes = tr(
        "{rows} in {count} folds",
        rows=counted(len(rows), "row", "rows"),
        count=len({*folds.values()}),
    )
    notify(
        tr(
            "{data}: {sizes}, each asked with shots from the other folds",
            data=files.data,
            sizes=sizes,
        )
    )
    return {"demos": rows, "tests": []}, folds


def _folds_by(
    column: str, rows: Sequence[PlacedExample], problems: list[Problem]
) -> Mapping[str, int]:
    """Return the folds that a column names; a row without one is a problem."""
    folds, numbers = {}, dict[str, int]()
    for row in rows:
        name = row.example.metadata.get(column)
        if name in (None, ""):
            problems.append(Problem(tr("missing"), str(row.file), row.line, row.example.id, column))
        folds[row.example.id] = numbers.setdefault(str(name), len(numbers))
    return folds


def _languages(spec: TaskFile, path: Path, output: OutputType) -> tuple[Translation, ...]:
    """Return the texts of every language. Raises `TaskError`."""
    try:
        given = [
            Translation(tag, one.instruction, one.labels, one.fields)
            for tag, one in spec.languages.items()
        ]
        for tag, one in spec.languages.items():
            for name in one.same:
                if name not in spec.input:
                    raise TaskError(
                        tr(
                            "languages.{tag}.same: {reason}",
                            tag=tag,
                            reason=unknown_part(name, spec.input),
                        )
                    )
        return translations_of(spec.language or "", spec.instruction, given, output, spec.input)
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from None


def _scoring(spec: TaskFile, path: Path, output: OutputType) -> Scoring:
    """Return the scoring that `[output]` declares. Raises `TaskError`."""
    section = spec.output
    try:
        scoring = Scoring(
            within=section.within,
            match=section.match,
            pattern=section.pattern,
            language=section.language,
            counted=tuple(section.counted),
            tolerances=section.tolerances_of_fields,
        )
        Judge(scoring, output)  # says where the two do not fit
        if section.several and not output.is_text:
            raise TaskError(tr('several: it goes with type = "str"'))
    except TaskError as error:
        raise TaskError(f"{path}: output.{error}") from None
    return scoring


def _without_repeats(
    rows: Mapping[Part, Sequence[PlacedExample]], output: OutputType, notify: Callable[[str], None]
) -> dict[Part, Sequence[PlacedExample]]:
    """Return the first of equal rows each, and demonstrations that are no tests."""
    asked = {text_key(row.example.input) for row in rows["tests"]}
    kept: dict[Part, Sequence[PlacedExample]] = {}
    for part in reversed(PARTS):
        known: dict[Any, PlacedExample] = {}
        for row in rows[part]:
            text = text_key(row.example.input)
            if part == "tests" or text not in asked:
                gold = output.key(row.example.output) if row.example.labelled else None
                known.setdefault((text, gold), row)
        dropped = len(rows[part]) - len(known)
        if dropped:
            notify(
                tr(
                    "{part}: {dropped} rows left out (repeated, or also among the tests)",
                    part=part,
                    dropped=dropped,
                )
            )
        kept[part] = _with_own_ids(part, [*known.values()], notify)
    return kept


def _with_own_ids(
    part: Part, rows: list[PlacedExample], notify: Callable[[str], None]
) -> list[PlacedExample]:
    """Return the rows; those that share an id with another get one made from their input."""
    times = Counter(row.example.id for row in rows)
    shared = [row.example.id for row in rows if times[row.example.id] > 1]
    if not shared:
        return rows
    notify(
        tr(
            "{part}: {count} rows share their id with another, such as {shared!r}; "
            "their ids are made from their inputs",
            part=part,
            count=len(shared),
            shared=shared[0],
        )
    )
    return [
        row._replace(example=row.example.model_copy(update={"id": content_id(row.example.input)}))
        if times[row.example.id] > 1
        else row
        for row in rows
    ]
