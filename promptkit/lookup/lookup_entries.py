"""Answers as bytes: the entries of a lookup table.

An entry holds the answers to all inputs whose normalised forms are the same. Most answers take a
few bytes: the number of the label, and probabilities in single precision.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, Literal, NamedTuple

from promptkit.lookup.lookup_keys import CHECK_BYTES

_HEAD = Struct(f"<{CHECK_BYTES}sHBBH")  # digest, version, flags, number of the names, label
_SIZE = Struct("<I")
_ABSTAINED, _SCORED, _JSON = 1, 2, 4
_FLAGS_AT, _NAMES_AT = CHECK_BYTES + 2, CHECK_BYTES + 3
_NO_LABEL, _MOST_NAMES = 0xFFFF, 0x100
_PROBS_AT = 7  # in what is unpacked: behind the head, the margin and the coverage
_VERSION = slice(CHECK_BYTES, CHECK_BYTES + 2)


Match = Literal["exact", "normalised", "default", "predictor"]
EXACT: Match = "exact"
NORMALISED: Match = "normalised"


class StoredAnswer(NamedTuple):
    """An answer of a lookup table."""

    label: Any
    """Label, or value of a generated answer; None where the answer was held back."""
    probs: Mapping[str, float] | None = None
    """Probability of each label, where labels were scored."""
    margin: float | None = None
    """Difference between the log-probabilities of the best label and the second, in nats."""
    coverage: float | None = None
    """Probability mass on the labels together."""
    abstained: bool = False
    """Whether the answer was held back for its low probability."""
    text: str | None = None
    """Generated text, where it is not the label."""
    match: Match = EXACT
    """How the input was found: as it is, normalised, or not at all."""
    version: int | None = None
    """Version of the table that the answer came with; None for one that is not in the table."""

    def agrees(self, other: StoredAnswer) -> bool:
        """Return whether another answer says the same."""
        return _key(self.label) == _key(other.label) and self.abstained == other.abstained


class Codec:
    """Packs and unpacks entries; labels and tuples of labels are numbered as they come."""

    def __init__(self, labels: Sequence[Any] = (), names: Sequence[Sequence[str]] = ()) -> None:
        self.labels = [*labels]
        """Labels by their number."""
        self.names = [tuple(group) for group in names]
        """Labels of the probabilities of a row, by their number; none is the first."""
        self._numbers = {_key(label): number for number, label in enumerate(self.labels)}
        self._groups = {group: number for number, group in enumerate(self.names)}
        self._structs = [_scored(group) for group in self.names]

    def pack(self, check: bytes, version: int, answer: StoredAnswer) -> bytes:
        """Return an answer to the input of this digest as bytes."""
        rest: dict[str, Any] = {}
        flags = _ABSTAINED if answer.abstained else 0
        number = self._number(answer.label)
        if number is None:
            rest["label"] = answer.label
        if answer.text is not None and answer.text != answer.label:
            rest["text"] = answer.text
        group, scores = 0, b""
        if answer.probs is not None:
            found = self._group(tuple(answer.probs))
            if found is None:
                rest |= {name: getattr(answer, name) for name in ("probs", "margin", "coverage")}
            else:
                group, flags = found, flags | _SCORED
                numbers = map(_number_or_nan, (answer.margin, answer.coverage))
                scores = Struct(f"<{2 + len(answer.probs)}f").pack(*numbers, *answer.probs.values())
        if rest:
            flags |= _JSON
        head = _HEAD.pack(check, version, flags, group, _NO_LABEL if number is None else number)
        if not rest:
            return head + scores
        text = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
        raw = text.encode("utf-8", "surrogatepass")
        return head + scores + _SIZE.pack(len(raw)) + raw

    def find(self, entry: bytes, check: bytes) -> StoredAnswer | None:
        """Return the answer to the input of this digest, or to one with the same normalised form.

        None where several of these have different answers.

        Raises ValueError, IndexError or `struct.error` for bytes that are no entry.
        """
        if entry[_FLAGS_AT] & ~_ABSTAINED == _SCORED:
            number = entry[_NAMES_AT]
            struct = self._structs[number]
            if len(entry) == struct.size:  # a single answer, of labels that were scored
                known, version, flags, _, label, margin, coverage, *probs = struct.unpack(entry)
                return StoredAnswer(
                    None if label == _NO_LABEL else self.labels[label],
                    dict(zip(self.names[number], probs)),  # noqa: B905 - the struct has as many
                    margin if margin == margin else None,
                    coverage if coverage == coverage else None,
                    flags != _SCORED,
                    None,
                    EXACT if known == check else NORMALISED,
                    version,
                )
        first, *others = parts = self.split(entry)
        for part in parts:
            if part[:CHECK_BYTES] == check:
                return self.answer(part)
        answer = self.answer(first)._replace(match=NORMALISED)
        return answer if all(answer.agrees(self.answer(part)) for part in others) else None

    def answer(self, part: bytes) -> StoredAnswer:
        """Return one answer of an entry."""
        _, version, flags, group, number = _HEAD.unpack_from(part)
        scores: dict[str, Any] = {}
        if flags & _SCORED:
            *_, margin, coverage = self._structs[group].unpack_from(part)[:_PROBS_AT]
            probs = self._structs[group].unpack_from(part)[_PROBS_AT:]
            scores["probs"] = dict(zip(self.names[group], probs, strict=True))
            scores |= {"margin": _known(margin), "coverage": _known(coverage)}
        if flags & _JSON:
            start = self._structs[group].size if flags & _SCORED else _HEAD.size
            scores |= json.loads(part[start + _SIZE.size :])
        label = scores.pop("label", None) if number == _NO_LABEL else self.labels[number]
        abstained = flags & _ABSTAINED > 0
        return StoredAnswer(label, abstained=abstained, match=EXACT, version=version, **scores)

    def split(self, entry: bytes) -> list[bytes]:
        """Return the answers of an entry one by one, as bytes."""
        parts, at = [], 0
        while at < len(entry):
            start, flags = at, entry[at + _FLAGS_AT]
            at += self._structs[entry[at + _NAMES_AT]].size if flags & _SCORED else _HEAD.size
            if flags & _JSON:
                at += _SIZE.size + _SIZE.unpack_from(entry, at)[0]
            parts.append(entry[start:at])
        return parts

    def _number(self, label: Any) -> int | None:
        """Return the number of a label, a new one if need be; None where there are no more."""
        key = _key(label)
        if key not in self._numbers and len(self.labels) < _NO_LABEL:
            self._numbers[key] = len(self.labels)
            self.labels.append(label)
        return self._numbers.get(key)

    def _group(self, names: tuple[str, ...]) -> int | None:
        """Return the number of a row's labels, as `_number` does."""
        if names not in self._groups and len(self.names) < _MOST_NAMES:
            self._groups[names] = len(self.names)
            self.names.append(names)
            self._structs.append(_scored(names))
        return self._groups.get(names)


def unlike(part: bytes, other: bytes) -> bool:
    """Return whether two answers in bytes differ in anything but their version."""
    return part[: _VERSION.start] != other[: _VERSION.start] or (
        part[_VERSION.stop :] != other[_VERSION.stop :]
    )


def _scored(names: Sequence[str]) -> Struct:
    return Struct(f"{_HEAD.format}{2 + len(names)}f")


def _key(label: Any) -> str:
    return json.dumps(label, ensure_ascii=False, sort_keys=True)


def _number_or_nan(number: float | None) -> float:
    return math.nan if number is None else number


def _known(number: float) -> float | None:
    return None if number != number else number
