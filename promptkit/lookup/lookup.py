"""Lookup tables: answers that were predicted before, found without a model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptkit.errors import LookupFileError, LookupMissError, TaskError, shorten
from promptkit.lookup.lookup_entries import StoredAnswer
from promptkit.lookup.lookup_file import inode_of
from promptkit.lookup.lookup_keys import InputField
from promptkit.lookup.lookup_table import ODD, Version, read_table
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.inference.any_predictor import AnyPredictor
    from promptkit.inference.prediction import Prediction
    from promptkit.inference.profile import Profile
    from promptkit.models.base import ModelIdentity, Usage
    from promptkit.tasks.examples import Example
    from promptkit.tasks.task import Task

REFUSED: Any = ...
"""Default of a lookup table that refuses inputs which it does not have."""


class Lookup:
    """A lookup table: a file of answers, opened without a model, by any number of processes.

    An input is found as it is, else by its normalised form. It may be shared by threads, pickled
    and forked.

    Args:
        file: File that `promptkit lookup build` or `build_lookup` made.
        default: Label of inputs that the table does not have; by default they are refused.
        fallback: Predictor that is asked for them instead, such as a model or a student.
        task: Task of the inputs, which `predict` and a fallback need.

    Raises:
        LookupFileError: The file is not there, no lookup table, or damaged.
        TaskError: Both a default and a fallback are given, or a fallback without a task.

    Example:
        >>> from promptkit import build_lookup
        >>> rows = [{"input": {"name": "Acetylsalicylic acid"}, "label": "aspirin"}]
        >>> _ = build_lookup(rows, "names.lookup")
        >>> Lookup("names.lookup").find("acetylsalicylic  ACID").label
        'aspirin'
    """

    def __init__(
        self,
        file: str | Path,
        *,
        default: Any = REFUSED,
        fallback: AnyPredictor | None = None,
        task: Task[Any, Any] | None = None,
    ) -> None:
        if fallback is not None and default is not REFUSED:
            raise TaskError(tr("a lookup table takes a default or a fallback, not both"))
        if fallback is not None and task is None:
            raise TaskError(tr("a lookup table with a fallback needs the task, as task=..."))
        self.file = Path(file)
        self.default, self.fallback, self.task = default, fallback, task
        self._table = read_table(self.file)

    def find(self, value: Any) -> StoredAnswer:
        """Return the answer to an input.

        Args:
            value: A mapping of the input fields, or the value of the only one.

        Raises:
            LookupMissError: The table does not have the input, and has no default nor fallback.
            PromptkitError: The value is no input of the table.
        """
        found = self._found(value)
        return self._missed([value])[0] if found is None else found

    def find_all(self, values: Iterable[Any]) -> list[StoredAnswer]:
        """Return the answer to each input; a fallback is asked once, for all that it is needed for.

        Raises what `find` raises.
        """
        values = [*values]
        found = [*map(self._found, values)]
        rest = iter(self._missed([v for v, one in zip(values, found, strict=True) if one is None]))
        return [next(rest) if one is None else one for one in found]

    def _found(self, value: Any) -> StoredAnswer | None:
        table = self._table
        key, check = table.keys(value)
        entry = table.pages.get(key)
        try:
            return None if entry is None else table.codec.find(entry, check)
        except ODD as error:
            raise LookupFileError(
                tr("{file}: damaged: {error!r}", file=self.file, error=error)
            ) from None

    def _missed(self, values: Sequence[Any]) -> list[StoredAnswer]:
        """Return the answers to inputs that the table does not have. Raises `LookupMissError`."""
        if not values:
            return []
        if self.fallback is None or self.task is None:
            if self.default is REFUSED:
                raise LookupMissError(f"{self.file}: {self._reason(values[0])}")
            return [StoredAnswer(self.default, match="default")] * len(values)
        queries = [self.task.as_query(self._fields_of(value)) for value in values]
        return [*map(_answer, self.fallback.predict(queries))]

    def _reason(self, value: Any) -> str:
        """Return why there is no answer to an input."""
        key, _ = self._table.keys(value)
        if self._table.pages.get(key) is None:
            return tr("no answer to {value}, as it is or normalised", value=shorten(value))
        return tr(
            "no answer to {value}, and different ones to several inputs that are the "
            "same after normalisation",
            value=shorten(value),
        )

    def _fields_of(self, value: Any) -> Mapping[str, Any]:
        """Return an input as a mapping of its fields."""
        names = [field.name for field in self.fields]
        return value if isinstance(value, Mapping) else dict(zip(names, [value], strict=True))

    def predict(self, queries: Iterable[Example[Any, Any]], /) -> list[Prediction]:
        """Return the predictions of some queries; a failure for one that has no answer.

        Args:
            queries: Queries of the table's task.

        Raises:
            TaskError: The table was opened without its task, or has a label that is none of it.
        """
        from promptkit.lookup.lookup_predictions import predicted

        if self.task is None:
            raise TaskError(
                tr("{file}: predictions need the task, as Lookup(..., task=...)", file=self.file)
            )
        queries = [*queries]
        found: list[StoredAnswer | Prediction | None] = []
        for query in queries:
            fields = self.task.fields_of(query)
            found.append(self._found({field.name: fields.get(field.name) for field in self.fields}))
        missing = [query for query, one in zip(queries, found, strict=True) if one is None]
        rest = self._replaced(missing)
        every = [next(rest) if one is None else one for one in found]
        own = partial(predicted, self.task, self.identity.name)
        return [*map(own, queries, every)]

    def _replaced(
        self, queries: Sequence[Example[Any, Any]]
    ) -> Iterator[StoredAnswer | Prediction | None]:
        """Return what the queries are given that the table has no answer to."""
        if self.fallback is not None and queries:
            return iter(self.fallback.predict(queries))
        default = None if self.default is REFUSED else StoredAnswer(self.default, match="default")
        return iter([default] * len(queries))

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the table, with what it does where it has no answer."""
        from promptkit.lookup.lookup_predictions import identity_of

        return identity_of(self.file.name, self.sha256, self.fallback, self.default)

    @property
    def sha256(self) -> str:
        """Digest of the file's content."""
        return self._table.pages.sha256

    @property
    def usage(self) -> Usage:
        """Cost of the fallback's work so far."""
        from promptkit.models.base import Usage

        return Usage() if self.fallback is None else self.fallback.usage

    @property
    def profile(self) -> Profile:
        """Size of the file, and what its answers took; with the size of the fallback's model."""
        from dataclasses import replace

        from promptkit.inference.profile import Profile, profile_of

        rest = (
            Profile(parameters=0, bytes=0) if self.fallback is None else profile_of(self.fallback)
        )
        size = self.file.stat().st_size
        return replace(
            rest,
            bytes=None if rest.bytes is None else rest.bytes + size,
            seconds=rest.seconds + (self.version.seconds or 0.0),
            tokens=rest.tokens + (self.version.tokens or 0),
            is_timed=rest.is_timed and self.version.seconds is not None,
        )

    @property
    def fields(self) -> tuple[InputField, ...]:
        """Fields of the inputs, with their rules of normalisation."""
        return self._table.fields

    @property
    def versions(self) -> tuple[Version, ...]:
        """Versions of the table, the one that answers last."""
        return self._table.versions

    @property
    def version(self) -> Version:
        """Version that answers."""
        return self._table.versions[-1]

    def __len__(self) -> int:
        return self.version.inputs

    def reload(self) -> bool:
        """Open the file again if it was replaced, as by a refresh; return whether it was.

        Raises what opening raises; then the table answers as before.
        """
        if inode_of(self.file) == self._table.pages.inode:
            return False
        self._table = read_table(self.file)
        return True

    def roll_back(self, to: int | None = None) -> Version:
        """Bring the entries of an earlier version back in the file, as a new version.

        Args:
            to: Number of the version; by default the one before.

        Returns:
            The new version, which answers from now on.

        Raises:
            LookupFileError: What that version had is not kept, or the file cannot be written.
        """
        from promptkit.lookup.lookup_build import roll_back

        made = roll_back(self.file, to)
        self.reload()
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_table"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._table = read_table(self.file)


def _answer(prediction: Prediction) -> StoredAnswer:
    names = ("label", "probs", "margin", "coverage", "text")
    return StoredAnswer(
        **{name: getattr(prediction, name) for name in names},
        abstained=prediction.abstained,
        match="predictor",
    )
