"""Conversion of a chat's turns to text, by the chat template in a model's file.

Chat templates are written for Hugging Face transformers' `apply_chat_template`, whose environment
is provided here. A template never sees the contents of the turns: it renders placeholders for
them, so that no content is rewritten, and every character keeps its origin.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from promptkit.errors import PromptError, brief
from promptkit.graphemes import beginning
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt
from promptkit.sandbox.environment import BoundedEnvironment, bounded_text, within_bounds
from promptkit.translation import tr

_OPEN, _CLOSE = "\ue0f0", "\ue0f1"  # private use: in no chat template
_PLACEHOLDER = re.compile(f"{_OPEN}(0|[1-9][0-9]{{0,8}}){_CLOSE}")

_TAG = r"(?:<[\w:-]*(?:think|thought|reasoning)\w*>|\[THINK\]|◁think▷|<\|START_THINKING\|>)"
"""Opening tag of a thought."""

_LAST_TAG, _FIRST_TAG = re.compile(rf"{_TAG}\Z"), re.compile(rf"{_TAG}\n?")

Turns = tuple[tuple[str, str], ...]
"""Pairs of role and content."""


def apply(prompt: Prompt, template: str | None, *, bos: str = "", eos: str = "") -> Prompt:
    """Return the prompt as raw text; a prompt without turns is returned as it is.

    An assistant turn at the end is the beginning of the answer. A `{% system or user %}` turn is
    put in front of the first user turn if the template refuses it or leaves it out. A thought
    that the template begins for the model is closed, since an answer is asked for; but of a prompt
    that `thinks`, the thought is asked for, and `Prompt.after` it the answer.

    Args:
        prompt: The prompt, with turns or without.
        template: The chat template's source; None where the model has none.
        bos: The template's `bos_token`.
        eos: The template's `eos_token`.

    Raises:
        PromptError: The prompt has turns, and the model has no chat template, or its template
            refuses the turns or leaves one out; or it should think, and cannot.
    """
    if not prompt.messages:
        if prompt.thinks:
            raise PromptError(
                tr(
                    "a model thinks in a turn of its own, and the template makes none; use one "
                    "with {% user %} and {% assistant %}, or leave out think (--think)"
                )
            )
        return prompt
    if template is None:
        raise PromptError(
            tr(
                "the template makes turns, but this model carries no chat template; use a "
                "template without {% user %} and {% assistant %}, or a chat model"
            )
        )
    turns, begun = _split_answer(prompt)
    turns = _accepted(template, turns, bos, eos)
    shown = _shown(turns)
    opening, end = _around_answer(template, shown, bos, eos)
    if prompt.thinks or prompt.thought is not None:
        thoughts = _thoughts(template, shown, opening, bos, eos)
        pieces = [*_pieces(thoughts.parts, turns), *_chat(thoughts.opened)]
        if prompt.thinks:
            return _thought_prompt(prompt, pieces, thoughts.end)
        said = Piece(prompt.thought or "", "data", field="thought")
        pieces += [said] * bool(said.text) + [*_chat(thoughts.closing)]
    else:
        parts = _render(template, shown, bos, eos)
        pieces = [*_pieces(parts, turns), *_chat(_missing(parts[-1], opening))]
    if prompt.asks == "rationale":  # which ends within the turn
        return prompt.with_pieces([*pieces, *begun], stop=prompt.stop, stop_is_chat=False)
    stop = prompt.stop + (end or eos)
    return prompt.with_pieces([*pieces, *begun], stop=stop, stop_is_chat=True)


def _chat(text: str) -> list[Piece]:
    return [Piece(text, "chat")] if text else []


def _thought_prompt(prompt: Prompt, pieces: Sequence[Piece], end: str) -> Prompt:
    """Return the prompt up to the thought, which a mark ends."""
    asked = replace(prompt, candidates=None, lead="", format=None, asks="thought", thinks=False)
    return replace(
        asked.with_pieces(pieces, stop=end, stop_is_chat=True),
        then=lambda thought: replace(prompt, thinks=False, thought=thought),
    )


def puts_system_in_user(prompt: Prompt, template: str, *, bos: str = "", eos: str = "") -> bool:
    """Return whether `apply` puts the system turn into the first user turn. Raises as it does."""
    turns = _split_answer(prompt)[0]
    return bool(turns) and _accepted(template, turns, bos, eos) is not turns


def _split_answer(prompt: Prompt) -> tuple[tuple[Message, ...], tuple[Piece, ...]]:
    """Return the turns before the answer, and the beginning of the answer."""
    turns = prompt.messages
    if turns and turns[-1].role == "assistant":
        return turns[:-1], turns[-1].pieces
    return turns, ()


def _accepted(template: str, turns: tuple[Message, ...], bos: str, eos: str) -> tuple[Message, ...]:
    """Return the turns, with the system turn put into the first user turn if that is needed."""
    try:
        _check(template, turns, bos, eos)
        return turns
    except PromptError as error:
        folded = _folded(turns)
        if folded is None:
            raise
        if turns[0].or_user:
            _check(template, folded, bos, eos)
            return folded
        try:
            _check(template, folded, bos, eos)
        except PromptError:
            raise error from None
        raise PromptError(
            tr(
                "{error}; {{% system or user %}} puts it in front of the first user turn",
                error=error,
            )
        ) from None


def _folded(turns: tuple[Message, ...]) -> tuple[Message, ...] | None:
    """Return the turns with the system turn put into the first user turn; None without both."""
    if [turn.role for turn in turns[:2]] != ["system", "user"]:
        return None
    system, user, *others = turns
    break_ = (Piece("\n\n", "template"),) if system.core else ()
    return Message("user", (*system.core, *break_, *user.pieces)), *others


def _check(template: str, turns: tuple[Message, ...], bos: str, eos: str) -> None:
    """Raise `PromptError` if the template refuses the turns or leaves one out."""
    shown = set(_render(template, _shown(turns), bos, eos)[1::2])
    for index, turn in enumerate(turns):
        if str(index) not in shown and turn.content.strip():
            raise PromptError(
                tr(
                    "the model's chat template leaves out the {role} turn {beginning!r}; put "
                    "its text into a turn of another role",
                    role=turn.role,
                    beginning=beginning(turn.content.strip(), 40),
                )
            )


def _shown(turns: Sequence[Message]) -> Turns:
    return tuple([(turn.role, _placeholder(i, turn.content)) for i, turn in enumerate(turns)])


def _missing(tail: str, opening: str) -> str:
    """Return what is missing between a generation prompt and an answer; a thought is empty."""
    # A template may leave to the model what it writes itself in front of earlier answers.
    rest = opening.removeprefix(tail) if opening.startswith(tail) else ""
    if rest.strip():
        return rest
    tag = _opened(tail)
    if tag is None:
        return ""
    closing = _closing(tag, tail, opening)
    return f"\n{closing}" if tail.endswith(tag) and closing.startswith("\n") else closing


def _opened(text: str) -> str | None:
    """Return the tag of a thought that a text begins at its end; None without one."""
    thought = _LAST_TAG.search(text.rstrip()[-64:])  # whose time is quadratic
    return None if thought is None else thought[0]


def _closing(tag: str, tail: str, opening: str) -> str:
    """Return what ends a thought that the generation prompt `tail` begins with a tag."""
    if "START" in tag:  # Cohere's, which also marks the answer's beginning
        return _end(tag) + opening.removeprefix(tail.rstrip().removesuffix(tag))
    return f"\n{_end(tag)}\n\n"


def _end(tag: str) -> str:
    """Return the closing tag of a thought."""
    return tag.replace("START", "END") if "START" in tag else f"{tag[0]}/{tag[1:]}"


class _Thoughts(NamedTuple):
    """Places of a chat template's thoughts."""

    parts: tuple[str, ...]
    """The turns and the generation prompt, as `_render` returns them."""
    opened: str
    """Text that begins a thought, where the generation prompt leaves that to the model."""
    closing: str
    """Text between a thought and what follows."""
    end: str
    """Its mark, with which the model itself ends a thought."""


