"""Jinja templates that render a task's examples into prompts.

A template sees `task`, `labels`, `shots` and `query`. `{% example %}` is rendered once per shot
and once for the query, where `{{ output }}` is the answer slot; `{% system %}`, `{% user %}` and
`{% assistant %}` make turns. The rendered text is the prompt: it is not changed afterwards.
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
from promptkit.translation import tr

_PACKAGE = Path(__file__).parents[1]
BUILT_IN = next(
    folder for folder in (_PACKAGE / "built_in", _PACKAGE.parent / "templates") if folder.is_dir()
)
"""Folder of the built-in templates: inside the installed package, or in the source tree."""


@dataclass(frozen=True)
class Template:
    """A Jinja template of prompts.

    Example:
        >>> from typing import Literal
        >>> from pydantic import create_model
        >>> from promptkit import Task, Template
        >>> Animal = create_model("Animal", name=(str, ...))
        >>> demos = [{"id": "d1", "input": {"name": "wren"}, "output": "bird"}]
        >>> task = Task[Animal, Literal["bird", "fish"]](name="animals", demos=demos)
        >>> template = Template("{% example %}{{ input.name }}: {{ output }}\\n{% endexample %}")
        >>> print(template.render(task, shots=1, query={"name": "owl"}).text)
        wren: bird
        owl:
    """

    source: str
    """Source in Jinja."""
    name: str = "<template>"
    """Name in results and messages."""
    folders: tuple[Path, ...] = (BUILT_IN,)
    """Search path of `{% include %}`, `{% import %}` and `{% extends %}`; the last one is that of
    the built-in templates, which load only each other."""
    file: str | None = None
    """Path of the file that it was loaded from."""
    made_from: str | None = None
    """Path of the file that a variant was made from; like that file, it never loads itself."""

    @classmethod
    def load(cls, name: str | Path, folder: str | Path | None = None) -> Template:
        """Return a template by path, or by name: in `folder` first, then of the built-in ones.

        Args:
            name: A path, or a name without a slash.
            folder: Folder of a task's own templates.

        Raises:
            TemplateError: There is none, it is not UTF-8, or it does not parse.
        """
        path, folders = find_template(name, Path(folder) if folder is not None else None)
        template = cls(_read_utf8(path), path.name, folders, str(path))
        template.check()
        return template

    @classmethod
    def of(cls, task: Task[Any, Any], name: str | Path | None = None) -> Template:
        """Return the template `name` for a task, by default the one that the task names."""
        return cls.load(name if name is not None else own_template(task), templates_of(task))

    def check(self) -> None:
        """Raise `TemplateError` if the template does not parse."""
        _ = self.compiled

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the source, in hexadecimal."""
        return sha256(self.source.encode()).hexdigest()

    @property
    def environment(self) -> TracingEnvironment:
        """Environment that it is compiled in, with its filters, its tests and its search path."""
        return _environment(self.folders)

    @property
    def place(self) -> str:
        """Name for the templates that it loads: its file, or its name."""
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
        """Return the prompt of a query after some shots.

        Args:
            task: The task.
            shots: Number of shots to draw from the task's demonstrations, or the shots themselves.
            query: An `Example`, an input of the task, or a dict of its fields.
            seed: Number of the draw.
            selection: Selection of the shots; by default the task's.
            order: Order of the shots; by default the selection's.
            verbalizer: Words for the labels; by default the labels themselves.

        Raises:
            TemplateError: The template cannot be rendered; names file, line and example.
            DataError: The query does not fit the task.
            TaskError: The verbalizer is for other labels.
            PromptError: The task has too few demonstrations, or the query is among its own shots.
        """
        renderer = self.renderer(task, verbalizer)
        return renderer.render(query, shots, seed=seed, selection=selection, order=order)

    def renderer(self, task: Task[Any, Any], verbalizer: Verbalizer | None = None) -> Renderer:
        """Return a renderer of many prompts of one task, which keeps the parts that they share.

        Args:
            task: The task.
            verbalizer: Words for the labels; by default the labels themselves.

        Raises:
            TemplateError: The template does not parse.
            TaskError: The verbalizer is for other labels.
        """
        compiled = self.compiled  # first, since its errors say what is wrong
        shared = _sharing(self.source, self.place, self.folders)
        return Renderer(task, compiled, shared, self.file or self.name, verbalizer)

    @property
    def compiled(self) -> jinja2.Template:
        """Compiled template. Raises `TemplateError` if it does not parse."""
        try:
            return _compile(self.source, self.place, self.file or self.name, self.folders)
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(
                error.message or tr("syntax error"),
                file=error.filename or error.name or self.name,
                line=error.lineno,
            ) from None


