from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from promptkit.calibration import methods
from promptkit.calibration.methods import (
    CALIBRATIONS,
    HeldOut,
    batch,
    contextual,
    domain_context,
    normalised,
    pmi,
    temperature,
    vector,
)
from promptkit.evaluation.metrics import expected_calibration_error, log_losses

Scores = methods.Scores
NO_CHANCE = -np.inf

settings.register_profile("calibrate", deadline=None, max_examples=20)
relaxed = settings.get_profile("calibrate")


def tables(labels: int, most: int = 6) -> st.SearchStrategy[Scores]:
    """Scores of up to so many queries, now and then without a chance for a label."""
    number = st.floats(-30, 3, width=32)
    rows = st.lists(
        st.lists(number | st.just(NO_CHANCE), min_size=labels, max_size=labels).filter(
            lambda row: max(row) > NO_CHANCE
        ),
        min_size=1,
        max_size=most,
    )
    return rows.map(np.array)


@st.composite
def cases(draw: st.DrawFn, labels: st.SearchStrategy[int] = st.integers(1, 4)) -> Any:
    """Scores, and all that methods may see beside them, as the argument of each method."""
    count = draw(labels)
    held = draw(tables(count, 8))
    gold = draw(st.lists(st.integers(0, count - 1), min_size=len(held), max_size=len(held)))
    probes = draw(tables(count, 4))
    return draw(tables(count)), probes, HeldOut(held, np.array(gold))


def calibrations(probes: Scores, held_out: HeldOut) -> dict[str, Callable[[Scores], Scores]]:
    """Every method, as a function of the scores alone."""
    return {
        "contextual": lambda scores: contextual(scores, probes),
        "domain-context": lambda scores: domain_context(scores, probes),
        "batch": batch,
        "pmi": lambda scores: pmi(scores, probes),
        "temperature": lambda scores: temperature(scores, held_out),
        "vector": lambda scores: vector(scores, held_out),
    }


def test_every_method_is_tested() -> None:
    assert tuple(calibrations(np.zeros((1, 1)), HeldOut(np.zeros((1, 1)), [0]))) == CALIBRATIONS


# What holds for all of them.


@settings(relaxed)
@given(cases())
def test_whatever_comes_in_log_probabilities_come_out(case: Any) -> None:
    scores, probes, held_out = case
    for method in calibrations(probes, held_out).values():
        result = method(scores)
        assert result.shape == scores.shape
        assert not np.isnan(result).any()
        assert np.exp(result).sum(axis=1) == pytest.approx(1)
        assert (result[scores == NO_CHANCE] == NO_CHANCE).all()


@settings(relaxed)
@given(cases(), st.floats(-20, 20))
def test_a_constant_per_query_changes_nothing(case: Any, constant: float) -> None:
    scores, probes, held_out = case
    moved = scores + constant * np.arange(1, len(scores) + 1)[:, np.newaxis]
    for method in calibrations(probes, held_out).values():
        assert method(moved) == pytest.approx(method(scores), abs=1e-6)
    shifted = calibrations(probes + constant, held_out._replace(scores=held_out.scores - constant))
    for name, method in calibrations(probes, held_out).items():
        assert shifted[name](scores) == pytest.approx(method(scores), abs=1e-4)


@pytest.mark.slow
@settings(relaxed)
@given(cases(), st.randoms(use_true_random=False))
def test_labels_in_another_order_are_calibrated_alike(case: Any, random: Any) -> None:
    scores, probes, held_out = case
    order = list(range(scores.shape[1]))
    random.shuffle(order)
    gold = np.argsort(order)[held_out.gold]
    other = calibrations(probes[:, order], HeldOut(held_out.scores[:, order], gold))
    for name, method in calibrations(probes, held_out).items():
        assert other[name](scores[:, order]) == pytest.approx(method(scores)[:, order], abs=1e-3)


