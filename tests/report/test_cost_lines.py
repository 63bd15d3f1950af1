"""Costs of what is compared: the lines, the front and the break-even."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from promptkit.evaluation.metric import ACCURACY, BY_NAME
from promptkit.inference.cell import NO_PROMPT
from promptkit.report import cost_table
from promptkit.report.cost_lines import (
    CostLine,
    cost_lines,
    duration,
    front_of,
    front_sentence,
    is_costed,
    magnitude,
    rate,
)
from promptkit.terminal_text import TextTable


def row(model: str, accuracy: float, rate: float | None, **more: Any) -> dict[str, Any]:
    prompted = more.pop("prompted", True)
    return {
        "model": model,
        "template": "colon.j2" if prompted else NO_PROMPT,
        "selection": "balanced" if prompted else NO_PROMPT,
        "order": "default",
        "verbalizer": "labels",
        "calibration": "none",
        "shots": 0,
        "seed": None,
        "n": 100,
        "accuracy": accuracy,
        "accuracy_ci": None,
        "accuracy_ci_fixed": [accuracy - 0.1, accuracy + 0.1],
        "items_per_second": rate,
        "parameters": 135_000_000 if prompted else 4612,
        "trained_parameters": 0 if prompted else 4612,
        "bytes": 91_000_000 if prompted else 35_000,
        "making_seconds": 0.0,
        "making_tokens": 0,
        "making_labels": more.get("shots", 0),
        **more,
    }


def data_of(*rows: dict[str, Any]) -> dict[str, Any]:
    kinds = {"linear": "trained baseline"}
    models = [
        {"name": one["model"], "architecture": kinds.get(one["model"], "llama")} for one in rows
    ]
    return {"rows": [*rows], "metric": "accuracy", "models": models}


PROMPTS = (
    row("lm", 0.6, 50.0),
    row("lm", 0.8, 20.0, shots=4),
    row("lm", 0.7, 10.0, shots=8),
    row("lm", 0.75, 10.0, shots=8, calibration="batch"),
    row("lm", 0.79, 5.0, shots=8, selection="similar", making_labels=200),
)
STUDENT = row("student", 0.78, 10_000.0, prompted=False, making_seconds=480.0, making_tokens=90_000)
SLOW = row("slow", 0.9, 2.0, prompted=False, making_seconds=10.0)
TABLE = row("words.lookup", 0.5, 1e6, prompted=False, parameters=0, trained_parameters=0)


def test_the_best_prompt_of_each_kind_stands_for_the_others() -> None:
    lines = cost_lines(data_of(*PROMPTS, STUDENT))
    assert [line.name for line in lines] == [
        *("0 shots", "4 shots · balanced", "8 shots · balanced · batch"),
        *("8 shots · similar", "student"),
    ]


def test_a_line_pays_for_itself_after_what_it_took_over_what_it_saves() -> None:
    lines = cost_lines(data_of(*PROMPTS, STUDENT, SLOW, TABLE))
    pays = {line.row["model"]: line.pays_after for line in lines if not line.is_prompt}
    # The best prompt takes 1/20 s: 480 s / (0.05 s - 0.0001 s) = 9,619.2.
    assert pays == {"student": "9,700", "slow": "never", "words.lookup": "at once"}
    assert {line.pays_after for line in lines if line.is_prompt} == {""}


def test_an_adapter_pays_only_where_it_is_faster_than_the_best_prompt() -> None:
    adapted = row("lm+lora", 0.85, 50.0, trained_parameters=900, making_seconds=300.0)
    lines = cost_lines(data_of(*PROMPTS, adapted))
    # It is no prompt that others are held against, though it is better.
    assert [line.pays_after for line in lines] == ["", "", "", "", "10,000"]


def test_nothing_is_said_without_times() -> None:
    timeless = [{**one, "items_per_second": None} for one in (*PROMPTS, STUDENT)]
    lines = cost_lines(data_of(*timeless))
    assert {(line.pays_after, line.on_front) for line in lines} == {("", False)}
    assert front_sentence(lines, ACCURACY) == ""


def test_costs_are_shown_where_something_else_than_prompts_is_compared() -> None:
    assert not is_costed(data_of(*PROMPTS))
    assert is_costed(data_of(*PROMPTS, TABLE))
    assert is_costed(data_of(*PROMPTS, row("lm+lora", 0.8, 9.0, trained_parameters=900)))
    assert not is_costed(data_of(*PROMPTS, row("linear", 0.8, 900.0, prompted=False)))
    older = [{k: v for k, v in one.items() if k != "trained_parameters"} for one in PROMPTS]
    assert not is_costed(data_of(*older))


def test_the_front_is_said_in_words() -> None:
    lines = cost_lines(data_of(*PROMPTS, STUDENT))
    assert front_sentence(lines, ACCURACY) == (
        "Nothing else is both better and faster than one of these: student (78 %, 10,000 items/s); "
        "4 shots · balanced (80 %, 20 items/s)."
    )


values = st.tuples(st.integers(0, 5), st.integers(1, 5))


@given(st.lists(values, max_size=8), st.sampled_from(["accuracy", "mae"]))
def test_the_front_is_what_nothing_dominates(drawn: list[tuple[int, int]], name: str) -> None:
    metric = BY_NAME[name]
    lines = [CostLine(str(i), {name: v}, float(s)) for i, (v, s) in enumerate(drawn)]
    front = {(line.row[name], line.seconds) for line in front_of(lines, metric, "seconds")}
    points = {(v, float(s)) for v, s in drawn}
    sign = metric.sign

    def dominated(one: tuple[int, float]) -> bool:
        return any(sign * v >= sign * one[0] and s <= one[1] and (v, s) != one for v, s in points)

    assert front == {one for one in points if not dominated(one)}


def test_nearly_equal_times_are_equal() -> None:
    quick, good = (
        CostLine("quick", {"accuracy": 0.5}, 1.0),
        CostLine("good", {"accuracy": 0.6}, 1.05),
    )
    slow, same = CostLine("slow", {"accuracy": 0.6}, 1.2), CostLine("same", {"accuracy": 0.6}, 1.1)
    assert front_of([quick, good, slow, same], ACCURACY, "seconds") == [good, same]
    assert front_of([quick, slow], ACCURACY, "seconds") == [quick, slow]


def test_columns_that_say_nothing_are_left_out() -> None:
    plain = [{**one, "making_labels": 0} for one in PROMPTS]
    assert [one.title for one in cost_table.shown_columns(cost_lines(data_of(*plain)))] == [
        *("parameters", "on disk", "items/s"),
    ]
    every = cost_table.shown_columns(cost_lines(data_of(*PROMPTS, STUDENT)))
    assert every == [*cost_table.COLUMNS]


def test_numbers_are_short() -> None:
    assert [magnitude(n) for n in (None, 0, 999, 4612, 99_960, 134_515_008, 7.24e9)] == [
        *("–", "0", "999", "4.6k", "100k", "135M", "7.2B"),
    ]
    assert [magnitude(n, "B") for n in (35_000, 91_726_720, 4.1e9)] == ["35 kB", "92 MB", "4.1 GB"]
    assert [rate(r) for r in (None, 0.523, 9.87, 45.4, 12_345.6)] == [
        *("–", "0.52", "9.9", "45", "12,300"),
    ]
    assert [duration(s) for s in (None, 0, 0.04, 35, 119, 480, 5400)] == [
        *("–", "0", "0.04 s", "35 s", "2.0 min", "8.0 min", "1.5 h"),
    ]


def test_a_narrow_terminal_shows_two_tables() -> None:
    data = data_of(*PROMPTS, STUDENT)
    wide, narrow = (
        [
            one.names
            for one in cost_table.costs(data, width)
            if isinstance(one, TextTable) and len(one.names) > 2
        ]
        for width in (140, 80)
    )
    assert [len(headers) for headers in wide] == [2 + 1 + len(cost_table.COLUMNS)]
    assert [headers[2] for headers in narrow] == ["accuracy", "made in"]
