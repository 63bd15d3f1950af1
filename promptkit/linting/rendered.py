"""Checks of what a template renders: the query's text against the shots', and what is never shown.

Shots and query are given the same input, so that all but the answer must be the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import jinja2

from promptkit.errors import PromptkitError, TemplateError, brief
from promptkit.graphemes import beginning, boundary
from promptkit.linting import catalogue as rules
from promptkit.linting.findings import Finding
from promptkit.prompts.pieces import Piece
from promptkit.sandbox.limits import MAX_STEPS
from promptkit.tasks.examples import Example
from promptkit.templating.renderer import Renderer
from promptkit.templating.source import Edit, Page, Where
from promptkit.translation import mark, tr

SLOW_STEPS = MAX_STEPS // 20
"""Steps of a rendering that takes half a second or more, so that others are left out."""
SHOTS = ("first-shot", "second-shot")
QUERY = "query"
_MARKS = {"open": "\x02{}\x03", "close": "\x04", "slot": ""}
_BEGUN = "\x02assistant\x03"
_BETWEEN_TURNS = re.compile("\x04\\s+(?=\x02|\\Z)")
_NUMBER = re.compile(r"\d+")
_MAKE_SAME = mark(
    "make them the same, or write an {% example %} block, in which they cannot differ"
)
_WORD_END = re.compile(r"[^\W\d_]{4,}\Z")


@dataclass(frozen=True)
class Probe:
    """A template, rendered with two shots and a query that have the same input."""

    pages: Sequence[Page]
    """The template's page and those that it loads."""
    pieces: tuple[Piece, ...]
    alone: tuple[Piece, ...] | None = None
    """The same without shots; None where that cannot be."""
    other_shots: tuple[Piece, ...] | None = None
    """The same with another input in the shots; None where there is no other."""
    other_query: tuple[Piece, ...] | None = None
    other_answers: tuple[Piece, ...] | None = None
    slow: int = 0
    """Steps of the rendering, where it takes so many that there is only one."""

    @property
    def has_slot(self) -> bool:
        """Return whether the template has an `{% example %}` block."""
        return any(piece.kind == "slot" for piece in self.pieces)

    def of(self, example: str) -> list[int]:
        """Return the indices of the pieces that are values of an example."""
        return [i for i, p in enumerate(self.pieces) if p.kind == "data" and p.example == example]

    def answer_of(self, example: str) -> int | None:
        """Return the index of the piece that is the example's answer."""
        return next((i for i in self.of(example) if self.pieces[i].field == "output"), None)

    def at(self, piece: Piece | None) -> Where:
        """The template line that printed a piece."""
        return _line(self.pages, piece.file, piece.line) if piece else self.pages[0].line(1)


def render(
    renderer: Renderer,
    pages: Sequence[Page],
    inputs: Sequence[Any],
    demos: Sequence[Example[Any, Any]],
) -> Probe:
    """A probe with the first input, and the second where there is one, which differs from it.

    `demos` is a demonstration, and perhaps one with another output. Raises `TemplateError`.
    """

    def pieces(
        shown: Any, asked: Any, like: Example[Any, Any], ids: Sequence[str] = SHOTS
    ) -> tuple[Piece, ...]:
        shots = [like.model_copy(update={"input": shown, "id": id}) for id in ids]
        return renderer.printed(shots, asked_for(asked, like.metadata))

    (first, *others), (demo, *other_demos) = inputs, demos
    probe = Probe(pages, pieces(first, first, demo))
    if renderer.steps > SLOW_STEPS:
        return replace(probe, slow=renderer.steps)
    if others:
        shots, query = pieces(others[0], first, demo), pieces(first, others[0], demo)
        probe = replace(probe, other_shots=shots, other_query=query)
    if other_demos:
        probe = replace(probe, other_answers=pieces(first, first, other_demos[0]))
    with suppress(TemplateError):  # said where real examples are rendered
        probe = replace(probe, alone=pieces(first, first, demo, ()))
    return probe


def _line(pages: Sequence[Page], file: str | None, line: int | None) -> Where:
    """Return a line of the page with this file, or of the first page."""
    return next((page for page in pages if page.file == file), pages[0]).line(line)


def asked_for(value: Any, metadata: Mapping[str, Any]) -> Example[Any, Any]:
    """Return an unchecked query."""
    return Example.model_construct(input=value, output=None, id=QUERY, metadata=metadata)


# --- what is shown --------------------------------------------------------------------------------


def shots_are_shown(probe: Probe) -> Iterator[Finding]:
    """Yield a finding where shots do not show their inputs or answers."""
    shown = [probe.pieces[i] for i in probe.of(SHOTS[-1])]
    has_answer = probe.answer_of(SHOTS[-1]) is not None
    piece: Piece | None = None
    if probe.alone is not None and _text(probe.pieces) == _text(probe.alone):
        message = tr("the shots are never shown")
        fix = tr("write an {% example %} block, or {% for shot in shots %}")
    elif _same(probe, probe.other_answers, shown=has_answer):
        piece = shown[-1] if shown else None
        message = tr("the shots' answers are never shown")
        fix = tr("print {{ shot.output }}")
    elif _same(probe, probe.other_shots, shown=len(shown) > 1):
        piece = shown[0] if shown else None
        message = tr("the shots' inputs are never shown")
        fix = tr("print the fields of shot.input")
    else:
        return
    yield rules.SHOTS_IGNORED.at(probe.at(piece), message, fix)


