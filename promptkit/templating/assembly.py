"""Assembly of rendered pieces into a prompt: the slot, the turns, the space before it, the stop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

from promptkit.errors import TemplateError
from promptkit.graphemes import beginning
from promptkit.prompts.answer_format import AnswerFormat
from promptkit.prompts.pieces import OR_USER, Message, Piece, Role
from promptkit.prompts.prompt import Prompt
from promptkit.translation import tr

DEFAULT_STOP = "\n"
"""Stop of an answer where neither the template nor its shots have one."""


class Prefix(NamedTuple):
    """Beginning that many prompts share, assembled once (see `as_prefix`)."""

    pieces: tuple[Piece, ...] = ()
    turns: tuple[Message, ...] = ()
    role: Role | None = None
    """Role of the turn that is still open."""
    or_user: bool = False
    """See `Message`."""
    open: tuple[Piece, ...] = ()
    """Pieces of that turn so far."""

    @property
    def has_turns(self) -> bool:
        return self.role is not None or bool(self.turns)


def as_prefix(pieces: Sequence[Piece], file: str) -> Prefix:
    """Return pieces as the prefix of prompts. Raises as `cut` does."""
    if "open" not in [piece.kind for piece in pieces]:
        return Prefix(tuple(pieces))
    return _turns(Prefix(), pieces, file)._replace(pieces=tuple(pieces))


def slot_in(pieces: Sequence[Piece]) -> int | None:
    """Return the index of the answer slot among the pieces; None without one."""
    kinds = [piece.kind for piece in pieces]
    return kinds.index("slot") if "slot" in kinds else None


def cut(
    prefix: Prefix,
    pieces: Sequence[Piece],
    slot: int | None,
    labels: tuple[str, ...],
    file: str,
    *,
    format: AnswerFormat | None = None,
    shots: tuple[str, ...] = (),
    query: str | None = None,
) -> Prompt:
    """Return the prompt up to the answer slot, with its candidates and its stop.

    Args:
        prefix: Beginning of the prompt.
        pieces: Pieces after the prefix.
        slot: Index of the slot among `pieces`; None if the answer follows all pieces.
        labels: Labels of the task, for a slot without answers of its own.
        file: Template to name in errors where a piece names none.
        format: Format of a generated answer.
        shots: Ids of the shots.
        query: Id of the query.

    Raises:
        TemplateError: Text that the model would never read, or turns without a place for the
            answer.
    """
    before, after = pieces, list[Piece]()
    if slot is not None:
        before, labels = pieces[:slot], pieces[slot].answers or labels
        after = _until_turn_ends(pieces[slot + 1 :], pieces[slot], file)
        _check_asked(before, after, pieces[slot], file)
    messages: tuple[Message, ...] = ()
    raw: tuple[Piece, ...] = ()
    if prefix.has_turns or "open" in [piece.kind for piece in pieces]:
        if not prefix.has_turns:
            prefix, before = Prefix(), (*prefix.pieces, *before)
        messages, lead = _with_answer(_turns(prefix, before, file), pieces, slot, file)
    else:
        kept, lead = _split_lead(before)
        if kept:
            raw = (*prefix.pieces, *kept)
        else:  # the space before the answer may begin in the prefix
            kept, lead = _split_lead((*prefix.pieces, *before))
            raw = tuple(kept)
    return Prompt(
        pieces=raw,
        messages=messages,
        candidates=candidates(labels, lead),
        lead=lead,
        stop="".join([piece.text for piece in after]) if slot is not None else DEFAULT_STOP,
        format=format,
        shots=shots,
        query=query,
    )


@lru_cache(maxsize=64)
def candidates(labels: tuple[str, ...], lead: str) -> tuple[str, ...] | None:
    """Return the possible answers with the space in front; None where the answer is generated."""
    return tuple(lead + label for label in labels) or None


def rationale_in(pieces: Sequence[Piece]) -> int | None:
    """Return the index of the place for the query's rationale; None without one."""
    return next((i for i, piece in enumerate(pieces) if piece.kind == "rationale"), None)


def stop_of_rationale(pieces: Sequence[Piece], at: int, file: str) -> str:
    """Return the text that ends a rationale: what the template prints between it and the answer.

    Args:
        pieces: Pieces of the prompt.
        at: Index of the rationale among them.
        file: Template to name in errors where a piece names none.

    Raises:
        TemplateError: No text is there.
    """
    text = ""
    for piece in pieces[at + 1 :]:
        if piece.kind != "template":
            break
        text += piece.text
    stop = text.rstrip(" ") if text.strip() else text.strip(" ")
    if not stop:
        raise TemplateError(
            tr(
                "no text follows {{ rationale }}, so nothing says where it ends; write "
                "some between it and {{ output }}, such as a new line with 'Answer: '"
            ),
            file=pieces[at].file or file,
            line=pieces[at].line,
        )
    return stop


