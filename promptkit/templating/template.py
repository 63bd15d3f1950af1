"""Jinja templates that render a task's examples into prompts.

A template sees `task`, `labels`, `shots` and `query`. `{% example %}` is rendered once per shot
and once for the query, where `{{ output }}` is the answer slot; `{% system %}`, `{% user %}` and
`{% assistant %}` make turns. The rendered text is the prompt: nothing touches it afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jinja2
from jinja2.loaders import split_template_path

from promptkit.errors import TemplateError
from promptkit.files.paths import MOST_TEXT, is_inside, read_bytes
from promptkit.prompts.prompt import Prompt
from promptkit.selection.orders import Order
from promptkit.selection.strategies import Selection
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating import answer_filters
from promptkit.templating.renderer import Renderer
from promptkit.templating.reuse import Sharing, sharing
from promptkit.templating.tags import ExampleTag, RoleTag
from promptkit.templating.tracing import TracingEnvironment

_PACKAGE = Path(__file__).parents[1]
BUILT_IN = next(
    folder for folder in (_PACKAGE / "built_in", _PACKAGE.parent / "templates") if folder.is_dir()
)
"""The folder of the built-in templates: inside the installed package, or in the source tree."""


@dataclass(frozen=True)
class Template:
    """A template's name and its source.

    `folders` is where its own `{% include %}`, `{% import %}` and `{% extends %}` look, first to
    last, and nowhere else; what stands among the built-in templates looks there only. `made_from`
    is the file that a variant was made from: like that file, it never loads itself.
    """

    source: str
    name: str = "<template>"
    folders: tuple[Path, ...] = (BUILT_IN,)
    file: str | None = None
    made_from: str | None = None

    @classmethod
    def load(cls, name: str | Path, folder: str | Path | None = None) -> Template:
        """A template by path, or by name: in `folder` first, then among the built-in ones.

        A name has no slash in it. Raises `TemplateError` where there is none, it is not UTF-8,
        or it does not parse.
        """
        path, folders = find_template(name, Path(folder) if folder is not None else None)
        template = cls(_read_utf8(path), path.name, folders, str(path))
        template.check()
        return template

    @classmethod
    def of(cls, task: Task[Any, Any], name: str | Path | None = None) -> Template:
        """The template of a task: `name`, or the one that the task names as its own."""
        return cls.load(name if name is not None else own_template(task), templates_of(task))

    def check(self) -> None:
        """Raises `TemplateError` where the template does not parse."""
        _ = self.compiled

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the source, in hexadecimal."""
        return sha256(self.source.encode()).hexdigest()

    @property
    def environment(self) -> TracingEnvironment:
        """What it is compiled in, with its filters, its tests and its search path."""
        return _environment(self.folders)

    @property
    def place(self) -> str:
        """What it is for the templates that it loads: its file, or its name."""
        return self.file or self.made_from or self.name

    def render(
        self,
        task: Task[Any, Any],
        *,
        shots: int | Sequence[Example[Any, Any]] = 0,
        query: Any,
        seed: int = 0,
        selection: Selection | str | None = None,
        order: Order | str | None = None,
        verbalizer: Verbalizer | None = None,
    ) -> Prompt:
        """The prompt that asks for `query` after `shots` demonstrations.

        `shots` is a number to draw from the task's pool, as `seed`, `selection` and `order` have
        it, or the demonstrations themselves.
        `query` is an `Example`, an input of the task, or a dict of its fields. `verbalizer` says
        which words stand for the labels. Raises `TemplateError` naming file, line and example,
        `DataError` for a query that does not fit the task, `TaskError` for a verbalizer of other
        labels, and `PromptError` for a pool that is too small or a query among its own shots.
        """
        renderer = self.renderer(task, verbalizer)
        return renderer.render(query, shots, seed=seed, selection=selection, order=order)

    def renderer(self, task: Task[Any, Any], verbalizer: Verbalizer | None = None) -> Renderer:
        """What renders many prompts of one task, and keeps what they share.

        Raises `TaskError` for a verbalizer of other labels.
        """
        compiled = self.compiled  # which says first what is wrong with it
        shared = _sharing(self.source, self.place, self.folders)
        return Renderer(task, compiled, shared, self.file or self.name, verbalizer)

    @property
    def compiled(self) -> jinja2.Template:
        """The source, compiled. Raises `TemplateError` where it does not parse."""
        try:
            return _compile(self.source, self.place, self.file or self.name, self.folders)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(
                error.message or "syntax error",
                file=error.filename or error.name or self.name,
                line=error.lineno,
            ) from None


def templates_of(task: Task[Any, Any]) -> Path | None:
    """The folder of a task's own templates. Raises `TemplateError` for one outside the task's."""
    if task.folder is None:
        return None
    folder = task.folder / "templates"
    if not is_inside(folder, task.folder):
        reason = "a link that leads out of the task's folder; copy the templates there"
        raise TemplateError(reason, file=str(folder))
    return folder