def _thoughts(template: str, turns: Turns, opening: str, bos: str, eos: str) -> _Thoughts:
    """Return where a model thinks before its answer. Raises `PromptError` where it does not."""
    parts = _render(template, turns, bos, eos, thinking=True)
    tail = parts[-1]
    opened = "" if _opened(tail) else _empty_thought(_render(template, turns, bos, eos)[-1], tail)
    tag = _opened(tail + opened)
    if tag is None:
        raise PromptError(
            tr(
                "the model's chat template has no thoughts, so that it cannot think; leave "
                "out think (--think), or write {{ rationale }} in front of {{ output }}"
            )
        )
    if not (tail + opened).endswith("\n") and "START" not in tag:
        opened += "\n"
    return _Thoughts(parts, opened, _closing(tag, tail + opened, opening), _end(tag))


def _empty_thought(quiet: str, tail: str) -> str:
    """Return the tag, and the line end after it, of the empty thought with which a template lets a
    model not think."""
    rest = quiet.removeprefix(tail) if quiet.startswith(tail) else ""
    begun = _FIRST_TAG.match(rest)
    return "" if begun is None else begun[0]


@lru_cache(maxsize=256)
def _around_answer(template: str, turns: Turns, bos: str, eos: str) -> tuple[str, str]:
    """Return the texts around an answer to these turns; empty if the template shows none."""
    answer = ("assistant", _placeholder(len(turns), "answer"))
    try:
        whole = _render(template, (*turns, answer), bos, eos, goes_on=False)
    except PromptError:
        return "", ""
    *_, opening, last, end = ["", "", *whole]
    return (opening, end) if last == str(len(turns)) else ("", "")