def with_rationale(pieces: Sequence[Piece], at: int, rationale: str) -> list[Piece]:
    """Return the pieces with a generated text in the place of the query's rationale."""
    said = pieces[at]._replace(text=rationale, kind="data", field="rationale")
    return [*pieces[:at], *([said] if rationale else []), *pieces[at + 1 :]]


def _until_turn_ends(after: Sequence[Piece], slot: Piece, file: str) -> list[Piece]:
    """Return the pieces after the answer in its block. Raises for text after that, never read."""
    inside: list[Piece] = []
    for index, piece in enumerate(after):
        if piece.kind == "close" or piece.example != slot.example:
            rest = [p for p in after[index:] if p.kind in ("template", "data") and p.text.strip()]
            if rest:
                text = "".join(p.text for p in rest)
                raise TemplateError(
                    tr(
                        "{beginning!r} comes after the query's answer, where the model never reads "
                        "it; move it before the examples",
                        beginning=beginning(text.strip(), 40),
                    ),
                    file=rest[0].file or file,
                    line=rest[0].lstripped().line,
                )
            break
        inside.append(piece)
    return inside


def _check_asked(before: Sequence[Piece], after: Sequence[Piece], slot: Piece, file: str) -> None:
    """Raise `TemplateError` for a query that is printed only after its answer."""
    late = [p for p in after if p.kind == "data" and p.text.strip()]
    if late and not any(p.kind == "data" and p.example == slot.example for p in before):
        raise TemplateError(
            tr(
                "{field!r} is printed only after {{{{ output }}}}: the model answers "
                "before it could read it; print it in front of the answer",
                field=late[0].field or late[0].text,
            ),
            file=late[0].file or file,
            line=late[0].line,
        )


def _turns(prefix: Prefix, pieces: Sequence[Piece], file: str) -> Prefix:
    """Return the prefix with the turns of the pieces added."""
    turns, role, current = list(prefix.turns), prefix.role, list(prefix.open)
    or_user = prefix.or_user
    for piece in pieces:
        if piece.kind == "open":
            or_user = piece.text == OR_USER
            role, current = "system" if or_user else cast(Role, piece.text), []
        elif piece.kind == "close" and role is not None:
            turns.append(Message(role, tuple(current), or_user))
            role = None
        elif role is not None:
            current.append(piece)
        elif piece.text.strip():
            raise TemplateError(
                tr(
                    "{beginning!r} stands outside the turns; put it into {{% system %}}, {{% "
                    "user %}} or {{% assistant %}}",
                    beginning=beginning(piece.text.strip(), 40),
                ),
                file=piece.file or file,
                line=piece.lstripped().line,
            )
    kept = tuple(current) if role is not None else ()
    return Prefix(prefix.pieces, tuple(turns), role, or_user, kept)


def _with_answer(
    prefix: Prefix, pieces: Sequence[Piece], slot: int | None, file: str
) -> tuple[tuple[Message, ...], str]:
    """Return the turns up to the answer, and the space in front of it."""
    messages, role = prefix.turns, prefix.role
    if slot is not None and role != "assistant":
        raise TemplateError(
            tr("{{ output }} stands outside {% assistant %}, which is the turn of the model"),
            file=pieces[slot].file or file,
            line=pieces[slot].line,
        )
    if role is not None:
        messages = (*messages, Message(role, prefix.open))
    if messages[-1].role != "assistant":
        return messages, ""
    kept, lead = _split_lead(messages[-1].pieces)
    return (*messages[:-1], Message("assistant", tuple(kept))), lead


def _split_lead(pieces: Sequence[Piece]) -> tuple[list[Piece], str]:
    """Return the pieces without the template's spaces at their end, and these spaces."""
    kept, lead = list(pieces), ""
    while kept and kept[-1].kind == "template":
        text = kept[-1].text.rstrip(" ")
        lead = kept[-1].text[len(text) :] + lead
        if text:
            kept[-1] = Piece(text, *kept[-1][1:])  # much faster than _replace
            break
        kept.pop()
    return kept, lead


def around_output(pieces: Sequence[Piece]) -> tuple[str, str]:
    """Return the spaces before the last shot's answer, and the text after it up to a line end."""
    last = next((i for i in reversed(range(len(pieces))) if pieces[i].field == "output"), None)
    if last is None:
        return "", DEFAULT_STOP
    lead = _split_lead(pieces[:last])[1]
    after = ""
    for piece in pieces[last + 1 :]:
        if piece.kind != "template" or "\n" in after:
            break
        after += piece.text
    head, newline, _ = after.partition("\n")
    return lead, (head + newline) or DEFAULT_STOP
