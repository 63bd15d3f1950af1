"""Free-form answers of models that give the labels little of their probability.

A label's score ranks the labels against each other, however unlikely they all are. Where their
coverage is low, a few answers are generated without constraint, so that a person sees what the
model took the prompt for: another kind of answer, or the labels after all, in which case its
probability is spread over other ways to go on.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from promptkit.errors import PromptTooLongError
from promptkit.evaluation.caveats import COVERAGE
from promptkit.evaluation.results import FreeAnswers
from promptkit.inference.batch import Asked
from promptkit.inference.prediction import Prediction, Predictor, answer
from promptkit.inference.store import Store
from promptkit.models.base import Generation, Sampling
from promptkit.prompts.prompt import TokenizedPrompt

LOW = COVERAGE
"""The mean coverage below which a model is asked what it would say."""
ANSWERS = 5
"""How many queries it is asked about."""
SAMPLING = Sampling(max_tokens=8)


def free_answers(
    asked: Sequence[Asked], predictions: Sequence[Sequence[Prediction]], store: Store
) -> Iterator[FreeAnswers]:
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
        written = _written(one, store)
        if written:
            words = _words(one.predictor)
            yield FreeAnswers(
                **made[0].factors(),
                coverage=coverage_there,
                texts=tuple([_readable(answer.text) for answer in written]),
                labels=tuple([label_written(answer, words) for answer in written]),
            )


def label_written(answer: Generation, words: Mapping[str, str]) -> str | None:
    """Return the label that a free-form answer writes, None for something else.

    A label counts in any casing, with punctuation around it, on a first line with others below,
    and cut where the answer was. `words` are the labels by what stands for them in the prompt.
    """
    text = _readable(answer.text)
    first = text.partition("\n")[0]
    for form in (str, _folded, _bare):
        known = {form(word): label for word, label in words.items()}
        for part in (text, first):
            if form(part) and form(part) in known:
                return known[form(part)]
    if text and answer.finish == "length":
        begun = [label for word, label in words.items() if _folded(word).startswith(_folded(text))]
        return begun[0] if begun else None
    return None


def _words(predictor: Predictor) -> Mapping[str, str]:
    """The task's labels by the words that stand for them."""
    labels = predictor.task.labels
    words = predictor.verbalizer.of(labels) if predictor.verbalizer is not None else labels
    return dict(zip(words, labels, strict=True))


def _readable(text: str) -> str:
    """A text without white space around it and without the halves of characters at its ends."""
    return text.replace("\N{REPLACEMENT CHARACTER}", "").strip()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _bare(text: str) -> str:
    """A text in one casing without the marks around it; those of C#, C++ and 5 % stay."""
    text = _folded(text)
    marks = {char for char in text if char == "`" or unicodedata.category(char)[0] == "P"}
    return text.strip("".join(marks - {*"#%&@/"}) + " ")


def _written(asked: Asked, store: Store) -> list[Generation]:
    predictor = replace(asked.predictor, sampling=SAMPLING)
    # Tokenized anew: the tokens of a scored prompt end with those that all labels begin with.
    prompts = [replace(prompt.prompt, candidates=None) for prompt in asked.prompts[:ANSWERS]]
    fitting: list[TokenizedPrompt] = []
    for prompt in predictor.model.tokenize(prompts):
        try:
            predictor.check_room(prompt)
        except PromptTooLongError:
            continue
        fitting.append(prompt)
    if not fitting:
        return []
    results = answer(predictor.model, fitting, SAMPLING, store=store).results
    return [result for result in results if isinstance(result, Generation)]
