"""Tasks of lm-evaluation-harness: doc_to_text, doc_to_target and doc_to_choice in Jinja.

A shot is the text, the target delimiter, the target and the few-shot delimiter; the query is the
text alone. A `!function` is Python code, and becomes an omission.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import jinja2

from promptkit.errors import TaskError, shorten
from promptkit.importing import jinja
from promptkit.importing.imported import (
    Imported,
    ImportedTask,
    Omissions,
    RefusedError,
    as_instruction,
    check,
    column_of,
    labels_of,
)
from promptkit.importing.plain_values import ForeignFile, PythonFunction, beside, read_yaml
from promptkit.translation import mark, tr

_MAX_INCLUDES = 8

_CARRIED = {
    *("task", "doc_to_text", "doc_to_target", "doc_to_choice", "description", "output_type"),
    *("target_delimiter", "fewshot_delimiter"),
}

_DATA = {
    *("dataset_path", "dataset_name", "dataset_kwargs", "custom_dataset", "training_split"),
    *("validation_split", "test_split", "fewshot_split", "process_docs"),
}

_REASONS: Mapping[str, tuple[str, str]] = {
    "metric_list": (
        mark("promptkit has its own measures"),
        mark("nothing to do: accuracy, F1, log loss and calibration are reported"),
    ),
    "filter_list": (
        mark("answers are taken as they are written"),
        mark("let the template ask for the bare answer"),
    ),
    "generation_kwargs": (
        mark("an answer ends where the template says, at the few-shot delimiter"),
        mark("see --max-tokens and --temperature"),
    ),
    "num_fewshot": (
        mark("the number of shots is a choice of every run"),
        mark("write it after --shots"),
    ),
    "process_results": (
        mark("promptkit has its own measures"),
        mark("nothing to do, or score it yourself"),
    ),
    "gen_prefix": (
        mark("the beginning of an answer"),
        mark("write it in front of {{ output }}"),
    ),
    "fewshot_config": (mark("shots are drawn from the pool"), mark("see --selection")),
    "use_prompt": (mark("a template of promptsource"), mark("import promptsource's own file")),
    "repeats": (mark("every query is asked once"), mark("nothing to do")),
    "should_decontaminate": (
        mark("promptkit checks pool and tests against each other"),
        mark("nothing to do"),
    ),
    "doc_to_decontamination_query": (mark("as should_decontaminate"), mark("nothing to do")),
    "doc_to_image": (mark("a model reads text"), mark("leave it out")),
    "doc_to_audio": (mark("a model reads text"), mark("leave it out")),
    "metadata": (mark("no prompt has it"), mark("nothing to do")),
    "tag": (mark("a task has no tags"), mark("nothing to do")),
    "group": (mark("a task is in no group"), mark("nothing to do")),
    "task_alias": (mark("a task has one name"), mark("nothing to do")),
}
_UNKNOWN = mark("promptkit has nothing like it"), mark("see what it is for")


def carry(source: ForeignFile) -> Imported:
    """Return the task of a file. Raises `TaskError` if it cannot be imported."""
    omissions = Omissions(source)
    source = _with_included(source, omissions)
    config, path = source.value, source.path
    name = config.get("task") if isinstance(config.get("task"), str) else path.stem
    text = _text(source, "doc_to_text")
    _add_unknown(config, omissions)
    labels = _labels(config, omissions)
    column = _column(config, labels, omissions)
    try:
        if refused := jinja.refused(text):
            raise RefusedError(tr("doc_to_text {refused}", refused=refused))
        kinds = jinja.kinds_of(text)
        if not kinds:
            raise RefusedError(tr("doc_to_text prints nothing of a row, so that nothing is asked"))
        records = [field for field, kind in kinds.items() if kind == "record"]
        template, instruction = _template(config, text, bool(records))
        check(template, "prompt.j2")
    except jinja2.TemplateSyntaxError as error:
        line = source.line("doc_to_text")
        raise TaskError(
            tr(
                "{path}:{line}: the template does not parse: {message}",
                path=path,
                line=line,
                message=error.message,
            )
        ) from None
    except RefusedError as error:
        raise TaskError(
            tr("{path}: {error}; write the template anew", path=path, error=error)
        ) from None
    for field in records:
        omissions.add(
            ["doc_to_text"],
            tr(
                "{field!r} is a list or a record, which no column of a file can hold, so "
                "that there is a template and no task.toml",
                field=field,
            ),
            tr("keep the task in Python, with a pydantic model for its input"),
        )
    task = ImportedTask(
        name=name,
        templates={"prompt.j2": template},
        fields=None if records else {column_of(field): kind for field, kind in kinds.items()},
        instruction=instruction,
        labels=labels,
        output_column=column,
        demos=_samples(config, list(kinds), labels, column, omissions),
    )
    return Imported("lm-evaluation-harness", (task,), tuple(omissions.found))


def _with_included(source: ForeignFile, omissions: Omissions, depth: int = 1) -> ForeignFile:
    """Return a file merged with those that it includes; its own values win."""
    config = dict(source.value)
    names = config.pop("include", None) or []
    merged: dict[str, Any] = {}
    for name in reversed(names if isinstance(names, list) else [names]):
        if depth > _MAX_INCLUDES:
            raise TaskError(
                tr(
                    "{path}: more than {most} files include one another",
                    path=source.path,
                    most=_MAX_INCLUDES,
                )
            )
        try:
            inner = read_yaml(beside(source.path, str(name)))
        except TaskError as error:
            omissions.add(["include"], str(error), tr("write what it says into this file"))
            continue
        if isinstance(inner.value, dict):
            merged |= _with_included(inner, omissions, depth + 1).value
    return replace(source, value=merged | config)


def _text(source: ForeignFile, key: str) -> str:
    """Return a template of the file; a bare name is a column."""
    value = source.value.get(key)
    where = f"{source.path}:{source.line(key)}" if source.line(key) else str(source.path)
    if value is None:
        raise TaskError(tr("{where}: there is no {key}", where=where, key=key))
    if isinstance(value, PythonFunction):
        raise TaskError(
            tr(
                "{where}: {key} is {value}, Python code, which is not run; write it anew",
                where=where,
                key=key,
                value=value,
            )
        )
    if not isinstance(value, str):
        raise TaskError(
            tr(
                "{where}: {key} is {value}, and no template",
                where=where,
                key=key,
                value=shorten(value),
            )
        )
    return _as_template(value)


def _as_template(text: str) -> str:
    return f"{{{{{text}}}}}" if jinja.is_name(text) else text


def _add_unknown(config: Mapping[str, Any], omissions: Omissions) -> None:
    data = [key for key in config if key in _DATA and config[key] is not None]
    named = " ".join(str(config[k]) for k in ("dataset_path", "dataset_name") if config.get(k))
    omissions.add_data(data[0] if data else "dataset_path", named or tr("the data"))
    if isinstance(config.get("process_docs"), PythonFunction):
        function = config["process_docs"]
        why = tr("{function} is Python code, which is not run", function=function)
        omissions.add(["process_docs"], why, tr("write rows as it leaves them"))
    for key, value in config.items():
        is_default = value in (None, False, [], {}, "") or (key, value) == ("repeats", 1)
        if key in _CARRIED | _DATA or is_default:
            continue
        why, do = map(tr, _REASONS.get(key, _UNKNOWN))
        omissions.add([key], f"{value} ({why})" if isinstance(value, PythonFunction) else why, do)
        for function in _functions(value) if not isinstance(value, PythonFunction) else ():
            omissions.add(
                [key], tr("{function} is Python code, which is not run", function=function), do
            )
    kind = config.get("output_type", "generate_until")
    if kind not in ("multiple_choice", "generate_until"):
        omissions.add(
            ["output_type"],
            tr("{kind} scores a text and answers nothing", kind=kind),
            tr("answers are generated, or scored where they are labels"),
        )


def _functions(value: Any) -> list[PythonFunction]:
    if isinstance(value, PythonFunction):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [function for item in inner for function in _functions(item)]


def _labels(config: Mapping[str, Any], omissions: Omissions) -> tuple[str, ...]:
    """Return the labels; empty if they differ from row to row."""
    choices = config.get("doc_to_choice")
    if choices is None:
        return ()
    if isinstance(choices, str):
        written = re.fullmatch(r"\s*\{\{\s*(\[.*\])\s*\}\}\s*", choices, re.DOTALL)
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            choices = ast.literal_eval(written[1]) if written else choices
    if isinstance(choices, dict):
        choices = list(choices.values())
    is_fixed = isinstance(choices, list) and not any(isinstance(c, PythonFunction) for c in choices)
    labels = [str(choice) for choice in choices] if is_fixed else None
    return labels_of(labels, ["doc_to_choice"], shorten(str(config["doc_to_choice"])), omissions)


def _column(config: Mapping[str, Any], labels: tuple[str, ...], omissions: Omissions) -> str:
    """Return the column of the answers; "output" if only code can tell."""
    target = config.get("doc_to_target")
    if isinstance(target, str) and not labels:
        match jinja.simple_parts(_as_template(target), keep_newline=True):
            case [jinja.Variable(name)]:
                return name if column_of(name) == name else "output"
    shown = str(target) if isinstance(target, PythonFunction) else shorten(target)
    why = tr("the answer is {shown} of a row", shown=shown)
    if labels:
        places = ", ".join(
            tr("{number} is {label}", number=i, label=label) for i, label in enumerate(labels[:6])
        )
        why += tr(", by its place ({places}) or as it is", places=places)
    omissions.add(["doc_to_target"], why, tr("write it out into the column `output` of each row"))
    return "output"


def _template(config: Mapping[str, Any], text: str, alone: bool) -> tuple[str, str]:
    """Return the template, and the instruction that it prints; empty if it stands `alone`."""
    target_delimiter = str(config.get("target_delimiter", " "))
    shot_delimiter = str(config.get("fewshot_delimiter", "\n\n"))
    description = config.get("description") or ""
    if not isinstance(description, str):
        raise TaskError(tr("description is {value}, and no text", value=shorten(str(description))))
    instruction = ""
    if "{{" in description or "{%" in description or "{#" in description:
        names = {name: f"query.{column_of(name)}" for name in jinja.fields(description)}
        head = jinja.translate(description, names, keep_newline=True)
    elif alone:
        head = jinja.literal(description)
    else:
        instruction, head = as_instruction(description)
    names = {name: f"input.{column_of(name)}" for name in jinja.fields(text)}
    block = jinja.tag(head, "example") + jinja.translate(text, names, keep_newline=True)
    block += jinja.literal(target_delimiter) + "{{ output }}" + jinja.literal(shot_delimiter)
    return jinja.tag(block, "endexample"), instruction


def _samples(
    config: Mapping[str, Any],
    fields: list[str],
    labels: tuple[str, ...],
    column: str,
    omissions: Omissions,
) -> tuple[Mapping[str, Any], ...]:
    """Return the shots in the file itself, if their answers need no code."""
    shots = config.get("fewshot_config")
    if not isinstance(shots, dict):
        return ()
    for key in shots:
        if key in _CARRIED | {"gen_prefix"} and shots[key] != config.get(key):
            why = tr("shots in another form than the query")
            omissions.add(["fewshot_config", key], why, tr("write a plain loop over the shots"))
    samples = shots.get("samples")
    if not isinstance(samples, list):
        return ()
    target = config.get("doc_to_target")
    source = target if isinstance(target, str) and jinja.is_name(target) else column
    rows = []
    for sample in samples:
        answer = sample.get(source) if isinstance(sample, dict) else None
        if labels and type(answer) is int and 0 <= answer < len(labels):
            answer = labels[answer]
        if answer is None or any(field not in sample for field in fields):
            why = tr("the shots in the file have answers that only doc_to_target makes")
            omissions.add(["fewshot_config"], why, tr("write them into demos.jsonl"))
            return ()
        row = {column_of(field): sample[field] for field in fields}
        rows.append(row | {column: str(answer)})
    return tuple(rows)