@settings(relaxed)
@given(cases())
def test_only_batch_calibration_sees_other_queries(case: Any) -> None:
    scores, probes, held_out = case
    for name, method in calibrations(probes, held_out).items():
        if name != "batch":
            alone = np.concatenate([method(row[np.newaxis]) for row in scores])
            assert alone == pytest.approx(method(scores), abs=1e-9)


@settings(relaxed)
@given(cases(st.just(1)))
def test_the_only_label_is_certain(case: Any) -> None:
    scores, probes, held_out = case
    for method in calibrations(probes, held_out).values():
        assert (method(scores) == 0).all()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "shape"),
        (np.zeros((0, 2)), "shape"),
        (np.zeros((2, 0)), "shape"),
        ([-1.0, -2.0], "shape"),
        (np.zeros((2, 2, 2)), "shape"),
        ([[float("nan"), 0.0]], "numbers"),
        ([[np.inf, 0.0]], "numbers"),
        ([[NO_CHANCE, NO_CHANCE]], "no chance"),
    ],
)
def test_scores_that_are_none_are_refused(bad: Any, says: str) -> None:
    good = np.zeros((3, 2))
    for method in calibrations(good, HeldOut(good, [0, 1, 0])).values():
        with pytest.raises(ValueError, match=says):
            method(bad)
    for name in ("contextual", "domain-context", "pmi", "temperature", "vector"):
        with pytest.raises(ValueError, match=says):
            calibrations(bad, HeldOut(bad, [0]))[name](good)


@pytest.mark.parametrize("gold", [[0], [0, 2], [-1, 0], [0.5, 1.0], [[0, 1]]])
def test_gold_labels_that_do_not_fit_are_refused(gold: Any) -> None:
    for method in (temperature, vector):
        with pytest.raises(ValueError, match=r"gold|examples"):
            method(np.zeros((1, 2)), HeldOut(np.zeros((2, 2)), gold))


def test_other_labels_are_refused() -> None:
    for name, method in calibrations(np.zeros((1, 3)), HeldOut(np.zeros((1, 3)), [0])).items():
        if name != "batch":
            with pytest.raises(ValueError, match=r"compared|expected"):
                method(np.zeros((2, 2)))


# Content-free inputs.


@settings(relaxed)
@given(cases())
def test_what_is_said_of_nothing_becomes_uniform(case: Any) -> None:
    _, probes, _ = case
    chances = np.exp(probes).mean(axis=0)
    if chances.min() > 0:
        for method in (contextual, domain_context, pmi):
            uniform = np.full((1, len(chances)), -np.log(len(chances)))
            assert method(np.log(chances)[np.newaxis], probes) == pytest.approx(uniform)


@settings(relaxed)
@given(st.integers(1, 5).flatmap(lambda labels: st.tuples(tables(labels), tables(labels))))
def test_contextual_is_the_quotient_of_probabilities(tables: Any) -> None:
    scores, probes = tables
    prior = np.exp(probes).mean(axis=0)
    prior = np.where(prior > 0, prior, prior[prior > 0].min())
    quotients = np.exp(log_softmax(scores, axis=1)) / prior
    expected = quotients / quotients.sum(axis=1, keepdims=True)
    assert np.exp(contextual(scores, probes)) == pytest.approx(expected, abs=1e-9)


def test_several_content_free_inputs_are_averaged_as_probabilities() -> None:
    probes = np.log([[0.9, 0.1], [0.5, 0.5]])
    expected = np.array([[0.5 / 0.7, 0.5 / 0.3]])
    calibrated = np.exp(contextual(np.log([[0.5, 0.5]]), probes))
    assert calibrated == pytest.approx(expected / expected.sum())


@pytest.mark.parametrize("method", [contextual, domain_context, pmi])
def test_inputs_are_averaged_before_they_are_normalised(method: Any) -> None:
    probes = np.array([[0.6, 0.2], [0.0, 0.001]])  # the second hardly gives either label
    average = probes.mean(axis=0)
    average /= average.sum()
    label_probs = np.array([0.7, 0.3])
    expected = np.linalg.inv(np.identity(2) * average) @ label_probs
    with np.errstate(divide="ignore"):
        calibrated = np.exp(method(np.log([label_probs]), np.log(probes)))
    assert calibrated[0] == pytest.approx(expected / expected.sum())


