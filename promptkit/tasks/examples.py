"""Typed examples, and what makes two of them the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from promptkit.errors import DataError, Problem
from promptkit.files.json_values import UnwritableError, plain, written
from promptkit.tasks.generic_models import Typed

I = TypeVar("I", bound=BaseModel)  # noqa: E741 - input, as in Task[I, O]
O = TypeVar("O")  # noqa: E741

_WORD = re.compile(r"[^\s\0-\x1f\x7f!-/:-@\[-`{-~]+")  # not \w: it lacks vowel signs

Place = tuple[str, int]
"""The file and the line on which a row begins."""

RESERVED = ("id", "output")
"""Column names that are not input fields."""


class Example(Typed, Generic[I, O]):
    """An input and, where it is known, its output.

    Example:
        >>> class Fruit(BaseModel):
        ...     name: str
        >>> Example(input=Fruit(name="plum"), output="drupe").id
        'plum-7cfcd0d4ba'
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input: I
    """The input, a pydantic model."""
    output: O | None = None
    """The gold output; None where it is not known, or where None is the answer (`labelled`)."""
    id: str = ""
    """Unique in its set; where none is given, a digest of the input."""
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    """The other columns of the row; a model sees only those that its template prints."""
    alternatives: tuple[O, ...] = ()
    """Other outputs that are right too; shots show `output`."""
    translations: Mapping[str, I] = Field(default_factory=dict, repr=False)
    """The input in other languages, by their tags."""

    @model_validator(mode="after")
    def _fill_id(self) -> Example[I, O]:
        if not self.id:
            try:
                object.__setattr__(self, "id", content_id(self.input))
            except UnwritableError as error:
                problem = Problem(str(error), field=error.field, value=error.value)
                raise DataError([problem]) from None
        return self

    @property
    def golds(self) -> tuple[O | None, ...]:
        """Return the outputs that are right, the one that shots show first."""
        return (self.output, *self.alternatives)

    @property
    def labelled(self) -> bool:
        """Return whether the output is known; None can be an output."""
        return self.output is not None or "output" in self.model_fields_set


def text_key(value: BaseModel) -> str:
    """Return a text that equal inputs share, and no others."""
    return canonical_text(plain(value))


def text_of(value: BaseModel) -> str:
    """Return the values of an input, one a line and without names, for comparisons of text."""
    return "\n".join(filter(None, texts_of(value)))


def texts_of(value: BaseModel) -> list[str]:
    """Return an input's values one by one, as texts; empty for one that is not there."""
    return texts_in(plain(value))


def texts_in(fields: Mapping[str, Any]) -> list[str]:
    """Return the values of an input's fields, as `texts_of` does."""
    return ["" if leaf is None else str(leaf) for leaf in _leaves(fields)]


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def output_key(value: Any) -> str:
    """Return a text that equal outputs share, whatever class holds them and in every process.

    An enum's member reads as its value, a model or a dataclass as its fields; a set is sorted. So
    labels have the same keys as the values that they are read from.
    """
    try:
        form = written(value)
    except ValueError:  # of a class of its own, whose text may be an address
        form = [type(value).__qualname__, getattr(value, "__dict__", None)]
    return form if isinstance(form, str) else canonical_text(form)


def content_id(value: BaseModel) -> str:
    """The id of an input that has none of its own: its first words and a digest of all of it."""
    parts = plain(value)
    text = next((v for v in parts.values() if isinstance(v, str)), "")
    words = "-".join(_WORD.findall(text[:80]))[:24].strip("-")
    digest = hashlib.sha256(canonical(parts)).hexdigest()[:10]
    return f"{words}-{digest}" if words else digest


canonical_text = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
).encode
"""Encoder of plain values as canonical JSON."""


def canonical(value: Any) -> bytes:
    """Return a plain value as canonical JSON, for digests."""
    return canonical_text(value).encode("utf-8", "surrogatepass")
