"""Labels that a prompt still spells out."""

from __future__ import annotations

from samples import COLON, parity_task

from promptkit import FakeModel, Predictor, Template
from promptkit.experiments.prompt_warnings import wording_warnings

LISTED = Template('{{ task.instruction }} {{ labels | join(", ") }}\n' + COLON.source, "listed")


def warnings_of(
    instruction: str = "Odd or even?", template: Template = LISTED, verbalizer: str = "symbols"
) -> list[str]:
    task = parity_task(instruction=instruction)
    words = task.verbalizer(verbalizer)
    one = Predictor(task, template, FakeModel(), verbalizer=words)
    return wording_warnings([one, one, Predictor(task, template, FakeModel())])


def test_labels_that_a_prompt_still_spells_out_are_named() -> None:
    (warning,) = warnings_of("Is the number odd? Or even (not uneven)?")
    assert (
        "with listed the prompt still spells out 'even', 'odd', for which 'symbols' has" in warning
    )
    written = Template("Say odd.\n" + COLON.source, "written")
    assert "spells out 'odd'," in warnings_of("Count.", written)[0]
    chat = Template.load("chat-labels.j2")
    assert "spells out 'odd'," in warnings_of("Is it odd?", chat)[0]


def test_labels_that_are_words_or_parts_of_words_or_printed_by_the_template_are_not() -> None:
    assert warnings_of("Uneven is oddly seven.") == []
    assert warnings_of("Odd or even?", verbalizer="swapped") == []
    assert warnings_of("Count.") == []
