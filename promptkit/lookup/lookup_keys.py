"""Keys of lookup tables: an input, exactly as it is and normalised, as two digests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Literal, NamedTuple
from unicodedata import normalize

from promptkit.errors import PromptkitError, shorten
from promptkit.translation import tr

RULES = ("nfc", "nfkc", "case", "space")
"""Rules of normalisation: Unicode's composed form; its compatibility form, in which ² is 2; letters
of either case as one; white space trimmed, and runs of it as one space."""

DEFAULT_RULES: tuple[str, ...] = ("nfc", "case", "space")

Keys = Callable[[Any], tuple[bytes, bytes]]
"""Function from an input to the digests of its normalised form and of itself."""

KEY_BYTES, CHECK_BYTES = 16, 8


class InputField(NamedTuple):
    """A field of the inputs of a lookup table."""

    name: str
    is_text: bool
    """Whether its values are texts, in all entries."""
    rules: tuple[str, ...]
    """Rules by which its texts are normalised."""


def keys_of(fields: Sequence[InputField]) -> Keys:
    """Return the function that makes the keys of inputs with these fields.

    An input is a mapping of the fields; of a single field also its value alone.
    """
    normalisers = [normaliser(field.rules) for field in fields]
    if len(fields) == 1:
        return _keys_of_one(fields[0].name, normalisers[0])
    return _keys_of_several([field.name for field in fields], normalisers)


def rules_of(written: Iterable[str], names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the rules of each field, from texts such as `name=nfkc,case`, `case,space` and `none`.

    Args:
        written: Rules of one field, or of all that have none of their own.
        names: The fields.

    Raises:
        PromptkitError: A field or a rule is unknown.
    """
    every, own = DEFAULT_RULES, dict[str, tuple[str, ...]]()
    for text in written:
        field, equals, rules = text.rpartition("=")
        parsed = tuple(part.strip() for part in rules.split(",") if part.strip())
        parsed = () if parsed == ("none",) else parsed
        for rule in parsed:
            if rule not in RULES:
                known = ", ".join([*RULES, "none"])
                raise PromptkitError(
                    tr(
                        "normalise {text!r}: unknown rule {rule!r}; choose of: {known}",
                        text=text,
                        rule=rule,
                        known=known,
                    )
                )
        if not equals:
            every = parsed
        elif field in names:
            own[field] = parsed
        else:
            raise PromptkitError(
                tr(
                    "normalise {text!r}: no field {field}; choose of: {names}",
                    text=text,
                    field=shorten(field),
                    names=", ".join(names),
                )
            )
    return {name: own.get(name, every) for name in names}


def normaliser(rules: Iterable[str]) -> Callable[[str], str]:
    """Return the function that normalises texts by these rules; it changes no normalised text."""
    form: Literal["NFKC", "NFC"] | None = None
    if "nfkc" in rules or "nfc" in rules:
        form = "NFKC" if "nfkc" in rules else "NFC"
    case, space = "case" in rules, "space" in rules

    def normalise(text: str) -> str:
        if text.isascii():  # is in every form, and has no case but these
            if case:
                text = text.lower()
        else:
            if form is not None:
                text = normalize(form, text)
            if case:
                folded = text.casefold()
                if folded != text and form is not None:  # letters may have become several
                    folded = normalize(form, folded)
                text = folded
        return " ".join(text.split()) if space else text

    return normalise


def _keys_of_one(name: str, normalise: Callable[[str], str]) -> Keys:
    def keys(value: Any) -> tuple[bytes, bytes]:
        if not isinstance(value, str):
            if isinstance(value, Mapping):
                value = _values((name,), value)[0]
            if not isinstance(value, str):
                key = _json_digest(value)
                return key, key[:CHECK_BYTES]
        normal = normalise(value)
        key = blake2b(normal.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()
        if normal == value:
            return key, key[:CHECK_BYTES]
        exact = value.encode("utf-8", "surrogatepass")
        return key, blake2b(exact, digest_size=KEY_BYTES).digest()[:CHECK_BYTES]

    return keys


def _keys_of_several(names: Sequence[str], normalisers: Sequence[Callable[[str], str]]) -> Keys:
    def keys(value: Any) -> tuple[bytes, bytes]:
        if not isinstance(value, Mapping):
            raise PromptkitError(
                tr(
                    "{value}: no input of this lookup table, whose inputs are objects with the "
                    "fields {names}",
                    value=shorten(value),
                    names=", ".join(names),
                )
            )
        values = _values(names, value)
        normal = [
            normalise(item) if isinstance(item, str) else item
            for normalise, item in zip(normalisers, values, strict=True)
        ]
        key = _json_digest(normal)
        exact = key if normal == values else _json_digest(values)
        return key, exact[:CHECK_BYTES]

    return keys


def _values(names: Sequence[str], value: Mapping[str, Any]) -> list[Any]:
    """Return the values of the fields, in their order."""
    try:
        values = [value[name] for name in names]
    except KeyError as error:
        raise PromptkitError(
            tr(
                "{value}: no field {field!r}; inputs of this lookup table have {names}",
                value=shorten(dict(value)),
                field=error.args[0],
                names=", ".join(names),
            )
        ) from None
    if len(value) > len(names):
        other = next(name for name in value if name not in names)
        raise PromptkitError(
            tr(
                "{value}: unknown field {field!r}; inputs of this lookup table have {names}",
                value=shorten(dict(value)),
                field=other,
                names=", ".join(names),
            )
        )
    return values


_encode = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
).encode


def _json_digest(value: Any) -> bytes:
    """Return the digest of a value in JSON, where 1 equals 1.0, and true does not."""
    try:
        text = _encode(_whole(value))
    except (TypeError, ValueError) as error:
        reason = tr(
            "{value}: no value of an input, which JSON can hold ({error})",
            value=shorten(value),
            error=error,
        )
        raise PromptkitError(reason) from None
    raw = text.encode("utf-8", "surrogatepass")
    return blake2b(raw, digest_size=KEY_BYTES, person=b"json").digest()


def _whole(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list | tuple) else value
