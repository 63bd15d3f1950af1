"""Open lookup tables: their pages, their versions, and how inputs are found in them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from promptkit.errors import LookupFileError
from promptkit.lookup.lookup_entries import Codec
from promptkit.lookup.lookup_file import LookupPages, opened
from promptkit.lookup.lookup_keys import InputField, Keys, keys_of
from promptkit.translation import tr


class Version(NamedTuple):
    """A version of a lookup table: where its answers came from, and what it changed."""

    number: int
    """Number from 1."""
    made: str
    """Time, in UTC."""
    source: str
    """Name of the predictions; what it was made of else."""
    model: str | None
    """Name of the model that predicted."""
    template: str | None
    """Name of the template."""
    predictor: str | None
    """Digest of everything that decides the predictions."""
    promptkit: str
    """Version of promptkit."""
    entries: int = 0
    """Number of inputs, equal ones after normalisation counted once."""
    inputs: int = 0
    """Number of inputs."""
    added: int = 0
    """Number of inputs that the version before did not have."""
    changed: int = 0
    """Number of inputs whose answers the version before had otherwise."""
    removed: int = 0
    """Number of inputs of the version before that this one does not have."""
    restores: int | None = None
    """Number of the version whose entries a rollback brought back."""
    fields: tuple[InputField, ...] = ()
    """Fields of the inputs, with their rules of normalisation."""
    tokens: int | None = None
    """Number of tokens of the prompts whose answers it has; None where the predictions do not say
    it."""
    seconds: float | None = None
    """Seconds that its answers took."""


_TOOK = ("tokens", "seconds")

ODD = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError),
    struct.error,
)
"""Errors of reading what a file says in another way than promptkit writes it."""


def about_versions(versions: Iterable[Version]) -> dict[str, Any]:
    """Return versions as a file says them of itself; what answers took stands apart.

    Readers of earlier versions of promptkit refuse other fields of a version.
    """
    every = [version._asdict() for version in versions]
    took = [{name: version.pop(name) for name in _TOOK} for version in every]
    return {"versions": every, "took": took}


def _versions(about: Mapping[str, Any]) -> Iterator[Version]:
    """Yield the versions that a file names."""
    took = about.get("took") or []
    for place, version in enumerate(about["versions"]):
        more = took[place] if len(took) == len(about["versions"]) else {}
        yield Version(**{**version, **more, "fields": _fields(version["fields"])})


class LookupTable(NamedTuple):
    """An open lookup file with all that reading takes."""

    pages: LookupPages
    keys: Keys
    codec: Codec
    fields: tuple[InputField, ...]
    versions: tuple[Version, ...]
    oldest: int
    """Number of the oldest version that can be brought back."""


def read_table(path: Path) -> LookupTable:
    """Return the table of a file.

    Raises:
        LookupFileError: The file is not there, no lookup table, or damaged.
        MissingExtraError: LMDB is not installed.
    """
    pages = opened(path)
    try:
        about = pages.about()
        versions = tuple(_versions(about))
        fields = versions[-1].fields
        codec = Codec(about["labels"], about["names"])
        return LookupTable(pages, keys_of(fields), codec, fields, versions, about["oldest"])
    except ODD as error:
        raise LookupFileError(tr("{path}: damaged: {error!r}", path=path, error=error)) from None


def _fields(written: Iterable[Any]) -> tuple[InputField, ...]:
    return tuple(InputField(str(name), is_text, tuple(rules)) for name, is_text, rules in written)
