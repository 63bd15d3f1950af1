"""Grammars as texts: an answer's format and what ends it, in the language of llguidance."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from promptkit.errors import shorten
from promptkit.models.runtime import json_rules
from promptkit.models.runtime.searched_pattern import ANY, searched
from promptkit.models.tokens.reader import ControlToken
from promptkit.prompts.answer_format import parts
from promptkit.translation import tr

# The model chooses among all tokens that fit, not the library among those of one spelling.
_OPTIONS = '%llguidance {"no_forcing": true}'

_EDGE = r"[^\s\x1c-\x1f]"
"""The first and the last character of a text: white space around an answer is not part of it."""


class Ending(NamedTuple):
    """The end of an answer."""

    text: str
    """The text that follows, up to a control token where there is one."""
    control: int | None
    """The control token that ends the answer, if one does."""


def ending(stop: str, controls: Mapping[str, ControlToken]) -> Ending:
    """Return the ending that a stop stands for; it may contain a control token."""
    found = [
        (stop.index(text), -len(text), control)
        for text, control in controls.items()
        if text and text in stop
    ]
    if not found:
        return Ending(stop, None)
    at, _, control = min(found, key=lambda each: each[:2])
    text = stop[:at]
    return Ending(text.rstrip() if control.strips_left else text, control.id)


def source(
    kind: Literal["json", "text"], schema: Any, spaces: int, ending: Ending, endings: Sequence[int]
) -> str:
    """Return the grammar of an answer: spaces, a value of the schema, and an end.

    Args:
        kind: The kind of value.
        schema: The JSON Schema of the value.
        spaces: The number of spaces that the template puts in front.
        ending: The text or token that follows in the prompt.
        endings: The tokens with which the model ends its text.

    Raises:
        PromptError: A pattern has no such grammar.
    """
    # A model may put a space in front where the template has none.
    lines = [
        _OPTIONS,
        f'lead: " "{{0,{max(spaces, 1)}}}',
        f"ANY: {ANY}",
    ]
    value = "value" if kind == "json" else "VALUE"
    lines += json_rules.rules(schema) if kind == "json" else [_text(schema)]
    ends = [f"{value} {_tokens(endings)}"] if endings else []
    if ending.control is not None:
        before = f"{json.dumps(ending.text)} " if ending.text else ""
        ends.append(f"{value} {before}{_tokens([ending.control])}")
    elif ending.text:
        lines.append(f"STOP: {json.dumps(ending.text)}")
        if kind == "json":
            lines.append("STOPPED: STOP ANY")
            ends.append("value STOPPED")
        else:
            # The stop is found by looking for it, so that a text may not contain it.
            lines += ["STOPPED: (VALUE STOP & ~(ANY STOP /(?s:.+)/)) ANY"]
            ends.append("STOPPED")
            if endings:
                lines.append("WHOLE: VALUE & ~(ANY STOP ANY)")
                ends[0] = f"WHOLE {_tokens(endings)}"
    lines.append(f"start: lead ( {' | '.join(ends)} )")
    return "\n".join(lines) + "\n"


def explained(schema: Any, error: str) -> str:
    """Return a message about an error of llguidance: the part of the schema, and what to do."""
    place, part = "$", schema
    reason = _error(schema, schema) or _reason(error)
    while inside := [each for each in parts(part) if _error(each[1], schema) == reason]:
        name, part = inside[0]
        place = f"{place}.{name}"
    return tr(
        "the output's JSON Schema, {place}: {plain} (in {part}); simplify the output type",
        place=place,
        plain=_plain(reason),
        part=shorten(part),
    )


def _text(schema: Mapping[str, Any]) -> str:
    length = f"/(?s:.{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}})/"
    edges = f"/(?:{_EDGE}(?s:.*{_EDGE})?)?/"
    return f"VALUE: {searched(schema.get('pattern'))} & {length} & {edges}"


def _error(part: Any, schema: Any) -> str:
    """Return the error of a part of the schema by itself; empty where there is none."""
    from llguidance import LLMatcher

    if not isinstance(part, Mapping):
        return ""
    named = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
    grammar = LLMatcher.grammar_from_json_schema(json.dumps({**named, **part}))
    return _reason(LLMatcher.validate_grammar(grammar))


def _reason(error: str) -> str:
    """Return the line of an error that says why."""
    lines = [line.strip() for line in error.splitlines()] or [""]
    reason = next((line for line in lines if line.startswith("error:")), lines[0])
    return re.sub(r"^at \S+ failed to compile JSON schema: ", "", reason)


def _plain(reason: str) -> str:
    """Return a reason without the library's own terms."""
    unknown = re.fullmatch(r"Unimplemented keys: \[(.*)\]", reason)
    if unknown:
        return tr("{unknown} cannot be kept to while an answer is written", unknown=unknown[1])
    if reason.startswith("oneOf"):
        return tr("oneOf, but neither a type nor a constant tells its options apart")
    if reason.startswith("panic"):
        return tr("too large for a grammar")
    return reason.removeprefix("error: ")


def _tokens(ids: Sequence[int]) -> str:
    return f"<[{','.join(map(str, ids))}]>"