@settings(relaxed)
@given(cases())
def test_an_input_without_coverage_counts_for_nothing(case: Any) -> None:
    scores, probes, _ = case
    faint = np.concatenate([probes, probes[:1] - 80])
    for method in (contextual, domain_context, pmi):
        once, again = method(scores, probes), method(scores, faint)
        if (probes > NO_CHANCE).all():
            assert again == pytest.approx(once, abs=1e-6)


def test_pmi_is_the_difference_of_logarithms() -> None:
    scores, premise = np.array([[-3.0, -1.0, -2.0]]), np.array([[-5.0, -1.5, -2.5]])
    assert pmi(scores, premise) == pytest.approx(log_softmax(scores - premise, axis=1))


def test_a_label_that_a_probe_gives_no_chance_counts_as_its_least_likely_one() -> None:
    probes = np.array([[0.0, -2.0, NO_CHANCE]])
    assert contextual([[0.0, 0.0, 0.0]], probes) == pytest.approx(
        contextual([[0.0, 0.0, 0.0]], [[0.0, -2.0, -2.0]])
    )


# Batch calibration.


@settings(relaxed)
@given(st.integers(1, 5).flatmap(lambda labels: tables(labels)))
def test_batch_calibration_makes_the_mean_over_queries_the_same_for_every_label(
    scores: Scores,
) -> None:
    scores = np.where(scores == NO_CHANCE, -25.0, scores)
    means = batch(scores).mean(axis=0)
    assert means == pytest.approx(np.full(len(means), means[0]), abs=1e-9)
    assert batch(batch(scores)) == pytest.approx(batch(scores), abs=1e-9)


def test_batch_calibration_subtracts_the_mean_logit() -> None:
    scores = np.array([[-1.0, -4.0], [-2.0, -3.0], [-3.0, -2.0]])
    expected = log_softmax(scores - scores.mean(axis=0), axis=1)
    assert batch(scores) == pytest.approx(expected)


def test_batch_calibration_of_one_query_leaves_nothing_to_choose() -> None:
    assert np.exp(batch([[-1.0, -9.0]])) == pytest.approx(np.array([[0.5, 0.5]]))


def test_batch_calibration_undoes_a_preference_that_all_queries_share() -> None:
    rng = np.random.default_rng(0)
    gold = np.arange(300) % 3
    fair = rng.normal(0, 1, (300, 3)) + 2 * np.eye(3)[gold]
    biased = fair + np.array([4.0, 0.0, -3.0])
    assert (biased.argmax(axis=1) == gold).mean() < 0.5
    assert (batch(biased).argmax(axis=1) == gold).mean() > 0.85


# Held-out labels.


@settings(relaxed)
@given(cases())
def test_temperature_changes_no_order(case: Any) -> None:
    scores, _, held_out = case
    result = temperature(scores, held_out)
    for before, after in zip(normalised(scores), result, strict=True):
        ahead = before[:, np.newaxis] > before + 1e-9
        assert (after[:, np.newaxis] >= after)[ahead].all()


def simulated(n: int, factor: float, shift: Any = 0.0, seed: int = 0) -> HeldOut:
    """Examples whose scores are off by a factor and a shift per label."""
    rng = np.random.default_rng(seed)
    truth = log_softmax(rng.normal(0, 1.5, (n, 3)), axis=1)
    gold = np.array([rng.choice(3, p=np.exp(row)) for row in truth])
    return HeldOut(truth * factor + shift, gold)


