"""Free-form answers of models that give the labels little of their probability.

A label's score ranks the labels against each other, however unlikely they all are. Where their
coverage is low, a few answers generated without constraint show what the model took the prompt for:
another kind of answer, or the labels after all among many other ways to go on.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import fmean

from promptkit.errors import PromptTooLongError
from promptkit.evaluation.caveats import COVERAGE
from promptkit.evaluation.results import FreeAnswers
from promptkit.inference.batch import AnswerStage, CellRequests, Predictions
from promptkit.inference.prediction import Prediction
from promptkit.inference.reasoning import ModelRequests, Samples
from promptkit.models.base import Generation, Request, Sampling

ANSWERS = 5
"""Number of queries that are answered freely."""
SAMPLING = Sampling(max_tokens=8)
"""How free-form answers are generated."""


@dataclass
class FreeAnswerStage:
    """Free-form answers per model, template and verbalizer, where a mean coverage is low.

    Of the cells where it is, the one with the most shots is asked: there a model knows best what
    kind of answer is wanted. Of these it is the one with the longest prompts, whose shots the model
    has read last. Predictions stay as they are.
    """

    answers: AnswerStage
    """The answers to the prompts, of an earlier round."""
    found: tuple[FreeAnswers, ...] = ()
    """The free-form answers, once they are generated."""

    @property
    def cells(self) -> Sequence[CellRequests]:
        """Cells with the prompts of their answers."""
        return self.answers.cells

    def requests(self, predictions: Predictions) -> list[ModelRequests]:
        """Return prompts without candidates of the cells with low coverage."""
        return [
            ModelRequests(self.cells[number].predictor.model, SAMPLING, _open(self.cells[number]))
            for number in self._low(predictions)
        ]

    def apply(
        self, predictions: Predictions, responses: Sequence[Sequence[Samples]]
    ) -> Predictions:
        """Keep what was generated."""
        low = self._low(predictions)
        self.found = tuple(
            _free(self.cells[number], predictions[number], coverage, written)
            for (number, coverage), written in zip(low.items(), responses, strict=True)
            if written
        )
        return predictions

    def _low(self, predictions: Predictions) -> dict[int, float]:
        """Return the cells to ask, by their number, and their mean coverage."""
        lines: dict[tuple[object, ...], int] = {}
        means: dict[int, float] = {}
        for number, (cell, made) in enumerate(zip(self.cells, predictions, strict=True)):
            p = cell.predictor
            # An option, or a list of labels, is seldom what a model would write.
            if p.task.options is not None or p.task.many:
                continue
            covered = [one.coverage for one in made if one.coverage is not None]
            if not covered or (mean := fmean(covered)) >= COVERAGE:
                continue
            means[number] = mean
            line = (id(p.model), p.template, p.verbalizer)
            if _size(self.cells[lines.setdefault(line, number)]) < _size(cell):
                lines[line] = number
        return {number: means[number] for number in lines.values()}


def _size(cell: CellRequests) -> tuple[int, int]:
    """Return the number of shots of a cell, and the tokens of its longest prompt."""
    return cell.predictor.shots, max([one.tokens for one in cell.requests], default=0)


def _open(cell: CellRequests) -> list[Request]:
    """Return a few prompts of a cell without candidates, as far as an answer fits."""
    # Tokenized anew: the tokens of a scored prompt end with those that all labels begin with.
    predictor = replace(cell.predictor, sampling=SAMPLING, think=0)
    fitting: list[Request] = []
    for one in cell.requests[:ANSWERS]:
        with suppress(PromptTooLongError):
            fitting += predictor.requests([replace(one.prompt, candidates=None)])
    return fitting


def _free(
    cell: CellRequests,
    predictions: Sequence[Prediction],
    coverage: float,
    responses: Sequence[Samples],
) -> FreeAnswers:
    results = [one.result for samples in responses for one in samples]
    written = [result for result in results if isinstance(result, Generation)]
    labels, verbalizer = cell.predictor.task.labels, cell.predictor.verbalizer
    shown = verbalizer.of(labels) if verbalizer is not None else labels
    words = dict(zip(shown, labels, strict=True))
    return FreeAnswers(
        **predictions[0].factors(),
        coverage=coverage,
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
    if not text or answer.finish != "length":
        return None
    begun = (label for word, label in words.items() if _folded(word).startswith(_folded(text)))
    return next(begun, None)


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
