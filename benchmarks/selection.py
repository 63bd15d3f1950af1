"""Finding similar shots: 8 for each of 1,000 queries, in a pool of 100,000 made-up messages.

No model runs here. Each contestant is measured in a process of its own, so that its peak memory is
its own, and from the texts or the vectors on: what it prepares is part of it.
`python -m benchmarks.selection`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from pydantic import BaseModel
from rich.console import Console

from benchmarks.meter import peak_mb
from benchmarks.tables import Table, show
from promptkit import Example, ExampleSet
from promptkit.selection.draw import draw, expect
from promptkit.selection.strategies import Selection, Similar

SHOTS, LABELS = 8, 7
DIMENSIONS = 384
"""As many as small embedding models have."""
GOAL = 10.0
"""Seconds that similar shots may take."""
SYLLABLES = "ba ri ton ka le mi sha dor en il qu es tra po ve nis un ing ed er ly ous th sp gr wo"
FEW = 5
"""Number of queries of the slowest contestants, whose time per query does not depend on it."""


class Message(BaseModel):
    """A customer's message."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """Costs of one contestant."""

    name: str
    seconds: float
    """For all queries, and what is prepared for them."""
    cpu_seconds: float
    peak_mb: float
    base_mb: float
    """The same when the texts were there."""
    asked: int
    """Number of queries that were run; the times are extrapolated to all."""


@dataclass(frozen=True, slots=True)
class Work:
    """Inputs of every contestant."""

    pool: Sequence[str]
    queries: Sequence[str]

    @property
    def examples(self) -> tuple[ExampleSet[Message, str], list[Example[Message, str]]]:
        """The same as promptkit has them, with labels."""
        pool = [
            Example[Message, str](input=Message(text=text), output=str(i % LABELS), id=str(i))
            for i, text in enumerate(self.pool)
        ]
        queries = [Example[Message, str](input=Message(text=text)) for text in self.queries]
        return ExampleSet[Message, str](tuple(pool)), queries

    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """Made-up vectors, without the time that a model takes."""
        seeds = [hash_of(text) for text in texts]
        return np.array([np.random.default_rng(s).standard_normal(DIMENSIONS) for s in seeds])


def hash_of(text: str) -> int:
    """The same number in every process."""
    return int.from_bytes(text.encode()[-8:], "big")


def messages(pool: int, queries: int) -> Work:
    """Texts of 6 to 18 made-up words, some much more frequent than others, as words are."""
    draw = np.random.default_rng(0)
    syllables = SYLLABLES.split()
    words = ["".join(draw.choice(syllables, draw.integers(1, 5))) for _ in range(20_000)]
    words = sorted(set(words), key=lambda word: (len(word), word))
    share = 1 / np.arange(1, len(words) + 1)
    lengths = draw.integers(6, 19, pool + queries)
    chosen = draw.choice(len(words), lengths.sum(), p=share / share.sum())
    ends = np.cumsum(lengths)
    texts = [
        " ".join(words[word] for word in chosen[end - length : end]) + f" {index}"
        for index, (end, length) in enumerate(zip(ends, lengths, strict=True))
    ]
    return Work(texts[:pool], texts[pool:])


Steps = Iterator[int]
"""A generator that stops when the data are loaded and when all is prepared, and at last yields the
number of queries that it ran."""


def ours(selection: Selection | str) -> Callable[[Work], Steps]:
    """Drawing shots as `compare` does it."""

    def steps(work: Work) -> Steps:
        pool, queries = work.examples
        yield 0
        yield 0
        expect(pool, queries)
        for query in queries:
            assert len(draw(pool, query, SHOTS, selection=selection)) == SHOTS
        yield len(queries)

    return steps


def ours_embedded(work: Work) -> Steps:
    """The same by vectors that are there already."""
    known = dict(zip(*_embedded(work), strict=True))
    return ours(Similar(embed=lambda texts: np.array([known[text] for text in texts])))(work)


