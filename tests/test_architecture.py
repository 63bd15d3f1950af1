"""The structure of the package: who imports whom, what an import costs, how long things are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from structure import (
    FILES,
    MODULES,
    PACKAGE,
    circles,
    classes,
    docstrings,
    functions,
    graph,
    imported,
    lines,
    name_of,
    tree,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ORDER = [
    "translation",
    "graphemes",
    "errors",
    "text",
    "terminal_text",
    "files",
    "sandbox",
    "prompts",
    "tasks",
    "models",
    "selection",
    "selecting",
    "templating",
    "preview",
    "inference",
    "lookup",
    "bulk",
    "calibration",
    "serving",
    "distributed",
    "linting",
    "importing",
    "exporting",
    "formatting",
    "evaluation",
    "report",
    "students",
    "baselines",
    "cascades",
    "tuning",
    "experiments",
    "auditing",
    "gates",
    "optimising",
    "pytest_plugin",
    "cli",
    "__main__",
]
"""The pipeline: a module imports from its own package and from those before it."""

ORDER_OF_MODELS = [
    {"models", "base", "gguf", "tokens", "planning"},
    {"runtime"},
    {"prepare"},
    {"llama", "embedding", "fake", "remote", "reloading"},
]
"""Inside of `models`: a module imports from its own group and from those before it."""

GRAPH = graph()


def package(module: str) -> str:
    return module.split(".")[0]


def group_of_models(module: str) -> int:
    name = module.split(".")[1] if "." in module else module
    (place,) = [place for place, names in enumerate(ORDER_OF_MODELS) if name in names]
    return place


# Who imports whom.


def test_every_package_has_its_place() -> None:
    assert {package(module) for module in GRAPH} == set(ORDER)


def test_imports_go_down_the_pipeline() -> None:
    arrows = [(module, name) for module, names in GRAPH.items() for name in names]
    places = {module: ORDER.index(package(module)) for module in GRAPH}
    assert [arrow for arrow in arrows if places[arrow[1]] > places[arrow[0]]] == []


def test_imports_inside_models_go_one_way() -> None:
    places = {name: group_of_models(name) for name in GRAPH if package(name) == "models"}
    arrows = [(module, name) for module in places for name in GRAPH[module] if name in places]
    assert [arrow for arrow in arrows if places[arrow[1]] > places[arrow[0]]] == []


def test_no_imports_go_in_circles() -> None:
    """Imports inside functions and for type checkers count."""
    assert circles(GRAPH) == []


def test_circles_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": {"e"}}
    assert circles(arrows) == [["a", "b", "c"], ["e", "f"]]


def test_errors_import_only_texts_of_ours() -> None:
    assert GRAPH["errors"] == {"graphemes", "translation"}
    assert GRAPH["graphemes"] == GRAPH["translation"] == set()


def test_every_declared_dependency_is_imported() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    used = [extra for name, extra in extras.items() if name not in NOT_FOR_USERS]
    requirements = map(Requirement, sum(used, project["dependencies"]))
    declared = {
        canonicalize_name(each.name)
        for each in requirements
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }
    modules = {name.split(".")[0] for path in FILES for name in imported(path)}
    # What is only looked for, and found without being imported.
    looked_for = {name for path in FILES for name in arguments(path, "find_spec")}
    homes = packages_distributions()
    found = {
        canonicalize_name(home) for name in modules | looked_for for home in homes.get(name, [])
    }
    assert declared - found == set()


NOT_FOR_USERS = ("bench", "dev", "docs")
"""Extras of those who work on promptkit."""


def arguments(path: Path, function: str) -> Iterator[str]:
    """Return the constant arguments of a file's calls of a function."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(function):
            yield from (
                each.value
                for each in node.args
                if isinstance(each, ast.Constant) and isinstance(each.value, str)
            )


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


def test_importing_promptkit_loads_nothing_else() -> None:
    source = (
        "import importlib, sys; before = set(sys.modules); import promptkit; "
        "print(sorted(set(sys.modules) - before - {'__future__'}))"
    )
    assert in_a_process(source) == "['promptkit']\n"


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


# How things are named.


def test_a_file_name_means_one_thing() -> None:
    """A command of the command line is called as what it runs."""
    own = [name for name, path in MODULES.items() if path.stem != "__init__"]
    stems = Counter(name.split(".")[-1] for name in own if package(name) != "cli")
    assert [name for name, count in stems.items() if count > 1] == []


def test_a_class_name_means_one_thing() -> None:
    assert [name for name, count in classes().items() if count > 1] == []


# How long things are.


def test_files_are_short() -> None:
    sizes = {name_of(path): lines(path) for path in FILES}
    assert {name: size for name, size in sizes.items() if size > 400} == {}


def test_functions_are_short() -> None:
    assert [each for path in FILES for each in functions(path) if each.lines > 60] == []


# What is documented.


def test_modules_have_a_docstring() -> None:
    assert [name_of(path) for path in FILES if not ast.get_docstring(tree(path))] == []


def test_docstrings_do_not_open_with_a_question() -> None:
    texts = [each for path in FILES for each in docstrings(path)]
    questions = [each.place for each in texts if each.is_question]
    assert len(questions) < 0.02 * len(texts), questions


# What tests may read.

PUBLIC = {"_asdict", "_fields", "_make", "_replace", "_repr_html_", "_exit"}
"""Documented, by `collections.namedtuple`, IPython and `os`."""
TESTS = sorted(Path(__file__).parent.rglob("*.py"))


def is_private(name: object) -> bool:
    return (
        isinstance(name, str)
        and name.startswith("_")
        and not name.endswith("__")
        and name not in PUBLIC
    )


def private_names(source: str) -> Iterator[str]:
    """Return the private names of other objects and modules that a file reads, with their line."""
    for node in ast.walk(ast.parse(source)):
        names: list[object] = []
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls"):
            names = [node.attr]
        elif isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("attr"):
            names = [each.value for each in node.args if isinstance(each, ast.Constant)]
        yield from (f"{node.lineno} {name}" for name in names if is_private(name))


def test_tests_measure_no_wall_clock() -> None:
    """How long something takes says how busy the machine is; CPU time says less of it."""
    clocks = ("time.time()", "perf_" + "counter")
    texts = {path.name: path.read_text("utf-8") for path in TESTS if path != Path(__file__)}
    assert [name for name, text in texts.items() if any(clock in text for clock in clocks)] == []


def test_private_names_are_found() -> None:
    source = (
        "from a import _b, c\nc._d; self._e; c._replace(f=1); c.__name__\n"
        "patch.setattr(c, '_g', 1); getattr(c, '_h')\n"
    )
    assert sorted(private_names(source)) == ["1 _b", "2 _d", "3 _g", "3 _h"]


def test_tests_read_no_private_name() -> None:
    found = {path.name: list(private_names(path.read_text("utf-8"))) for path in TESTS}
    assert {name: names for name, names in found.items() if names} == {}
