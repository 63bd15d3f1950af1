"""The public names: where they are, and what their documentation holds."""

from __future__ import annotations

import ast
import doctest
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pytest
from structure import FILES, PACKAGE, name_of

import promptkit

NAMES = promptkit.__all__


def examples() -> Iterator[Any]:
    """Return the files with examples; those that load a model are for where it is installed."""
    for path in FILES:
        text = path.read_text("utf-8")
        if ">>>" in text:
            loads = re.search(r">>> .*\bload_(model|embedder)\(", text)
            yield pytest.param(path, marks=[pytest.mark.model] if loads else [], id=name_of(path))


def test_all_is_what_can_be_imported() -> None:
    assert sorted(NAMES) == NAMES
    assert set(dir(promptkit)) == {*NAMES, "__version__"}
    for name in NAMES:
        value = getattr(promptkit, name)
        assert getattr(import_module(value.__module__), name) is value
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = promptkit.nothing


def test_type_checkers_see_what_is_imported() -> None:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text("utf-8"))
    seen = {
        str(alias.asname): (node.module, alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {name: (getattr(promptkit, name).__module__, name) for name in NAMES} == seen


def test_no_package_hides_a_public_name() -> None:
    """A submodule becomes an attribute of its package when it is imported, whatever stood there."""
    assert not {name_of(path).split(".")[0] for path in FILES} & set(NAMES)


# What is documented.


def parameters(value: object) -> list[str]:
    """Return what a caller passes; a protocol and an error are not called by users."""
    if inspect.isclass(value) and (issubclass(value, Exception) or Protocol in value.__bases__):
        return []
    assert callable(value)
    return [name for name in inspect.signature(value).parameters if not name.startswith("_")]


def fields(value: object) -> set[str]:
    """Return the fields of a class, inherited ones too, with a docstring of their own."""
    if not inspect.isclass(value):
        return set()
    ours = [
        kind
        for kind in value.__mro__
        if kind.__module__.startswith("promptkit.") and "[" not in kind.__name__
    ]
    return {name for kind in ours for name in own_fields(kind)}


def own_fields(value: type) -> set[str]:
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(node, ast.ClassDef)
    return {
        field.target.id
        for field, text in zip(node.body, node.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def missing(value: object) -> Iterator[str]:
    """Return what the documentation of a public name lacks."""
    text = inspect.getdoc(value) or ""
    sections = dict(re.findall(r"^(\w+):\n((?:(?:    .*)?\n?)+)", text, re.MULTILINE))
    listed = sections.get("Args", "") + sections.get("Attributes", "")
    named = set(re.findall(r"^    \*{0,2}(\w+)(?: \(.*\))?:", listed, re.MULTILINE)) | fields(value)
    yield from (f"Args: {name}" for name in parameters(value) if name not in named)
    if inspect.isfunction(value):
        if inspect.signature(value).return_annotation != "None" and "Returns" not in sections:
            yield "Returns:"
        body = ast.parse(textwrap.dedent(inspect.getsource(value)))
        if any(isinstance(node, ast.Raise) for node in ast.walk(body)) and "Raises" not in sections:
            yield "Raises:"
    if ">>>" not in text:
        yield "an example"


def test_public_names_are_documented() -> None:
    found = {name: list(missing(getattr(promptkit, name))) for name in NAMES}
    assert {name: lacks for name, lacks in found.items() if lacks} == {}


@pytest.mark.parametrize("path", [*examples()])
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(PACKAGE.parent / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    module = import_module(f"promptkit.{name_of(path)}".rstrip("."))
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0
