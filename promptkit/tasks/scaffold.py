"""`promptkit new`: a task that runs as it is, with comments where people edit."""

from __future__ import annotations

from pathlib import Path

from promptkit.errors import TaskError
from promptkit.files import saving

_SCHEMA = Path(__file__).with_name("task.schema.json")
"""What `promptkit.tasks.task_file.json_schema` says, for editors."""

_TASK = """\
#:schema ./task.schema.json
# A task: what is asked, and where its data is. Edit everything; then run
#   promptkit compare .
name = "animals"

# What a template prints as {{ task.instruction }}.
instruction = "Name the class of each animal."

# The default template: looked up in templates/, then among the built-in ones (colon.j2, xml.j2,
# letters.j2, chat.j2, … and most of them with -labels).
template = "prompt.j2"

# The fields of an input and their types: "str", "int", "float", "bool", or a list of allowed
# values. They are columns of the data files, and {{ input.name }} in a template.
[input]
name = "str"

# What is answered: labels, which the model scores. For generated answers write instead
#   type = "str"                      (or "int", "float")
#   schema = "answer.schema.json"     (a JSON Schema beside this file)
[output]
labels = ["bird", "fish", "insect", "mammal"]

# CSV or JSON Lines, with a column per input field and a column "output". A column "id" is
# optional; every other column is kept as metadata.
[files]
demos = "demos.csv" # the pool that shots are drawn from
tests = "tests.csv" # what is asked; never overlaps the pool
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
    """Writes a small task into a folder that is not there or empty; returns the files.

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
