"""Selections as JSON can hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from promptkit.errors import PromptError, TaskError
from promptkit.selection.strategies import BUILT_IN, Given, Selection


def selection_to_dict(selection: Selection) -> dict[str, Any]:
    """Return a selection as JSON can hold it.

    Args:
        selection: A built-in selection, or a list of ids.

    Raises:
        PromptError: It is of another kind, or compares inputs by an embedder.

    Example:
        >>> from promptkit.selection.strategies import as_selection
        >>> selection_to_dict(as_selection("diverse"))
        {'kind': 'diverse', 'allow_near': False, 'relevance': 0.5}
    """
    if type(selection) is not _KINDS.get(selection.kind):
        raise PromptError(f"selection {selection.name}: a class of its own, which no file can hold")
    if getattr(selection, "embed", None) is not None:
        raise PromptError(
            f"selection {selection.name}: it compares inputs by an embedder, which no file can "
            "hold; choose it without one (TF-IDF), or one that does not look at the query"
        )
    known = {one.name: getattr(selection, one.name) for one in fields(selection)}
    return {"kind": selection.kind} | {k: v for k, v in known.items() if k != "embed"}


def selection_from_dict(data: Mapping[str, Any]) -> Selection:
    """Return a selection that `selection_to_dict` has written. Raises `TaskError`."""
    try:
        values = {key: value for key, value in data.items() if key != "kind"}
        if "ids" in values:
            values["ids"] = tuple(values["ids"])
        kind: type[Selection] = _KINDS[data["kind"]]
        return kind(**values)
    except (KeyError, TypeError) as error:
        raise TaskError(f"this is no selection: {error}") from None


_KINDS: Mapping[str, Any] = {Given.kind: Given, **BUILT_IN}
