"""A task, and its queries, in the languages that a prompt is in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example
from promptkit.tasks.languages import Languages, check_known, example_in
from promptkit.tasks.task import Task


def task_in(task: Task[Any, Any], language: str | Languages) -> Task[Any, Any]:
    """Return a task with its texts in another language; ids, outputs and labels are the same.

    The same task and languages give the same object, so that what is kept of it is shared.

    Args:
        task: The task, in any of its languages.
        language: The language, such as `hi`; or those of the parts of a prompt, such as
            `instruction=en,shots=hi,labels=hi`. Queries are in the language of the shots.

    Raises:
        TaskError: The task has no such language.
    """
    asked = Languages.of(language, task.language)
    check_known(asked, task.language_tags)
    if asked == task.asked_in:
        return task
    known = task.in_languages.get(asked)
    if known is None or known[0] is not task:  # a copy of a task has the memory of the other
        known = task.in_languages[asked] = task, _task_in(task, asked)
    return known[1]


def own_task(task: Task[Any, Any]) -> Task[Any, Any]:
    """Return a task as it stands, in its own language."""
    if task.asked_in is None:
        return task
    made = task_in(task, task.language)
    return _with(made, asked_in=None)


def as_asked(task: Task[Any, Any], queries: Iterable[Example[Any, Any]]) -> list[Example[Any, Any]]:
    """Return queries in the language that a task asks in; those without translations unchanged."""
    tags = task.language_tags
    if not tags:
        return queries if isinstance(queries, list) else [*queries]
    tag = task.asked_in.shots if task.asked_in else task.language
    return [_known(task, query, example_in(query, tag, tags)) for query in queries]


def _known(
    task: Task[Any, Any], query: Example[Any, Any], made: Example[Any, Any]
) -> Example[Any, Any]:
    """Return a translated query as the task has it, so that what is kept of it is found again."""
    if made is query:
        return query
    known = task.tests.by_id(query.id), task.demos.by_id(query.id)
    return next((one for one in known if one == made), made)


def _task_in(task: Task[Any, Any], asked: Languages) -> Task[Any, Any]:
    tags = task.language_tags

    def translated(examples: ExampleSet[Any, Any]) -> ExampleSet[Any, Any]:
        made = [example_in(one, asked.shots, tags) for one in examples]
        return examples.model_construct(tuple(made))

    demos = translated(task.demos)
    return _with(
        task,
        demos=demos,
        tests=demos if task.folds else translated(task.tests),
        instruction=task.texts[asked.instruction].instruction,
        asked_in=asked,
    )


def _with(task: Task[Any, Any], **changed: Any) -> Task[Any, Any]:
    """Return a task with other values, without what was worked out of the old ones."""
    own = {name: getattr(task, name) for name in type(task).model_fields}
    return task.model_construct(**(own | changed))
