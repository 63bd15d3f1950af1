"""Writing of tasks and example sets to files, so that loading gives equal ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from promptkit.errors import TaskError, shorten
from promptkit.files import saving
from promptkit.files.json_values import plain, written
from promptkit.files.paths import is_inside
from promptkit.tasks.audit_sentences import section_of
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example
from promptkit.tasks.file_types import input_spec, input_type, output_spec, output_type, schema_type
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.tables import is_csv, write_rows
from promptkit.tasks.task import Task
from promptkit.tasks.task_file import TaskFile
from promptkit.tasks.validation import ExampleParser
from promptkit.translation import tr


def save_task(
    task: Task[Any, Any], folder: str | Path, format: Literal["csv", "jsonl"] = "jsonl"
) -> None:
    """Write a task, with its own templates, so that `load_task` gives an equal one.

    Args:
        task: The task.
        folder: The folder; it is created where it does not exist.
        format: The format of the data files.

    Raises:
        TaskError: A folder cannot hold the task: an input is nested or has a serializer of its
            own, an output holds a set, there is a scorer, or metadata is not text and the format
            is CSV.

    Example:
        >>> from promptkit import load_task
        >>> save_task(load_task("examples/fruit"), "copy", "csv")
        >>> load_task("copy").fingerprint == load_task("examples/fruit").fingerprint
        True
    """
    folder = Path(folder)
    if Path(task.template).is_absolute():
        raise TaskError(
            tr(
                "template {template!r}: a task folder holds its own templates; put the "
                "file into a folder templates/ and name it without its path",
                template=task.template,
            )
        )
    schema_file = "answer.schema.json"
    known = () if task.folds else ("demos", "tests")
    parts = {part: f"{part}.{format}" for part in known if len(getattr(task, part))}
    spec: dict[str, Any] = {
        "name": task.name,
        "instruction": task.instruction,
        "template": task.template,
        "input": input_spec(task.types()[0]),
        "output": output_spec(task.output_type, schema_file, task.options),
        "files": parts,
    }
    spec["output"] |= _scoring(task)
    schema = task.output_type.written_schema if "schema" in spec["output"] else None
    _check_kept(task, spec, schema)
    if task.rationale != "rationale":
        spec["output"]["rationale"] = task.rationale
    if task.near_duplicates != "exclude":
        spec["near_duplicates"] = task.near_duplicates
    if stated := task.card.model_dump(exclude_defaults=True):
        spec["card"] = stated
    if task.verbalizers:
        words = {verbalizer.name: verbalizer.words for verbalizer in task.verbalizers}
        spec["output"]["verbalizers"] = words
    spec |= _languages(task)
    folder.mkdir(parents=True, exist_ok=True)
    if schema is not None:
        text = json.dumps(schema, ensure_ascii=False, indent=2)
        saving.write(folder / schema_file, text + "\n")
    for part, name in parts.items():
        write_examples(folder / name, getattr(task, part), task.output_type)
    if task.folds:
        data, column = _with_folds(task)
        write_examples(folder / f"data.{format}", data, task.output_type)
        spec["files"] = {"data": f"data.{format}", "folds": column}
    spec |= _audit(task, spec["files"], folder)
    if task.folder is not None and task.folder.resolve() != folder.resolve():
        own = task.folder / "templates"
        if own.is_dir():
            shutil.copytree(own, folder / "templates", ignore=_outside, dirs_exist_ok=True)
    import tomli_w

    saving.write(folder / "task.toml", tomli_w.dumps(spec))


def _languages(task: Task[Any, Any]) -> dict[str, Any]:
    """Return the keys of `task.toml` on languages. Raises `TaskError`."""
    if not task.languages:
        return {}
    if task.asked_in is not None:
        raise TaskError(tr("the task is in another language than its own; write the task itself"))
    sections = {}
    for one in task.languages:
        texts: dict[str, Any] = {"fields": dict(one.fields)} if one.fields else {}
        if one.language != task.language:
            texts |= {"instruction": one.instruction, "labels": dict(one.labels)}
        sections[one.language] = {name: value for name, value in texts.items() if value}
    own = {tag: texts for tag, texts in sections.items() if texts or tag != task.language}
    return {"language": task.language, **({"languages": own} if own else {})}


def _translations(example: Example[Any, Any]) -> dict[str, Any]:
    """Return the fields of an input in other languages, by column."""
    return {
        f"{name}_{language}": written(getattr(value, name))
        for language, value in example.translations.items()
        for name in type(value).model_fields
    }


def _audit(task: Task[Any, Any], files: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return `[audit]` and `[files]`, and write the sentences of an audit.

    Their outputs may be missing, which CSV cannot hold.
    """
    if task.swaps.sentences:
        sentences = task.demos.model_construct(task.swaps.sentences)
        files = {**files, "audit": "audit.jsonl"}
        write_examples(folder / files["audit"], sentences, task.output_type)
    return {"files": files, **section_of(task.swaps)}