def is_quick(probe: Probe) -> Iterator[Finding]:
    """Yield a finding where a rendering takes half a second or more."""
    if probe.slow:
        message = tr(
            "one rendering takes {slow:,} of {most:,} steps",
            slow=probe.slow,
            most=MAX_STEPS,
        )
        yield rules.SLOW.at(probe.at(None), message, tr("loop over less"))


def query_is_shown(probe: Probe) -> Iterator[Finding]:
    """Yield a finding where the query is not in the prompt."""
    if _same(probe, probe.other_query, shown=bool(probe.of(QUERY))):
        yield rules.QUERY_IGNORED.at(
            probe.at(probe.pieces[-1] if probe.pieces else None),
            tr("the query is never shown"),
            tr("print the fields of query, or of input inside {% example %}"),
        )


def answer_is_hidden(probe: Probe) -> Iterator[Finding]:
    """Yield a finding where an answer follows the beginning of the query."""
    shown = [i for i in probe.of(QUERY) if i > max(probe.of(SHOTS[-1]), default=-1)]
    asked = probe.of(QUERY)
    begin = shown[0] if shown else asked[-1] if asked else None
    if begin is None or probe.has_slot:
        return
    for piece in probe.pieces[begin:]:
        if piece.kind == "data" and piece.field == "output":
            message = tr("an answer stands in the query's text")
            yield rules.ANSWER_REVEALED.at(probe.at(piece), message, tr("end the prompt before it"))
            return


def _same(probe: Probe, other: Sequence[Piece] | None, *, shown: bool) -> bool:
    """Return whether another input changes nothing; without one, whether none is `shown`."""
    return not shown if other is None else _text(probe.pieces) == _text(other)


# --- what stands around the answers ---------------------------------------------------------------


def answers_end(probe: Probe) -> Iterator[Finding]:
    """Yield a finding where nothing separates an answer from what follows."""
    first, following = probe.answer_of(SHOTS[0]), probe.of(SHOTS[1])
    if first is None or not following or following[0] < first:
        return
    pieces = probe.pieces[first + 1 : following[0]]
    between = _text(pieces)
    where = probe.at(probe.pieces[first])
    fix = tr("let a newline follow it")
    # "{{ output }}s" has its plural; a word of another line stands by itself.
    is_word = between[:1].isalnum() and pieces[0].line != probe.pieces[first].line
    if not between or is_word:
        message = tr("nothing stands between an answer and what follows it")
        edits = _newline_before_end(probe.pages[0])
        yield rules.NO_SEPARATOR.at(where, message, fix, edits)
    elif not between.strip(" "):
        message = tr("only a space stands between an answer and the next example")
        yield rules.SHOTS_ON_A_LINE.at(where, message, fix)


def _newline_before_end(page: Page) -> tuple[Edit, ...]:
    """A newline in front of the tag that ends the example, if it follows the answer at once."""
    match = list(re.finditer(r"\boutput\s*\}\}(?=\{%-?\s*end(?:example|for)\b)", page.source))
    return page.edit(match[0].end(), match[0].end(), "\n") if len(match) == 1 else ()


def query_looks_like_shots(probe: Probe) -> Iterator[Finding]:
    """Yield differences, in a plain loop, between the query and a shot up to the answer."""
    first, last = probe.answer_of(SHOTS[0]), probe.answer_of(SHOTS[1])
    second = probe.of(SHOTS[1])
    asked = [i for i in probe.of(QUERY) if last is not None and i > last]
    if probe.has_slot or first is None or last is None or not asked or second[0] < first:
        return
    pieces, page = probe.pieces, probe.pages[0]
    shot, query = _core(pieces[second[0] : last]), _core(pieces[asked[0] :])
    if query.rstrip("\n") != query != shot and query.rstrip("\n ") == shot.rstrip("\n "):
        start, end = len(page.source.rstrip("\n")), len(page.source)
        yield rules.FINAL_NEWLINE.at(
            page.at(start),
            tr("the prompt ends in a newline, and the shots have none in front of the answer"),
            tr("delete the newline at the end of the file, or write an {% example %} block"),
            page.edit(start, end, "") if start < end else (),
        )
    elif (difference := _difference(shot, query)) is not None:
        message = tr(
            "up to the answer a shot reads {shot}, and the query {query}",
            shot=_shown(shot, difference),
            query=_shown(query, difference),
        )
        yield rules.SHOTS_DIFFER.at(probe.at(pieces[asked[-1]]), message, tr(_MAKE_SAME))
    yield from _separators(probe, first, second[0], last, asked[0])


def _core(pieces: Sequence[Piece]) -> str:
    """The text up to the answer, without the bounds of the turn that it stands in or ends."""
    text = _between_turns(pieces)
    end = text.rstrip()  # a pattern with white space before it would take quadratic time
    text = end.removesuffix(_BEGUN).rstrip() if end.endswith(_BEGUN) else text
    return text.removesuffix("\x04")


def _difference(shot: str, query: str) -> int | None:
    """Return the offset of the first difference; a space before the answer may be omitted."""
    plain = query.rstrip(" ")
    if shot.rstrip(" ") == plain and (query in (plain, shot)):
        return None
    same = zip(shot, query, strict=False)
    return next((i for i, (a, b) in enumerate(same) if a != b), min(len(shot), len(query)))


def _shown(text: str, difference: int) -> str:
    begin = boundary(text, difference - 20, after=True)
    cut = text[begin : boundary(text, difference + 20)]
    for bound in "\x02\x03\x04":
        cut = cut.replace(bound, "|")
    return repr(("…" if begin else "") + cut)


def _separators(probe: Probe, first: int, second: int, last: int, asked: int) -> Iterator[Finding]:
    """Yield a finding where the last shot and the query are separated otherwise than shots."""
    usual = _between_turns(probe.pieces[first + 1 : second])
    final = _between_turns(probe.pieces[last + 1 : asked])
    if usual == final:
        return
    tail, newline, head = usual.rpartition("\n")
    tail += newline
    added = final[len(tail) : len(final) - len(head)]
    fits = final.startswith(tail) and final.endswith(head) and len(final) > len(usual)
    if not fits or not added.strip():  # a sentence in between is the author's
        message = tr(
            "between shots stands {usual}, and between the last one and the query {final}",
            usual=_shown(usual, 0),
            final=_shown(final, 0),
        )
        yield rules.SHOTS_DIFFER.at(probe.at(probe.pieces[asked]), message, tr(_MAKE_SAME))


def _between_turns(pieces: Sequence[Piece]) -> str:
    return _BETWEEN_TURNS.sub("\x04", _text(pieces, numbers=True))


def _text(pieces: Sequence[Piece], *, numbers: bool = False) -> str:
    """The text with the bounds of turns; counts that the template makes may be the same."""
    parts = []
    for piece in pieces:
        text = piece.text
        if piece.kind in _MARKS:
            text = _MARKS[piece.kind].format(text)
        elif numbers and piece.kind == "data" and piece.example is None:
            text = _NUMBER.sub("#", text)
        parts.append(text)
    return "".join(parts)


# --- words that run together ----------------------------------------------------------------------


def words_are_apart(probe: Probe) -> Iterator[Finding]:
    """Yield texts that run together although they are apart in the template."""
    said = set()
    pieces = [p for p in probe.pieces if p.text or p.kind == "slot"]
    for before, after in pairwise(pieces):
        if before.kind in _MARKS or after.kind in _MARKS or before.field == "output":
            continue
        if not _run_together(before, after) or (before.line, after.line) in said:
            continue
        said.add((before.line, after.line))
        left, right = before.text, after.text
        begin = boundary(left, len(left) - 15, after=True)
        shown = f"{left[begin:]}{beginning(right, 15)}"
        yield rules.GLUED_WORDS.at(
            probe.at(after),
            tr("two texts run together: {shown!r}", shown=shown),
            tr(
                'put a space or {{ "\\n" }} between them; '
                "a tag at the end of a line drops the newline"
            ),
        )


def _run_together(before: Piece, after: Piece) -> bool:
    left, right = before.text[-1:], after.text[:1]
    if left.isspace() or not right.isalnum():
        return False
    apart = (before.line or 0) + before.text.count("\n") != after.line
    if before.kind == "template" and after.kind == "template":
        return apart and (left.isalnum() or left in ".,;:!?)]}\"'")
    if after.kind == "template":  # {{ word }}s is one word
        return right.isalpha() and (apart or right.isupper()) and left.isalnum()
    if before.kind == "template":
        return bool(_WORD_END.search(before.text[-8:])) or (apart and left in ".,;:!?")
    return before.field != after.field or apart or before.example is None


SHOWN_RULES = (is_quick, shots_are_shown, query_is_shown, answer_is_hidden)
TEXT_RULES = (answers_end, query_looks_like_shots, words_are_apart)


# --- errors ---------------------------------------------------------------------------------------


def syntax_error(error: jinja2.TemplateSyntaxError, page: Page) -> Finding:
    """Return the finding about a template that does not parse."""
    reason = brief(error.message or tr("syntax error"))
    return rules.SYNTAX.at(page.line(error.lineno), reason, tr("correct the syntax"))


def rendering_error(error: PromptkitError, pages: Sequence[Page]) -> Finding:
    """Return the finding about an error of the renderer, at its place in one of the pages."""
    reason, where = str(error), pages[0].line(1)
    if isinstance(error, TemplateError):
        reason = error.reason
        if error.example and error.example not in (*SHOTS, QUERY):
            reason += tr(" (example {example!r})", example=error.example)
        where = _line(pages, error.file, error.line or 1)
    return rules.RENDERING.at(where, reason, tr("correct the template; see docs/templates.md"))