def templates_of(task: Task[Any, Any]) -> Path | None:
    """Return the folder of a task's own templates. Raises `TemplateError` for one outside it."""
    if task.folder is None:
        return None
    folder = task.folder / "templates"
    if not is_inside(folder, task.folder):
        reason = tr("a link to a folder outside the task's folder; copy the templates there")
        raise TemplateError(reason, file=str(folder))
    return folder


def own_template(task: Task[Any, Any]) -> Path | str:
    """Return the template that a task names: a name, or a path inside the task's folder.

    Raises:
        TemplateError: The template is outside the folder: a task may come from anybody.
    """
    if task.folder is None:
        return task.template
    name = Path(task.template)
    path = task.folder / name if "/" in task.template else name
    found, _ = find_template(path, templates_of(task))
    if not (is_inside(found, task.folder) or is_inside(found, BUILT_IN)):
        raise TemplateError(
            tr(
                "template {template!r} is outside the task's folder; copy the file into "
                "templates/, or name it with --template",
                template=task.template,
            ),
            file=str(task.folder / "task.toml"),
        )
    return found if name != path else task.template


def find_template(name: str | Path, folder: Path | None) -> tuple[Path, tuple[Path, ...]]:
    """Return the file of a template, and its search path. Raises `TemplateError`."""
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
        tr(
            "unknown template {name!r}; choose one of: {known}; or give a path",
            name=str(name),
            known=", ".join(known),
        )
    )


def read_template(path: Path) -> str:
    """Return the source in a file. Raises `TemplateError`, or `UnicodeDecodeError`."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe would block
            raise TemplateError(tr("this is a folder or a device, not a file"), file=str(path))
        return read_bytes(path, MOST_TEXT).decode("utf-8-sig")
    except OSError as error:
        raise TemplateError(error.strerror or str(error), file=str(path)) from None


def _read_utf8(path: Path) -> str:
    """Return the source in a file. Raises `TemplateError`, also for text that is not UTF-8."""
    try:
        return read_template(path)
    except UnicodeDecodeError as error:
        raise TemplateError(
            tr(
                "byte {byte:#04x} is not UTF-8; save the template as UTF-8",
                byte=error.object[error.start],
            ),
            file=str(path),
            line=error.object.count(b"\n", 0, error.start) + 1,
        ) from None


def _check_inside(path: Path, folders: Sequence[Path]) -> None:
    """Raise `TemplateError` for a link out of the folders, which may come from anybody."""
    if not any(is_inside(path, folder) for folder in folders):
        raise TemplateError(tr("a link to a file outside the templates; copy it"), file=str(path))


class _LoadingEnvironment(TracingEnvironment):
    """Environment that resolves the name of a loaded template by the file that loads it."""

    loader: _TemplateLoader

    def join_path(self, template: str, parent: str) -> str:
        """Return the file of a name that a template loads; Jinja calls this."""
        return self.loader.find(template, parent) or template


class _TemplateLoader(jinja2.FileSystemLoader):
    """Loader of files inside the folders; links to files outside are refused."""

    def __init__(self, folders: Sequence[Path]) -> None:
        super().__init__(folders)
        self._folders = folders
        self._found: dict[str, Path] = {}

    def find(self, name: str, parent: str) -> str | None:
        """Return the file that `parent` loads by a name; None if there is none.

        A template of the last folder, a built-in one, loads only from there, so that a task's files
        cannot change its output. No template loads itself, so that a file may extend a built-in one
        of its name.
        """
        try:
            parts = split_template_path(name)
        except jinja2.TemplateNotFound:
            return None
        inside = Path(parent).is_relative_to(self._folders[-1])
        for folder in self._folders[-1:] if inside else self._folders:
            path = folder.joinpath(*parts)
            if path != Path(parent) and path.is_file():
                self._found[str(path)] = path
                return str(path)
        return None

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return the source of a file that `find` has returned."""
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
        return Sharing()  # rendering raises the error


def _environment(folders: tuple[Path, ...]) -> TracingEnvironment:
    environment = _LoadingEnvironment(
        loader=_TemplateLoader(folders), extensions=[ExampleTag, RoleTag]
    )
    for name, function in answer_filters.filters(environment.filters["tojson"]).items():
        environment.add_filter(name, function)
    return environment
