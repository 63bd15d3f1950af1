from __future__ import annotations

from promptkit.evaluation import caveats


def test_few_queries() -> None:
    assert caveats.few_queries(100, 0.1) is None
    assert caveats.few_queries(37, 0.25) == (
        "37 queries are few: true differences below about 25 points mostly go unseen; add tests "
        "before you decide."
    )
    assert caveats.few_queries(1, None) == (
        "1 query is few: no difference would be significant; add tests before you decide."
    )


def test_picked_on_the_tests() -> None:
    assert caveats.picked(1, 51, 0.0) is None
    assert caveats.picked(4, 51, 0.0) is None  # the same answers in all cells
    assert caveats.picked(15, 51, 0.03) == (
        "Selection bias: the best of 15 cells was chosen on the same 51 tests; expect about 3 "
        "points less on new data. Confirm it on held-out tests before reporting it."
    )
    assert "expect" not in str(caveats.picked(2, 51, 0.001))


def test_one_seed() -> None:
    assert caveats.one_seed(2) is None
    assert "--seeds 8" in str(caveats.one_seed(1))


def test_low_coverage() -> None:
    assert caveats.low_coverage("at 0 shots", 0.5) is None
    assert caveats.low_coverage("", 0.08) == (
        "The model gives 8 % of its probability to the labels, so something else is likelier: name "
        "the labels in the template, word them as the model would, or add shots."
    )
    said = ["The\n fruit", "yes", "yes", "no", "maybe"]
    assert caveats.low_coverage("at 0 shots", 0.001, said, (2, 5)) == (
        "The model gives less than 1 % of its probability to the labels at 0 shots (and less than "
        'half in 2 of 5 cells); its free-form answers are something else, such as "yes" (2 of 5), '
        '"The⏎ fruit" (1 of 5), "no" (1 of 5): name the labels in the template, word them as the '
        "model would, or add shots."
    )


def test_low_coverage_where_free_form_answers_are_labels_or_empty() -> None:
    gives = "The model gives 20 % of its probability to the labels"
    assert caveats.low_coverage("", 0.2, [], labels=3) == (
        f"{gives}, yet 3 of 3 free-form answers are labels: the labels fit, and the rest of the "
        "probability is spread over other texts."
    )
    assert caveats.low_coverage("", 0.2, ["", ""], labels=1) == (
        f"{gives}, and 2 of 3 free-form answers are empty: look at the white space around the "
        "answer (promptkit render --whitespace), or add shots."
    )
    assert caveats.low_coverage("", 0.2, ["yes", ""], labels=1) == (
        f'{gives}; its free-form answers are something else, such as "yes" (1 of 3): name the '
        "labels in the template, word them as the model would, or add shots."
    )


def test_majority() -> None:
    assert caveats.not_above_baseline("pome", 0.3, 0, 2) is None
    assert caveats.not_above_baseline("pome", 0.3, 2, 2) == (
        'No cell significantly beats the majority-class baseline ("pome", 30 %); change the '
        "template, the labels or the model, or add tests."
    )
    assert caveats.not_above_baseline("pome", 0.3, 1, 3) == (
        '1 of 3 cells does not significantly beat the majority-class baseline ("pome", 30 %).'
    )


def test_labels_unseen_and_ties() -> None:
    assert caveats.labels_unseen(8, "pome", 0.0) is None
    assert caveats.labels_unseen(8, "pome", 0.4) == (
        '40 % of the prompts with 8 shots have no shot of "pome", and small models seldom answer a '
        "label without a shot: try --selection balanced."
    )
    assert caveats.ties(0, 10) is None
    assert caveats.ties(1, 1000) == (
        "Exact ties: in 1 of 1,000 predictions the two best labels have the same score, and the "
        "first of them in the task is the answer; check that their words differ."
    )
