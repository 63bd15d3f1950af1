"""Sentences with slots, and their fillings: every term in every sentence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from promptkit.auditing.swap_words import ambiguous, terms_in, with_holes
from promptkit.errors import DataError, Problem, TaskError
from promptkit.files.json_values import read_name
from promptkit.tasks.examples import Example, canonical_text
from promptkit.tasks.swap_patterns import Hole, Pattern, named_holes, pattern_of
from promptkit.tasks.swap_slots import SwapSlot, SwapTerm, missing_form
from promptkit.tasks.task import Task
from promptkit.translation import tr

Context = Mapping[str, SwapTerm]
"""A term for each slot of a sentence."""


@dataclass(frozen=True)
class SwapSentence:
    """An input with slots, written as such or made of one that has a term in it."""

    row: Example[Any, Any]
    """Example that it comes from."""
    fields: Mapping[str, Any]
    """Its input as plain values, with patterns in place of texts."""
    own: Context
    """Terms that stood in the slots; a slot in braces has none."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots in it, in order."""
        return tuple(dict.fromkeys(hole.slot for hole in self.holes))

    @property
    def holes(self) -> list[Hole]:
        """All places that terms are put into."""
        return [hole for pattern in patterns(self.fields) for hole in pattern.holes]

    @property
    def key(self) -> str:
        """A text that equal sentences share, whatever terms stood in them."""
        return canonical_text(_mapped(self.fields, Pattern, lambda one: ["", *one.pieces]))

    @property
    def shown(self) -> Mapping[str, Any]:
        """Its input with the names of the slots in braces."""
        shown: Mapping[str, Any] = _mapped(self.fields, Pattern, str)
        return shown

    def filled(self, terms: Context) -> Mapping[str, Any]:
        """Return its input as plain values, with a term for each slot."""
        made: Mapping[str, Any] = _mapped(self.fields, Pattern, lambda one: one.filled(terms))
        return made


class LeftOut(NamedTuple):
    """Inputs that a slot does not occur in as it should, by the reason."""

    slot: str
    reason: str


@dataclass(frozen=True)
class SentencesRead:
    """The sentences that some rows are, each once, and what was found on the way."""

    sentences: list[SwapSentence]
    left_out: Counter[LeftOut]
    """Number of rows that a slot was left out of."""
    seen: frozenset[tuple[str, str]]
    """Slots and terms that stand in rows as words."""


def sentences_of(
    rows: Iterable[Example[Any, Any]],
    task: Task[Any, Any],
    slots: Mapping[str, SwapSlot],
    *,
    strict: bool = False,
) -> SentencesRead:
    """Return the sentences that some rows are.

    Rows that differ only in the terms of a slot are one sentence.

    Args:
        rows: The rows: with slots in braces, or with terms of a slot as whole words.
        task: The task of the rows.
        slots: The slots by name.
        strict: Whether braces that are no slot are an error, and `{{` stands for a brace.

    Raises:
        DataError: A slot is unknown, or a term lacks a form that a row needs.
    """
    found: dict[str, SwapSentence] = {}
    left_out: Counter[LeftOut] = Counter()
    seen: set[tuple[str, str]] = set()
    problems: list[Problem] = []
    for row in rows:
        try:
            made = _sentence(row, task, slots, strict, left_out)
        except ValueError as error:
            problems.append(Problem(str(error), example=row.id, value=task.fields_of(row)))
            continue
        seen |= {(slot, term.text) for slot, term in made.own.items()}
        if made.slots:
            found.setdefault(made.key, made)
    if problems:
        raise DataError(problems)
    return SentencesRead([*found.values()], left_out, frozenset(seen))


def _sentence(
    row: Example[Any, Any],
    task: Task[Any, Any],
    slots: Mapping[str, SwapSlot],
    strict: bool,
    left_out: Counter[LeftOut],
) -> SwapSentence:
    read = partial(pattern_of if strict else named_holes, slots=slots)
    fields = _mapped(task.fields_of(row), str, read)
    known = {hole.slot for pattern in patterns(fields) for hole in pattern.holes}
    own: dict[str, SwapTerm] = {}
    for slot in slots.values():
        texts = [p for one in patterns(fields) for p in one.pieces if isinstance(p, str)]
        found = [] if slot.name in known else terms_in(texts, slot)
        if not found:
            continue
        (term, *others) = found
        if others:
            left_out[LeftOut(slot.name, tr("it has several terms of {slot}", slot=slot.name))] += 1
        elif word := ambiguous(slot, term, texts):
            reason = tr("nothing says which form {word!r} is", word=word)
            left_out[LeftOut(slot.name, reason)] += 1
        else:
            fields = _mapped(fields, Pattern, partial(with_holes, slot=slot, term=term))
            own[slot.name] = term
    made = SwapSentence(row, fields, own)
    for hole in made.holes:
        if hole.form is not None and (lacking := slots[hole.slot].lacking(hole.form)):
            raise ValueError(missing_form(slots[hole.slot], hole.form, lacking))
    return made


