"""Checks of the examples: rows that repeat, contradict or leak, labels, and characters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from promptkit.errors import shorten
from promptkit.files.json_values import plain
from promptkit.graphemes import JOINERS
from promptkit.linting import catalogue as rules
from promptkit.linting.characters import invisible, mixed
from promptkit.linting.findings import Finding
from promptkit.linting.normal_forms import mixed_forms
from promptkit.linting.subject import Subject, at
from promptkit.tasks.examples import canonical, text_key, texts_of
from promptkit.tasks.near_duplicates import near_pairs, normal_form
from promptkit.tasks.row_checks import PARTS, PlacedExample
from promptkit.templating.source import Where
from promptkit.text import has_word
from promptkit.translation import tr, trn

LOPSIDED = 5
"""Largest ratio of the numbers of rows of two labels."""
ENOUGH = 4
"""Rows per label from which a count says something."""
COPIES = 0.5
"""The share of inputs that may contain their own label."""


def bad_rows(subject: Subject) -> Iterator[Finding]:
    """Yield rows that do not fit the task's types."""
    for problem in subject.problems:
        where = Where(problem.file, problem.line, 1 if problem.line else None)
        value = "" if problem.value is None else f" {shorten(problem.value)}"
        column = f"{problem.field}{value}: " if problem.field else ""
        yield rules.BAD_ROW.at(where, f"{column}{problem.reason}", tr("correct the row"))


def row_problems(subject: Subject) -> Iterator[Finding]:
    """Yield rows without an output, equal rows, contradictions, and tests in the pool."""
    for defect, row, other, language in subject.row_problems:
        where, example = at(row), row.example
        said = tr("in {language}: ", language=language) if language else ""
        match defect:
            case "missing output":
                message = tr("the output is missing")
                yield rules.BAD_ROW.at(where, message, tr("add it, or delete the row"))
            case "repeated row":
                yield rules.REPEATED_ROW.at(
                    where,
                    tr("{said}the same row as {other}", said=said, other=other),
                    tr("delete one"),
                )
            case "contradiction":
                outputs = tr(
                    "{there!r} there and {here!r} here",
                    there=other.example.output,
                    here=example.output,
                )
                message = tr(
                    "{said}the same input as {other}, with {outputs}",
                    said=said,
                    other=other,
                    outputs=outputs,
                )
                yield rules.CONTRADICTION.at(where, message, tr("keep one"))
            case "repeated id":
                message = tr("the same id {id!r} as {other}", id=example.id, other=other)
                yield rules.REPEATED_ROW.at(where, message, tr("an id is unique"))
            case "leak":
                message = tr(
                    "{said}this test is also in the pool, as {other}", said=said, other=other
                )
                yield rules.LEAK.at(where, message, tr("delete one"))


def near_repeats(subject: Subject) -> Iterator[Finding]:
    """Yield near-duplicates, within a part and between the parts."""
    rows = subject.all_rows
    texts = [normal_form(texts_of(row.example.input)) for row in rows]
    for i, j in near_pairs(texts):
        first, row = rows[i], rows[j]
        if _equal(first, row):
            continue  # reported by `row_problems`
        shown = next((text for _, text in subject.texts(first)), first.example.id)
        message = tr("near-duplicate of {first} ({shown})", first=first, shown=shorten(shown, 50))
        fix = tr("keep one")
        if first.part != row.part:
            if subject.task.near_duplicates == "allow":
                continue
            message += tr(", a demonstration that its shots leave out")
            fix = tr('keep one, or write near_duplicates = "allow" in task.toml')
        elif not subject.same_output(first, row):
            message += tr(
                ", with {there!r} there and {here!r} here",
                there=first.example.output,
                here=row.example.output,
            )
        yield rules.NEAR_REPEAT.at(at(row), message, fix)


def _equal(first: PlacedExample, row: PlacedExample) -> bool:
    if first.part != row.part:
        return text_key(first.example.input) == text_key(row.example.input)
    return canonical(plain(first.example.input)) == canonical(plain(row.example.input))


def counts(subject: Subject) -> Iterator[Finding]:
    """Yield labels without rows, and labels that have most of them."""
    labels = subject.task.labels
    for part in PARTS:
        rows = subject.rows[part]
        if not labels or not rows or subject.problems:
            continue
        found = Counter(label for row in rows for label in subject.labels(row))
        if not found:
            continue
        missing = [label for label in labels if label not in found]
        if missing:
            rule = rules.LABEL_MISSING if part == "demos" else rules.LABEL_UNTESTED
            message = (
                tr("no demonstration has {labels}", labels=_listed(missing))
                if part == "demos"
                else tr("no test has {labels}", labels=_listed(missing))
            )
            yield rule.at(subject.at_key("labels"), message, tr("add some, or drop the label"))
        (most, n), (least, m) = found.most_common()[0], found.most_common()[-1]
        if n >= LOPSIDED * m and len(rows) >= ENOUGH * len(found) and len(found) > 1:
            yield rules.IMBALANCE.at(
                at(rows[0])._replace(line=None, column=None),
                trn(
                    "of {count} {part}, {larger} are {most!r} and {n} is {least!r}",
                    "of {count} {part}, {larger} are {most!r} and {n} are {least!r}",
                    m,
                    count=len(rows),
                    part=tr("demos") if part == "demos" else tr("tests"),
                    larger=n,
                    most=most,
                    least=least,
                ),
                tr("add rows of {least!r}, or read macro-F1 instead of accuracy", least=least),
            )


