"""Counterfactual swaps: the same sentences with other terms in their slots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from promptkit.auditing.equal_shots import with_equal_shots
from promptkit.auditing.swap_answers import (
    AnswerKind,
    SlotAnswers,
    answer_key,
    kind_of,
)
from promptkit.auditing.swap_figures import figures
from promptkit.auditing.swap_items import FilledRow, worst_items
from promptkit.auditing.swap_results import SwapAudit
from promptkit.auditing.swap_sentences import (
    Filling,
    SentencesRead,
    SwapSentence,
    filled_query,
    fillings,
    own_ids,
    sentences_of,
)
from promptkit.auditing.swap_words import with_holes
from promptkit.errors import TaskError
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.selection.strategies import ByQuery, selection_for
from promptkit.tasks.examples import Example, canonical_text
from promptkit.tasks.swap_patterns import Pattern
from promptkit.tasks.swap_slots import SwapSlot, Terms, slots_of
from promptkit.tasks.task import Task
from promptkit.text import counted, did_you_mean, first_names
from promptkit.translation import mark, tr

MOST_INPUTS = 20_000
"""Number of filled inputs that are asked, at most; of more sentences some are drawn."""

MOST_CONTEXTS = 20
"""Largest number of combinations of the other slots, where all are asked."""

WORST = 20
"""Number of items to read."""


def swap_audit(
    predictor: AnyPredictor,
    task: Task[Any, Any],
    *,
    swaps: Mapping[str, Terms] | None = None,
    rows: Iterable[Example[Any, Any]] | None = None,
    label: str | None = None,
    contexts: int = 1,
    most: int = MOST_INPUTS,
    seed: int = 0,
    level: float = 0.95,
    store: Store | None = None,
    progress: Progress | None = None,
) -> SwapAudit:
    """Fill each sentence with every term of its slots, and compare the answers.

    Sentences are those of the task (`[audit] sentences`, or the file of `audit` in `[files]`);
    slots that none of them has are looked for in the tests: in braces, or as whole words that are
    a term. One slot varies at a time, while the others hold a term that the seed draws, or the one
    that stood there.

    Args:
        predictor: A prompted model, student, lookup table or cascade, which is asked once for all.
        task: The task of the sentences.
        swaps: The terms of each slot; those of the task by default.
        rows: Rows to fill instead of the task's.
        label: The label that effects of two labels are about; the second one by default.
        contexts: Number of combinations of terms in the other slots, at most.
        most: Number of inputs, at most; of more sentences some are drawn.
        seed: Number of the draws.
        level: Confidence level of the intervals of the shares that flip.
        store: Prediction store, for a prompted model.
        progress: Called after each result of a prompted model, with counts.

    Returns:
        The figures of each slot and term, and the worst items.

    Raises:
        TaskError: There are no slots, a slot is found nowhere, or the label is unknown.
        DataError: A term lacks a form that a row needs.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/remarks")
        >>> model = pk.FakeModel(lambda prompt: "negative" if "Ben" in prompt.text else "positive")
        >>> predictor = pk.Predictor(task, pk.Template.of(task), model)
        >>> rows = [task.as_query({"remark": f"{{name}} is {x}."}) for x in ("here", "late")]
        >>> swap_audit(predictor, task, swaps={"name": ["Ann", "Ben"]}, rows=rows).slots[0].flips
        1.0
    """
    slots = task.swaps.slots if swaps is None else slots_of(swaps)
    read = _read(task, slots, rows)
    drawn = fillings(read.sentences, slots, contexts=contexts, seed=seed)
    kept, left = _within(drawn, slots, most, seed)
    queries = _Queries(task, read.sentences, slots, kept)
    equal, barred = with_equal_shots(predictor, queries.asked)
    made = _predictions(equal, queries.asked, store, progress)
    kind = _kind(task, made, label)
    answers = {
        name: queries.answers(name, made, kind)
        for name in slots
        if any(one.slot == name for one in kept)
    }
    found, tested = figures(answers, slots, kind, level)
    return SwapAudit(
        task=task.name,
        model=predictor.identity.name,
        measure=kind.measure,
        label=kind.labels[1] if len(kind.labels) == 2 else None,
        slots=found,
        items=tuple(worst_items(queries.rows, answers, made, kind, WORST)),
        inputs=len(queries.asked),
        comparisons=tested,
        notes=(*_notes(read, slots), *left, *_shot_notes(predictor, barred)),
    )


def _read(
    task: Task[Any, Any],
    slots: Mapping[str, SwapSlot],
    rows: Iterable[Example[Any, Any]] | None,
) -> SentencesRead:
    """Return the sentences of an audit. Raises `TaskError` where a slot is in none."""
    if not slots:
        raise TaskError(
            tr(
                '{name}: no terms to swap; write [audit.swap.NAME] with terms = ["…", "…"] '
                "in task.toml",
                name=task.name,
            )
        )
    if rows is not None:
        read, where = sentences_of(rows, task, slots), mark("no row has {terms}{why}")
    else:
        read = sentences_of(task.swaps.sentences, task, slots, strict=True)
        where = mark("neither a sentence of the audit nor a test has {terms}{why}")
        rest = {name: slot for name, slot in slots.items() if name not in _found(read)}
        if rest:
            more = sentences_of(task.tests, task, rest)
            read = SentencesRead(
                [*read.sentences, *more.sentences],
                read.left_out + more.left_out,
                read.seen | more.seen,
            )
    for name, slot in slots.items():
        if name not in _found(read):
            reasons = {one.reason for one in read.left_out if one.slot == name}
            why = (
                tr(" that can be swapped ({reasons})", reasons="; ".join(sorted(reasons)))
                if reasons
                else ""
            )
            some = first_names([repr(term.text) for term in slot.terms], 3)
            terms = tr("{hole} or one of its terms ({some})", hole=f"{{{name}}}", some=some)
            raise TaskError(
                tr(
                    "audit.swap.{slot}: {problem}; write sentences with it, or leave the slot out",
                    slot=name,
                    problem=tr(where, terms=terms, why=why),
                )
            )
    return read


def _found(read: SentencesRead) -> set[str]:
    return {slot for sentence in read.sentences for slot in sentence.slots}


def _within(
    drawn: Sequence[Filling], slots: Mapping[str, SwapSlot], most: int, seed: int
) -> tuple[list[Filling], list[str]]:
    """Return the fillings of as many sentences as make at most so many inputs, and a note."""
    sizes = Counter[int]()
    for one in drawn:
        sizes[one.sentence] += len(slots[one.slot].terms)
    total = sizes.total()
    if total <= most:
        return [*drawn], []
    kept: set[int] = set()
    for place in np.random.default_rng(seed).permutation(len(sizes)):
        number = [*sizes][place]
        if sum(sizes[other] for other in kept) + sizes[number] > most and len(kept) > 1:
            break
        kept.add(number)
    note = tr(
        "{count:,} of {sentences} drawn with seed {seed}, since all make {total:,} "
        "inputs, and at most {most:,} are asked",
        count=len(kept),
        sentences=counted(len(sizes), "sentence", "sentences"),
        seed=seed,
        total=total,
        most=most,
    )
    return [one for one in drawn if one.sentence in kept], [note]


class _Queries:
    """The queries of all fillings; equal ones of a sentence are asked once."""

    def __init__(
        self,
        task: Task[Any, Any],
        sentences: Sequence[SwapSentence],
        slots: Mapping[str, SwapSlot],
        filled: Sequence[Filling],
    ) -> None:
        self._task, self._slots = task, slots
        self.asked: list[Example[Any, Any]] = []
        self.rows: list[FilledRow] = []
        ids, known = own_ids(task, sentences), dict[tuple[int, str], int]()
        for one in filled:
            sentence, places = sentences[one.sentence], []
            for term in slots[one.slot].terms:
                context = {**one.context, one.slot: term}
                key = one.sentence, canonical_text(sentence.filled(context))
                if key not in known:
                    known[key] = len(self.asked)
                    self.asked.append(filled_query(task, sentence, context, ids[one.sentence]))
                places.append(known[key])
            terms = [term.text for term in slots[one.slot].terms]
            self.rows.append(FilledRow(one, sentence, terms, places))

    def answers(
        self, slot: str, predictions: Sequence[Prediction], kind: AnswerKind
    ) -> SlotAnswers:
        """Return the answers to the fillings of a slot."""
        rows = [row for row in self.rows if row.filling.slot == slot]
        codes: dict[str, int] = {}
        scores = [kind.scores(self._task, one) for one in predictions]
        said = None
        if kind.measure != "value":
            shares = replace(kind, measure="share")
            said = np.array([shares.scores(self._task, one) for one in predictions], np.float64)
        places = np.array([row.places for row in rows], np.int64)
        keys = [
            [self._key(slot, number, predictions[place]) for number, place in enumerate(row)]
            for row in places.tolist()
        ]
        return SlotAnswers(
            sentences=np.array([row.filling.sentence for row in rows], np.int64),
            texts=places,
            answers=np.array([[codes.setdefault(k, len(codes)) for k in row] for row in keys]),
            scores=np.array(scores, np.float64).reshape(len(scores), -1)[places],
            said=None if said is None else said.reshape(len(said), -1)[places],
        )

    def _key(self, slot: str, number: int, made: Prediction) -> str:
        """Return a text that equal answers share; of generated texts, with the term as a slot."""
        if self._task.is_scored or not isinstance(made.label, str):
            return answer_key(self._task, made)
        one = self._slots[slot]
        return str(with_holes(Pattern((made.label,)), one, one.terms[number]))


def _predictions(
    predictor: AnyPredictor,
    queries: Sequence[Example[Any, Any]],
    store: Store | None,
    progress: Progress | None,
) -> Sequence[Prediction]:
    if isinstance(predictor, Predictor):
        return predictor.predict(queries, store=store, progress=progress)
    return predictor.predict(queries)


def _kind(task: Task[Any, Any], made: Sequence[Prediction], label: str | None) -> AnswerKind:
    """Return what answers are compared by, the label that is shown last of two."""
    kind = kind_of(task, made)
    if label is None:
        return kind
    if label not in kind.labels:
        names = [str(one) for one in kind.labels if one is not None]
        hint = did_you_mean(label, names) or (
            tr("choose one of: {names}", names=", ".join(names))
            if names
            else tr("the task has no labels")
        )
        raise TaskError(tr("unknown label {label!r}; {hint}", label=label, hint=hint))
    if len(kind.labels) == 2:
        return replace(kind, labels=(*(one for one in kind.labels if one != label), label))
    return kind


def _notes(read: SentencesRead, slots: Mapping[str, SwapSlot]) -> Iterator[str]:
    """Yield what was left out, and which terms stand in no row."""
    for one, count in read.left_out.items():
        yield tr(
            "{slot}: {inputs} left out: {reason}",
            slot=one.slot,
            inputs=counted(count, "input", "inputs"),
            reason=one.reason,
        )
    for name, slot in slots.items():
        unseen = [term.text for term in slot.terms if (name, term.text) not in read.seen]
        if len(unseen) < len(slot.terms) and unseen:
            some = first_names([repr(term) for term in unseen], 5)
            yield tr(
                "{name}: {terms} of {count} stand in no input, and are only put in place "
                "of others: {some}",
                name=name,
                terms=counted(len(unseen), "term", "terms"),
                count=len(slot.terms),
                some=some,
            )


def _shot_notes(predictor: AnyPredictor, barred: int) -> Iterator[str]:
    if barred:
        yield tr(
            "{demonstrations} that equal or nearly repeat a filled sentence are no "
            "shots of the audit, so that all fillings of a sentence have the same ones",
            demonstrations=counted(barred, "demonstration", "demonstrations"),
        )
    if isinstance(predictor, Predictor) and predictor.shots:
        chosen = selection_for(predictor.task, predictor.selection)
        if isinstance(chosen, ByQuery):
            yield tr(
                "the selection {name} chooses shots for each query, so that part of a "
                "change is that of the shots",
                name=chosen.name,
            )