def scikit_learn(work: Work) -> Steps:
    """`TfidfVectorizer` on the same n-grams, and `NearestNeighbors` by cosine."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.neighbors import NearestNeighbors

    yield 0
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    found = NearestNeighbors(n_neighbors=SHOTS, metric="cosine", algorithm="brute")
    found.fit(vectorizer.fit_transform(work.pool))
    yield 0
    found.kneighbors(vectorizer.transform(work.queries))
    yield len(work.queries)


def scikit_learn_embedded(work: Work) -> Steps:
    """`NearestNeighbors` by cosine."""
    from sklearn.neighbors import NearestNeighbors

    _, vectors = _embedded(work)
    yield 0
    found = NearestNeighbors(n_neighbors=SHOTS, metric="cosine", algorithm="brute")
    found.fit(vectors[: len(work.pool)])
    yield 0
    found.kneighbors(vectors[len(work.pool) :])
    yield len(work.queries)


def langchain_embedded(work: Work) -> Steps:
    """`SemanticSimilarityExampleSelector` over its store in memory."""
    from langchain_core.example_selectors import SemanticSimilarityExampleSelector
    from langchain_core.vectorstores import InMemoryVectorStore

    known = dict(zip(*_embedded(work), strict=True))

    class Known:
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [known[text].tolist() for text in texts]

        def embed_query(self, text: str) -> list[float]:
            vector: list[float] = known[text].tolist()
            return vector

    yield 0
    selector = SemanticSimilarityExampleSelector.from_examples(
        [{"text": text} for text in work.pool], Known(), InMemoryVectorStore, k=SHOTS
    )
    yield 0
    for text in work.queries[:FEW]:
        selector.select_examples({"text": text})
    yield len(work.queries[:FEW])


def _embedded(work: Work) -> tuple[list[str], np.ndarray[Any, Any]]:
    texts = [*work.pool, *work.queries]
    return texts, work.embed(texts)


CONTESTANTS: dict[str, Callable[[Work], Steps]] = {
    "promptkit similar": ours("similar"),
    "promptkit similar-balanced": ours("similar-balanced"),
    "promptkit diverse": ours("diverse"),
    "promptkit block-similar": ours("block-similar"),
    "promptkit balanced": ours("balanced"),
    "scikit-learn, the same n-grams": scikit_learn,
    "promptkit similar, by vectors": ours_embedded,
    "scikit-learn, by vectors": scikit_learn_embedded,
    "langchain-core, by vectors": langchain_embedded,
}


def measured(name: str, pool: int, queries: int) -> Figure:
    """Return the costs of a contestant in this process."""
    steps = CONTESTANTS[name](messages(pool, queries))
    next(steps)
    base, times = peak_mb(), [(perf_counter(), process_time())]
    next(steps)
    times.append((perf_counter(), process_time()))
    asked = next(steps)
    times.append((perf_counter(), process_time()))
    # Where only some were asked, each of the others takes as long.
    seconds, cpu = (
        prepared - start + (end - prepared) * queries / asked
        for start, prepared, end in zip(*times, strict=True)
    )
    return Figure(name, seconds, cpu, peak_mb(), base, asked)


def measure(name: str, pool: int, queries: int) -> Figure | None:
    """The same in a process of its own; None where it is not installed."""
    command = [sys.executable, "-m", "benchmarks.selection", "--part", name]
    command += ["--pool", str(pool), "--queries", str(queries)]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    if "ModuleNotFoundError" in done.stderr:
        return None
    if done.returncode != 0:
        raise RuntimeError(f"{name}: {(done.stderr.strip() or 'it ended').splitlines()[-1]}")
    return Figure(**json.loads(done.stdout))


def table(figures: Sequence[Figure], pool: int, queries: int) -> Table:
    """The figures side by side; `times ours` is the CPU time beside that of `similar`."""
    by_name = {figure.name: figure for figure in figures}
    rows = []
    for figure in figures:
        vectors = figure.name.endswith("by vectors")
        base = by_name.get("promptkit similar, by vectors" if vectors else "promptkit similar")
        times = f"{figure.cpu_seconds / base.cpu_seconds:.2f}" if base is not None else ""
        more = f"{figure.peak_mb - figure.base_mb:,.0f}"
        cpu = f"{figure.cpu_seconds:,.1f}"
        rows.append((figure.name, f"{figure.seconds:,.1f}", cpu, times, more))
    columns = ("", "seconds:", "CPU seconds:", "times ours:", "MB more:")
    few = [figure for figure in figures if figure.asked < queries]
    notes = [f"{SHOTS} shots for each of {queries:,} queries, a pool of {pool:,}."]
    notes += [f"{figure.name}: measured on {figure.asked} queries." for figure in few]
    return Table("Similar shots", columns, rows, notes)


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.selection", description=__doc__)
    parser.add_argument("--pool", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--only", choices=CONTESTANTS, action="append")
    parser.add_argument("--part", choices=CONTESTANTS, help="measure this here, and print JSON")
    options = parser.parse_args()
    if options.part:
        print(json.dumps(asdict(measured(options.part, options.pool, options.queries))))
        return
    figures = []
    for name in options.only or CONTESTANTS:
        figure = measure(name, options.pool, options.queries)
        figures += [figure] if figure is not None else []
    show(table(figures, options.pool, options.queries), Console(highlight=False))


if __name__ == "__main__":
    main()
