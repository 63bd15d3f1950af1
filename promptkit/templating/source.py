"""Template sources whose tokens and syntax trees know their offsets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from jinja2 import nodes
from jinja2.lexer import Lexer, newline_re

from promptkit.templating.tags import ExampleTag, RoleTag
from promptkit.templating.tracing import TracingEnvironment
from promptkit.translation import tr


class Offset(int):
    """A line number with the offset of its token in the source."""

    offset: int


class LexerToken(NamedTuple):
    """A token of the lexer, white space and literal text included."""

    offset: int
    kind: str
    text: str

    @property
    def end(self) -> int:
        return self.offset + len(self.text)


class _Lexer(Lexer):
    def tokeniter(self, source: str, *args: Any, **more: Any) -> Iterator[tuple[int, str, str]]:
        end = 0
        for line, kind, text in super().tokeniter(source, *args, **more):
            # Between two tokens there is only white space that the lexer strips.
            start = source.find(text, end)
            end = start + len(text)
            here = Offset(line)
            here.offset = start
            yield here, kind, text


class _OffsetEnvironment(TracingEnvironment):
    """Environment that parses as for rendering, to syntax trees with offsets."""

    def __init__(self) -> None:
        super().__init__(extensions=[ExampleTag, RoleTag])

    @cached_property
    def lexer(self) -> Lexer:
        return _Lexer(self)


_PARSER = _OffsetEnvironment()


@dataclass(frozen=True, eq=False)
class Page:
    """A template file."""

    name: str
    file: str
    """Path, as messages show it."""
    raw: str
    """Source as in the file."""

    @cached_property
    def source(self) -> str:
        """Source as Jinja reads it: all line ends are newlines."""
        return "\n".join(newline_re.split(self.raw)[::2])

    @cached_property
    def tree(self) -> nodes.Template:
        """Syntax tree. Raises `jinja2.TemplateSyntaxError`."""
        try:
            return _PARSER.parse(self.source, self.name, self.file)
        except (RecursionError, MemoryError, ValueError) as error:
            reason = tr(
                "it nests too deeply, or holds a number that is too long: {error}", error=error
            )
            raise jinja2.TemplateSyntaxError(reason, 1, self.name, self.file) from None

    @cached_property
    def tokens(self) -> list[LexerToken]:
        """All tokens of the lexer, in order. Raises `jinja2.TemplateSyntaxError`."""
        stream = _PARSER.lexer.tokeniter(self.source, self.name, self.file)
        return [LexerToken(line.offset, kind, text) for line, kind, text in stream]  # type: ignore[attr-defined]

    @cached_property
    def texts(self) -> list[LexerToken]:
        """Tokens of literal text."""
        return [token for token in self.tokens if token.kind == "data"]

    def at(self, offset: int) -> Where:
        """Return the line and column of a character."""
        line = self.source.count("\n", 0, offset) + 1
        return Where(self.file, line, offset - self.source.rfind("\n", 0, offset))

    def of(self, node: nodes.Node) -> Where:
        """Return the location of a node's first character; for a field or a test, of its name."""
        offset = getattr(node.lineno, "offset", None)
        if offset is None:
            return Where(self.file, node.lineno)
        if isinstance(node, nodes.Getattr | nodes.Test):
            name = node.attr if isinstance(node, nodes.Getattr) else node.name
            offset = max(offset, self.source.find(name, offset))
        return self.at(offset)

    def line(self, line: int | None) -> Where:
        """Return the location of a line's first character that is not white space."""
        if line is None:
            return Where(self.file)
        text = self.source.split("\n")[line - 1 : line]
        indent = len(text[0]) - len(text[0].lstrip()) if text else 0
        return Where(self.file, line, indent + 1)

    def edit(self, start: int, end: int, text: str) -> tuple[Edit, ...]:
        """Return a change; none if the file's line ends are not those that Jinja reads."""
        return (Edit(self.file, start, end, text),) if "\r" not in self.raw else ()


class Pages:
    """Templates that one template loads, each read once."""

    def __init__(self, environment: jinja2.Environment, page: Page, place: str) -> None:
        """Begin with one template.

        Args:
            environment: Environment that `page` is rendered in.
            page: The template.
            place: Its `Template.place`.
        """
        self.environment = environment
        self._places = {page.file: place}
        self._known: dict[str, Page | None] = {}
        self.read = [page]
        """All pages that were opened."""

    def open(self, name: str, parent: Page) -> Page | None:
        """Return the template that `parent` loads by a name; None if the search path has none.

        Raises:
            TemplateError: The file is not UTF-8.
        """
        file = self.environment.join_path(name, self._places.get(parent.file, parent.file))
        if file not in self._known:
            assert self.environment.loader is not None
            self._known[file] = None
            with suppress(jinja2.TemplateNotFound):
                source, _, _ = self.environment.loader.get_source(self.environment, file)
                self._known[file] = page = Page(Path(file).name, file, source)
                self.read.append(page)
        return self._known[file]

    def names(self) -> list[str]:
        """Return the names of all templates in the search path."""
        return self.environment.list_templates(extensions=["j2"])


class Edit(NamedTuple):
    """A safe change of a template: the characters `start` to `end` of its source become `text`."""

    file: str
    start: int
    end: int
    text: str


class Where(NamedTuple):
    """Location in a file; line and column are counted from 1."""

    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part is not None)
