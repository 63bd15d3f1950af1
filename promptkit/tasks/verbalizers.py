"""Verbalizers: the words for the labels of a task, in the shots and among the answers.

The term is of Schick and Schütze, "Exploiting cloze questions for few-shot text classification and
natural language inference", EACL 2021. Predictions keep the task's labels, whatever the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from promptkit.errors import TaskError, shorten
from promptkit.text import first_names
from promptkit.translation import mark, tr

LABELS = "labels"
"""The name of the default, in which each label stands for itself."""
SWAPPED = "swapped"
SYMBOLS = "symbols"
CONTROLS = (SWAPPED, SYMBOLS)
"""Controls that every task with labels has; see `control`."""
CASINGS: Mapping[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "title": str.title,
}
"""The same labels in another casing, which every task with labels has too; see `cased`."""
BUILT_IN = (*CONTROLS, *CASINGS)

_GENERATED = mark("words stand for labels, and the answers of this task are generated")


@dataclass(frozen=True)
class Verbalizer:
    """A word for each label.

    Raises:
        TaskError: A word is empty, has white space around it, or stands for two labels.

    Example:
        >>> plain = Verbalizer("plain", {"drupe": "stone fruit", "pome": "core fruit"})
        >>> plain.of(["pome", "drupe"])
        ('core fruit', 'stone fruit')
    """

    name: str
    """The name in comparisons."""
    words: Mapping[str, str] = field(hash=False)
    """The words by the labels."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise TaskError(tr("a verbalizer needs a name, not {name}", name=shorten(self.name)))
        if not isinstance(self.words, Mapping):
            raise TaskError(
                tr("not a mapping of labels to words: {words}", words=shorten(self.words))
            )
        object.__setattr__(self, "words", dict(self.words))
        by_word: dict[str, str] = {}
        for label, word in self.words.items():
            if not isinstance(word, str):
                raise TaskError(
                    tr("{label}: the word {word} is not text", label=label, word=shorten(word))
                )
            if not word or word != word.strip():
                raise TaskError(
                    tr(
                        "{label}: the word {word!r} is empty or has white space around it (the "
                        "space in front of an answer comes from the template)",
                        label=label,
                        word=word,
                    )
                )
            if word in by_word:
                raise TaskError(
                    tr(
                        "the word {word!r} stands for both {by_word!r} and {label!r}",
                        word=word,
                        by_word=by_word[word],
                        label=label,
                    )
                )
            by_word[word] = label

    def of(self, labels: Sequence[str]) -> tuple[str, ...]:
        """The words in the order of the labels. Raises `TaskError` where they do not fit."""
        if not labels:
            raise TaskError(tr(_GENERATED))
        for label in self.words:
            if label not in labels:
                raise TaskError(
                    tr(
                        "{label} is not one of the labels ({labels})",
                        label=shorten(label),
                        labels=first_names(labels),
                    )
                )
        for label in labels:
            if label not in self.words:
                raise TaskError(tr("no word for the label {label!r}", label=label))
        return tuple([self.words[label] for label in labels])


def own(
    given: Mapping[str, Mapping[str, str]], labels: Sequence[str], where: str
) -> tuple[Verbalizer, ...]:
    """A task's own verbalizers. Raises `TaskError` for one that does not fit the labels."""
    found = []
    for name, words in given.items():
        try:
            if name in (LABELS, *BUILT_IN):
                raise TaskError(
                    tr("the name {name!r} is reserved for a built-in verbalizer", name=name)
                )
            found.append(Verbalizer(name, words))
            found[-1].of(labels)
        except TaskError as error:
            raise TaskError(f"{where}.{name}: {error}") from None
    return tuple(found)


def built_in(
    name: str, labels: Sequence[str], words: Mapping[str, str] | None = None
) -> Verbalizer:
    """Return the verbalizer `labels`, a control or a casing.

    `words` stand for the labels in the language that is asked in; by default the labels themselves.
    Raises `TaskError` like `control` and `cased`.
    """
    words = words or {label: label for label in labels}
    if name in CASINGS:
        return cased(name, labels, words)
    if name == SWAPPED:
        others = control(name, labels).words
        return Verbalizer(name, {label: words[other] for label, other in others.items()})
    if name == SYMBOLS:
        return control(name, labels)
    return Verbalizer(name, words)


def cased(name: str, labels: Sequence[str], words: Mapping[str, str] | None = None) -> Verbalizer:
    """Return the verbalizer that writes the labels, or words for them, in another casing.

    Raises `TaskError` where there are no labels, where two become the same word, and where none
    changes, as in scripts without cases.
    """
    if not labels:
        raise TaskError(tr(_GENERATED))
    plain = [label if words is None else words[label] for label in labels]
    changed = [CASINGS[name](word) for word in plain]
    if changed == plain:
        raise TaskError(tr("{name}: the labels already have this casing, or have none", name=name))
    return Verbalizer(name, dict(zip(labels, changed, strict=True)))


def control(name: str, labels: Sequence[str]) -> Verbalizer:
    """Return a control: words that show whether a model learns from the demonstrations.

    `swapped`: every label is written as the next one, the last as the first, so that no word means
    what it says (Wei et al., "Larger language models do in-context learning differently", 2023).
    `symbols`: the labels are written A, B, C, …, which mean nothing (the same; Min et al.,
    "Rethinking the role of demonstrations", EMNLP 2022, vary the pairs instead). Only the
    demonstrations say what the words stand for, so without any a model can but guess.

    Raises `TaskError` where there are too few labels, or too many.
    """
    if not labels:
        raise TaskError(tr(_GENERATED))
    if len(labels) < 2:
        raise TaskError(
            tr("{name}: the task has one label, and a control needs two or more", name=name)
        )
    if name == SWAPPED:
        return Verbalizer(name, dict(zip(labels, (*labels[1:], labels[0]), strict=True)))
    if len(labels) > len(ascii_uppercase):
        raise TaskError(
            tr(
                "{name}: {count} labels, and letters for {letters}",
                name=name,
                count=len(labels),
                letters=len(ascii_uppercase),
            )
        )
    return Verbalizer(name, dict(zip(labels, ascii_uppercase, strict=False)))
