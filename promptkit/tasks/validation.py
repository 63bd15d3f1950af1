"""Parsing of examples against the types of their task; all problems are collected."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError

from promptkit.errors import Problem, TaskError, shorten
from promptkit.files.json_values import UnwritableError, alias_paths, plain, unwrapped
from promptkit.tasks.digits import plain_number
from promptkit.tasks.examples import Example, Place, canonical_text, content_id
from promptkit.tasks.options import chosen, options_field
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.pydantic_messages import said_of
from promptkit.translation import tr

_SURROGATE = re.compile("[\ud800-\udfff]")

_Flaw = tuple[str, str | None, object]
"""A reason, the field that it is about, and the field's value."""


class ExampleParser:
    """Makes examples of two types out of their parts, and collects what does not fit."""

    def __init__(
        self,
        input_type: type[BaseModel],
        output_type: Any,
        problems: list[Problem],
        *,
        several: bool = False,
    ) -> None:
        """Make a parser.

        Args:
            input_type: The type of inputs.
            output_type: The type of outputs.
            problems: The list that problems are added to.
            several: Whether an output may be a list, or the JSON of one, of which all are right.
        """
        self.input_type, self.output = input_type, OutputType(output_type)
        self.options = options_field(input_type, self.output)
        """The field of the options that outputs are chosen from; None where there is none."""
        self.problems, self.several = problems, several
        self.example_type = Example[input_type, output_type]  # type: ignore[valid-type]

    def parse(
        self,
        value: Mapping[str, Any],
        *,
        example: str | None = None,
        place: Place | None = None,
        column: str = "output",
    ) -> Example[Any, Any] | None:
        """The example, or None after adding the reasons to `problems`.

        `value` has `input` (an input, or its fields), and perhaps `output`, `id` and `metadata`.
        `column` is what the output is called where it comes from. Raises `TaskError` for an output
        that its type does not read as a prompt writes it.
        """
        found: list[_Flaw] = []
        given = value.get("id")
        id = str(given) if given is not None else ""
        parsed = self._input(value.get("input"), found)
        if self.several and "output" in value:
            value = _with_alternatives(value)
        options = None if self.options is None else getattr(parsed, self.options, ())
        gold = self._output(value, column, found, options)
        others = [
            self._output({"output": other}, column, found, options)
            for other in value.get("alternatives") or ()
        ]
        translations = self._translations(parsed, value.get("translations"), found)
        metadata = value.get("metadata") or {}
        found += _flaws("id", id)
        if metadata:
            found += _flaws("metadata", canonical_text(metadata))
        for key in value:
            if key not in Example.model_fields:
                reason = tr(
                    "an example has no such field; it has {known}",
                    known=", ".join(Example.model_fields),
                )
                found.append((reason, str(key), value[key]))
        if found or parsed is None:
            file, line = place or (None, None)
            self.problems += (
                Problem(reason, file, line, example or id or None, field, value)
                for reason, field, value in found
            )
            return None
        return self.example_type.model_construct(
            input=parsed,
            **gold,
            id=id or content_id(parsed),
            metadata=metadata,
            alternatives=tuple(other["output"] for other in others if other),
            translations=translations,
        )

    def _output(
        self,
        value: Mapping[str, Any],
        column: str,
        found: list[_Flaw],
        options: Sequence[str] | None,
    ) -> Mapping[str, Any]:
        """The output by its name; nothing where it is not known, or its options are not."""
        gold = value.get("output")
        if "output" not in value or (gold is None and not self.output.allows_null):
            return {}
        if options is not None and not options:
            return {}
        try:
            gold = self.output.validate(gold if options is None else chosen(gold, options))
        except ValueError as error:
            found.append((str(error), column, gold))
            return {}
        form, is_read = (None, True) if self.output.labels else self.output.form(gold)
        flaws = [*_flaws(column, form)]
        if not flaws and not is_read:
            raise TaskError(
                tr(
                    "the output {gold} is written as {form}, which its type does not read as "
                    "the same value; a shot would show what no answer can be",
                    gold=shorten(gold),
                    form=shorten(form),
                )
            )
        found += flaws
        return {"output": gold}

    def _translations(
        self, parsed: BaseModel | None, given: Any, found: list[_Flaw]
    ) -> Mapping[str, BaseModel]:
        """Return an input in other languages; fields that have no translation are the same."""
        if parsed is None or not given:
            return {}
        if not isinstance(given, Mapping):
            found.append((tr("not a mapping of languages to inputs"), "translations", given))
            return {}
        made = {}
        for language, fields in given.items():
            flaws: list[_Flaw] = []
            if isinstance(fields, Mapping):
                names = {self.keys.get(str(key)) for key in fields}
                own = {k: getattr(parsed, name) for k, name in self.keys.items()}
                kept = {k: v for k, v in own.items() if self.keys[k] not in names}
                fields = {**kept, **fields}
            if (one := self._input(fields, flaws)) is not None:
                made[str(language)] = one
            found += [(reason, f"{field}_{language}", value) for reason, field, value in flaws]
        return made

    @cached_property
    def keys(self) -> Mapping[str, str]:
        """The keys that an input is read from, each with its field, as pydantic reads them."""
        config = self.input_type.model_config
        keys: dict[str, str] = {}
        by_name = config.get("populate_by_name") or config.get("validate_by_name")
        for name, info in self.input_type.model_fields.items():
            paths = alias_paths(info) if config.get("validate_by_alias", True) else []
            keys.update((str(path[0]), name) for path in paths)
            if by_name or not paths:
                keys[name] = name
        return keys

    @cached_property
    def required(self) -> list[str]:
        """The keys without which there is no input; a field of several keys names none."""
        fields = self.input_type.model_fields
        times = Counter(self.keys.values())
        return [k for k, f in self.keys.items() if fields[f].is_required() and times[f] == 1]

    def _parsed(self, given: Any) -> BaseModel:
        """Return an input; texts of its numbers may be in the digits of any script."""
        if type(given) is self.input_type:
            return given
        try:
            return self.input_type.model_validate(given)
        except ValidationError as error:
            if not isinstance(given, Mapping):
                raise
            numbers = {
                one["loc"][0]: number
                for one in error.errors(include_url=False, include_context=False)
                if one["type"] in _NUMBERS
                and len(one["loc"]) == 1
                and isinstance(one["input"], str)
                if (number := plain_number(one["input"])) != one["input"]
            }
            if not numbers:
                raise
            return self.input_type.model_validate({**given, **numbers})

    def _input(self, given: Any, found: list[_Flaw]) -> BaseModel | None:
        if isinstance(given, Mapping):
            given = {key: unwrapped(v) if hasattr(v, "item") else v for key, v in given.items()}
            for field in given if self.input_type.model_config.get("extra") != "allow" else ():
                if field not in self.keys:
                    known = ", ".join(map(repr, self.keys))
                    reason = tr("the input has no such field; it has {known}", known=known)
                    found.append((reason, str(field), given[field]))
        try:
            parsed = self._parsed(given)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
                    continue  # said above
                field = ".".join(str(part) for part in item["loc"]) or "input"
                absent = item["type"] == "missing"
                reason = tr("missing") if absent else said_of(item)
                found.append((reason, field, None if absent else item["input"]))
            return None
        try:
            for field, item in plain(parsed).items():
                found += _flaws(field, item)
        except UnwritableError as error:
            found.append((str(error), error.field, error.value))
            return None
        return parsed


_NUMBERS = ("int_parsing", "float_parsing", "decimal_parsing")
"""Errors of pydantic for texts that write no number in ASCII."""


def _with_alternatives(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parts of an example with the first of its outputs and the rest."""
    golds = value["output"]
    if isinstance(golds, str) and golds.lstrip().startswith("["):
        try:
            golds = json.loads(golds)
        except (ValueError, RecursionError):
            return value
    if not isinstance(golds, list | tuple) or not golds:
        return value
    return {**value, "output": golds[0], "alternatives": golds[1:]}


def _flaws(field: str, value: Any) -> Iterator[_Flaw]:
    """Yield what no file or prompt can hold: lone surrogates and numbers that are not finite."""
    if isinstance(value, str):
        if not value.isascii() and _SURROGATE.search(value):
            yield tr("half of a surrogate pair, which is no character"), field, value
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield tr("not a finite number"), field, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flaws(f"{field}.{key}", item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _flaws(field, item)