class Itself(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A model whose scores are its inputs."""

    def fit(self, scores: Any, gold: Any) -> Itself:
        self.classes_ = np.unique(gold)
        return self

    def decision_function(self, scores: Any) -> Any:
        return scores

    def predict(self, scores: Any) -> Any:
        return self.classes_[scores.argmax(axis=1)]


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_temperature_is_scikit_learns(factor: float) -> None:
    """A normal prior hardly moves what two thousand examples say."""
    if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8):
        pytest.skip("scikit-learn 1.8 has temperature scaling")
    known, queries = simulated(2000, factor), simulated(500, factor, seed=1)
    estimator = FrozenEstimator(Itself().fit(*known))
    scaled = CalibratedClassifierCV(estimator, method="temperature").fit(*known)
    expected = scaled.predict_proba(queries.scores)
    assert np.exp(temperature(queries.scores, known)) == pytest.approx(expected, abs=2e-3)


def test_temperature_is_the_minimum_of_what_it_says() -> None:
    known = simulated(20, 4.0)
    inverses = np.geomspace(0.01, 100, 4_001)
    rows = normalised(known.scores)
    losses = [
        -log_softmax(inverse * rows, axis=1)[range(20), known.gold].sum() + (inverse - 1) ** 2 / 2
        for inverse in inverses
    ]
    expected = log_softmax(inverses[np.argmin(losses)] * rows, axis=1)
    assert temperature(known.scores, known) == pytest.approx(expected, abs=1e-2)


def test_vector_scaling_is_the_minimum_of_what_it_says() -> None:
    """The objective by hand, through another optimiser and without its slope."""
    from scipy.optimize import minimize

    known = simulated(30, 2.0, [1.0, 0.0, -1.0])
    rows = normalised(known.scores)

    def scaled(numbers: Scores) -> Scores:
        return np.asarray(log_softmax(rows * numbers[:3] + numbers[3:], axis=1))

    def loss(numbers: Scores) -> float:
        strain = ((numbers - [1, 1, 1, 0, 0, 0]) ** 2).sum() / 2
        return float(-scaled(numbers)[range(30), known.gold].sum() + strain)

    found = minimize(loss, [1.0] * 3 + [0.0] * 3, method="BFGS")
    assert vector(known.scores, known) == pytest.approx(scaled(found.x), abs=1e-3)


@pytest.mark.parametrize("method", [temperature, vector])
def test_held_out_labels_make_confidence_mean_what_it_says(method: Any) -> None:
    known, queries = simulated(64, 5.0), simulated(2000, 5.0, seed=1)
    before, after = normalised(queries.scores), method(queries.scores, known)
    gold = queries.gold
    assert log_losses(after, gold).mean() < 0.6 * log_losses(before, gold).mean()
    ece = [expected_calibration_error(np.exp(scores), gold) for scores in (before, after)]
    assert ece[1] < 0.5 * ece[0]


def test_vector_scaling_undoes_a_preference() -> None:
    shift = [4.0, 0.0, -3.0]
    known, queries = simulated(64, 1.0, shift), simulated(2000, 1.0, shift, seed=1)
    best = (simulated(2000, 1.0, seed=1).scores.argmax(axis=1) == queries.gold).mean()
    before = (normalised(queries.scores).argmax(axis=1) == queries.gold).mean()
    after = (vector(queries.scores, known).argmax(axis=1) == queries.gold).mean()
    assert before < best - 0.2
    assert after > best - 0.05


def test_a_label_that_is_never_held_out_stays_possible() -> None:
    known = HeldOut(np.log([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]] * 10), [0, 1] * 10)
    chances = np.exp(vector(np.log([[0.1, 0.1, 0.8]]), known))
    assert chances[0].argmax() == 2


@pytest.mark.parametrize("method", [temperature, vector])
@pytest.mark.parametrize("gold", [0, 1])
def test_one_held_out_example_does_not_turn_everything(method: Any, gold: int) -> None:
    calibrated = method(np.log([[0.8, 0.2]]), HeldOut(np.log([[0.9, 0.1]]), [gold]))
    assert 0.3 < np.exp(calibrated[0, 0]) < 0.95
