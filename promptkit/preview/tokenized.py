"""Prompts as a model reads them: its chat template applied, with the tokens."""

from __future__ import annotations

from dataclasses import replace

from promptkit.errors import ModelError
from promptkit.models.base import Model
from promptkit.prompts.prompt import Prompt, TokenizedPrompt
from promptkit.prompts.view import Preview, PromptTokens, Token
from promptkit.translation import tr


def preview(prompt: Prompt, model: Model | None = None) -> Preview:
    """Return the preview of a prompt, as a model reads it if one is given."""
    if model is None:
        return prompt.preview()

    def tokens(ids: tuple[int, ...]) -> tuple[Token, ...]:
        return tuple(Token(id, model.piece(id)) for id in ids)

    read = tokenize(prompt, model)
    alone = tokens(token_ids(prompt, model))
    candidates = tuple(map(tokens, read.candidates))
    return read.prompt.preview(PromptTokens(model.identity.name, alone, candidates))


def read_by(prompt: Prompt, model: Model | None) -> Prompt:
    """Return the prompt as a model reads it, its chat template applied."""
    return model.tokenize([prompt])[0].prompt if model is not None else prompt


def token_ids(prompt: Prompt, model: Model) -> tuple[int, ...]:
    """Return the tokens of the prompt alone, independent of its candidates."""
    return tokenize(replace(prompt, candidates=None), model).ids


def tokenize(prompt: Prompt, model: Model) -> TokenizedPrompt:
    """Return a prompt as tokens. Raise `ModelError` where the model, as a server, hides them."""
    (request,) = model.tokenize([prompt])
    if not isinstance(request, TokenizedPrompt):
        raise ModelError(
            tr("{name}: this model does not show its tokens", name=model.identity.name)
        )
    return request
