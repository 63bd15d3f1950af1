"""Note on exact match: accuracy counts an answer as right only if all of it equals the gold output.

For labels that is what everybody expects; for numbers, free text, lists and records it can make
every answer wrong though many are nearly right. The note names what judges parts of an answer, and
what `[output]` of task.toml, or `Scoring` in Python, declares instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic.errors import PydanticInvalidForJsonSchema

from promptkit.evaluation.metric import ACCURACY, Metric
from promptkit.tasks.measures import Scoring
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.record_fields import output_fields
from promptkit.text import counted, listed
from promptkit.translation import tr, trn

_NAMED = 3
"""Number of fields of a record that are named."""


Part = tuple[str, Sequence[str]]
"""What equality is strict about: `text`, `number`, `integer`, `date`, `list` or `fields`; with the
name of the field that holds it, if one does, or with the names of the fields."""


def exactness(
    output: OutputType, metric: Metric = ACCURACY, scoring: Scoring = Scoring()
) -> str | None:
    """Return a note on what counts as right; None for plain labels, where it is no surprise.

    Args:
        output: The output type.
        metric: What the comparison looks at; another one than accuracy stands first in its table.
        scoring: What the task declares.
    """
    if (declared := _declared(output, scoring)) is not None:
        return declared
    if output.items is not None:
        return tr(
            "Accuracy is exact match: the share of queries with all of their labels and no others."
        )
    if metric != ACCURACY:
        if output.labels:
            return None
        return tr(
            "Accuracy, beside it, is the share of answers that equal the gold output exactly."
        )
    if output.labels:
        if len(output.labels) > 2 and all(map(_is_number, output.labels)):
            first, *_, last_but_one, last = sorted(output.labels, key=float)
            return tr(
                "Equality of the label is what counts, though the labels are numbers: "
                "{last_but_one} for {last} is as wrong as {first}.",
                last_but_one=last_but_one,
                last=last,
                first=first,
            )
        return None
    if output.is_text:
        return tr(
            "Equality of the whole answer is what counts: another casing, a full stop "
            "or an explanation makes a text wrong. token_f1 says how near texts are; "
            '[output] match ("normalised", "contains", "regex" or "number") declares '
            "what is right."
        )
    try:
        reasons = [*_reasons([*_parts(output.schema, output.schema, (), frozenset())])]
    except (PydanticInvalidForJsonSchema, RecursionError):
        reasons = [tr("what is nearly right is wrong")]
    if not reasons:
        return None
    note = tr("Equality of the whole answer is what counts: {reasons}.", reasons="; ".join(reasons))
    names = [_quoted(field.name) for field in output_fields(output)]
    if len(names) > 1:
        note += tr(
            " field.NAME is the accuracy of each field; [output] counted, such as "
            "[{names}], declares which fields have to be right.",
            names=names[-1],
        )
    return note


def _declared(output: OutputType, scoring: Scoring) -> str | None:
    """Return what is declared to count as right; None where equality is."""
    if scoring.scorer is not None and not output.labels:
        name = getattr(scoring.scorer, "__name__", type(scoring.scorer).__name__)
        return tr(
            "An answer is right where its score by {name!r} is 1; the mean score is score.",
            name=name,
        )
    if scoring.counted:
        near = tr("up to their tolerance") if scoring.tolerances or scoring.within else tr("equal")
        return trn(
            "An answer is right where {fields} is right ({near}); the other fields do not count.",
            "An answer is right where {fields} are right ({near}); the other fields do not count.",
            len(scoring.counted),
            fields=_list(scoring.counted),
            near=near,
        )
    rules = {
        "normalised": tr("equals the gold text without case, punctuation and articles"),
        "contains": tr("has the words of the gold text in it"),
        "regex": tr("has a capture of the pattern that equals the gold text, normalised"),
        "number": tr("has the number of the gold text as its last number"),
    }
    if scoring.match in rules:
        near = (
            tr(", up to {within:g}", within=scoring.within)
            if scoring.match == "number" and scoring.within
            else ""
        )
        return tr(
            "An answer is right where it {rules}{near}; exact_match is equality.",
            rules=rules[scoring.match],
            near=near,
        )
    return None


def _reasons(parts: Sequence[Part]) -> Iterator[str]:
    kinds = {kind for kind, _ in parts}
    if "fields" in kinds:
        names = next(names for kind, names in parts if kind == "fields")
        yield tr("{list} have to be right together", list=_list(names))
    if "text" in kinds:
        fields = [name for kind, names in parts if kind == "text" for name in names]
        where = tr(" of {list}", list=_list(fields)) if fields else ""
        yield tr("the text{where} has to match character by character", where=where)
    if "number" in kinds:
        yield tr("4.9 for 5.0 is as wrong as 0.1")
    elif "integer" in kinds:
        yield tr("4 for 5 is as wrong as 1")
    if "date" in kinds:
        yield tr("a date that is a day off is as wrong as any other")
    if "list" in kinds:
        yield tr("a list has to have the same items in the same order")


def _parts(
    schema: Any, root: Mapping[str, Any], field: Sequence[str], seen: frozenset[str]
) -> Iterator[Part]:
    """Yield what equality is strict about in a JSON Schema, going after its references once."""
    if not isinstance(schema, Mapping) or "const" in schema or "enum" in schema:
        return
    yield from _own_parts(schema, field)
    target = schema.get("$ref")
    if isinstance(target, str) and target not in seen:
        yield from _parts(_at(root, target), root, field, seen | {target})
    several = ("anyOf", "oneOf", "allOf", "prefixItems")
    same = [option for name in several for option in _items(schema.get(name))]
    for below in (*same, schema.get("items"), schema.get("additionalProperties")):
        yield from _parts(below, root, field, seen)
    for name, value in _fields(schema).items():
        yield from _parts(value, root, (name,), seen)


def _own_parts(schema: Mapping[str, Any], field: Sequence[str]) -> Iterator[Part]:
    """Yield what a schema itself is strict about, without what it holds."""
    kinds = schema.get("type")
    for kind in [kinds] if isinstance(kinds, str) else _items(kinds):
        if kind == "string" and not {"format", "pattern"} & schema.keys():
            yield "text", field
        elif kind == "string" and str(schema.get("format")).startswith("date"):
            yield "date", field
        elif kind in ("number", "integer"):
            yield kind, field
        elif kind == "array" and not schema.get("uniqueItems") and "prefixItems" not in schema:
            yield "list", field
    if len(fields := tuple(_fields(schema))) > 1:
        yield "fields", fields


def _fields(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, Mapping) else {}


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _at(root: Mapping[str, Any], reference: str) -> Any:
    """Return the part of a schema that a reference names; None for a reference elsewhere."""
    found: Any = root
    if not reference.startswith("#"):
        return None
    for name in filter(None, reference[1:].split("/")):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _is_number(label: str) -> bool:
    try:
        return float(label) == float(label)
    except ValueError:
        return False


def _quoted(name: str) -> str:
    return f'"{name}"'


def _list(names: Any) -> str:
    """Return names in quotation marks, each once, at most `_NAMED` of them."""
    every = [*map(_quoted, dict.fromkeys(names))]
    if len(every) > _NAMED:
        return tr(
            "{names} and {fields}",
            names=", ".join(every[:_NAMED]),
            fields=counted(len(every) - _NAMED, "more field", "more fields"),
        )
    return listed(every)
