"""Examples as prompts with the answers that a model is to give, in its own tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from promptkit.errors import TaskError
from promptkit.inference.prediction import Predictor
from promptkit.prompts.prompt import TokenizedPrompt
from promptkit.tasks.examples import Example
from promptkit.translation import tr
from promptkit.tuning.token_trees import TokenTree, token_tree

DRAW = 64
"""Number of prompts that are trained on with the same draw of shots."""

Soft = Mapping[str, Mapping[str, float]]
"""Probabilities of the answers of each query, by its id."""


@dataclass(frozen=True)
class TrainingPrompt:
    """A prompt with its candidates, and the probabilities that they are to have."""

    request: TokenizedPrompt
    target: tuple[float, ...]

    @cached_property
    def tree(self) -> TokenTree:
        """Tokens as the decoder computes them."""
        prompt = self.request.prompt
        return token_tree(
            self.request.ids,
            self.request.candidates,
            self.target,
            query=prompt.query,
            shots=prompt.shots,
        )


def training_prompts(
    predictor: Predictor,
    examples: Sequence[Example[Any, Any]],
    soft: Soft | None = None,
    *,
    draws: bool = True,
) -> list[TrainingPrompt]:
    """Return the prompts of examples, with the gold answers or soft ones.

    Args:
        predictor: The prompt: its model is a GGUF model, which tokenizes.
        examples: Examples; none is among its own shots.
        soft: Probabilities of the answers; by default the gold answer has all.
        draws: Whether every so many prompts have a draw of shots of their own.

    Raises:
        TaskError: The task or the template asks for something else than one answer.
    """
    task = predictor.task
    if task.many:
        raise TaskError(
            tr(
                "{name}: its answers are lists of labels, each with a threshold of its "
                "own, on which an adapter cannot be trained; train on one label each",
                name=task.name,
            )
        )
    renderer = predictor.template.renderer(task, predictor.verbalizer)
    made = []
    for number, first in enumerate(range(0, len(examples), DRAW)):
        some = examples[first : first + DRAW]
        seed = predictor.seed + 1 + number if draws else predictor.seed
        requests: Any = replace(predictor, seed=seed).tokenize(some, renderer)
        for example, request in zip(some, requests, strict=True):
            if request.prompt.asks != "answer":
                raise TaskError(
                    tr(
                        "template {name}: it asks for a {asks} first, which the examples do not "
                        "have; use a template without it",
                        name=predictor.template.name,
                        asks=request.prompt.asks,
                    )
                )
            made.append(_with_target(predictor, example, request, soft))
    return made


def _with_target(
    predictor: Predictor, example: Example[Any, Any], request: TokenizedPrompt, soft: Soft | None
) -> TrainingPrompt:
    task = predictor.task
    if not request.candidates:
        return TrainingPrompt(_with_answer(predictor, example, request), (1.0,))
    answers = task.answers_of(example)
    if soft is not None:
        return TrainingPrompt(request, tuple([soft[example.id][answer] for answer in answers]))
    gold = task.output_type.text(example.output)
    return TrainingPrompt(request, tuple([float(answer == gold) for answer in answers]))


def _with_answer(
    predictor: Predictor, example: Example[Any, Any], request: TokenizedPrompt
) -> TokenizedPrompt:
    """Return the prompt of a generated answer with the gold one, and its end, as its candidate."""
    prompt, output, model = request.prompt, predictor.task.output_type, predictor.model
    as_json = prompt.format is not None and prompt.format != output.format
    text = output.as_json(example.output) if as_json else output.text(example.output)
    ended = prompt.lead + text + ("" if prompt.stop_is_chat else prompt.stop)
    made: Any = model.tokenize([replace(prompt, candidates=(ended,), format=None)])[0]
    if prompt.stop_is_chat or not prompt.stop:
        end = _ending(model, prompt.stop)
        made = replace(made, candidates=((*made.candidates[0], end),))
    return made  # type: ignore[no-any-return]


def _ending(model: Any, stop: str) -> int:
    """Return the token that ends a turn, or the text."""
    controls = model.vocabulary.controls
    return int(controls[stop].id if stop in controls else min(model.vocabulary.endings))
