"""Reading of a `Dataset` of Hugging Face, whose features say what its columns hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promptkit.errors import TaskError, shorten
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.validation import ExampleParser
from promptkit.translation import tr


def dataset_rows(
    rows: Iterable[Any], columns: Mapping[str, str], parser: ExampleParser
) -> Iterable[Any]:
    """Return the rows of a `Dataset` as plain records; other rows as they are.

    Columns that number their classes, also in lists, hold the names of these. A number that is a
    value of its field stays, and a number without a name is a missing value.

    Args:
        rows: A `Dataset`, known by its features, or any rows.
        columns: The columns of the parts of an example whose names differ from them.
        parser: The parser of the rows.

    Raises:
        TaskError: A column holds images, sounds or the like.
    """
    features: Any = getattr(rows, "features", None)
    if not isinstance(features, Mapping):
        return rows
    if media := [name for name, feature in features.items() if _is_media(feature)]:
        kinds = dict.fromkeys(type(features[name]).__name__ for name in media)
        raise TaskError(
            tr(
                "the dataset's column {column} is of the type {kinds}, and prompts are "
                "texts; leave it out: rows.remove_columns({media!r})",
                column=shorten(media[0]),
                kinds=", ".join(kinds),
                media=media,
            )
        )
    plain: Iterable[Any] = rows.with_format(None) if hasattr(rows, "with_format") else rows
    types = {key: parser.input_type.model_fields[name] for key, name in parser.keys.items()}
    outputs = {key: OutputType(info.annotation) for key, info in types.items()}
    outputs["output"] = parser.output
    read = {columns.get(key, key): output for key, output in outputs.items()}
    names = {column: found for column, each in features.items() if (found := _names_of(each))}

    def named(column: str, value: Any) -> Any:
        if column not in names or (column in read and _reads(read[column], value)):
            return value
        if isinstance(value, list):
            return [_name(names[column], number) for number in value]
        return _name(names[column], value)

    return ({column: named(column, value) for column, value in row.items()} for row in plain)


def _is_media(feature: Any) -> bool:
    """Return whether values are decoded from files, as those of images and sounds are."""
    inner = getattr(feature, "feature", feature)
    return callable(getattr(inner, "decode_example", None))


def _names_of(feature: Any) -> Sequence[str]:
    """Return the names of the classes of a column, also of lists of them; empty without any."""
    names = getattr(getattr(feature, "feature", feature), "names", None)
    return names if isinstance(names, list | tuple) else ()


def _name(names: Sequence[str], value: Any) -> Any:
    if not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def _reads(output: OutputType, value: Any) -> bool:
    try:
        output.validate(value)
    except ValueError:
        return False
    return True
