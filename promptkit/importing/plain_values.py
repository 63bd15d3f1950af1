"""Reading of other tools' files as plain values, bounded in size and depth; no code is run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from promptkit.errors import MissingExtraError, TaskError, shorten
from promptkit.files.paths import is_inside
from promptkit.tasks.tables import not_utf8
from promptkit.translation import tr

MAX_BYTES = 2 * 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 200_000
"""Most values of a file, with every YAML alias written out."""

LINES_TO_DEPTH = 3


@dataclass(frozen=True)
class PythonFunction:
    """Name of a Python function, as in `!function utils.process_docs`; it is never called."""

    name: str

    def __str__(self) -> str:
        return f"!function {self.name}"


@dataclass(frozen=True)
class ForeignFile:
    """Values of a file of another tool."""

    path: Path
    value: Any
    lines: Mapping[tuple[str, ...], int]
    """Lines of the outer keys, if the format gives them."""

    def line(self, *keys: str) -> int | None:
        """Return the line of a key, or of the nearest known one around it."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys)


def read(path: Path) -> ForeignFile:
    """Return the values of a JSON or YAML file. Raises `TaskError` for others."""
    if path.suffix == ".json":
        return ForeignFile(path, _json(path), {})
    if path.suffix in (".yaml", ".yml"):
        return read_yaml(path)
    raise TaskError(tr("{path}: not a .json, .yaml or .yml file", path=path))


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file. Raises `TaskError`, also for one that is too large."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise TaskError(f"{path}: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise TaskError(
            tr(
                "{path}: larger than {size} MB, so it is not read",
                path=path,
                size=MAX_BYTES // 1024**2,
            )
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, reason = not_utf8(raw, error)
        raise TaskError(f"{path}:{line}: {reason}") from None


def beside(path: Path, name: str) -> Path:
    """Return a file that another one names. Raises `TaskError` outside the folder of that one."""
    named = path.parent / name
    if Path(name).is_absolute() or not is_inside(named, path.parent):
        raise TaskError(
            tr(
                "{path}: {name} leads out of the file's folder, so it is not read; copy it there",
                path=path,
                name=shorten(name),
            )
        )
    return named


def _json(path: Path) -> Any:
    text = read_text(path)
    try:
        value = json.loads(text)
        _measure(value, path, {}, 0)
        return value
    except RecursionError:
        _too_deep(path)
    except json.JSONDecodeError as error:
        raise TaskError(
            tr("{path}:{line}: not JSON: {reason}", path=path, line=error.lineno, reason=error.msg)
        ) from None
    except ValueError as error:  # a number of thousands of digits
        raise TaskError(f"{path}: {error}") from None


def read_yaml(path: Path) -> ForeignFile:
    """Return the values of a YAML file of any name. Raises `TaskError`."""
    text = read_text(path)
    try:
        import yaml
    except ImportError:
        raise MissingExtraError(tr("reading YAML"), "import") from None
    loader = None
    try:
        loader = _loader_type(yaml)(text)
        _check_events(yaml, text, path)
        node = loader.get_single_node()
        if node is None:
            raise TaskError(tr("{path}: empty", path=path))
        _measure(node, path, {}, 0)
        value = loader.construct_document(node)
        return ForeignFile(path, value, dict(_lines(node, ())))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise TaskError(f"{path}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, TypeError) as error:  # 2024-99-99, or a list as a key
        raise TaskError(f"{path}: {str(error).splitlines()[0]}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _loader_type(yaml: Any) -> Any:
    """Return a safe loader that knows the tools' tags."""

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def function(self, node: Any) -> PythonFunction:
            return PythonFunction(str(self.construct_scalar(node)))

        def mapping(self, node: Any) -> Any:
            return self.construct_mapping(node, deep=True)

    Loader.add_constructor("!function", Loader.function)
    Loader.add_constructor("!Template", Loader.mapping)
    Loader.add_constructor("!TemplateMetadata", Loader.mapping)
    return Loader


def _check_events(yaml: Any, text: str, path: Path) -> None:
    """Refuse a file whose depth or size would exhaust the loader, which is recursive."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            _too_deep(path)
        if count > MAX_VALUES:
            _too_many(path)


def _measure(
    node: Any, path: Path, seen: dict[int, tuple[int, int] | None], depth: int
) -> tuple[int, int]:
    """Return the number of values in a value or a node, with aliases written out, and its depth."""
    if depth >= MAX_DEPTH:
        _too_deep(path)
    if id(node) in seen:
        known = seen[id(node)]
        if known is None:
            raise TaskError(
                tr(
                    "{path}:{line}: an alias that contains itself",
                    path=path,
                    line=node.start_mark.line + 1,
                )
            )
        size, height = known
    else:
        seen[id(node)] = None
        inner = [_measure(child, path, seen, depth + 1) for child in _children(node)]
        size = 1 + sum(part for part, _ in inner)
        height = 1 + max((part for _, part in inner), default=0)
        seen[id(node)] = size, height
    if depth + height > MAX_DEPTH:
        _too_deep(path)
    if size > MAX_VALUES:
        _too_many(path)
    return size, height


def _children(node: Any) -> Iterable[Any]:
    """Return the values in a value of JSON, or the nodes in a node of YAML."""
    if isinstance(node, dict):
        return node.values()
    kind = getattr(node, "id", None)
    if kind == "mapping":
        return [child for pair in node.value for child in pair]
    return node.value if kind == "sequence" else node if isinstance(node, list) else ()


def _lines(node: Any, keys: tuple[str, ...]) -> Any:
    if node.id != "mapping" or len(keys) >= LINES_TO_DEPTH:
        return
    for key, value in node.value:
        here = (*keys, str(key.value))
        yield here, key.start_mark.line + 1
        yield from _lines(value, here)


def _too_deep(path: Path) -> NoReturn:
    raise TaskError(
        tr(
            "{path}: nested more than {depth} levels deep, so it is not read",
            path=path,
            depth=MAX_DEPTH,
        )
    )


def _too_many(path: Path) -> NoReturn:
    raise TaskError(
        tr(
            "{path}: more than {most:,} values with every alias written out, so it is not read",
            path=path,
            most=MAX_VALUES,
        )
    )