def own_template(task: Task[Any, Any]) -> Path | str:
    """The template that a task names, which may come from anybody.

    In a folder, that is a name, or the path of a file inside. Raises `TemplateError` for others.
    """
    if task.folder is None:
        return task.template
    name = Path(task.template)
    path = task.folder / name if "/" in task.template else name
    found, _ = find_template(path, templates_of(task))
    if not (is_inside(found, task.folder) or is_inside(found, BUILT_IN)):
        raise TemplateError(
            f"template {task.template!r} leads out of the task's folder; copy the file into "
            "templates/, or name it with --template",
            file=str(task.folder / "task.toml"),
        )
    return found if name != path else task.template


def find_template(name: str | Path, folder: Path | None) -> tuple[Path, tuple[Path, ...]]:
    """The file of a template, and where its includes are looked up. Raises `TemplateError`."""
    path = Path(name)
    if path.parent != Path():  # a path
        return path, (path.parent, BUILT_IN)
    folders = (folder, BUILT_IN) if folder is not None else (BUILT_IN,)
    for place in folders:
        for candidate in (place / path, place / f"{path}.j2"):
            if candidate.is_file():
                _check_inside(candidate, folders)
                return candidate, (BUILT_IN,) if place == BUILT_IN else folders
    if path.is_file():
        return path, (Path(), BUILT_IN)
    known = sorted({f.name for place in folders if place.is_dir() for f in place.glob("*.j2")})
    raise TemplateError(
        f"there is no template {str(name)!r}; there is {', '.join(known)}, "
        f"and a path names any other"
    )


def read_template(path: Path) -> str:
    """The source in a file. Raises `TemplateError`, and `UnicodeDecodeError` for other text."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise TemplateError("this is a folder or a device, not a file", file=str(path))
        return read_bytes(path, MOST_TEXT).decode("utf-8-sig")
    except OSError as error:
        raise TemplateError(error.strerror or str(error), file=str(path)) from None


def _read_utf8(path: Path) -> str:
    """The source in a file. Raises `TemplateError`, also for what is not UTF-8."""
    try:
        return read_template(path)
    except UnicodeDecodeError as error:
        raise TemplateError(
            f"byte {error.object[error.start]:#04x} is not UTF-8; save the template as UTF-8",
            file=str(path),
            line=error.object.count(b"\n", 0, error.start) + 1,
        ) from None


def _check_inside(path: Path, folders: Sequence[Path]) -> None:
    """A folder of templates may come from anybody, and must not show the files of others."""
    if not any(is_inside(path, folder) for folder in folders):
        raise TemplateError("a link that leads out of the templates; copy the file", file=str(path))


class _LoadingEnvironment(TracingEnvironment):
    """Finds what a template loads, by the file of the template that asks for it."""

    loader: _TemplateLoader

    def join_path(self, template: str, parent: str) -> str:
        """Called by Jinja for every name that a template loads: the file that is meant."""
        return self.loader.find(template, parent) or template


class _TemplateLoader(jinja2.FileSystemLoader):
    """Reads the templates that others load, and through no link that leads out of the folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(folders)
        self._folders = folders
        self._found: dict[str, Path] = {}

    def find(self, name: str, parent: str) -> str | None:
        """The file that `parent` means by a name, if there is one.

        A built-in template means a built-in one, so that nobody's file changes what it prints. No
        template means itself, so that a copy may extend what it stands in front of.
        """
        try:
            parts = split_template_path(name)
        except jinja2.TemplateNotFound:
            return None
        inside = Path(parent).is_relative_to(BUILT_IN)
        for folder in (BUILT_IN,) if inside else self._folders:
            path = folder.joinpath(*parts)
            if path != Path(parent) and path.is_file():
                self._found[str(path)] = path
                return str(path)
        return None

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        """The source of a file that was found."""
        path = self._found.get(template)
        if path is None:
            raise jinja2.TemplateNotFound(template)
        _check_inside(path, self._folders)
        source, changed = _read_utf8(path), _changed(path)
        return source, str(path), lambda: _changed(path) == changed


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


@lru_cache(maxsize=128)
def _compile(source: str, place: str, file: str, folders: tuple[Path, ...]) -> jinja2.Template:
    environment = _environment(folders)
    code = environment.compile(source, place, file)
    return jinja2.Template.from_code(environment, code, environment.make_globals(None))


@lru_cache(maxsize=128)
def _sharing(source: str, place: str, folders: tuple[Path, ...]) -> Sharing:
    try:
        return sharing(_environment(folders), source, place)
    except (jinja2.TemplateError, TemplateError):
        return Sharing()  # rendering says what is wrong, and where


def _environment(folders: tuple[Path, ...]) -> TracingEnvironment:
    environment = _LoadingEnvironment(
        loader=_TemplateLoader(folders), extensions=[ExampleTag, RoleTag]
    )
    for name, function in answer_filters.filters(environment.filters["tojson"]).items():
        environment.add_filter(name, function)
    return environment
