"""Labels that a prompt still spells out although a verbalizer has other words for them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from promptkit.inference.prediction import Predictor

_INSTRUCTION = "task.instruction"


def wording_warnings(predictors: Iterable[Predictor]) -> list[str]:
    """What a reader must know of words for labels: the labels that still stand in a prompt.

    An instruction, or a template's own text, may spell out labels, and is not rewritten. Raises
    what rendering raises.
    """
    wordings = {(one.template, one.verbalizer): one for one in predictors if one.verbalizer}
    found = []
    for (template, verbalizer), one in wordings.items():
        labels = _spelled_out(one)
        if verbalizer is not None and labels:
            shown = ", ".join(map(repr, labels[:5])) + (", …" if len(labels) > 5 else "")
            found.append(
                f"with {template.name} the prompt still spells out {shown}, for which "
                f"{verbalizer.name!r} has other words: take the labels out of the instruction, or "
                "print them with {{ labels }}"
            )
    return found


def _spelled_out(predictor: Predictor) -> list[str]:
    """The labels that stand in a prompt outside of its examples, and that are no words."""
    task, verbalizer = predictor.task, predictor.verbalizer
    words = verbalizer.of(task.labels) if verbalizer is not None else task.labels
    query = (task.tests or task.demos)[0]
    prompt = predictor.template.render(task, shots=(), query=query, verbalizer=verbalizer)
    pieces = [*prompt.pieces, *(piece for turn in prompt.messages for piece in turn.pieces)]
    text = "".join([p.text for p in pieces if p.kind == "template" or p.field == _INSTRUCTION])
    gone = [label for label in task.labels if label not in words]
    return [label for label in gone if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", text)]
