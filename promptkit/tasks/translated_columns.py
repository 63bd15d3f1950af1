"""Columns that hold the fields of an input in other languages: `name_hi` beside `name`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from promptkit.errors import Problem, TaskError
from promptkit.tasks.examples import RESERVED
from promptkit.tasks.languages import TAG
from promptkit.translation import tr


class TranslatedColumns:
    """The columns of the fields of an input in other languages."""

    def __init__(
        self,
        needed: Mapping[str, Sequence[str]],
        fields: Collection[str],
        columns: Mapping[str, str],
    ) -> None:
        """Find the columns.

        Args:
            needed: The fields that every row has in a language, by the language.
            fields: All fields of an input.
            columns: The columns of fields whose names differ from them.

        Raises:
            TaskError: A field has the name of such a column.
        """
        self._named = {
            language: {field: f"{columns.get(field, field)}_{language}" for field in fields}
            for language in needed
        }
        self.columns = {column for names in self._named.values() for column in names.values()}
        """All columns that may hold translations."""
        self.required = [
            self._named[language][field] for language, own in needed.items() for field in own
        ]
        """Columns that every row has a text in."""
        if clash := self.columns & {*fields, *columns.values(), *RESERVED}:
            raise TaskError(
                tr(
                    "{clash!r} is an input field, and the column of another one's translation; "
                    "rename one of them",
                    clash=min(clash),
                )
            )
        alternatives = "|".join(re.escape(columns.get(field, field)) for field in fields)
        self._foreign = re.compile(rf"(?:{alternatives})_({TAG})")
        self._others = {*fields, *columns.values(), *RESERVED}
        self._seen: set[str] = set()

    def problems(self, row: Mapping[str, Any]) -> Iterator[Problem]:
        """Yield the translations that a row lacks, and those into unknown languages."""
        for column in self.required:
            if row.get(column) in (None, "", []):
                yield Problem(tr("no translation"), field=column)
        for column in row if self._named else ():
            match = self._foreign.fullmatch(column)
            if match and column not in self.columns | self._others | self._seen:
                self._seen.add(column)
                yield Problem(
                    tr(
                        "unknown language {match!r}; add a section [languages.{match}] to "
                        "task.toml, or rename the column",
                        match=match[1],
                    ),
                    field=column,
                )

    def of(
        self, row: Mapping[str, Any], value: Callable[[str, Any], Any]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Return the translated fields of a row by language.

        Args:
            row: The row.
            value: A function from a field and its cell to the field's value.
        """
        found = {}
        for language, names in self._named.items():
            own = {f: value(f, row[c]) for f, c in names.items() if row.get(c) not in (None, "")}
            if own:
                found[language] = own
        return found
