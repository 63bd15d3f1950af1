"""A few of the settings of `benchmarks.coverage`, with few samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import coverage
from promptkit.evaluation.intervals import Interval

pytestmark = pytest.mark.slow

RUNS = 200

SETTINGS = {
    (setting.of, setting.where): setting for setting in coverage.settings() if not setting.why
}
CHOSEN = [
    ("accuracy", "37 queries, 3 seeds, 0.60"),
    ("paired difference", "37 queries, 3 seeds, 0.50 and 0.70"),
    ("paired difference", "100 queries, 1 seed, 0.60 and 0.65"),
    ("deviation by a factor", "37 queries, 4 levels, 0.60 ± 0.10"),
    ("range of levels", "100 queries, 3 levels, 0.60 ± 0.10"),
    ("deviation by query", "37 queries, 12 cells, 0.80"),
    ("deviation by residual", "100 queries, 12 cells, 0.80"),
]


@pytest.mark.parametrize("key", CHOSEN, ids=" of ".join)
def test_intervals_cover_the_truth(key: tuple[str, str]) -> None:
    covered = coverage.measure(SETTINGS[key], RUNS)
    assert 0.91 <= covered.within <= 0.99
    assert max(covered.below, covered.above) <= 0.07


def test_comparisons_in_which_nothing_differs_seldom_say_better() -> None:
    assert coverage.false_claims(60, 2, [0.6] * 3, 100) <= 0.06


def test_planned_queries_show_the_difference() -> None:
    assert 0.7 <= coverage.true_claims(55, 0.5, 0.7, RUNS) <= 0.9


def test_what_is_missed_is_counted_on_its_side() -> None:
    ends = iter([(0.0, 0.4), (0.6, 1.0), (0.5, 1.0), (0.0, 1.0)])
    setting = coverage.Setting("it", "here", 0.5, lambda _: Interval(*next(ends)))
    covered = coverage.measure(setting, 4)
    assert (covered.within, covered.below, covered.above) == (0.5, 0.25, 0.25)


def test_the_benchmark_writes_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "evidence.md"
    page.write_text("# Evidence\n{}\nold\n{}\n".format(*coverage.MARKS), "utf-8")
    monkeypatch.setattr(coverage, "PAGE", page)
    coverage.main(["--runs", "2", "--write"])
    text = page.read_text("utf-8")
    assert "old" not in text
    assert "| paired difference | 37 queries, 1 seed, 0.60 and 0.60 |" in text
    assert "says better, nothing is" in text
    assert "Coverage of 95 % intervals" in capsys.readouterr().out


def test_the_page_has_the_section() -> None:
    text = coverage.PAGE.read_text("utf-8")
    begin, end = coverage.MARKS
    assert text.index(begin) < text.index(end)
