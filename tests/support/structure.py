"""The structure of the package, measured from its source: `make structure` prints the figures."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

PACKAGE = Path(__file__).parents[2] / "promptkit"
FILES = sorted(PACKAGE.rglob("*.py"))
QUESTIONS = {"what", "whether", "how", "where", "which", "when", "told", "who"}
"""First words of docstrings that describe a thing by a question about it."""


class Function(NamedTuple):
    """The place and length of a function."""

    lines: int
    """From the first statement after the docstring to the last line."""
    place: str


class Docstring(NamedTuple):
    """A docstring, or the string below an attribute."""

    place: str
    text: str

    @property
    def is_question(self) -> bool:
        return self.text.split(maxsplit=1)[0].strip("`'\".,:").casefold() in QUESTIONS


def name_of(path: Path) -> str:
    """Return the name of a module, relative to the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): path for path in FILES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Return the full names that a file imports, inside functions and for type checkers too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}:{node.lineno}: a relative import")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph() -> dict[str, set[str]]:
    """Return the modules of the package that each module imports.

    The package's own `__init__` is left out: it lists the public names of all modules.
    """
    found = {}
    for module, path in MODULES.items():
        names = [name.split(".") for name in imported(path)]
        ours = {_module_of(name[1:]) for name in names if name[0] == PACKAGE.name}
        found[module] = ours - {"", module}
    return {module: ours for module, ours in found.items() if module}


def _module_of(parts: list[str]) -> str:
    """Return the module that holds a name: `tasks.task.Task` is in `tasks.task`."""
    return next(
        name
        for name in (".".join(parts[:end]) for end in range(len(parts), -1, -1))
        if name in MODULES
    )


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reached = {module: _reachable(module, arrows) for module in arrows}
    groups = {
        tuple(sorted(other for other in reached[module] if module in reached[other]))
        for module in arrows
        if module in reached[module]
    }
    return [list(group) for group in sorted(groups)]


def _reachable(start: str, arrows: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = arrows[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            yield Function(lines, f"{name_of(path)}:{node.lineno} {node.name}")


def classes() -> Counter[str]:
    """Return how many classes of the package have each name."""
    nodes = (node for path in FILES for node in ast.walk(tree(path)))
    return Counter(node.name for node in nodes if isinstance(node, ast.ClassDef))


def docstrings(path: Path) -> Iterator[Docstring]:
    """Return the docstrings of a file, those of attributes included."""
    for node in ast.walk(tree(path)):
        body = getattr(node, "body", [])
        for before, each in (
            zip([None, *body], body, strict=False) if isinstance(body, list) else ()
        ):
            documents = before is None and isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            )
            if (
                isinstance(each, ast.Expr)
                and isinstance(each.value, ast.Constant)
                and isinstance(each.value.value, str)
                and (documents or isinstance(before, ast.Assign | ast.AnnAssign))
            ):
                yield Docstring(f"{name_of(path)}:{each.lineno}", each.value.value)


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def figures(files: Iterable[Path] = FILES) -> Iterator[tuple[str, str]]:
    """Return the figures that say how easy the package is to enter, with their names."""
    sizes = {name_of(path): lines(path) for path in files}
    largest = max(sizes, key=sizes.__getitem__)
    longest = max(each for path in files for each in functions(path))
    texts = [each for path in files for each in docstrings(path)]
    questions = sum(each.is_question for each in texts)
    yield "files", f"{len(sizes)}, {sum(sizes.values()):,} lines"
    yield "median file", f"{median(sizes.values()):.0f} lines"
    yield "largest file", f"{sizes[largest]} lines, {largest}"
    yield "longest function", f"{longest.lines} lines, {longest.place}"
    yield (
        "docstrings",
        f"{len(texts):,}, of which {questions / len(texts):.1%} open with a question",
    )
    yield "import circles", f"{len(circles(graph()))}"
    for package, count in sorted(Counter(name.split(".")[0] for name in sizes).items()):
        if package and (PACKAGE / package).is_dir():
            yield f"files in {package}", f"{count}"


if __name__ == "__main__":
    for name, value in figures():
        print(f"{name}: {value}")