def patterns(value: Any) -> Iterator[Pattern]:
    """Yield the patterns in the fields of a sentence."""
    if isinstance(value, Pattern):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from patterns(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from patterns(item)


def _mapped(value: Any, kind: type, change: Any) -> Any:
    """Return plain values in which those of a kind are changed."""
    if isinstance(value, kind):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, kind, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, kind, change) for item in value]
    return value


class Filling(NamedTuple):
    """A sentence with every term of a slot, while its other slots hold one term each."""

    sentence: int
    """Number of the sentence."""
    slot: str
    context: Context
    """Terms of the other slots."""


def fillings(
    sentences: Sequence[SwapSentence],
    slots: Mapping[str, SwapSlot],
    *,
    contexts: int = 1,
    seed: int = 0,
) -> list[Filling]:
    """Return what is filled: each slot of each sentence, the others with terms drawn by the seed.

    Args:
        sentences: The sentences.
        slots: The slots by name.
        contexts: Largest number of combinations of terms in the other slots of a sentence.
        seed: Number of the draw.

    A single combination keeps the terms that stood in the sentence.
    """
    made = []
    for number, sentence in enumerate(sentences):
        draw = np.random.default_rng([seed, number])
        for name in sentence.slots:
            others = [slots[other] for other in sentence.slots if other != name]
            kept = _combinations([slot.terms for slot in others], contexts, draw)
            for terms in kept:
                context = {slot.name: one for slot, one in zip(others, terms, strict=True)}
                if contexts == 1:
                    context |= {k: v for k, v in sentence.own.items() if k in context}
                made.append(Filling(number, name, context))
    return made


def filled_query(
    task: Task[Any, Any], sentence: SwapSentence, terms: Context, id: str
) -> Example[Any, Any]:
    """Return a sentence with a term for each slot, as a query.

    Args:
        task: The task.
        sentence: The sentence.
        terms: The terms by slot.
        id: The id of the query.

    Raises:
        TaskError: The input type does not accept it.
    """
    infos = task.types()[0].model_fields
    values = {read_name(k, infos.get(k)): value for k, value in sentence.filled(terms).items()}
    try:
        made = task.as_query(values)
    except DataError as error:
        said = ", ".join(
            tr("{text!r} for {slot}", text=term.text, slot=slot) for slot, term in terms.items()
        )
        raise TaskError(
            tr(
                "example {id!r} with {said} is no input of the task: {problems}",
                id=sentence.row.id,
                said=said,
                problems=error.problems[0],
            )
        ) from None
    return sentence.row.model_copy(update={"input": made.input, "id": id})


def own_ids(task: Task[Any, Any], sentences: Sequence[SwapSentence]) -> list[str]:
    """Return an id for each sentence that no example of the task has.

    All fillings of a sentence share it: orders of shots that go by the id of the query, and
    demonstrations that are left out by it, are then the same for all of them.
    """
    taken = {example.id for example in (*task.demos, *task.tests)}
    made = []
    for sentence in sentences:
        id = sentence.row.id
        while id in taken:
            id += "'"
        taken.add(id)
        made.append(id)
    return made


def _combinations(
    terms: Sequence[Sequence[SwapTerm]], most: int, draw: np.random.Generator
) -> list[tuple[SwapTerm, ...]]:
    """Return all combinations of terms, or as many as are asked, drawn without repeats."""
    sizes = [*map(len, terms)]
    count = math.prod(sizes)
    numbers = range(count) if count <= most else sorted(draw.choice(count, most, replace=False))
    found = []
    for number in numbers:
        places, rest = [], int(number)
        for size in sizes:
            rest, place = divmod(rest, size)
            places.append(place)
        found.append(tuple([own[place] for own, place in zip(terms, places, strict=True)]))
    return found
