"""`promptkit new`: a task that runs as it is, with comments where people edit."""

from __future__ import annotations

from pathlib import Path

from promptkit.errors import TaskError
from promptkit.files import saving

_SCHEMA = Path(__file__).with_name("task.schema.json")
"""The output of `promptkit.tasks.task_file.json_schema`, for editors."""

_TASK = """\
#:schema ./task.schema.json
# A task: its input, its output and its data files. Edit everything; then run
#   promptkit compare .
name = "animals"

# The text that a template prints as {{ task.instruction }}.
instruction = "Name the class of each animal."

# The default template: a file in templates/, or a built-in one (colon.j2, xml.j2,
# letters.j2, chat.j2, … and most of them with -labels).
template = "prompt.j2"

# The fields of an input and their types: "str", "int", "float", "bool", or a list of allowed
# values. They are columns of the data files, and {{ input.name }} in a template.
[input]
name = "str"

# The answers: labels, which the model scores. For generated answers write instead
#   type = "str"                      (or "int", "float")
#   schema = "answer.schema.json"     (a JSON Schema beside this file)
[output]
labels = ["bird", "fish", "insect", "mammal"]

# CSV or JSON Lines, with a column per input field and a column "output". A column "id" is
# optional; every other column is kept as metadata.
[files]
demos = "demos.csv" # the pool that shots are drawn from
tests = "tests.csv" # the examples that are asked; they never overlap the pool
"""

_TEMPLATE = """\
{# A comment; the model never sees it. See what it does see: promptkit render .. --shots 2 #}
{{ task.instruction }}

{# Rendered once per shot, and once for the query, up to the answer. #}
{% example %}
{{ input.name }}: {{ output }}
{% endexample %}
"""

_DEMOS = """\
name,output
sparrow,bird
salmon,fish
bee,insect
dog,mammal
eagle,bird
trout,fish
ant,insect
horse,mammal
penguin,bird
tuna,fish
butterfly,insect
whale,mammal
"""

_TESTS = """\
name,output
owl,bird
duck,bird
cod,fish
shark,fish
beetle,insect
wasp,insect
cat,mammal
elephant,mammal
"""


def write_task(folder: Path) -> list[Path]:
    """Write a small task into a new or empty folder, and return its files.

    Raises `TaskError` where there is something already.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise TaskError(f"{folder} is there already; name a new folder")
        (folder / "templates").mkdir(parents=True)
        files: dict[Path, str | bytes] = {
            folder / "task.toml": _TASK,
            folder / "templates" / "prompt.j2": _TEMPLATE,
            folder / "demos.csv": _DEMOS,
            folder / "tests.csv": _TESTS,
            folder / "task.schema.json": _SCHEMA.read_text("utf-8"),
        }
        saving.write_all(files)
    except OSError as error:
        raise TaskError(f"{error.filename or folder}: {error.strerror or error}") from None
    return list(files)
