"""Rendering of a task's examples to prompts; the parts that prompts share are rendered once."""

from __future__ import annotations

import json
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jinja2

from promptkit.errors import DataError, PromptError, TemplateError, shorten
from promptkit.prompts.answer_format import AnswerFormat
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt
from promptkit.sandbox.environment import BoundedEnvironment, within_bounds
from promptkit.selection.draw import draw, expect, same
from promptkit.selection.orders import Order
from promptkit.selection.strategies import Selection, selection_for
from promptkit.tasks.asked_language import as_asked
from promptkit.tasks.examples import Example, text_key
from promptkit.tasks.label_sets import joined
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.assembly import (
    Prefix,
    around_output,
    as_prefix,
    candidates,
    cut,
    rationale_in,
    slot_in,
    stop_of_rationale,
    with_rationale,
)
from promptkit.templating.reuse import Sharing
from promptkit.templating.tags import NOTES, Block, Notes, check_marks
from promptkit.templating.tracing import join
from promptkit.templating.values import NoValueError, Origin, Text, View, trace
from promptkit.translation import tr

Shots = Sequence[Example[Any, Any]]


class _Frame(NamedTuple):
    """Prompt around the query's block, for one set of shots."""

    shots: Shots
    prefix: Prefix
    after: tuple[Piece, ...]


class _Query(NamedTuple):
    """A query, with the values made of it."""

    example: Example[Any, Any]
    view: View
    input: View
    """The same view under the name `input`, for its block."""
    text: str
    """`text_key` of its input."""


