"""Warnings on the prompts of a comparison: near-duplicates left out, and labels spelled out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from promptkit.errors import shorten
from promptkit.inference.prediction import Predictor
from promptkit.selection.draw import ALLOW_NEAR
from promptkit.tasks.examples import Example
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.text import counted, has_word
from promptkit.translation import tr


def near_warning(predictors: Iterable[Predictor], queries: Sequence[Example[Any, Any]]) -> str:
    """Return a sentence on near-duplicates that shots leave out; empty where there are none.

    Of predictors that differ in their number of shots alone, the one with the most shots counts.
    """
    most: dict[object, Predictor] = {}
    for one in predictors:
        key = id(one.task), one.selection, one.seed
        if key not in most or most[key].shots < one.shots:
            most[key] = one
    found: dict[str, dict[str, None]] = {}
    for one in most.values():
        for query in queries:
            for demo in one.left_out(query):
                found.setdefault(query.id, {})[demo.id] = None
    return near_sentence(found, len(queries))


def near_sentence(found: Mapping[str, Iterable[str]], queries: int) -> str:
    """Return a sentence on the near-duplicates left out for queries; empty where there are none."""
    if not found:
        return ""
    query, demos = next(iter(found.items()))
    count = len({demo for ids in found.values() for demo in ids})
    return tr(
        "{shots} left out of the shots of {count:,} of {queries}, such as "
        "{example} for {query}; to show them, {ALLOW_NEAR}",
        shots=counted(count, "near-duplicate", "near-duplicates"),
        count=len(found),
        queries=counted(queries, "query", "queries"),
        example=shorten(next(iter(demos))),
        query=shorten(query),
        ALLOW_NEAR=tr(ALLOW_NEAR),
    )


def wording_warnings(predictors: Iterable[Predictor]) -> list[str]:
    """Return warnings of labels that a prompt still spells out where a verbalizer replaces them.

    An instruction, or a template's own text, may spell out labels, and is not rewritten.

    Raises:
        PromptkitError: A prompt does not render.
    """
    wordings = {
        (p.template, p.language, v): (p, v)
        for p in predictors
        if (v := p.verbalizer or p.task.words) is not None
    }
    found = []
    for predictor, verbalizer in wordings.values():
        labels = _spelled_out(predictor, verbalizer)
        if labels:
            shown = ", ".join(map(repr, labels[:5])) + (", …" if len(labels) > 5 else "")
            found.append(
                tr(
                    "with {name} the prompt still spells out {shown}, for which {named} has "
                    "other words: take the labels out of the instruction, or print them with "
                    "{{{{ labels }}}}",
                    name=predictor.template.name,
                    shown=shown,
                    named=_named(predictor, verbalizer),
                )
            )
    return found


def _spelled_out(predictor: Predictor, verbalizer: Verbalizer) -> list[str]:
    """Return the labels in a prompt, outside of its shots, that are no words of the verbalizer."""
    task = predictor.task
    words = verbalizer.of(task.labels)
    query = (task.tests or task.demos)[0]
    prompt = predictor.template.render(task, shots=(), query=query, verbalizer=verbalizer)
    pieces = [*prompt.pieces, *(piece for turn in prompt.messages for piece in turn.pieces)]
    own = [p for p in pieces if p.kind == "template" or p.field == "task.instruction"]
    text = "".join([piece.text for piece in own])
    gone = [label for label in task.labels if label not in words]
    return [label for label in gone if has_word(text, label)]


def _named(predictor: Predictor, verbalizer: Verbalizer) -> str:
    """Return what has the words: a verbalizer by its name, or the language of the labels."""
    if predictor.verbalizer is None and predictor.task.asked_in is not None:
        return tr("the language {labels!r}", labels=predictor.task.asked_in.labels)
    return repr(verbalizer.name)
