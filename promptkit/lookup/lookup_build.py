"""Lookup tables are built of predictions, refreshed by newer ones, and rolled back.

Each time a new file takes the place of the old one, which its readers keep until they open it anew.
It holds what the last versions replaced, so that they can be brought back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from struct import Struct
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import promptkit
from promptkit.errors import LookupFileError, MissingExtraError, TaskError
from promptkit.files import saving
from promptkit.lookup.lookup_entries import Codec, unlike
from promptkit.lookup.lookup_file import PageWriter, inode_of
from promptkit.lookup.lookup_gather import Gatherer
from promptkit.lookup.lookup_keys import CHECK_BYTES
from promptkit.lookup.lookup_rows import PredictedBy, PredictedRows
from promptkit.lookup.lookup_table import LookupTable, Version, about_versions, read_table
from promptkit.text import listed
from promptkit.translation import tr

_NUMBER = Struct(">I")  # of a version, in front of the keys whose entries it replaced
_MOST_VERSIONS = 0xFFFF


class Change(NamedTuple):
    """An entry before and now, empty for one that is not there."""

    key: bytes
    before: bytes
    now: bytes


class Built(NamedTuple):
    """Outcome of building or refreshing a lookup table."""

    file: Path
    version: Version
    """The new version, with the numbers of inputs that it added, changed and removed."""
    unanswered: int
    """Number of predictions without an answer, which are left out."""
    repeated: int
    """Number of predictions of inputs that an earlier row has, with the same label."""
    collisions: int
    """Number of inputs that equal another one after normalisation, and have another answer."""
    collided: tuple[str, ...]
    """The first of these, in words."""


def build_lookup(
    predictions: str | Path | Iterable[Any],
    file: str | Path,
    *,
    normalise: str | Iterable[str] = (),
    add: bool = False,
    keep: int = 1,
    origin: PredictedBy | None = None,
) -> Built:
    """Build a lookup table of predictions, or a new version of one that is there.

    The file is replaced at once, when all is written. Answers that stay the same keep the version
    that they came with.

    Args:
        predictions: A .jsonl or .parquet file of predictions, or predictions, or mappings with
            `input` and `label`.
        file: The file of the table.
        normalise: Rules by which inputs are compared that are not there as they are: any of nfc,
            nfkc, case and space, or none, of a field (`name=nfkc,case`) or of all others
            (`case,space`); by default those of the file, or nfc, case and space.
        add: Whether inputs stay that the file has and the predictions do not.
        keep: Number of versions that can be brought back.
        origin: What the predictions were made by, where they do not say it themselves.

    Returns:
        The new version, and what was noticed.

    Raises:
        DataError: Rows are no predictions, are of several cells, or answer an input differently.
        LookupFileError: The file is there and no lookup table, or cannot be written.
        PromptkitError: A rule is unknown, or other than that of the file when entries are added.

    Example:
        >>> rows = [{"input": {"name": "Aspirin"}, "label": "acetylsalicylic acid"}]
        >>> build_lookup(rows, "aspirin.lookup").version.added
        1
    """
    path = Path(file)
    if keep < 0:
        raise TaskError(tr("keep {keep}: it is 0 or more", keep=keep))
    before = read_table(path) if path.exists() else None
    rows = PredictedRows(predictions)
    with _scratch(path) as folder:
        codec = before.codec if before is not None else Codec()
        number = _next_number(path, before)
        written = [normalise] if isinstance(normalise, str) else [*normalise]
        gatherer = Gatherer(PageWriter(folder / "gathered"), codec, number, written, before, add)
        gatherer.put_all(rows)
        found = origin or rows.origin
        new = Version(
            number=number,
            made=_now(),
            source=rows.name,
            **found._asdict(),
            promptkit=promptkit.__version__,
            fields=gatherer.fields,
            **_took(rows, before if add else None),
        )
        entries = before.pages.items() if before is not None else iter(())
        changes = (
            Change(key, was or b"", _refreshed(codec, was or b"", now or b"", add))
            for key, was, now in _merged(entries, gatherer.pages.items())
        )
        made = _write(path, folder, before, codec, changes, new, keep)
        gatherer.pages.close()
    return Built(
        path, made, rows.unanswered, gatherer.repeated, gatherer.collisions, (*gatherer.collided,)
    )


def roll_back(file: str | Path, to: int | None = None) -> Version:
    """Bring the entries of an earlier version back, as a new version.

    Args:
        file: The file of the table.
        to: Number of the version; by default the one before.

    Returns:
        The new version, which itself can be rolled back.

    Raises:
        LookupFileError: What that version had is not kept, or the file cannot be written.

    Example:
        >>> for label in ("fever", "pain"):
        ...     _ = build_lookup([{"input": {"name": "Aspirin"}, "label": label}], "uses.lookup")
        >>> roll_back("uses.lookup").restores
        1
    """
    path = Path(file)
    before = read_table(path)
    last = before.versions[-1].number
    to = last - 1 if to is None else to
    if not before.oldest <= to < last:
        kept = listed([str(number) for number in range(before.oldest, last)], "or")
        reason = (
            tr("version {kept} can", kept=kept)
            if kept
            else tr("no other version is kept that could")
        )
        raise LookupFileError(
            tr(
                "{path}: no way back to version {to}; {reason} be brought back",
                path=path,
                to=to,
                reason=reason,
            )
        )
    number = _next_number(path, before)
    with _scratch(path) as folder:
        undone = PageWriter(folder / "undone")
        for version in range(last, to, -1):  # the oldest has the last word
            for key, entry in _undo(before, version, version + 1):
                undone.put(key[_NUMBER.size :], entry)
        changes = (
            Change(key, was or b"", (was or b"") if now is None else now)
            for key, was, now in _merged(before.pages.items(), undone.items())
        )
        goal = before.versions[to - 1]
        new = goal._replace(number=number, made=_now(), restores=to)
        made = _write(path, folder, before, before.codec, changes, new, last - before.oldest)
        undone.close()
    return made


def _took(rows: PredictedRows, more: LookupTable | None) -> dict[str, Any]:
    """Return what the answers took, with those that are added to; nothing where it is unknown."""
    if rows.took is None or more is None:
        return rows.took or {}
    last = more.versions[-1]
    if last.tokens is None or last.seconds is None:
        return {}
    return {
        "tokens": last.tokens + rows.took["tokens"],
        "seconds": last.seconds + rows.took["seconds"],
    }


def _next_number(path: Path, before: LookupTable | None) -> int:
    number = 1 if before is None else before.versions[-1].number + 1
    if number > _MOST_VERSIONS:
        raise LookupFileError(
            tr(
                "{path}: it has {MOST_VERSIONS:,} versions; build it anew",
                path=path,
                MOST_VERSIONS=_MOST_VERSIONS,
            )
        )
    return number


def _write(
    path: Path,
    folder: Path,
    before: LookupTable | None,
    codec: Codec,
    changes: Iterable[Change],
    new: Version,
    keep: int,
) -> Version:
    """Write a version to the file of its table, and return it with its numbers filled in."""
    pages = PageWriter(folder / "pages")
    oldest = new.number
    if before is not None:
        oldest = max(before.oldest, new.number - keep)
        for key, entry in _undo(before, oldest + 1):
            pages.put(key, entry, b"undo", last=True)
    counts: Counter[str] = Counter()
    for change in changes:
        if change.now:
            pages.put(change.key, change.now, last=True)
            counts["entries"] += 1
        if change.now != change.before and oldest < new.number:
            key = _NUMBER.pack(new.number) + change.key
            pages.put(key, change.before, b"undo", last=True)
        _count(codec, change, counts)
    made = new._replace(
        entries=counts["entries"],
        inputs=counts["inputs"],
        added=counts["added"],
        changed=counts["changed"],
        removed=counts["removed"],
    )
    versions = (*(before.versions if before is not None else ()), made)
    about = {
        "labels": codec.labels,
        "names": codec.names,
        **about_versions(versions),
        "oldest": oldest,
    }
    with saving.streamed(path) as out:
        pages.finish(about, out)
        _check_unchanged(path, before)
    return made


def _check_unchanged(path: Path, before: LookupTable | None) -> None:
    """Raise `LookupFileError` where another process has replaced the file meanwhile."""
    found = inode_of(path) if path.exists() else None
    if found != (None if before is None else before.pages.inode):
        raise LookupFileError(
            tr(
                "{path}: another process has changed it meanwhile; nothing was written, do "
                "it again",
                path=path,
            )
        )


def _undo(table: LookupTable, first: int, end: int | None = None) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the versions from one on have replaced, by number and key."""
    for key, entry in table.pages.items(b"undo", _NUMBER.pack(first)):
        if end is not None and _NUMBER.unpack_from(key)[0] >= end:
            return
        yield key, entry


