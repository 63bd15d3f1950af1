"""Audits with swaps and with the prompt's own lean, and gates on labels that flip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from swap_samples import ByText, remarks

import promptkit as pk
from promptkit.errors import TaskError
from promptkit.tasks.swap_slots import Swaps, slots_of

SENTENCES = tuple(f"{{name}} was {word} today" for word in ("late", "here", "kind", "loud", "ill"))


def task(**more: Any) -> pk.Task[Any, Any]:
    plain = remarks()
    slots = slots_of({"name": {"women": ["Ann", "Eve"], "men": ["Ben", "Tom"]}})
    rows = tuple([plain.as_query({"text": text}) for text in SENTENCES])
    demos = [(f"shown {number}", "mild" if number % 2 else "harsh") for number in range(8)]
    tests = [f"test {number}" for number in range(6)]
    return remarks(*tests, demos=demos, swaps=Swaps(slots, rows), **more)  # type: ignore[arg-type]


def harsh(prompt: pk.Prompt) -> str:
    """Return an answer that a name decides."""
    query = prompt.text.rstrip().rsplit("\n", 1)[-1]
    return "harsh" if "Ben" in query else "mild"


def test_terms_of_the_task_are_swapped(tmp_path: Path) -> None:
    fair = ByText(task(), lambda text: 0.2)
    found = pk.audit(fair)
    assert found.queries == 0
    assert found.groups is None
    assert found.swaps is not None
    assert [(slot.slot, slot.flips) for slot in found.swaps.slots] == [("name", 0.0)]
    biased = pk.audit(ByText(task(), lambda text: 0.9 if "Ben" in text else 0.2))
    assert biased.swaps is not None
    assert biased.swaps.slots[0].flips == pytest.approx(0.5)
    assert "Swaps of name" in str(biased)
    assert str(biased).startswith("Audit of by text · remarks\n")
    assert pk.load_audit(biased.save(tmp_path / "audit")) == biased
    with pytest.raises(TaskError, match="nothing to audit"):
        pk.audit(fair, swaps=False)


def test_the_prompt_itself_is_audited(tmp_path: Path) -> None:
    model = pk.FakeModel(harsh)
    prompt = pk.Predictor(task(), pk.Template.of(task()), model, 2)
    found = pk.audit(prompt, swaps=False, prompt_bias=True, limit=4, store=pk.Store())
    assert found.swaps is None
    assert found.prompt is not None
    assert found.prompt.shots == 2
    assert "What the prompt leans to" in str(found)
    assert pk.load_audit(found.save(tmp_path / "audit")) == found


def checked(**how: Any) -> Any:
    settings: dict[str, Any] = {"shots": [0], "seeds": 1, "lint": False, "store": pk.Store()}
    return pk.check(task(), models=[pk.FakeModel(harsh)], **settings, **how)


def test_labels_that_flip_fail_a_gate() -> None:
    (gate,) = checked(max_flip=0.02).gates
    assert gate.name == "labels that flip by name at most 2 %"
    assert gate.estimate == pytest.approx(0.5)
    assert not gate.passed
    assert gate.ci[0] > 0.02
    assert "significantly above 2 %" in gate.reason
    both = checked(max_flip=0.9, min={"accuracy": 0.0})
    assert both.passed
    assert [one.level for one in both.gates] == [pytest.approx(0.975)] * 2
    assert both.gates[1].ci[0] <= gate.ci[0]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"max_flip": 2}, "max_flip: 2 is not a share from 0 to 1"),
        ({"max_flip": 0.1, "task": remarks("a", "b")}, "max_flip: remarks has no terms to swap"),
    ],
)
def test_what_cannot_be_is_refused(how: Any, reason: str) -> None:
    given = how.pop("task", None) or task()
    with pytest.raises(TaskError) as caught:
        pk.check(given, models=[pk.FakeModel()], lint=False, store=pk.Store(), **how)
    assert reason in str(caught.value)
