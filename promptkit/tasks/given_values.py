"""Examples, and words for labels, as Python code gives them to a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from promptkit.errors import Problem, TaskError, shorten
from promptkit.tasks.example_set import ExampleSet, set_of
from promptkit.tasks.examples import Example
from promptkit.tasks.languages import Translation
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.validation import ExampleParser
from promptkit.tasks.verbalizers import Verbalizer, own
from promptkit.translation import tr


def given_examples(
    part: str, values: Iterable[Any], types: tuple[type[BaseModel], Any], problems: list[Problem]
) -> ExampleSet[Any, Any]:
    """Return examples of the task's types out of examples or dicts; what does not fit is a problem.

    Raises `TaskError` for what is no sequence.
    """
    parser = ExampleParser(*types, problems)
    if isinstance(values, ExampleSet) and type(values) is type(set_of(parser, ())):
        return values
    if not isinstance(values, Iterable):
        raise TaskError(
            tr("{part}: not a sequence of examples: {values}", part=part, values=shorten(values))
        )
    examples = []
    for index, value in enumerate(values):
        name = f"{part}[{index}]"
        if isinstance(value, Example):
            value = parts_of(value)
        if not isinstance(value, Mapping):
            reason = tr("not an Example; write Example(input=..., output=...)")
            problems.append(Problem(reason, example=name, value=value))
            continue
        example = parser.parse(value, example=name)
        if example is not None:
            examples.append(example)
    return set_of(parser, examples)


def parts_of(example: Example[Any, Any]) -> dict[str, Any]:
    """Return the parts of an example, without an output that is not known."""
    fields = (f for f in Example.model_fields if f != "output" or example.labelled)
    return {field: getattr(example, field) for field in fields}


def given_verbalizers(given: Any, output: OutputType) -> tuple[Verbalizer, ...]:
    """Return verbalizers, or those of a mapping of names to words. Raises `TaskError`."""
    if isinstance(given, Mapping):
        words_of = dict(given)
    elif isinstance(given, Iterable) and all(isinstance(v, Verbalizer) for v in given):
        words_of = {verbalizer.name: verbalizer.words for verbalizer in given}
    else:
        raise TaskError(
            tr("verbalizers: not a mapping of names to words: {given}", given=shorten(given))
        )
    output = output.items or output
    words_of = {name: _by_label(words, output) for name, words in words_of.items()}
    return own(words_of, output.labels, "verbalizers")


def given_translations(given: Any, output: OutputType) -> tuple[Translation, ...]:
    """Return translations, or those of a mapping of languages to texts. Raises `TaskError`."""
    if not isinstance(given, Mapping):
        if isinstance(given, Iterable) and all(isinstance(one, Translation) for one in given):
            return tuple(given)
        raise TaskError(
            tr("languages: not a mapping of languages to texts: {given}", given=shorten(given))
        )
    found = []
    for language, texts in given.items():
        known = ("instruction", "labels", "fields")
        if not isinstance(texts, Mapping) or not {*texts} <= {*known}:
            raise TaskError(
                tr(
                    "languages: {language}: not a mapping with {known}: {texts}",
                    language=shorten(language),
                    known=", ".join(known),
                    texts=shorten(texts),
                )
            )
        words = _by_label(texts.get("labels", {}), output.items or output)
        found.append(Translation(language, **{**texts, "labels": words}))
    return tuple(found)


def _by_label(words: Any, output: OutputType) -> Any:
    """Return words by their labels; what is no mapping is unchanged."""
    if not isinstance(words, Mapping) or not output.labels:
        return words
    return {_label(output, key): word for key, word in words.items()}


def _label(output: OutputType, value: Any) -> Any:
    """Return the label of a value; other values are unchanged."""
    try:
        return output.text(output.validate(value))
    except ValueError:
        return value
