"""Languages of a task: its texts in each of them, and those that a prompt is in.

A task in another language is a task like any other, with the same ids, outputs and labels: see
`Task.in_language`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from promptkit.errors import Problem, TaskError, shorten
from promptkit.tasks.examples import Example
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.verbalizers import LABELS, Verbalizer
from promptkit.text import first_names
from promptkit.translation import mark, tr

OWN = "own"
"""Name of the languages of a task as it stands, where no others are asked for."""

TAG = r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-[a-z0-9]{5,8})*"
"""Language tags of BCP 47, in their usual casing: `hi`, `pt-BR`, `hi-Latn`, `es-419`."""


@dataclass(frozen=True)
class Translation:
    """Texts of a task in one language, beside those of its examples.

    Raises:
        TaskError: The language is no tag of BCP 47, or two labels have one word.
    """

    language: str
    """Tag of the language."""
    instruction: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Word for each label; none where the labels stand for themselves."""
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Names of input fields, and of `output`, as templates print them."""

    def __post_init__(self) -> None:
        check_tag(self.language)
        for name in ("labels", "fields"):
            given = getattr(self, name)
            if not isinstance(given, Mapping):
                raise TaskError(
                    tr(
                        "{name}: not a mapping of names to texts: {given}",
                        name=name,
                        given=shorten(given),
                    )
                )
            object.__setattr__(self, name, dict(given))
        if self.labels:
            self.words  # noqa: B018 - raises for words that are none

    @property
    def words(self) -> Verbalizer | None:
        """Words for the labels; None where they stand for themselves."""
        return Verbalizer(LABELS, self.labels) if self.labels else None


@dataclass(frozen=True)
class Languages:
    """Languages of the parts of a prompt; queries are in the language of the shots.

    Example:
        >>> Languages("en", "hi", "hi").name
        'hi (instruction en)'
    """

    instruction: str
    shots: str
    labels: str

    @property
    def name(self) -> str:
        """Name in a comparison: the language of the shots, and the parts in another one."""
        parts = (("instruction", self.instruction), ("labels", self.labels))
        others = [f"{part} {tag}" for part, tag in parts if tag != self.shots]
        return f"{self.shots} ({', '.join(others)})" if others else self.shots

    @classmethod
    def of(cls, given: str | Languages, own: str) -> Languages:
        """Return the languages that a text names: `hi`, or `instruction=en,shots=hi`.

        Args:
            given: The text; parts that it does not name are in the task's own language.
            own: The task's own language.

        Raises:
            TaskError: The text is neither a tag nor parts with their tags.
        """
        if isinstance(given, Languages):
            return given
        if not isinstance(given, str):
            raise TaskError(tr("language {given}: write a tag, such as 'hi'", given=shorten(given)))
        if "=" not in given:
            return cls(*(given.strip(),) * 3)
        known = [one.name for one in fields(cls)]
        parts = {}
        for text in given.split(","):
            part, _, tag = map(str.strip, text.partition("="))
            if part not in known or part in parts or not tag:
                names = ", ".join(known)
                raise TaskError(
                    tr(
                        "language {given!r}: {text!r} is no part with its language; write each of "
                        "{names} once at most, as in instruction=en,shots=hi,labels=hi",
                        given=given,
                        text=text,
                        names=names,
                    )
                )
            parts[part] = tag
        return cls(**{name: parts.get(name, own) for name in known})


def check_tag(tag: object) -> None:
    """Raise `TaskError` for a text that is no language tag."""
    if not isinstance(tag, str) or not re.fullmatch(TAG, tag):
        raise TaskError(
            tr(
                "{tag} is no language tag of BCP 47; write one such as hi, pt-BR or hi-Latn",
                tag=shorten(tag),
            )
        )


def translations_of(
    own: str,
    instruction: str,
    given: Iterable[Translation],
    output: OutputType,
    inputs: Iterable[str],
) -> tuple[Translation, ...]:
    """Return the texts of every language, the task's own first.

    Args:
        own: The language of the texts as they stand; empty where it is not said.
        instruction: The task's instruction.
        given: The texts of languages; of the task's own the names of fields alone.
        output: The output type: labels that are texts need words in every language.
        inputs: The input fields.

    Raises:
        TaskError: Texts are missing, or not those of the task.
    """
    found = {one.language: one for one in given}
    output = output.items or output
    words_needed = any(isinstance(value, str) for value in output.values.values())
    if not own:
        if found:
            raise TaskError(
                tr("language: missing; name that of the texts as they stand, such as 'en'")
            )
        return ()
    check_tag(own)
    mine = found.pop(own, Translation(own))
    if mine.instruction not in ("", instruction) or mine.labels:
        raise TaskError(
            tr(
                "languages.{own}: the instruction and labels in {own} are those of the "
                "task itself; leave them out here",
                own=own,
            )
        )
    known = (*inputs, "output")
    for one in (mine, *found.values()):
        where = f"languages.{one.language}"
        for name in one.fields:
            if name not in known:
                raise TaskError(
                    tr(
                        "{where}.fields: unknown field {name!r}; choose one of: {known}",
                        where=where,
                        name=name,
                        known=", ".join(known),
                    )
                )
        if one is mine:
            continue
        if instruction and not one.instruction:
            raise TaskError(
                tr("{where}.instruction: missing; translate that of the task", where=where)
            )
        try:
            if one.words is not None:
                one.words.of(output.labels)
            elif words_needed:
                names = first_names(output.labels)
                raise TaskError(tr("missing; give a word for each label ({names})", names=names))
        except TaskError as error:
            raise TaskError(tr("{where}.labels: {error}", where=where, error=error)) from None
    return (Translation(own, instruction, {}, mine.fields), *found.values())


def check_known(languages: Languages, known: Iterable[str]) -> None:
    """Raise `TaskError` for a language that a task does not have."""
    names = [*known]
    for tag in (languages.instruction, languages.shots, languages.labels):
        if tag not in names:
            said = tr("choose one of: {names}", names=", ".join(names)) if names else tr(_NONE)
            raise TaskError(tr("unknown language {tag!r}; {said}", tag=tag, said=said))


_NONE = mark(
    "the task has its own only (task.toml: language, and a section [languages.TAG] for another)"
)


def example_in(example: Example[Any, Any], tag: str, known: Iterable[str]) -> Example[Any, Any]:
    """Return an example with its input in another language.

    An example without a translation into it is already in it, or a query that has none.

    Args:
        example: The example.
        tag: The language.
        known: The languages of the task: the one without a translation is that of the input.
    """
    if tag not in example.translations:
        return example
    left = {one: value for one, value in example.translations.items() if one != tag}
    now = next((one for one in known if one not in example.translations), None)
    if now is not None:
        left[now] = example.input
    return example.model_copy(update={"input": example.translations[tag], "translations": left})


def untranslated(examples: Iterable[Example[Any, Any]], tags: Sequence[str]) -> Iterator[Problem]:
    """Yield the translations that examples lack."""
    for example in examples:
        for tag in tags:
            if tag not in example.translations:
                yield Problem(tr("no translation into {tag!r}", tag=tag), example=example.id)