def _listed(labels: Sequence[str]) -> str:
    shown = ", ".join(map(repr, labels[:5]))
    return shown + (tr(" and {count} more", count=len(labels) - 5) if len(labels) > 5 else "")


def answers_in_inputs(subject: Subject) -> Iterator[Finding]:
    """Yield a finding where inputs contain their own label."""
    labels = {label: label.casefold() for label in subject.task.labels}
    rows = [row for row in subject.all_rows if row.example.labelled]
    if len(labels) < 2 or len(rows) < ENOUGH:
        return
    copies = []
    for row in rows:
        own = [labels[label] for label in subject.labels(row)]
        texts = [text.casefold() for _, text in subject.texts(row)]
        if any(has_word(text, label) for label in own for text in texts):
            copies.append(row)
    if len(copies) >= COPIES * len(rows):
        yield rules.ANSWER_IN_INPUT.at(
            at(copies[0]),
            tr(
                "{count} of {total} inputs contain their own label",
                count=len(copies),
                total=len(rows),
            ),
            tr("take the label out of the input, or rename the labels"),
        )


def characters(subject: Subject) -> Iterator[Finding]:
    """Yield white space around texts, invisible characters and words of two alphabets."""
    instruction = subject.task.instruction
    at_key = partial(subject.at_key, "instruction")
    yield from _padded("instruction", instruction, at_key)
    yield from _of_text("instruction", instruction, at_key)
    for row in subject.all_rows:
        texts = subject.texts(row)
        if not subject.task.labels and isinstance(answer := row.example.output, str):
            texts = [*texts, ("output", answer)]
            yield from _padded("output", answer, partial(at, row, answer))
        for field, text in texts:
            yield from _of_text(field, text, partial(at, row, text))


def padding(subject: Subject) -> Iterator[Finding]:
    """Yield white space around the values of inputs, which a template may trim."""
    for row in subject.all_rows:
        for field, text in subject.texts(row):
            yield from _padded(field, text, partial(at, row, text))


def is_padded(text: str) -> bool:
    """Return whether a text begins or ends with white space."""
    return text[:1].isspace() or text[-1:].isspace()


def _padded(field: str, text: str, at: Callable[[], Where]) -> Iterator[Finding]:
    if is_padded(text):
        yield rules.PADDED.at(
            at(),
            tr("{field} {text} has white space around it", field=field, text=shorten(text)),
            tr("trim it"),
        )


def _of_text(field: str, text: str, at: Callable[[], Where]) -> Iterator[Finding]:
    bare = text.strip()
    for place, name in invisible(bare):
        message = tr("{field} {text} contains {name}", field=field, text=_escaped(text), name=name)
        if bare[place] in JOINERS:
            yield rules.STRAY_JOINER.at(at(), message, tr("delete it"))
        else:
            yield rules.INVISIBLE.at(at(), message, tr("delete it, or write a space"))
    for _, word, odd in mixed(text):
        message = tr(
            "{field}: the word {word!r} has letters of another alphabet: {odd}",
            field=field,
            word=word,
            odd=odd,
        )
        yield rules.MIXED_SCRIPTS.at(at(), message, tr("type the word anew"))


def label_characters(subject: Subject) -> Iterator[Finding]:
    """Yield labels, or words for them, that differ from how they look."""
    for verbalizer, where in subject.wordings():
        labels = subject.task.labels
        yield from _of_labels(labels if verbalizer is None else verbalizer.of(labels), where)


def _of_labels(labels: Sequence[str], where: Where) -> Iterator[Finding]:
    folded: dict[str, str] = {}
    for label in labels:
        if unicodedata.normalize("NFC", label) != label:
            message = tr("the label {label} changes under Unicode NFC", label=_escaped(label))
            yield rules.LABEL_NFC.at(
                where, message, tr("write it in NFC, in the labels and the rows")
            )
        same = folded.setdefault(unicodedata.normalize("NFKC", label).casefold(), label)
        if same != label:
            message = tr(
                "the labels {same!r} and {label!r} differ in case or width alone",
                same=same,
                label=label,
            )
            yield rules.LABEL_CHARACTERS.at(where, message, tr("rename one"))
        for place, name in invisible(label):
            message = tr("the label {label} contains {name}", label=_escaped(label), name=name)
            joiner = label[place] in JOINERS
            rule = rules.STRAY_JOINER if joiner else rules.LABEL_CHARACTERS
            yield rule.at(where, message, tr("delete it"))
        for _, _, odd in mixed(label):
            message = tr(
                "the label {label!r} has letters of another alphabet: {odd}", label=label, odd=odd
            )
            yield rules.LABEL_CHARACTERS.at(where, message, tr("type it anew"))


def _escaped(text: str) -> str:
    shown = ascii(text)
    return shown if len(shown) <= 60 else shown[:59] + "…"


DATA_RULES = (
    bad_rows,
    row_problems,
    near_repeats,
    counts,
    answers_in_inputs,
    characters,
    label_characters,
    mixed_forms,
)