def _with_folds(task: Task[Any, Any]) -> tuple[ExampleSet[Any, Any], str]:
    """Return the examples with their folds among the metadata, and the name of this column."""
    taken = {column for demo in task.demos for column in demo.metadata}
    column = next(f"fold{n}" for n in ("", *range(2, len(taken) + 3)) if f"fold{n}" not in taken)

    def with_fold(demo: Example[Any, Any]) -> Example[Any, Any]:
        metadata = {**demo.metadata, column: str(task.folds[demo.id])}
        return demo.model_copy(update={"metadata": metadata})

    return task.demos.model_construct(tuple(map(with_fold, task.demos))), column


def _scoring(task: Task[Any, Any]) -> dict[str, Any]:
    """Return the keys of `[output]` on what counts as right. Raises `TaskError`."""
    if task.scoring.scorer is not None:
        raise TaskError(
            tr(
                "the task has a scorer, which is code, and a folder holds data only; keep "
                "the task in Python and name it package.module:attribute"
            )
        )
    declared = dict(task.scoring.declared)
    if any(example.alternatives for example in (*task.demos, *task.tests)):
        if not task.output_type.is_text:
            raise TaskError(
                tr(
                    "examples have alternatives, and a folder holds several answers of texts "
                    "only; keep the task in Python and name it package.module:attribute"
                )
            )
        declared["several"] = True
    return declared


def _outside(folder: str, names: list[str]) -> list[str]:
    """Return the names of links that lead out of a folder."""
    return [name for name in names if not is_inside(Path(folder) / name, Path(folder))]


def _check_kept(task: Task[Any, Any], spec: dict[str, Any], schema: Any) -> None:
    """Raise `TaskError` where the types that a folder can name parse an example differently."""
    known, path = TaskFile.model_validate(spec), Path("task.toml")
    kind = known.output.type or "json"
    output = output_type(known, path) if schema is None else schema_type(schema, kind)
    parser = ExampleParser(input_type(known, path), output, [], several=known.output.several)
    if parser.output.format != task.output_type.format:
        raise TaskError(
            tr(
                "the output type {annotation} is asked in a way that its JSON Schema does "
                "not say; keep the task in Python and name it package.module:attribute",
                annotation=shorten(task.output_type.annotation, 100),
            )
        )
    for example in (*task.demos, *task.tests):
        found = parser.parse(_values(example, task.output_type), example=example.id)
        if found is None:
            raise TaskError(
                tr("a folder cannot hold this task: {problems}", problems=parser.problems[0])
            )
        mine, theirs = plain(example.input), plain(found.input)
        odd = [name for name in {**mine, **theirs} if mine.get(name, ...) != theirs.get(name, ...)]
        if odd:
            raise TaskError(
                tr(
                    "example {id!r}: input field {odd!r} is computed, left out or written in "
                    "its own way by its type, which a folder cannot hold; keep the task in "
                    "Python and name it package.module:attribute",
                    id=example.id,
                    odd=odd[0],
                )
            )


def _values(example: Example[Any, Any], output: OutputType) -> dict[str, Any]:
    """An example as data: the values of its input's fields, its output, and the rest."""
    fields = {name: getattr(example.input, name) for name in type(example.input).model_fields}
    values = {
        "id": example.id,
        "input": {name: written(value) for name, value in fields.items()},
        "metadata": example.metadata,
    }
    if not example.labelled:
        return values
    golds = [output.plain(gold) for gold in example.golds]
    return {**values, "output": golds if example.alternatives else golds[0]}


def _cell(value: Any) -> Any:
    """Return a value as a cell of CSV: a list or a record as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def write_examples(path: Path, examples: ExampleSet[Any, Any], output: OutputType) -> None:
    """Write examples as CSV or JSON Lines, by the file's suffix, without loss."""
    textual = is_csv(path)
    rows = []
    for example in examples:
        values = _values(example, output)
        gold = values.get("output")
        if textual and example.labelled:
            listed = example.alternatives or output.items is not None
            gold = _cell(gold) if listed else output.text(example.output)
        row = {"id": example.id, **values["input"], **_translations(example)}
        if textual:
            row = {name: _cell(value) for name, value in row.items()}
        if example.labelled or textual:
            row["output"] = gold
        for column, value in example.metadata.items():
            if column in row:
                raise TaskError(
                    tr(
                        "example {id!r}: the metadata {column!r} has the name of a column that "
                        "every row has; rename it",
                        id=example.id,
                        column=column,
                    )
                )
            if textual and not isinstance(value, str | None):
                raise TaskError(
                    tr(
                        "example {id!r}, metadata {column!r}: CSV holds text only, this is "
                        "{value!r}; write JSON Lines",
                        id=example.id,
                        column=column,
                        value=value,
                    )
                )
            row[column] = value
        rows.append(row)
    write_rows(path, rows)
