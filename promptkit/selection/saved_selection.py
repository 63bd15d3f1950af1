"""Selections as JSON can hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from promptkit.errors import ModelError, PromptError, PromptkitError, TaskError, shorten
from promptkit.selection.strategies import BUILT_IN, Given, Selection
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.models.embedding import Embedder


def selection_to_dict(selection: Selection) -> dict[str, Any]:
    """Return a selection as JSON can hold it, an embedder as how to load it again.

    Args:
        selection: A built-in selection, or a list of ids.

    Raises:
        PromptError: It is of another kind, or compares inputs by a function that is no file.

    Example:
        >>> from promptkit.selection.strategies import as_selection
        >>> selection_to_dict(as_selection("diverse"))
        {'kind': 'diverse', 'allow_near': False, 'relevance': 0.5}
    """
    if type(selection) is not _KINDS.get(selection.kind):
        raise PromptError(
            tr("selection {name}: a class of its own, which no file can hold", name=selection.name)
        )
    known = {one.name: getattr(selection, one.name) for one in fields(selection)}
    embed = known.pop("embed", None)
    data = {"kind": selection.kind} | known
    if embed is None:
        return data
    origin = getattr(embed, "origin", None)
    if origin is None:
        raise PromptError(
            tr(
                "selection {name}: it compares inputs by a function in Python, which no "
                "file can hold; choose an embedder of a GGUF file (load_embedder), none "
                "(TF-IDF), or a selection that does not look at the query",
                name=selection.name,
            )
        )
    return data | {"embedder": asdict(origin)}


def selection_from_dict(
    data: Mapping[str, Any], *, embedder: Embedder | None = None, threads: int | None = None
) -> Selection:
    """Return a selection that `selection_to_dict` has written.

    Args:
        data: What it has written.
        embedder: The embedder of the selection, if it has one; by default it is loaded as it was.
        threads: The threads of an embedder that is loaded.

    Raises:
        TaskError: This is no selection.
        ModelError: The embedder cannot be loaded, or is of another file.
    """
    try:
        values = {key: value for key, value in data.items() if key not in ("kind", "embedder")}
        if "ids" in values:
            values["ids"] = tuple(values["ids"])
        if odd := [value for value in values.values() if not isinstance(value, _PLAIN)]:
            raise TypeError(tr("{setting} is no setting", setting=shorten(odd[0])))
        kind: type[Selection] = _KINDS[data["kind"]]
        if (saved := data.get("embedder")) is not None:
            values["embed"] = _embedder(saved, embedder, threads)
        return kind(**values)
    except (KeyError, TypeError) as error:
        raise TaskError(tr("this is no selection: {error}", error=error)) from None


def _embedder(saved: Mapping[str, Any], given: Embedder | None, threads: int | None) -> Embedder:
    """Return an embedder that is of the saved file. Raises `ModelError`."""
    from promptkit.models.embedding import EmbedderOrigin, load_embedder

    wanted = EmbedderOrigin(**saved)
    try:
        found = given or load_embedder(wanted.name, context=wanted.context, threads=threads)
    except PromptkitError as error:
        raise ModelError(
            tr(
                "the selection of shots compares inputs by the embedder {wanted}, which "
                "cannot be loaded: {error}; name the file with --embedder",
                wanted=wanted,
                error=error,
            )
        ) from None
    if found.origin is None or found.origin.sha256 != wanted.sha256:
        raise ModelError(
            tr(
                "the selection of shots compares inputs by the embedder {wanted}, and this "
                "is {origin}, by which other shots are near; name the same file with "
                "--embedder, or choose the shots anew",
                wanted=wanted,
                origin=found.origin or found.name,
            )
        )
    return found.found_as(wanted)


_PLAIN = (str, int, float, tuple)  # a bool is an int
_KINDS: Mapping[str, Any] = {Given.kind: Given, **BUILT_IN}
