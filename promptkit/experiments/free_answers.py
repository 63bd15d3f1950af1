"""Free-form answers of models that give the labels little of their probability.

A label's score ranks the labels against each other, however unlikely they all are. Where their
coverage is low, a few answers generated without constraint show what the model took the prompt for:
another kind of answer, or the labels after all among many other ways to go on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from statistics import fmean

from promptkit.errors import PromptTooLongError
from promptkit.evaluation.caveats import COVERAGE
from promptkit.evaluation.results import FreeAnswers
from promptkit.graphemes import SENTENCE_ENDS
from promptkit.inference.batch import AnswerStage, CellRequests, Predictions
from promptkit.inference.prediction import Prediction
from promptkit.inference.reasoning import ModelRequests, Samples
from promptkit.inference.store import Store, key_of
from promptkit.models.base import Generation, JointModel, Request, Sampling
from promptkit.tasks.digits import plain_number

ANSWERS = 5
"""Number of queries that are answered freely."""
SAMPLING = Sampling(max_tokens=8)
"""How free-form answers are generated."""
SCORES = 20
"""Number of scores for each free-form answer from which on these are asked together: fewer may not
fill as many batches as an answer has tokens."""


@dataclass
class EarlyAnswerStage:
    """Free-form answers asked together with the scores, before it is known whether they are needed.

    Beside many scores they cost little; after these, in batches of their own, each of their tokens
    takes as long as a full batch. Asked are the cells that `FreeAnswerStage` asks most often: the
    largest of a line if its coverage is low, and else the smallest, as coverage grows with shots.
    """

    cells: Sequence[CellRequests]
    store: Store
    written: dict[int, Sequence[Samples]] = field(default_factory=dict)
    """What was generated, by the number of the cell."""

    def requests(self, predictions: Predictions) -> list[ModelRequests]:
        """Return prompts without candidates of cells of models that score and generate at once."""
        self.written = dict.fromkeys(self._worthwhile(), ())
        return [_freely(self.cells[number]) for number in self.written]

    def apply(
        self, predictions: Predictions, responses: Sequence[Sequence[Samples]]
    ) -> Predictions:
        """Keep what was generated."""
        self.written = dict(zip(self.written, responses, strict=True))
        return predictions

    def _worthwhile(self) -> Iterator[int]:
        """Yield the cells to ask, where many scores are not in the store yet."""
        models: dict[int, list[int]] = {}
        for number, cell in enumerate(self.cells):
            model = cell.predictor.model
            if isinstance(model, JointModel) and model.shares_batches and _is_asked(cell):
                models.setdefault(id(model), []).append(number)
        for numbers in models.values():
            lines = _lines(self.cells, numbers)
            largest = [line[-1] for line in lines]
            both = dict.fromkeys([*largest, *[line[0] for line in lines]])
            yield from self._beside(both, numbers) or self._beside(largest, numbers)

    def _beside(self, wanted: Iterable[int], numbers: Iterable[int]) -> Collection[int]:
        """Return wanted cells that need be asked, if the scores of all suffice for them."""
        likely = [one for one in wanted if not self.cells[one].reasons]
        new = {one: keys for one in likely if (keys := self._missing(one))}
        missing = set[bytes]().union(*new.values())
        others = [number for number in numbers if number not in new]
        while new and others and len(missing) < SCORES * ANSWERS * len(new):
            missing |= self._missing(others.pop())
        return new if len(missing) >= SCORES * ANSWERS * len(new) else ()

    def _missing(self, number: int) -> set[bytes]:
        """Return the keys of a cell's requests that are not in the store."""
        cell = self.cells[number]
        keys = {key_of(one, cell.predictor.model.identity) for one in cell.requests}
        return keys - self.store.get(keys).keys()


