"""Training of static word vectors: those of a model, moved towards what a task needs.

As in model2vec, each word is put through an embedding model alone, and the vectors are reduced to
their principal components and weighted by how rare the word is. So no vectors are downloaded, and
any language that the model knows has some. Then vectors and the linear head learn together.

Minish Lab, "Model2Vec: fast state-of-the-art static embeddings", 2024; the weights are those of
Arora, Liang and Ma, "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from promptkit.students.features import Floats
from promptkit.students.hashed_grams import BITS, layers_of, words_of
from promptkit.students.linear_head import LinearHead, fit_head, slopes_of
from promptkit.students.minimiser import minimise
from promptkit.students.static_features import StaticFeatures
from promptkit.students.training_set import Table, TrainingSet

DIMENSIONS = 128
"""Number of principal components that are kept."""

MOST_WORDS, FEW = 8_000, 200
"""Number of words that get a vector, and number of texts up to which a word of one text does."""

FREEDOMS = (0.0, 0.1, 1.0, 10.0)
"""How far vectors may move; which is best is found on held-out rows, 0 for not at all."""

Embed = Callable[[Sequence[str]], ArrayLike]

_RARE = 1e-3  # share of a word from which it counts less than half
_HELD_OUT = 0.2
_TOLERANCE, _ROUNDS = 1e-5, 100


class _Problem(NamedTuple):
    shares: Any
    """Share of each word in each text, (rows, words)."""
    targets: Table
    weights: Table

    def at(self, rows: NDArray[np.intp]) -> _Problem:
        return _Problem(self.shares[rows], self.targets[rows], self.weights[rows])


def word_vectors(texts: Sequence[str], embed: Embed, source: str) -> StaticFeatures:
    """Return vectors of the words of texts, as a model has them.

    Args:
        texts: The texts.
        embed: Returns vectors of texts.
        source: Name of the model.
    """
    words = words_of(texts)
    buckets = _common(texts, words)
    if not len(buckets):
        return StaticFeatures(buckets, np.zeros((0, 1), np.float32), source)
    vectors = np.asarray(embed([words[bucket] for bucket in buckets.tolist()]), np.float64)
    vectors = vectors - vectors.mean(axis=0)
    _, sizes, directions = np.linalg.svd(vectors, full_matrices=False)
    kept = min(DIMENSIONS, int((sizes > 1e-6 * sizes.max(initial=0)).sum()) or 1)
    vectors = vectors @ directions[:kept].T
    plain = StaticFeatures(buckets, np.zeros((len(buckets), 1), np.float32), source)
    counts = np.asarray(plain.shares(texts).sum(axis=0)).ravel()
    rarity = _RARE / (_RARE + counts / max(counts.sum(), 1))
    vectors *= rarity[:, np.newaxis]
    scale = np.sqrt((vectors**2).sum(axis=1).mean()) or 1.0
    return StaticFeatures(buckets, (vectors / scale).astype(np.float32), source)


def _common(texts: Sequence[str], words: Mapping[int, str]) -> NDArray[np.int32]:
    """Return the buckets of the commonest words, ascending: a model takes its time for each."""
    counts = np.zeros(1 << BITS, np.int64)
    for _, layers in layers_of(texts):
        np.add.at(counts, layers[0].buckets, 1)
    least = 1 if len(texts) <= FEW else 2
    known = np.array([bucket for bucket in words if counts[bucket] >= least], np.int32)
    order = np.argsort(-counts[known], kind="stable")[:MOST_WORDS]
    return np.sort(known[order])


def fit_static(
    rows: TrainingSet, features: StaticFeatures, strengths: Sequence[float], seed: int
) -> tuple[StaticFeatures, LinearHead]:
    """Return word vectors and a head that have learnt a training set together.

    Args:
        rows: The rows.
        features: Vectors to begin with.
        strengths: Strengths of regularisation of the head to choose from.
        seed: Number of the draws of held-out rows.
    """
    matrix = features.matrix(rows.texts)
    spread = float(np.sqrt((matrix**2).sum(axis=1).mean())) or 1.0
    vectors = features.vectors / np.float32(spread)  # so that texts are of length one or so
    problem = _Problem(features.shares(rows.texts), rows.targets, rows.row_weights)
    head = fit_head(matrix / spread, rows.targets, rows.row_weights, strengths=strengths, seed=seed)
    freedom = _freedom(problem, vectors, head.strength, seed)
    moved, weights, bias = _together(problem, vectors, head.strength, freedom)
    made = StaticFeatures(features.buckets, moved.astype(np.float32), features.source)
    return made, LinearHead(
        weights.astype(np.float32), bias.astype(np.float32), head.strength, head.losses
    )


def _freedom(problem: _Problem, vectors: Floats, strength: float, seed: int) -> float:
    """Return how far vectors move best, by the loss of held-out rows."""
    count = len(problem.targets)
    order = np.random.default_rng(seed).permutation(count)
    held = int(_HELD_OUT * count)
    if not held or not len(vectors):
        return 0.0
    asked, known = problem.at(order[:held]), problem.at(order[held:])
    losses = []
    for freedom in FREEDOMS:
        moved, weights, bias = _together(known, vectors, strength, freedom)
        each, _ = slopes_of((asked.shares @ moved) @ weights + bias, asked.targets)
        losses.append(float(each @ asked.weights))
        if losses[-1] > min(losses):
            break
    return FREEDOMS[int(np.argmin(losses))]


def _together(
    problem: _Problem, vectors: Floats, strength: float, freedom: float
) -> tuple[Table, Table, Table]:
    """Return the vectors, the weights and the biases with the least loss.

    The vectors' distance from where they began costs the more the smaller `freedom` is.
    """
    words, dimensions = vectors.shape
    start = vectors.astype(np.float64)
    labels = problem.targets.shape[1]
    outputs = 1 if labels <= 2 else labels - 1
    shares, turned = problem.shares, problem.shares.T.tocsr()
    size = dimensions * outputs
    moving = words * dimensions if freedom else 0

    def parts(flat: Table) -> tuple[Table, Table, Table]:
        weights = flat[:size].reshape(dimensions, outputs)
        bias = flat[size : size + outputs]
        moved = start + flat[size + outputs :].reshape(words, dimensions) if moving else start
        return moved, weights, bias

    def value(flat: Table) -> tuple[float, Table]:
        moved, weights, bias = parts(flat)
        means = shares @ moved
        each, slope = slopes_of(means @ weights + bias, problem.targets)
        slope = slope * problem.weights[:, np.newaxis]
        total = each @ problem.weights + (weights**2).sum() / (2 * strength)
        found = np.zeros_like(flat)
        found[:size] = (means.T @ slope + weights / strength).ravel()
        found[size : size + outputs] = slope.sum(axis=0)
        if moving:
            step = flat[size + outputs :]
            total += (step**2).sum() / (2 * freedom)
            found[size + outputs :] = (turned @ (slope @ weights.T)).ravel() + step / freedom
        return float(total), found

    begin = np.zeros(size + outputs + moving)
    return parts(minimise(value, begin, tolerance=_TOLERANCE, rounds=_ROUNDS))