class Renderer:
    """Renderer of one task's prompts by one template; it keeps the parts that they share."""

    def __init__(
        self,
        task: Task[Any, Any],
        template: jinja2.Template,
        sharing: Sharing,
        file: str,
        verbalizer: Verbalizer | None = None,
    ) -> None:
        """Make a renderer.

        Args:
            task: The task.
            template: The compiled template.
            sharing: Parts that its prompts share.
            file: Name of the template in errors.
            verbalizer: Words for the labels; by default the labels themselves.

        Raises:
            TaskError: The verbalizer is for other labels.
        """
        self._task, self._template, self._file = task, template, file
        verbalizer = task.words if verbalizer is None else verbalizer
        self._labels = verbalizer.of(task.labels) if verbalizer is not None else task.labels
        """Labels as the template sees them, in the task's order."""
        self._words = verbalizer.words if verbalizer is not None else {}
        self._names: Mapping[str, Any] = {
            "task": View("task", _task_fields(task)),
            "labels": tuple(
                self._label(label, value, Origin(None, "labels"))
                for label, value in (task.output_type.items or task.output_type).values.items()
            ),
        }
        self._blocks: dict[View, Block] | None = {} if sharing.blocks else None
        self._has_frame = sharing.frame
        self._frame: _Frame | None = None
        # By identity, with the example itself, so that it stays what it is.
        self._shots: dict[int, tuple[Example[Any, Any], View]] = {}
        self._queries: dict[int, _Query] = {}

    def expect(self, queries: Sequence[Example[Any, Any]]) -> None:
        """Announce the next queries: shots are found faster for many together."""
        task = self._task
        pools = {id(pool): pool for pool in map(task.pool_of, queries)}
        for pool in pools.values():
            own = [q for q in queries if task.pool_of(q) is pool] if len(pools) > 1 else queries
            expect(pool, own, apart=all(map(task.is_test, own)))

    def render(
        self,
        query: Any,
        shots: int | Shots,
        *,
        seed: int = 0,
        selection: Selection | str | None = None,
        order: Order | str | None = None,
    ) -> Prompt:
        """Return a prompt; see `Template.render`.

        Where the template prints {{ rationale }}, it is the prompt that asks for the query's;
        `Prompt.after` makes that of the answer.
        """
        asked = self._query(*as_asked(self._task, [self._task.as_query(query)]))
        if isinstance(shots, str) or not isinstance(shots, Sequence):  # draw() checks the number
            chosen = selection_for(self._task, selection)
            example, text = asked.example, asked.text
            pool = self._task.pool_of(example)
            apart = self._task.is_test(example)
            draw_it: dict[str, Any] = {"seed": seed, "selection": chosen, "order": order}
            shots = draw(pool, example, shots, **draw_it, text=text, apart=apart)
        else:
            shots, apart = as_asked(self._task, shots), self._task.is_test(asked.example)
            if any(same(shot, asked.example, apart) for shot in shots):
                raise PromptError(tr("example {id!r} is among its own shots", id=asked.example.id))
        shots = tuple(shots)  # a list may change, and what goes with it is kept
        prefix, pieces = self._pieces(shots, asked)
        if (at := rationale_in(pieces)) is not None:
            return self._before_answer(prefix, pieces, at, shots, asked)
        return self._cut(prefix, pieces, shots, asked)

    def _cut(self, prefix: Prefix, pieces: Sequence[Piece], shots: Shots, asked: _Query) -> Prompt:
        """Return the prompt up to the answer."""
        slot = slot_in(pieces)
        labels = self._task.answers_of(asked.example) if self._task.options else self._labels
        format = self._format(slot is not None and pieces[slot].as_json)
        of = _ids(shots, asked)
        prompt = cut(prefix, pieces, slot, labels, self._file, format=format, **of)
        if slot is None:
            return self._follow_shots(prompt, pieces, shots, asked)
        return prompt

    def _before_answer(
        self, prefix: Prefix, pieces: Sequence[Piece], at: int, shots: Shots, asked: _Query
    ) -> Prompt:
        """Return the prompt up to the query's rationale."""

        def then(rationale: str) -> Prompt:
            return self._cut(prefix, with_rationale(pieces, at, rationale), shots, asked)

        prompt = cut(prefix, pieces, at, (), self._file, **_ids(shots, asked))
        stop = stop_of_rationale(pieces, at, self._file)
        return replace(prompt, stop=stop, asks="rationale", then=then)

    @property
    def steps(self) -> int:
        """Steps of the last rendering (`promptkit.sandbox.limits`)."""
        environment = self._template.environment
        return environment.meter.taken if isinstance(environment, BoundedEnvironment) else 0

    def printed(self, shots: Shots, asked: Example[Any, Any]) -> tuple[Piece, ...]:
        """Return all output of the template, not cut at the answer. Raises `TemplateError`."""
        return self._rendered(shots, self._query(asked))[0]

    def _follow_shots(
        self, prompt: Prompt, pieces: Sequence[Piece], shots: Shots, asked: _Query
    ) -> Prompt:
        """Return a prompt without a slot, with the space, stop and format of its shots' answers."""
        task = self._task
        if not shots and len(task.demos):
            pieces, _ = self._rendered([task.demos[0]], asked)
        labels = self._labels
        known = {*labels}
        if task.options is not None:
            labels = task.answers_of(asked.example)
            known = {option for shot in shots or task.demos[:1] for option in task.answers_of(shot)}
        self._check_written(pieces, () if task.many else known)
        lead, stop = around_output(pieces)
        format = self._format(self._writes_json(pieces, shots or task.demos[:1]))
        if prompt.messages:
            stop = ""  # the end of the turn
            if prompt.messages[-1].role != "assistant":  # the answer is a turn of its own
                lead = ""
        lead = prompt.lead or lead
        scored = candidates(labels, lead)
        return replace(prompt, candidates=scored, lead=lead, stop=stop, format=format)

    def _format(self, as_json: bool) -> AnswerFormat | None:
        """Return the format of a generated answer, as JSON if the template writes it so."""
        output = self._task.output_type
        if self._task.options is not None:
            return None
        return output.json_format if as_json else output.format

    def _writes_json(self, pieces: Sequence[Piece], shots: Shots) -> bool:
        """Return whether a plain loop writes answers as JSON that are not JSON by themselves."""
        answers: dict[str | None, Any] = {shot.id: self._answer(shot) for shot in shots}
        written = [(answers.get(p.example), p.text) for p in pieces if p.field == "output"]
        return any(
            isinstance(answer, Text) and answer.json == text != answer for answer, text in written
        )

    def _check_written(self, pieces: Sequence[Piece], labels: Collection[str]) -> None:
        """Raise `TemplateError` if a plain loop's shots show others than labels, its candidates."""
        known = {label.casefold() for label in labels}
        for piece in pieces:
            if known and piece.field == "output" and piece.text.casefold() not in known:
                raise TemplateError(
                    tr(
                        "the shots write {text}, which is no label, and the query is asked for a "
                        "label; write {{% example %}} and {{{{ output }}}}",
                        text=shorten(piece.text),
                    ),
                    file=piece.file or self._file,
                    line=piece.line,
                )

    def _pieces(self, shots: Shots, asked: _Query) -> tuple[Prefix, Sequence[Piece]]:
        """Return the prefix shared with the prompt before, and the pieces that follow."""
        frame = self._frame if self._frame is not None and self._frame.shots is shots else None
        block = self._blocks.get(asked.view) if self._blocks is not None else None
        if frame is None or block is None:
            pieces, notes = self._rendered(shots, asked)
            block = notes.query_block
            if frame is None and self._has_frame and block is not None:
                frame = self._frame = _around(block.pieces, pieces, shots, self._file)
        if frame is None or block is None:
            return Prefix(), pieces
        return frame.prefix, (*block.pieces, *frame.after)

    def _rendered(self, shots: Shots, asked: _Query) -> tuple[tuple[Piece, ...], Notes]:
        task = self._task
        notes = Notes(
            self._blocks, input=asked.input, options=task.options, rationale=task.rationale
        )
        context = self._template.new_context(
            {
                **self._names,
                "shots": tuple([self._shot_view(shot) for shot in shots]),
                "query": asked.view,
                NOTES: notes,
            }
        )
        output = self._template.root_render_func
        try:
            pieces = within_bounds(self._template, lambda: join(output(context)).pieces)
            check_marks(pieces, notes.marks, self._file)
            return pieces, notes
        except (DataError, TemplateError):
            raise
        except Exception as error:
            raise _located(error, self._file) from error

    def _query(self, example: Example[Any, Any]) -> _Query:
        known = self._queries.get(id(example))
        if known is None:
            input = self._input_view(example)
            view = self._input_view(example, called="query")
            known = _Query(example, view, input, text_key(example.input))
            self._queries[id(example)] = known
        return known

    def _shot_view(self, shot: Example[Any, Any]) -> View:
        known = self._shots.get(id(shot))
        if known is None:
            input = self._input_view(shot)
            fields: Mapping[str, Any] = {
                "id": shot.id,
                "input": input,
                "output": self._answer(shot),
                "metadata": View("metadata", shot.metadata, shot.id),
            }
            known = self._shots[id(shot)] = shot, View("shot", fields, shot.id)
        return known[1]

    def _input_view(self, example: Example[Any, Any], called: str = "input") -> View:
        """Return an input as a template sees it; its options are those of `options`."""
        fields, field = dict(self._task.fields_of(example)), self._task.options
        metadata = View("metadata", example.metadata, example.id)
        beside: dict[str, Any] = {"metadata": metadata, "options": self._names["labels"]}
        if field is not None:
            options = trace(fields.pop(field), Origin(example.id, f"input.{field}"))
            beside |= {"options": options, field: options}
        names = self._task.field_names
        return View("input", fields, example.id, called=called, beside=beside, names=names)

    def _answer(self, shot: Example[Any, Any]) -> Any:
        """Return a shot's answer as a template sees it."""
        if self._task.many and shot.labelled:
            words = [
                self._words.get(each, each) for each in self._task.output_type.plain(shot.output)
            ]
            return _with_json(joined(words), words, Origin(shot.id, "output"))
        return self._written(self._task.answer_of(shot), shot.output, Origin(shot.id, "output"))

    def _label(self, label: str, value: Any, origin: Origin) -> Any:
        """Return a label as a template sees it; of several, JSON writes the first of a list."""
        if not self._task.many:
            return self._written(label, value, origin)
        word = self._words.get(label, label)
        traced = _with_json(word, [word], origin)
        traced.json = traced.json.removesuffix("]")
        return traced

    def _written(self, answer: Any, value: Any, origin: Origin) -> Any:
        """Return an answer or a label as a template sees it; JSON writes its value."""
        traced = trace(self._words.get(answer, answer), origin)
        if isinstance(traced, Text) and answer not in self._words:
            traced.json = self._task.output_type.as_json(value)
        return traced


