"""Answers gathered by the normalised form of their inputs, on disk."""

from __future__ import annotations

from collections.abc import Sequence

from promptkit.errors import PromptkitError, shorten
from promptkit.lookup.lookup_entries import Codec, StoredAnswer
from promptkit.lookup.lookup_file import PageWriter
from promptkit.lookup.lookup_keys import CHECK_BYTES, InputField, Keys, keys_of, rules_of
from promptkit.lookup.lookup_rows import AnsweredRow, PredictedRows
from promptkit.lookup.lookup_table import LookupTable
from promptkit.text import listed
from promptkit.translation import tr

SHOWN = 20
"""Number of collisions that are put into words."""


class Gatherer:
    """Entries of a new version of a lookup table, made from rows as they come."""

    def __init__(
        self,
        pages: PageWriter,
        codec: Codec,
        version: int,
        normalise: Sequence[str],
        before: LookupTable | None,
        add: bool,
    ) -> None:
        self.pages = pages
        """Entries by key."""
        self.repeated = 0
        """Number of rows whose input an earlier row has, with the same label."""
        self.collisions = 0
        """Number of inputs that equal another one after normalisation, with another answer."""
        self.collided: list[str] = []
        """The first of these, in words."""
        self._codec, self._version = codec, version
        self._normalise, self._before, self._add = normalise, before, add
        self._fields: tuple[InputField, ...] = ()
        self._keys: Keys | None = None
        self._not_texts: set[str] = set()

    @property
    def fields(self) -> tuple[InputField, ...]:
        """Fields of the inputs, as far as they were seen."""
        return tuple(
            field._replace(is_text=field.is_text and field.name not in self._not_texts)
            for field in self._fields
        )

    def put_all(self, rows: PredictedRows) -> None:
        """Put all rows.

        Raises:
            DataError: Rows are no predictions, or answer an input differently.
            PromptkitError: The rules or the fields are not those of the version before.
        """
        for row in rows:
            if self._keys is None:
                self._fields = self._fields_of([*row.fields])
                self._keys = keys_of(self._fields)
            try:
                key, check = self._keys(row.fields)
            except PromptkitError as error:
                rows.refuse(row.line, str(error))
                continue
            self._not_texts.update(n for n, v in row.fields.items() if not isinstance(v, str))
            reason = self._put(key, check, row)
            if reason is not None:
                rows.refuse(row.line, reason)
        rows.check()
        if self._keys is None:
            raise PromptkitError(tr("{name}: no prediction with an answer", name=rows.name))

    def _put(self, key: bytes, check: bytes, row: AnsweredRow) -> str | None:
        """Put a row; return why it cannot be, if so."""
        mine = self.pages.get(key) or b""
        for part in self._codec.split(mine):
            if part[:CHECK_BYTES] == check:
                self.repeated += 1
                other = self._codec.answer(part)
                return None if other.agrees(row.answer) else _differs(row, other)
        others = mine
        if self._add and self._before is not None:
            others += self._before.pages.get(key) or b""
        for part in self._codec.split(others):
            other = self._codec.answer(part)
            if part[:CHECK_BYTES] != check and not other.agrees(row.answer):
                self._collide(row, other)
                break
        self.pages.put(key, mine + self._codec.pack(check, self._version, row.answer))
        return None

    def _collide(self, row: AnsweredRow, other: StoredAnswer) -> None:
        self.collisions += 1
        if len(self.collided) < SHOWN:
            value = row.fields if len(row.fields) > 1 else next(iter(row.fields.values()))
            self.collided.append(
                tr(
                    "line {line}: {value} is answered {label}, and another input of the same "
                    "normalised form {other}",
                    line=row.line,
                    value=shorten(value),
                    label=shorten(row.answer.label),
                    other=shorten(other.label),
                )
            )

    def _fields_of(self, names: Sequence[str]) -> tuple[InputField, ...]:
        """Return the fields with their rules."""
        old = self._before.fields if self._before is not None else None
        if old is not None and {field.name for field in old} != {*names}:
            before = listed([field.name for field in old])
            raise PromptkitError(
                tr(
                    "the input fields are {names}, and those of the lookup table {before}; "
                    "build another file",
                    names=listed(names),
                    before=before,
                )
            )
        if old is not None and not self._normalise:
            return tuple(field._replace(is_text=field.is_text or not self._add) for field in old)
        rules = rules_of(self._normalise, names)
        order = names if old is None else [field.name for field in old]
        if self._add and old is not None and any(rules[f.name] != f.rules for f in old):
            raise PromptkitError(
                tr(
                    "entries are added by the rules of normalisation that the lookup table "
                    "has; leave the rules out, or build of all predictions"
                )
            )
        return tuple(InputField(name, True, rules[name]) for name in order)


def _differs(row: AnsweredRow, other: StoredAnswer) -> str:
    return tr(
        "the same input as an earlier row, with the answer {label}, not {other}",
        label=shorten(row.answer.label),
        other=shorten(other.label),
    )
