"""Import of a file by the tool that it was written for."""

from __future__ import annotations

from pathlib import Path

from promptkit.errors import TaskError, shorten
from promptkit.importing import harness, langchain, promptsource
from promptkit.importing.imported import Imported
from promptkit.importing.plain_values import read
from promptkit.translation import tr


def import_file(path: str | Path) -> Imported:
    """Return the tasks of a file of LangChain, promptsource or lm-evaluation-harness.

    Nothing is run, downloaded or written.

    Args:
        path: A JSON or YAML file.

    Raises:
        TaskError: The file is of another kind, or nothing of it can be imported.
        MissingExtraError: PyYAML is not installed.
    """
    source = read(Path(path))
    config = source.value
    if not isinstance(config, dict):
        raise TaskError(
            tr(
                "{path}: {value} is not a mapping of keys to values",
                path=path,
                value=shorten(config),
            )
        )
    if "_type" in config or "example_prompt" in config:
        return langchain.carry(source)
    if "templates" in config:
        return promptsource.carry(source)
    if {"doc_to_text", "doc_to_target", "include", "dataset_path"} & set(config):
        return harness.carry(source)
    raise TaskError(
        tr(
            "{path}: unknown kind of file; promptkit imports a FewShotPromptTemplate "
            "of LangChain (`_type: few_shot`), templates of promptsource "
            "(`templates:`) and a task of lm-evaluation-harness (`doc_to_text:`)",
            path=path,
        )
    )