@lru_cache(maxsize=256)
def _render(
    template: str,
    turns: Turns,
    bos: str,
    eos: str,
    goes_on: bool = True,
    thinking: bool = False,
) -> tuple[str, ...]:
    """Return the rendered text split at the contents: every other part is a turn's number."""
    messages = [{"role": role, "content": content} for role, content in turns]
    given = {"messages": messages, "add_generation_prompt": goes_on}
    given |= {"bos_token": bos, "eos_token": eos, "tools": None, "documents": None}
    given["enable_thinking"] = thinking  # which some call otherwise
    if thinking:
        given["thinking"] = True
    try:
        compiled = _compile(template)
        text = within_bounds(compiled, lambda: compiled.render(given))
    except _TurnsRefusedError as error:
        roles = ", ".join(role for role, _ in turns)
        raise PromptError(
            tr(
                "the model's chat template refuses these turns ({roles}): {brief}",
                roles=roles,
                brief=brief(str(error)),
            )
        ) from None
    except Exception as error:
        reason = brief(f"{type(error).__name__}: {error}")
        raise PromptError(
            tr("the model's chat template fails{line}: {reason}", line=_line(error), reason=reason)
        ) from error
    parts = tuple(_PLACEHOLDER.split(text))
    # A forged placeholder of a turn is harmless: it shows the turn's content.
    marks = [mark for part in parts[::2] for mark in (_OPEN, _CLOSE) if mark in part]
    if marks or any(int(number) >= len(turns) for number in parts[1::2]):
        raise PromptError(
            tr(
                "the model's chat template takes contents apart, or writes U+E0F0 or "
                "U+E0F1, which are placeholders of contents here; use another model"
            )
        )
    return parts


def _line(error: Exception) -> str:
    """Return the template's line that raised an error, in words; empty if unknown."""
    lines = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        compiled = frame.f_globals.get("__jinja_template__")
        if compiled is not None:  # compiled code, whose line numbers are its own
            lines.append(compiled.get_corresponding_lineno(line))
        elif frame.f_code.co_filename == "<template>":
            lines.append(line)
    return tr(" in line {lines}", lines=lines[-1]) if lines else ""


def _placeholder(index: int, content: str) -> str:
    """Return a content's placeholder within its outer white space, which templates may trim."""
    core = content.strip()
    if not core:
        return content
    begin = content.index(core)
    return f"{content[:begin]}{_OPEN}{index}{_CLOSE}{content[begin + len(core) :]}"


def _pieces(parts: Sequence[str], turns: Sequence[Message]) -> Iterator[Piece]:
    """Yield the rendered text with the contents in place of their placeholders."""
    for position, part in enumerate(parts):
        if position % 2:
            yield from turns[int(part)].core
        elif part:
            yield Piece(part, "chat")


class _TurnsRefusedError(Exception):
    """Refusal that a chat template raises by `raise_exception`."""


class _GenerationTag(Extension):
    """`{% generation %}`, which marks the assistant's text for training and has no effect here."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _ChatEnvironment(BoundedEnvironment):
    concat = staticmethod(bounded_text)


@lru_cache(maxsize=16)
def _compile(template: str) -> jinja2.Template:
    if _OPEN in template or _CLOSE in template:
        raise _TurnsRefusedError(
            tr("it has U+E0F0 or U+E0F1, which are placeholders of contents here")
        )
    environment = _ChatEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_GenerationTag, "jinja2.ext.loopcontrols"],
    )
    environment.finalize = environment.printed
    environment.add_filter("tojson", _tojson)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _strftime_now
    return environment.from_string(template)


def _refuse(message: str) -> NoReturn:
    raise _TurnsRefusedError(message)


def _strftime_now(format: str) -> str:
    if len(format) > 200:
        raise _TurnsRefusedError(tr("a date format of more than 200 characters"))
    if re.search(r"%[^%A-Za-z]*[0-9]", format):  # C pads to any width
        raise _TurnsRefusedError(tr("the date format {format!r} has a width", format=format))
    return datetime(2024, 7, 26).strftime(format)  # so that a prompt is the same on every day


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
