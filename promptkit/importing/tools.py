"""Which tool a file is of."""

from __future__ import annotations

from pathlib import Path

from promptkit.errors import TaskError, shorten
from promptkit.importing import harness, langchain, promptsource
from promptkit.importing.imported import Imported
from promptkit.importing.plain_values import read


def import_file(path: str | Path) -> Imported:
    """What a file of LangChain, promptsource or lm-evaluation-harness says, as tasks.

    Nothing is run, downloaded or written. Raises `TaskError` for a file of another kind, or one
    of which nothing can be carried over, and `MissingExtraError` without PyYAML.
    """
    source = read(Path(path))
    config = source.value
    if not isinstance(config, dict):
        raise TaskError(f"{path}: {shorten(config)} is no mapping of keys to values")
    if "_type" in config or "example_prompt" in config:
        return langchain.carry(source)
    if "templates" in config:
        return promptsource.carry(source)
    if {"doc_to_text", "doc_to_target", "include", "dataset_path"} & set(config):
        return harness.carry(source)
    raise TaskError(
        f"{path}: neither a FewShotPromptTemplate of LangChain (`_type: few_shot`), nor templates "
        "of promptsource (`templates:`), nor a task of lm-evaluation-harness (`doc_to_text:`)"
    )
