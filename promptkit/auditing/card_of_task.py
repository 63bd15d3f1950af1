"""Facts of tasks and of model files, for cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptkit.auditing.card_facts import (
    OF_LABELS,
    OF_OPTIONS,
    ModelFacts,
    PromptFacts,
    RowFacts,
    TaskFacts,
)
from promptkit.errors import PromptkitError
from promptkit.models.gguf.file_size import model_size
from promptkit.models.gguf.header import Header, read_header
from promptkit.models.prepare.model_files import digest, find
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.task import Task
from promptkit.templating.template import Template
from promptkit.translation import mark

SHOTS = 8
"""Most shots of the prompt that stands for a task that was not asked yet."""


def task_facts(task: Task[Any, Any]) -> TaskFacts:
    """Return the facts of a task."""
    tests = () if task.folds else (task.tests,)
    parts = zip(("demos", "tests"), (task.demos, *tests), strict=False)
    return TaskFacts(
        task.name,
        task.instruction,
        _output(task),
        task.labels,
        tuple(task.types()[0].model_fields),
        task.fingerprint,
        {one.name: dict(one.words) for one in task.verbalizers},
        task.near_duplicates,
        tuple([_rows(task, part, rows) for part, rows in parts if len(rows)]),
    )


def _output(task: Task[Any, Any]) -> str:
    """Return the kind of output in words."""
    if task.options is not None:
        return OF_OPTIONS
    if task.labels:
        return OF_LABELS[task.many].format(n=len(task.labels))
    if task.output_type.is_number:
        return mark("a number")
    return mark("a text") if task.output_type.is_text else mark("a record")


def _rows(task: Task[Any, Any], part: str, rows: ExampleSet[Any, Any]) -> RowFacts:
    counts: Counter[str] = Counter()
    for row in rows if task.labels else ():
        if row.labelled:
            outputs: Sequence[Any] = row.output if task.many else [row.output]  # type: ignore[assignment]
            counts.update(map((task.output_type.items or task.output_type).text, outputs))
    named = {label: counts[label] for label in task.labels} if counts else {}
    return RowFacts(part, len(rows), named, sha256=rows.fingerprint)


def prompt_of_task(task: Task[Any, Any]) -> PromptFacts | None:
    """Return the prompt of a task's own template for its first test; None if there is none."""
    queries = task.tests or task.demos
    if not queries:
        return None
    query = queries[0]
    shots = min(SHOTS, len(task.demos) - (0 if task.is_test(query) else 1))
    try:
        template = Template.of(task)
        prompt = template.render(task, shots=max(shots, 0), query=query)
    except PromptkitError:  # the task is described all the same; lint says what is wrong
        return None
    settings = {"template": template.name, "selection": "balanced", "shots": len(prompt.shots)}
    return PromptFacts(prompt.last.text, query.id, False, settings, prompt.shots, template.source)


def model_facts(identity: Mapping[str, Any], place: str | None) -> ModelFacts:
    """Return the facts of a model.

    Args:
        identity: The fields of its `ModelIdentity`.
        place: The name that it was loaded by, to read the header of its file; None if unknown.
    """
    header = header_of(place, identity["sha256"])
    known: dict[str, Any] = {
        name: identity[name] for name in _IDENTITY if identity.get(name) is not None
    }
    return ModelFacts(**known, **({} if header is None else header_facts(header)))


_IDENTITY = ("name", "sha256", "architecture", "weights", "runtime", "context", "adapter")


def header_of(place: str | None, sha256: str) -> Header | None:
    """Return the header of a model's file, if it is on this machine as it was; nothing is fetched.

    Args:
        place: The name that the model was loaded by.
        sha256: The digest of the file.
    """
    if place is None or "://" in place:
        return None
    try:
        path = _on_disk(place)
        same = path is not None and digest(path) == sha256
        return read_header(path) if path is not None and same else None
    except (PromptkitError, OSError):
        return None


def _on_disk(place: str) -> Path | None:
    """Return the file of a model's name; None where it would have to be fetched."""
    if not place.startswith("hf:"):
        return find(place)
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    owner, repo, file = [*place.removeprefix("hf:").split("/", 2), "", ""][:3]
    found = try_to_load_from_cache(f"{owner}/{repo}", file)
    return Path(found) if isinstance(found, str) else None


def header_facts(header: Header) -> dict[str, Any]:
    """Return what a model's file says of itself, as fields of `ModelFacts`."""
    size = model_size(header)
    return {
        "file_weights": header.weight_type,
        "parameters": size.parameters,
        "bytes": size.bytes,
        "declared": {
            key.removeprefix("general."): value
            for key, value in header.metadata.items()
            if key.startswith("general.") and isinstance(value, str | int | float | list)
        },
    }