def _task_fields(task: Task[Any, Any]) -> Mapping[str, Any]:
    """Return the fields of `task` in templates."""
    names = {name: name for name in (*task.types()[0].model_fields, "output")}
    return {
        "name": task.name,
        "instruction": task.instruction,
        "many": task.many,
        "fields": {**names, **task.field_names},
    }


def _with_json(text: str, value: Any, origin: Origin) -> Any:
    """Return a text as a template sees it, which JSON writes as a value."""
    traced = trace(text, origin)
    traced.json = json.dumps(value, ensure_ascii=False)
    return traced


def _ids(shots: Shots, asked: _Query) -> dict[str, Any]:
    return {"shots": tuple([shot.id for shot in shots]), "query": asked.example.id}


def _around(
    block: Sequence[Piece], pieces: Sequence[Piece], shots: Shots, file: str
) -> _Frame | None:
    """Return the prompt around the query's block; None if it is not printed unchanged."""
    slot, inside = slot_in(pieces), slot_in(block)
    if slot is None or inside is None:
        return None
    start, end = slot - inside, slot - inside + len(block)
    if start < 0 or tuple(pieces[start:end]) != tuple(block):
        return None
    try:
        return _Frame(shots, as_prefix(pieces[:start], file), tuple(pieces[end:]))
    except TemplateError:  # which is raised where the prompt is cut
        return None


def _located(error: Exception, file: str) -> TemplateError:
    """Return an error with the template line and the example where it happened."""
    line: int | None = None
    record: View | None = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        compiled = frame.f_globals.get("__jinja_template__")
        if compiled is not None:
            file = compiled.filename or compiled.name or file
            line = compiled.get_corresponding_lineno(number)
            for value in frame.f_locals.values():
                if isinstance(value, View) and value._example is not None:
                    record = value
    if isinstance(error, jinja2.TemplateSyntaxError):  # in an included template
        file, line = error.filename or error.name or file, error.lineno
    if isinstance(error, jinja2.TemplateNotFound):
        reason = tr("template {name} not found in its search path", name=shorten(error.name))
    elif isinstance(error, NoValueError):
        reason = error.reason(record)
    elif isinstance(error, jinja2.TemplateError):
        reason = error.message or str(error)
    elif isinstance(error, RecursionError):
        reason = tr("the template calls or includes itself without end")
    else:
        reason = f"{type(error).__name__}: {error}"
    example = record._example if record is not None else None
    return TemplateError(reason, file=file, line=line, example=example)
