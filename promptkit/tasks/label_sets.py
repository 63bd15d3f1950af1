"""Outputs of several labels: their mark, how they are written, and how near two of them are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptkit.errors import TaskError, shorten
from promptkit.translation import tr

NONE = "none"
"""Text of an output without labels, in prompts and in CSV."""

SEPARATOR = ";"
"""Separator of labels in a cell of CSV."""


@dataclass(frozen=True, slots=True)
class ManyLabels:
    """Mark of an output that is a list of labels, each of which a model scores.

    The output of such a task is `Annotated[list[Literal[...]], ManyLabels()]`, or a list of an
    enum. Without the mark, lists are generated as JSON. Order does not count. Examples may give the
    list, a set, a text with `;` between the labels, or "none" for no label.

    Example:
        >>> from typing import Annotated, Literal
        >>> from pydantic import create_model
        >>> from promptkit import Task
        >>> Note = create_model("Note", text=(str, ...))
        >>> topics = Annotated[list[Literal["email", "login", "network"]], ManyLabels()]
        >>> row = {"input": {"text": "The VPN rejects my password"}, "output": "login; network"}
        >>> Task[Note, topics](name="topics", tests=[row]).tests[0].output
        ['login', 'network']
    """


def is_mark(data: object) -> bool:
    """Return whether the metadata of a type marks it as a list of labels."""
    return data is ManyLabels or isinstance(data, ManyLabels)


def joined(labels: Sequence[str]) -> str:
    """Return labels as prompts write them: `login, network`, or `none`."""
    return ", ".join(labels) or NONE


def items_of(value: Any) -> list[Any]:
    """Return the items of an output: of a list or a set, or of the text of a cell.

    Args:
        value: A list, a tuple, a set, a JSON list as text, or labels with `;` between them.

    Raises:
        ValueError: It is nothing of these.

    Example:
        >>> items_of("login; network"), items_of("none"), items_of('["login"]')
        (['login', 'network'], [], ['login'])
    """
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise ValueError(tr("not a JSON list: {error}", error=error)) from None
        else:
            return [] if text == NONE else [part.strip() for part in text.split(SEPARATOR)]
    if isinstance(value, list | tuple | set | frozenset):
        return [*value]
    raise ValueError(
        tr(
            "not a list of labels, but {value}; write a list, or in CSV labels with "
            "{SEPARATOR!r} between them ({NONE!r} for no label)",
            value=shorten(value),
            SEPARATOR=SEPARATOR,
            NONE=NONE,
        )
    )


def validated(
    value: Any,
    labels: Sequence[str],
    validate: Callable[[Any], Any],
    text: Callable[[Any], str],
) -> list[Any]:
    """Return the list of labels that an output is; those of a set in the order of all labels.

    Args:
        value: The output, as `items_of` takes it.
        labels: All labels.
        validate: The function that returns one label as the type has it.
        text: The function that returns its text.

    Raises:
        ValueError: It is no list, or one of its items is no label, or is repeated.
    """
    found = [*map(validate, items_of(value))]
    texts = [*map(text, found)]
    for number, label in enumerate(texts):
        if label in texts[:number]:
            raise ValueError(tr("the label {label!r} is repeated", label=label))
    if isinstance(value, set | frozenset):
        found.sort(key=lambda label: labels.index(text(label)))
    return found


def check_labels(labels: Iterable[str]) -> None:
    """Raise `TaskError` for a label that means something else in an output of several."""
    for label in labels:
        if label == NONE:
            raise TaskError(
                tr(
                    "label {label!r}: it stands for an output without labels; rename it",
                    label=label,
                )
            )


def measures(
    said: Sequence[str] | None, gold: Sequence[str], labels: Sequence[str]
) -> Mapping[str, float]:
    """Return the Jaccard index and the Hamming loss of an answer; the worst where there is none.

    Args:
        said: The labels of the answer; None where there is none.
        gold: The gold labels.
        labels: All labels.

    Example:
        >>> measures(["a", "b"], ["b"], ["a", "b", "c", "d"])
        {'jaccard': 0.5, 'hamming_loss': 0.25}
    """
    if said is None:
        return {"jaccard": 0.0, "hamming_loss": 1.0}
    ours, theirs = {*said}, {*gold}
    either = ours | theirs
    jaccard = len(ours & theirs) / len(either) if either else 1.0
    return {"jaccard": jaccard, "hamming_loss": len(ours ^ theirs) / len(labels)}
