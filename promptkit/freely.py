"""What a model says where the labels are hardly what it wants to say.

A label's score ranks the labels against each other, however unlikely they all are. Where their
coverage is low, a few answers are written freely, so that a person sees what the model took the
prompt for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from promptkit.caveats import COVERAGE
from promptkit.errors import PromptTooLongError
from promptkit.figures import Free
from promptkit.judging import cell_of
from promptkit.models.base import Generation, Sampling
from promptkit.predict import Prediction, answer
from promptkit.prompts import TokenizedPrompt
from promptkit.running import Asked
from promptkit.store import Store

LOW = COVERAGE
"""The mean coverage below which a model is asked what it would say."""
ANSWERS = 5
"""How many queries it is asked about."""
SAMPLING = Sampling(max_tokens=8)


def free_answers(
    asked: Sequence[Asked], predictions: Sequence[Sequence[Prediction]], store: Store
) -> Iterator[Free]:
    """Free answers per model, template and verbalizer, where a mean coverage is below `LOW`.

    Of the cells where it is, the one with the most shots is asked: there a model knows best what
    kind of answer is wanted.
    """
    lines: dict[tuple[object, ...], tuple[Asked, Sequence[Prediction], float]] = {}
    for one, made in zip(asked, predictions, strict=True):
        p = one.predictor
        line = id(p.model), p.template, p.verbalizer
        coverage = [prediction.coverage for prediction in made if prediction.coverage is not None]
        if not coverage or fmean(coverage) >= LOW:
            continue
        if line not in lines or lines[line][0].predictor.shots < p.shots:
            lines[line] = one, made, fmean(coverage)
    for one, made, coverage_there in lines.values():
        texts = _written(one, store)
        if texts:
            yield Free(**cell_of(made[0])._asdict(), coverage=coverage_there, texts=texts)


def _written(asked: Asked, store: Store) -> tuple[str, ...]:
    predictor = replace(asked.predictor, sampling=SAMPLING)
    prompts: list[TokenizedPrompt] = []
    for prompt in asked.prompts[:ANSWERS]:
        free = replace(prompt, candidates=())
        try:
            predictor.check_room(free)
        except PromptTooLongError:
            continue
        prompts.append(free)
    if not prompts:
        return ()
    results = answer(predictor.model, prompts, SAMPLING, store=store).results
    return tuple([result.text.strip() for result in results if isinstance(result, Generation)])
