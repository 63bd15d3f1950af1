"""The files that a template loads, found without rendering it."""

from __future__ import annotations

from pathlib import Path

from jinja2 import meta

from promptkit.errors import TemplateError
from promptkit.files.paths import is_inside
from promptkit.templating.template import Template, read_template
from promptkit.translation import tr


def loaded_files(template: Template) -> dict[Path, str]:
    """Return the sources of all files that a template loads, by their paths.

    Args:
        template: A template that parses.

    Raises:
        TemplateError: A name is computed while rendering, a file is missing or is no template.
    """
    environment = template.environment
    found: dict[Path, str] = {}
    waiting = [(template.source, template.place)]
    while waiting:
        source, place = waiting.pop()
        for name in meta.find_referenced_templates(environment.parse(source)):
            if name is None:
                raise TemplateError(
                    tr(
                        "it loads a template whose name is computed, so that its files are not "
                        "known; write the name out"
                    ),
                    file=place,
                )
            path = Path(environment.join_path(name, place))
            if path in found or not path.is_file():
                continue  # a missing one may be optional; rendering raises where it is not
            found[path] = read_template(path)
            waiting.append((found[path], str(path)))
    return found


def placed(path: Path, folders: tuple[Path, ...]) -> str | None:
    """Return the number of the folder that a file is in, and its path there: `0/sub/part.j2`."""
    for number, folder in reversed([*enumerate(folders)]):
        if is_inside(path, folder):
            inside = path.resolve().relative_to(folder.resolve())
            return f"{number}/{inside.as_posix()}"
    return None
