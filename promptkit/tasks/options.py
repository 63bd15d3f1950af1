"""Options: the possible outputs of an example, given with its input, as in multiple choice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from promptkit.errors import TaskError, shorten
from promptkit.files.json_values import unwrapped
from promptkit.tasks.digits import plain_number
from promptkit.tasks.label_texts import written_otherwise
from promptkit.tasks.output_type import OutputType
from promptkit.text import first_names, listed
from promptkit.translation import tr


@dataclass(frozen=True, slots=True)
class Options:
    """Mark of the field of an input that lists the possible outputs of its example.

    The output of such a task is a `str`: one of the options. Examples give it as the option's
    text, as its letter (A for the first), or as its index, counted from 0. A text that is an
    option stands for itself; else it is read as a letter, then as an index. A number is an index.

    Example:
        >>> from typing import Annotated
        >>> from pydantic import create_model
        >>> from promptkit import Task
        >>> choices = Annotated[list[str], Options()]
        >>> Question = create_model("Question", text=(str, ...), choices=(choices, ...))
        >>> row = {"input": {"text": "Which one is a fish?", "choices": ["owl", "cod"]}}
        >>> Task[Question, str](name="quiz", tests=[{**row, "output": "B"}]).tests[0].output
        'cod'
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the schema of the list, whose texts are checked; pydantic calls this."""
        return core_schema.no_info_after_validator_function(_checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the JSON Schema of the list, which pydantic calls for."""
        return handler(schema) | {"minItems": 2, "uniqueItems": True}


def is_mark(data: object) -> bool:
    """Return whether the metadata of a field marks it as options."""
    return data is Options or isinstance(data, Options)


def _checked(options: Any) -> Any:
    """Return options that can be told apart. Raises `ValueError`."""
    if len(options) < 2:
        raise ValueError(tr("{count} option, and a choice needs two or more", count=len(options)))
    for option in options:
        if not isinstance(option, str):
            raise ValueError(tr("the option {option} is not text", option=shorten(option)))
        if not option or option != option.strip():
            raise ValueError(
                tr(
                    "the option {option!r} is empty or has white space around it (the space in "
                    "front of an answer comes from the template)",
                    option=option,
                )
            )
    ((option, times),) = Counter(options).most_common(1)
    if times > 1:
        raise ValueError(tr("the option {option} is repeated", option=shorten(option)))
    return options


def options_field(input_type: type[BaseModel], output: OutputType) -> str | None:
    """Return the name of the field that holds the options; None for a type without one.

    Raises:
        TaskError: Several fields are marked, or the output is no text.
    """
    marked = [
        name for name, info in input_type.model_fields.items() if any(map(is_mark, info.metadata))
    ]
    if len(marked) > 1:
        raise TaskError(
            tr(
                "{name}: {marked} are both marked as options; the output is one of the "
                "options of one field",
                name=input_type.__name__,
                marked=listed(marked),
            )
        )
    if marked and not output.is_text:
        raise TaskError(
            tr(
                "{name}.{marked} holds the options that the output is one of, so the "
                "output type is str, not {annotation}",
                name=input_type.__name__,
                marked=marked[0],
                annotation=shorten(output.annotation),
            )
        )
    return marked[0] if marked else None


def chosen(value: Any, options: Sequence[str]) -> str:
    """Return the option that an output names: by its text, its letter or its index from 0.

    Raises:
        ValueError: It names none of them.
    """
    value = unwrapped(value)
    if isinstance(value, str):
        if value in options:
            return value
        if (same := written_otherwise(value, dict.fromkeys(options))) is not None:
            return same
        if len(value) == 1 and value in ascii_uppercase[: len(options)]:
            return options[ascii_uppercase.index(value)]
        number = plain_number(value)
        if number.isascii() and number.isdigit() and int(number) < len(options):
            return options[int(number)]
    elif type(value) in (int, float) and value in range(len(options)):
        return options[int(value)]
    raise ValueError(
        tr(
            "{value} is not one of the options ({options}), nor the letter or the "
            "index from 0 of one",
            value=shorten(value),
            options=shown(options),
        )
    )


def shown(options: Sequence[str]) -> str:
    """Return options as a message lists them."""
    return first_names([*map(shorten, options)])
