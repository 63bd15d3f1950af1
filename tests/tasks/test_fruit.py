"""The example task: real botany, enough of it, and no test in the pool."""

import re
from collections import Counter
from pathlib import Path

from promptkit import load_task

FOLDER = Path(__file__).parents[2] / "examples" / "fruit"
TASK = load_task(FOLDER)


def test_there_are_enough_fruits_of_enough_types() -> None:
    assert len(TASK.demos) + len(TASK.tests) >= 80
    assert len(TASK.labels) >= 6
    assert {"drupe", "pome", "hesperidium"} <= set(TASK.labels)


def test_the_fruits_everybody_knows_are_there() -> None:
    names = {example.input.name for example in (*TASK.demos, *TASK.tests)}
    assert {"peach", "apple", "plum", "pear", "lemon"} <= names


def test_no_type_dominates_the_tests() -> None:
    counts = Counter(example.output for example in TASK.tests)
    assert set(counts) == set(TASK.labels)
    assert max(counts.values()) / len(TASK.tests) < 0.25


def test_every_fruit_has_a_source_that_is_cited_beside_the_data() -> None:
    cited = (FOLDER / "SOURCES.md").read_text(encoding="utf-8")
    for example in (*TASK.demos, *TASK.tests):
        assert re.search(rf"`{re.escape(example.metadata['source'])}`", cited), example.id
