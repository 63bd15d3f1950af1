"""Rows as texts to train on: the prompt that the template renders, and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from promptkit.errors import TaskError, shorten
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.examples import Example
from promptkit.tasks.task import Task
from promptkit.templating.renderer import Renderer
from promptkit.translation import tr

Turn = Mapping[str, str]
"""A role and its content."""


class ExportText(NamedTuple):
    """A prompt and its completion, one text to the letter; or turns and the one that answers."""

    prompt: str | Sequence[Turn]
    completion: str

    @property
    def has_turns(self) -> bool:
        """Return whether the prompt consists of turns."""
        return not isinstance(self.prompt, str)


def training_text(
    task: Task[Any, Any], renderer: Renderer, row: Example[Any, Any], prompt: Prompt
) -> ExportText | None:
    """Return a rendered prompt with its answer, as the template would print them for a shot.

    Args:
        task: The task.
        renderer: The renderer of the prompt.
        row: The row, with its output.
        prompt: The prompt that asks for it.

    Returns:
        The texts; None where the template prints a rationale and the row has none.
    """
    last = prompt
    if prompt.then is not None:
        rationale = row.metadata.get(task.rationale)
        if not isinstance(rationale, str) or not rationale.strip():
            return None
        last = prompt.after(rationale)
    answer = _answer(task, renderer, row, last) + last.stop
    if not prompt.messages:
        return ExportText(prompt.text, last.text[len(prompt.text) :] + answer)
    turns = [{"role": one.role, "content": one.content} for one in prompt.messages]
    begun = ""
    if last.messages[-1].role == "assistant":
        begun = last.messages[-1].content
    if turns[-1]["role"] == "assistant":
        turns.pop()
    return ExportText(turns, begun + answer)


def _answer(
    task: Task[Any, Any], renderer: Renderer, row: Example[Any, Any], prompt: Prompt
) -> str:
    """Return the answer as the template prints it, with the space in front."""
    if prompt.candidates is not None and not task.many:
        answers, own = task.answers_of(row), task.answer_of(row)
        if own not in answers:
            raise TaskError(
                tr(
                    "row {id}: its output {own} is none of the task",
                    id=shorten(row.id),
                    own=shorten(own),
                )
            )
        return prompt.candidates[answers.index(own)]
    pieces = renderer.printed([row], row)
    written = [piece.text for piece in pieces if piece.field == "output"]
    plain = task.answer_of(row)
    return prompt.lead + (written[0] if written else str(plain))