def _merged(
    old: Iterator[tuple[bytes, bytes]], new: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
    """Yield every key of two sorted sequences with its value in each."""
    was, now = next(old, None), next(new, None)
    while was is not None or now is not None:
        if now is None or (was is not None and was[0] < now[0]):
            assert was is not None
            yield was[0], was[1], None
            was = next(old, None)
        elif was is None or now[0] < was[0]:
            yield now[0], None, now[1]
            now = next(new, None)
        else:
            yield was[0], was[1], now[1]
            was, now = next(old, None), next(new, None)


def _refreshed(codec: Codec, was: bytes, now: bytes, add: bool) -> bytes:
    """Return an entry of a new version; answers that stay the same are kept to the byte."""
    if not was and len(codec.split(now)) == 1:
        return now
    old, new = _by_input(codec, was), _by_input(codec, now)
    if add:
        new = old | new
    kept = [old[key] if key in old and not unlike(old[key], new[key]) else new[key] for key in new]
    return b"".join(sorted(kept))


def _by_input(codec: Codec, entry: bytes) -> dict[bytes, bytes]:
    return {part[:CHECK_BYTES]: part for part in codec.split(entry)}


def _count(codec: Codec, change: Change, counts: Counter[str]) -> None:
    """Count the inputs of an entry."""
    if change.before in (b"", change.now):
        inputs = len(codec.split(change.now))
        counts["inputs"] += inputs
        counts["added"] += inputs if not change.before else 0
        return
    old, new = _by_input(codec, change.before), _by_input(codec, change.now)
    counts["inputs"] += len(new)
    counts["added"] += len(new.keys() - old.keys())
    counts["removed"] += len(old.keys() - new.keys())
    counts["changed"] += sum(unlike(old[key], new[key]) for key in old.keys() & new.keys())


def check_writable(path: Path) -> None:
    """Raise where a table cannot be written to a file.

    Raises:
        LookupFileError: It is there, and no lookup table.
        MissingExtraError: LMDB is missing.
        OSError: Its folder cannot be written.
    """
    if path.exists():
        read_table(path)
    with _scratch(path):
        pass


@contextmanager
def _scratch(path: Path) -> Iterator[Path]:
    """Make a folder beside a file for what is on its way there."""
    try:
        import lmdb
    except ImportError:
        raise MissingExtraError(tr("a lookup table"), "lookup") from None
    try:
        with TemporaryDirectory(prefix=".promptkit-", dir=path.parent) as folder:
            yield Path(folder)
    except lmdb.Error as error:
        raise LookupFileError(
            tr(
                "{path}: cannot be written: {error}; what was there before is unchanged",
                path=path,
                error=error,
            )
        ) from None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
