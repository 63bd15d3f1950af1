"""Turns into text, through the chat template that a model carries in its file.

The template is the model's; the environment is the one that such templates are written for
(Hugging Face transformers' `apply_chat_template`). It never sees the contents: each stands in it
as a placeholder, so that no content is rewritten, and every character keeps its origin.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from promptkit.errors import PromptError
from promptkit.prompts import Message, Piece, Prompt
from promptkit.sandbox import BoundedEnvironment, begin, bounded_text

_OPEN, _CLOSE = "\ue0f0", "\ue0f1"  # private use: in no chat template
_PLACEHOLDER = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")

Turns = tuple[tuple[str, str], ...]
"""Roles and contents."""

_TODAY = datetime(2024, 7, 26)
"""What templates that ask for the date are told, so that a prompt is the same on every day."""

# transformers gives the first two to every template. An answer is asked for, not a thought.
_ALWAYS = {"tools": None, "documents": None, "enable_thinking": False}


def apply(prompt: Prompt, template: str | None, *, bos: str = "", eos: str = "") -> Prompt:
    """The prompt as raw text; a prompt without turns as it is.

    `bos` and `eos` are what the template sees as `bos_token` and `eos_token`. An assistant turn
    at the end is the beginning of the answer. Raises `PromptError` where the model has no chat
    template, or its template refuses the turns or leaves one out.
    """
    if not prompt.messages:
        return prompt
    if template is None:
        raise PromptError(
            "the template makes turns, but this model carries no chat template; "
            "use a template without {% user %} and {% assistant %}, or a chat model"
        )
    turns = prompt.messages
    begun: tuple[Piece, ...] = ()
    if turns[-1].role == "assistant":
        *before, last = turns
        turns, begun = tuple(before), last.pieces
    shown = tuple([(turn.role, _placeholder(i, turn.content)) for i, turn in enumerate(turns)])
    parts = _render(template, shown, bos, eos)
    pieces = [*_pieces(parts, turns), *begun]
    stop = prompt.stop + (_end_of_turn(template, shown, bos, eos) or eos)
    return prompt.with_pieces(pieces, stop=stop, stop_is_chat=True)


@lru_cache(maxsize=256)
def _end_of_turn(template: str, turns: Turns, bos: str, eos: str) -> str:
    """What the template writes after the answer to these turns; empty if it shows no answer."""
    answer = ("assistant", _placeholder(len(turns), "answer"))
    try:
        whole = _render(template, (*turns, answer), bos, eos, goes_on=False)
    except PromptError:
        return ""
    *_, last, end = ["", *whole]
    return end if last == str(len(turns)) else ""


@lru_cache(maxsize=256)
def _render(
    template: str, turns: Turns, bos: str, eos: str, goes_on: bool = True
) -> tuple[str, ...]:
    """The rendered text, split at the contents: every other part is the number of a turn."""
    messages = [{"role": role, "content": content} for role, content in turns]
    tokens = {"bos_token": bos, "eos_token": eos}
    try:
        compiled = _compile(template)
        begin(compiled)
        text = compiled.render(
            messages=messages, add_generation_prompt=goes_on, **_ALWAYS, **tokens
        )
    except _RefusalError as error:
        raise PromptError(f"the model's chat template refuses these turns: {error}") from None
    except Exception as error:
        raise PromptError(
            f"the model's chat template fails{_line(error)}: {type(error).__name__}: {error}"
        ) from error
    return tuple(_PLACEHOLDER.split(text))


def _line(error: Exception) -> str:
    """Where in the template an error was raised."""
    lines = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == "<template>"
    ]
    return f" in line {lines[-1]}" if lines else ""


def _placeholder(index: int, content: str) -> str:
    """Stands for a content, with the white space around it, which some templates trim."""
    core = content.strip()
    if not core:
        return content
    begin = content.index(core)
    return f"{content[:begin]}{_OPEN}{index}{_CLOSE}{content[begin + len(core) :]}"


def _pieces(parts: Sequence[str], turns: Sequence[Message]) -> Iterator[Piece]:
    """The rendered text with the contents back in their places."""
    shown = set(parts[1::2])
    for index, turn in enumerate(turns):
        if str(index) not in shown and turn.content.strip():
            raise PromptError(
                f"the model's chat template leaves out the {turn.role} turn "
                f"{turn.content.strip()[:40]!r}; say it in another role"
            )
    for position, part in enumerate(parts):
        if position % 2:
            yield from turns[int(part)].core
        elif part:
            yield Piece(part, "chat")


class _RefusalError(Exception):
    """What a chat template raises on purpose."""


class _Generation(Extension):
    """`{% generation %}` marks the assistant's text for training; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(BoundedEnvironment):
    concat = staticmethod(bounded_text)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.finalize = self.printed


@lru_cache(maxsize=16)
def _compile(template: str) -> jinja2.Template:
    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, "jinja2.ext.loopcontrols"],
    )
    environment.add_filter("tojson", _tojson)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _strftime_now
    return environment.from_string(template)


def _refuse(message: str) -> NoReturn:
    raise _RefusalError(message)


def _strftime_now(format: str) -> str:
    if re.search(r"%[^%A-Za-z]*[0-9]", format):  # C pads to any width
        raise _RefusalError(f"the date format {format!r} has a width")
    return _TODAY.strftime(format)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )
