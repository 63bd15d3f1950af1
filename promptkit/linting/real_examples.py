"""Checks of a task's own examples in a template: they render, and end where an answer ends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import NamedTuple

from promptkit.errors import PromptkitError, shorten
from promptkit.linting import catalogue as rules
from promptkit.linting.data_rules import is_padded
from promptkit.linting.findings import Finding
from promptkit.linting.rendered import Probe
from promptkit.linting.subject import Subject, at
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.row_checks import PlacedExample
from promptkit.templating.renderer import Renderer
from promptkit.templating.source import Where
from promptkit.templating.template import Template
from promptkit.translation import mark, tr

_PADDED = 5
"""Number of rows with white space around a value that are rendered."""
_ELSEWHERE = mark("use a template whose examples end otherwise, such as xml.j2")
_OBJECT = re.compile(r'\{\s*"[^"\n]*"\s*:.*\}', re.DOTALL)
_decode = json.JSONDecoder().raw_decode


class _Shown(NamedTuple):
    """A row in a prompt, as the query or as a shot."""

    row: PlacedExample
    prompt: Prompt

    @property
    def pieces(self) -> Sequence[Piece]:
        turns = [piece for turn in self.prompt.messages for piece in turn.pieces]
        return turns or self.prompt.pieces


def check_examples(
    subject: Subject, renderer: Renderer, probe: Probe, sample: int
) -> Iterator[Finding]:
    """Yield real examples that do not render, or that contain what ends an answer.

    `sample` of them are rendered, evenly spread. Raises what rendering raises.
    """
    rows = subject.all_rows
    shown = [_show(subject, renderer, row) for row in rows[:: max(1, len(rows) // sample)]]
    if not shown:
        return
    yield from _json_is_whole(shown, probe)
    prompt = shown[0].prompt
    ending = _mark(prompt.stop)
    if ending is None:
        return
    for row in rows:
        texts = [text for _, text in subject.texts(row) if ending in text.strip()]
        if texts and _stands_in(ending, _show(subject, renderer, row)):
            fix = tr("take it out of the value, or print the value with | tojson")
            yield _breaks_out(at(row, texts[0]), f"{texts[0]!r:.60}", ending, fix)
    for label in prompt.candidates or ():
        if ending in label:
            fix = tr("rename it, or {other}", other=tr(_ELSEWHERE))
            where = subject.at_key("labels")
            yield _breaks_out(where, tr("the label {label!r}", label=label.strip()), ending, fix)
    if prompt.candidates is None and (prompt.format is None or prompt.format.kind == "text"):
        yield from _answers_end(subject, prompt.stop, ending)


def _show(subject: Subject, renderer: Renderer, row: PlacedExample) -> _Shown:
    """Render a test after a demonstration, or a demonstration as the shot of a query."""
    is_shot = row.part == "demos" and subject.label(row) is not None
    others = (is_shot and subject.rows["tests"]) or subject.rows["demos"]
    usable = [
        other.example
        for other in others[:3]
        if other.example.id != row.example.id
        and other.example.input != row.example.input
        and (is_shot or subject.label(other) is not None)
    ]
    if is_shot and usable:
        return _Shown(row, renderer.render(usable[0], [row.example]))
    return _Shown(row, renderer.render(row.example, usable[:1]))


def shows_padding(subject: Subject, template: Template) -> bool:
    """Return whether white space around values is printed, in a few of the rows that have some.

    True for a template that does not render, which is reported where it is checked.
    """
    padded = (
        (row, [text for _, text in subject.texts(row) if is_padded(text)])
        for row in subject.all_rows
    )
    with suppress(PromptkitError):
        renderer = template.renderer(subject.task)
        for row, texts in islice((one for one in padded if one[1]), _PADDED):
            pieces = _show(subject, renderer, row).pieces
            own = [piece.text for piece in pieces if piece.example == row.example.id]
            if any(text in shown for text in texts for shown in own):
                return True
        return False
    return True


# --- where an answer ends -------------------------------------------------------------------------


def _mark(stop: str) -> str | None:
    """Return the mark that ends an answer; None where any text may contain it."""
    core = stop.rstrip()
    if len(core.strip()) > 1:  # such as </answer>, whatever line follows it
        return core
    return stop if "\n" in stop else None


def _stands_in(ending: str, shown: _Shown) -> bool:
    """Return whether printed values of the row contain the ending."""
    own = (p for p in shown.pieces if p.kind == "data" and p.example == shown.row.example.id)
    return any(ending in piece.text for piece in own if piece.field != "output")


def _answers_end(subject: Subject, stop: str, ending: str) -> Iterator[Finding]:
    """Yield free-form answers that contain what ends an answer."""
    fix = tr("{other} or json.j2", other=tr(_ELSEWHERE))
    for row in subject.all_rows:
        answer = (subject.label(row) or "").strip()
        what = tr("the answer {answer}", answer=shorten(answer))
        if row.part == "tests" and stop in answer:
            message = tr(
                "{what} contains {stop!r}, at which every answer ends", what=what, stop=stop
            )
            yield rules.UNREACHABLE_ANSWER.at(at(row, answer), message, fix)
        elif ending in answer:
            yield _breaks_out(at(row, answer), what, ending, fix)


def _breaks_out(where: Where, what: str, ending: str, fix: str) -> Finding:
    message = tr("{what} contains {ending!r}, which ends an answer", what=what, ending=ending)
    return rules.BREAKS_OUT.at(where, message, fix)


# --- JSON -----------------------------------------------------------------------------------------


def _json_is_whole(shown: Sequence[_Shown], probe: Probe) -> Iterator[Finding]:
    """Yield text of a shot that looks like a JSON object and is none, once for a template."""
    for one in shown:
        for pieces in _written(one.pieces, one.prompt.shots):
            text = "".join([piece.text for piece in pieces])
            flaw = _flaw(text)
            if flaw is not None:
                at, reason = flaw
                yield rules.BROKEN_JSON.at(
                    probe.at(_piece_at(pieces, at)),
                    tr(
                        "{text!r:.60} looks like JSON, and is none: {reason}",
                        text=text.strip(),
                        reason=reason,
                    ),
                    tr("write each value with | tojson, and without quotes around it"),
                )
                return


def _written(pieces: Sequence[Piece], shots: Sequence[str]) -> Iterator[Sequence[Piece]]:
    """Yield the pieces of each shot: its block, or in a plain loop the lines that show it."""
    for shot in shots:
        own = [piece for piece in pieces if piece.example == shot]
        if any(piece.kind == "template" for piece in own):
            yield own
        else:
            lines = _lines(pieces)
            yield from (line for line in lines if any(piece.example == shot for piece in line))


def _lines(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    line: list[Piece] = []
    for piece in pieces:
        first, *others = piece.text.split("\n") if piece.kind == "template" else [piece.text]
        line.append(piece._replace(text=first))
        for text in others:
            yield line
            line = [piece._replace(text=text)]
    yield line


def _flaw(text: str) -> tuple[int, str] | None:
    """Return the offset and reason at which a text that looks like a JSON object is none."""
    written = text.strip().rstrip(",")
    if not _OBJECT.fullmatch(written):
        return None
    try:
        _decode(written)
    except json.JSONDecodeError as error:
        return error.pos + text.index(written), tr(
            "{reason} at {place!r:.20}", reason=error.msg, place=written[error.pos :]
        )
    except (ValueError, RecursionError):  # too many digits, or too deep
        return None
    return None


def _piece_at(pieces: Sequence[Piece], at: int) -> Piece | None:
    for piece in pieces:
        at -= len(piece.text)
        if at < 0:
            return piece
    return pieces[-1] if pieces else None
