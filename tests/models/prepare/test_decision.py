"""Which weights and settings win, given readings: pure functions, with a made-up machine."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptkit.models.prepare.decision import (
    WORTH_A_CHANGE,
    WORTH_A_FILE,
    fastest_settings,
    fastest_weights,
    is_settled,
    read_until_settled,
)

SPEEDS = {"Q4_1": 236.0, "F16": 482.0, "BF16": 443.0, "F32": 593.0}
"""Tokens a second of a machine at rest."""

SIZES = {"Q4_1": 98, "F16": 271, "BF16": 271, "F32": 540}

TOKENS = 128

Slowdown = Callable[[random.Random], float]

LOADS: dict[str, Slowdown] = {
    "at rest": lambda chance: 1 + abs(chance.gauss(0, 0.01)),
    "busy": lambda chance: chance.uniform(1, 1.3),
    "busy at times": lambda chance: 1 if chance.random() < 0.5 else chance.uniform(1.2, 3),
    "one after another": lambda chance: 1 + chance.expovariate(1 / 0.15),
}
"""Other work on the machine: how many times as long a reading takes."""


class Machine:
    """Readings that other work makes longer, and a clock that they move on."""

    def __init__(self, load: Slowdown, seed: int) -> None:
        self.load, self.chance, self.now = load, random.Random(seed), 0.0

    def read(self, index: int) -> float:
        seconds = TOKENS / [*SPEEDS.values()][index] * self.load(self.chance)
        self.now += seconds
        return seconds

    def measured(self, limit: float) -> tuple[dict[str, float], list[list[float]]]:
        readings = read_until_settled(self.read, len(SPEEDS), clock=lambda: self.now, limit=limit)
        return {
            kind: TOKENS / min(seconds) for kind, seconds in zip(SPEEDS, readings, strict=True)
        }, readings


@pytest.mark.slow
@pytest.mark.parametrize("load", LOADS)
def test_the_right_weights_win_on_a_busy_machine(load: str) -> None:
    wrong = settled = 0
    for seed in range(200):
        speeds, readings = Machine(LOADS[load], seed).measured(limit=40)
        settled += is_settled(readings)
        wrong += fastest_weights(speeds, SIZES) != "F32"
    assert wrong <= 1
    assert settled >= 150


def test_three_readings_were_too_few_on_a_busy_machine() -> None:
    """The rule before: the fastest of three, whatever they were."""

    def chosen(seed: int) -> str:
        machine = Machine(LOADS["busy at times"], seed)
        rounds = [[machine.read(index) for index in range(4)] for _ in range(3)]
        best = [min(column) for column in zip(*rounds, strict=True)]
        speeds = {kind: TOKENS / s for kind, s in zip(SPEEDS, best, strict=True)}
        return fastest_weights(speeds, SIZES)

    assert sum(chosen(seed) != "F32" for seed in range(200)) > 20


def test_a_machine_at_rest_is_measured_in_three_rounds_or_a_few() -> None:
    for seed in range(50):
        _, readings = Machine(LOADS["at rest"], seed).measured(limit=60)
        assert 3 <= len(readings[0]) <= 5


def test_rounds_go_there_and_back_again_and_end_in_time() -> None:
    order: list[int] = []
    now = [0.0]

    def read(index: int) -> float:
        order.append(index)
        now[0] += 1
        return 1 / len(order)  # never settles

    readings = read_until_settled(read, 3, clock=lambda: now[0], limit=8)
    assert order == [0, 1, 2, 2, 1, 0, 0, 1, 2]
    assert [len(own) for own in readings] == [3, 3, 3]
    assert not is_settled(readings)


def test_readings_settle_once_two_others_confirm_the_best() -> None:
    assert not is_settled([[1.0, 1.0]])
    assert is_settled([[1.0, 1.0, 1.0]])
    assert is_settled([[1.0, 1.3, 1.04, 1.04]])
    assert not is_settled([[1.0, 1.3, 1.04, 1.06]]), "the best stands alone with one other"
    assert not is_settled([[1.04, 1.04, 1.0]]), "it improved in the last two rounds"
    assert is_settled([[1.04, 1.04, 1.0, 1.2, 1.1]])
    assert not is_settled([[1.0, 1.0, 1.0], [2.0, 1.5, 1.5]])


def test_a_file_of_its_own_must_be_much_faster_than_the_models() -> None:
    sizes = {"Q4_1": 98, "F16": 271}
    assert fastest_weights({"Q4_1": 100, "F16": 119}, sizes) == "Q4_1"
    assert fastest_weights({"Q4_1": 100, "F16": 121}, sizes) == "F16"


def test_between_two_files_noise_and_bytes_decide() -> None:
    noisy = {"Q4_1": 167.0, "F16": 343.0, "BF16": 307.0, "F32": 401.0}
    assert fastest_weights(noisy, SIZES) == "F32"
    same = {"Q4_1": 100.0, "F16": 200.0, "BF16": 208.0, "F32": 218.0}
    assert fastest_weights(same, SIZES) == "F16", "F32 takes twice the bytes for 9 %"
    assert fastest_weights({**same, "BF16": 211.0}, SIZES) == "BF16"
    assert fastest_weights({**same, "F32": 221.0}, SIZES) == "F32"


@given(st.lists(st.floats(1, 1e6), min_size=1, max_size=6))
def test_the_first_settings_stay_unless_others_are_clearly_faster(speeds: list[float]) -> None:
    by_index = dict(enumerate(speeds))
    winner = fastest_settings(by_index)
    if max(speeds) <= WORTH_A_CHANGE * speeds[0]:
        assert winner == 0
    else:
        assert by_index[winner] > WORTH_A_CHANGE * speeds[0]
    assert by_index[winner] * WORTH_A_CHANGE >= max(speeds)


@given(st.lists(st.floats(1, 1e6), min_size=4, max_size=4))
def test_weights_that_win_are_worth_their_file(values: list[float]) -> None:
    speeds = dict(zip(SPEEDS, values, strict=True))
    winner = fastest_weights(speeds, SIZES)
    if winner != "Q4_1":
        assert speeds[winner] > WORTH_A_FILE * speeds["Q4_1"]
    else:
        assert max(values) <= WORTH_A_FILE * speeds["Q4_1"]
