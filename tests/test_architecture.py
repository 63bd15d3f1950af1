"""The rooms of the house: who imports whom, what an import costs, how long things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import promptkit

PACKAGE = Path(promptkit.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

ORDER = [
    "errors",
    "files",
    "sandbox",
    "prompts",
    "tasks",
    "models",
    "selection",
    "templating",
    "preview",
    "inference",
    "calibration",
    "linting",
    "importing",
    "formatting",
    "evaluation",
    "report",
    "experiments",
    "gates",
    "optimising",
    "pytest_plugin",
    "cli",
    "__main__",
]
"""The pipeline: a module imports from its own package and from those before it."""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path, *, top_level: bool = False) -> Iterator[str]:
    """The modules of ours that a file imports, without those for type checkers only."""
    nodes: list[ast.AST] = list(tree(path).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = []
            if not (top_level and isinstance(node, ast.FunctionDef)):
                nodes += ast.iter_child_nodes(node)
        for name in names:
            if name.startswith("promptkit."):
                yield next(m for m in modules_of(name) if m in MODULES or m == "")


def modules_of(name: str) -> Iterator[str]:
    """`promptkit.errors.DataError` may be the module, or stand in one."""
    parts = name.split(".")[1:]
    for end in range(len(parts), -1, -1):
        yield ".".join(parts[:end])


MODULES = {name_of(path) for path in FILES} - {""}


def package(module: str) -> str:
    return module.split(".")[0]


def test_every_package_has_its_place() -> None:
    assert {package(module) for module in MODULES} == set(ORDER)


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path)], ids=name_of)
def test_imports_go_down_the_pipeline(path: Path) -> None:
    own = ORDER.index(package(name_of(path)))
    for module in imports(path):
        assert module == "" or ORDER.index(package(module)) <= own, f"{name_of(path)}: {module}"


def test_no_imports_go_in_circles() -> None:
    graph = {name_of(path): set(imports(path, top_level=True)) - {""} for path in FILES}
    assert list(TopologicalSorter(graph).static_order())


def test_errors_import_nothing_of_ours() -> None:
    assert list(imports(PACKAGE / "errors.py")) == []


# What an import costs.

HEAVY = [
    *("llama_cpp", "numpy", "sklearn", "scipy", "pandas", "pydantic", "jinja2", "rich", "typer"),
    *("altair", "vl_convert"),
]


def in_a_process(source: str) -> str:
    command = [sys.executable, "-c", source]
    environment = {"PYTHONPATH": str(PACKAGE.parent), "PATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    return done.stdout


def test_importing_promptkit_loads_nothing_heavy() -> None:
    source = f"import promptkit, sys; print([m for m in {HEAVY} if m in sys.modules])"
    assert in_a_process(source) == "[]\n"


def test_importing_promptkit_is_quick() -> None:
    source = (
        "import time; t = time.perf_counter(); import promptkit; print(time.perf_counter() - t)"
    )
    assert min(float(in_a_process(source)) for _ in range(3)) < 0.3


def test_loading_a_task_and_a_template_loads_no_runtime() -> None:
    source = (
        "import promptkit, sys; promptkit.load_task, promptkit.Template, promptkit.Store; "
        "print([m for m in ['llama_cpp', 'numpy', 'sklearn', 'scipy'] if m in sys.modules])"
    )
    assert in_a_process(source) == "[]\n"


def test_help_loads_no_runtime() -> None:
    source = (
        "import sys, promptkit.cli; "
        "print([m for m in ['llama_cpp', 'sklearn', 'scipy', 'pandas'] if m in sys.modules])"
    )
    assert in_a_process(source) == "[]\n"


def test_all_is_what_can_be_imported() -> None:
    assert promptkit.__all__ == sorted(promptkit.__all__)
    assert set(dir(promptkit)) == {*promptkit.__all__, "__version__"}
    for name in promptkit.__all__:
        value = getattr(promptkit, name)
        assert getattr(import_module(value.__module__), name) is value
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = promptkit.nothing


def test_type_checkers_see_what_is_imported() -> None:
    (block,) = [node for node in tree(PACKAGE / "__init__.py").body if isinstance(node, ast.If)]
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(seen) == promptkit.__all__
    assert {name: f"promptkit.{home}" for name, home in promptkit._HOMES.items()} == seen


# How long things are.


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 500
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            # A command declares its options, one a line, before it does anything.
            start = node.body[0].lineno if path.parent.name == "cli" else node.lineno
            assert node.end_lineno - start < 70, f"{path.name}:{node.lineno} {node.name}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_modules_say_what_they_are_for(path: Path) -> None:
    assert ast.get_docstring(tree(path))
