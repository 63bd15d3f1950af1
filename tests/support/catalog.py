"""The catalogs of messages: `python tests/support/catalog.py` brings them up to date.

Messages are what `tr`, `trn`, `mark` and `counted` are given as literals, the help of commands,
and what Typer and pydantic say. Translations stay; those of messages that changed become fuzzy,
and are not shown until somebody has looked at them. The binary forms are written as well.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import babel.messages
import typer.core
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from typer.main import get_command

import promptkit
from promptkit.cli.commands import app
from promptkit.report.page_script import script_messages
from promptkit.translation import DOMAIN, FOLDER

PACKAGE = Path(promptkit.__file__).parent

SPACES = {"trim_blocks": "true", "lstrip_blocks": "true"}

KEYWORDS = {"tr": None, "mark": None, "trn": (1, 2), "counted": (2, 3)}

_UNSTATED = re.compile(
    rb'^"(Report-Msgid-Bugs-To|PO[-\w]*-Date|Last-Translator|Language-Team|Generated-By): .*\n',
    re.MULTILINE,
)
"""Lines of the head that nobody fills in, or that change without a message."""

Message = str | tuple[str, str]
"""A message, or its forms for one and for many."""


def messages() -> Iterator[tuple[str, Message]]:
    """Every message with the file that has it."""
    yield from _literals("**/*.py", "python")
    yield from _literals("**/*.html", "jinja2.ext:babel_extract", SPACES)
    yield from (("promptkit/report/page.js", found) for found in script_messages())
    yield from (("promptkit/cli", text) for text in command_helps(get_command(app)))
    yield from foreign_messages()


def _literals(
    pattern: str, method: str, options: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Message]]:
    for path in sorted(PACKAGE.glob(pattern)):
        where = path.relative_to(PACKAGE.parent).as_posix()
        for _, found, *_ in extract_from_file(method, path, KEYWORDS, options=options):
            yield where, found if isinstance(found, str) else tuple(found[-2:])


def command_helps(command: Any) -> Iterator[str]:
    """The docstrings of the commands, which are their help."""
    for one in getattr(command, "commands", {}).values():
        yield inspect.cleandoc(one.help or "")
        yield from command_helps(one)


def foreign_messages() -> Iterator[tuple[str, str]]:
    """What Typer and pydantic say, in their own words."""
    for _, found, _, _ in extract_from_file("python", typer.core.__file__, {"_": None}):
        yield "typer", str(found)
    for error in import_module("pydantic_core._pydantic_core").list_all_errors():
        yield "pydantic", error["message_template_python"]


def template() -> Catalog:
    """The messages without translations."""
    catalog = Catalog(
        project=promptkit.__name__,
        version=promptkit.__version__,
        copyright_holder="The promptkit authors",
        header_comment="# Messages of promptkit, brought up to date by tests/support/catalog.py.",
    )
    for where, found in messages():
        if found:
            catalog.add(found, locations=[(where, None)])
    return catalog


def updated(language: str) -> Catalog:
    """The catalog of a language, with the messages of today."""
    catalog = written(language)
    catalog.update(template(), update_creation_date=False, update_header_comment=True)
    catalog.obsolete.clear()
    return catalog


def is_translated(message: babel.messages.Message) -> bool:
    """Whether each form of a message has a text that somebody has looked at."""
    forms = [message.string] if isinstance(message.string, str) else message.string or [""]
    return all(forms) and not message.fuzzy


def written(language: str) -> Catalog:
    """The catalog of a language, as its file has it."""
    with place(language).open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def place(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def as_text(catalog: Catalog) -> bytes:
    file = io.BytesIO()
    write_po(file, catalog, width=100, sort_by_file=True, include_lineno=False)
    return _UNSTATED.sub(b"", file.getvalue())


def as_binary(catalog: Catalog) -> bytes:
    """The compiled catalog; Babel puts dates into its head, by default that of this minute."""
    catalog.creation_date = catalog.revision_date = datetime(2000, 1, 1, tzinfo=timezone.utc)
    file = io.BytesIO()
    write_mo(file, catalog)
    return file.getvalue()


if __name__ == "__main__":
    for folder in FOLDER.iterdir():
        made = updated(folder.name)
        place(folder.name).write_bytes(as_text(made))
        place(folder.name).with_suffix(".mo").write_bytes(as_binary(written(folder.name)))
        missing = sum(not is_translated(one) for one in made if one.id)
        print(f"{folder.name}: {len(made)} messages, {missing} without a translation")