@dataclass
class FreeAnswerStage:
    """Free-form answers per model, template, language and verbalizer, where a mean coverage is low.

    Of the cells where it is, the one with the most shots is asked: there a model knows best what
    kind of answer is wanted. Of these it is the one with the longest prompts, whose shots the model
    has read last. Predictions stay as they are.
    """

    answers: AnswerStage
    """The answers to the prompts, of an earlier round."""
    early: EarlyAnswerStage
    """Free-form answers of an earlier round, which are not asked again."""
    found: tuple[FreeAnswers, ...] = ()
    """The free-form answers, once they are generated."""

    @property
    def cells(self) -> Sequence[CellRequests]:
        """Cells with the prompts of their answers."""
        return self.answers.cells

    def requests(self, predictions: Predictions) -> list[ModelRequests]:
        """Return prompts without candidates of the cells with low coverage."""
        return [_freely(self.cells[number]) for number in self._left(self._low(predictions))]

    def apply(
        self, predictions: Predictions, responses: Sequence[Sequence[Samples]]
    ) -> Predictions:
        """Keep what was generated."""
        low = self._low(predictions)
        late = dict(zip(self._left(low), responses, strict=True))
        written = {**self.early.written, **late}
        self.found = tuple(
            _free(self.cells[number], predictions[number], coverage, written[number])
            for number, coverage in low.items()
            if written[number]
        )
        return predictions

    def _left(self, numbers: Iterable[int]) -> list[int]:
        """Return the cells that were not asked early."""
        return [number for number in numbers if number not in self.early.written]

    def _low(self, predictions: Predictions) -> dict[int, float]:
        """Return the cells to ask, by their number, and their mean coverage."""
        means: dict[int, float] = {}
        for number, (cell, made) in enumerate(zip(self.cells, predictions, strict=True)):
            covered = [one.coverage for one in made if one.coverage is not None]
            if _is_asked(cell) and covered and (mean := fmean(covered)) < COVERAGE:
                means[number] = mean
        largest = [line[-1] for line in _lines(self.cells, means)]
        return {number: means[number] for number in largest}


def _is_asked(cell: CellRequests) -> bool:
    """Return whether a cell may be asked freely, since its answers are single labels of the task.

    An option, or a list of labels, is seldom what a model would write.
    """
    task = cell.predictor.task
    return bool(task.labels) and task.options is None and not task.many


def _lines(cells: Sequence[CellRequests], numbers: Iterable[int]) -> list[list[int]]:
    """Return some cells by their wording, each line from small to large."""
    lines: dict[tuple[object, ...], list[int]] = {}
    for number in numbers:
        p = cells[number].predictor
        key = id(p.model), p.template, p.verbalizer, p.language
        lines.setdefault(key, []).append(number)
    # Of equal ones the first counts as the largest.
    return [sorted(line, key=lambda one: (_size(cells[one]), -one)) for line in lines.values()]


def _freely(cell: CellRequests) -> ModelRequests:
    """Return the requests of a cell's free-form answers."""
    return ModelRequests(cell.predictor.model, SAMPLING, _open(cell))


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
    task = cell.predictor.task
    labels, verbalizer = task.labels, cell.predictor.verbalizer or task.words
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

    A label counts in any casing, with punctuation around it, as the first line or sentence of
    several, and cut where the answer was; a number in the digits of any script. `words` are the
    labels by what stands for them in the prompt.
    """
    text = _readable(answer.text)
    line = text.partition("\n")[0]
    sentence = _SENTENCE_END.split(line, maxsplit=1)[0]
    for form in (str, _folded, _bare, _in_digits):
        known = {form(word): label for word, label in words.items()}
        for part in (text, line, sentence):
            if form(part) and form(part) in known:
                return known[form(part)]
    if not text or answer.finish != "length":
        return None
    begun = (label for word, label in words.items() if _folded(word).startswith(_folded(text)))
    return next(begun, None)


_SENTENCE_END = re.compile(rf"[.!?](?=\s)|(?![ -~])[{SENTENCE_ENDS}]")
"""The end of a sentence; those of other scripts need no white space behind them."""


def _readable(text: str) -> str:
    """A text without white space around it and without the halves of characters at its ends."""
    return text.replace("\N{REPLACEMENT CHARACTER}", "").strip()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()


def _in_digits(text: str) -> str:
    return plain_number(_bare(text))


def _bare(text: str) -> str:
    """A text in one casing without the marks around it; those of C#, C++ and 5 % stay."""
    text = _folded(text)
    marks = {char for char in text if char == "`" or unicodedata.category(char)[0] == "P"}
    return text.strip("".join(marks - {*"#%&@/"}) + " ")
