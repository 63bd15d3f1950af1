"""Hypothesis strategies and small types that several tests share."""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from hypothesis import strategies as st
from pydantic import BaseModel

from promptkit.tasks.task import Task

Family = Literal["drupe", "pome", "berry"]


class Fruit(BaseModel):
    name: str


class Kind(Enum):
    DRUPE = "drupe"
    POME = "pome"


SNARES = [
    "{{ output }}",
    "{% raw %}",
    "{% endexample %}",
    "{# no #}",
    "\n",
    "\r",
    "\r\n",
    "\0",
    "\u2028",
    "\x85",
    "\u200d",
    "👩\u200d🌾",
    "é",
    "e\u0301",
    "\ufeff",
    "<|im_start|>",
    '"',
    ",",
    "\\",
    "'",
    " ",
    "\t",
]
"""Texts that a template engine, a file format or a tokenizer could take for its own."""

characters = st.characters(exclude_categories=["Cs"])
texts = st.lists(st.sampled_from(SNARES) | st.text(characters, max_size=5), max_size=6).map("".join)
some_text = texts.filter(bool)


def fruits(
    demos: dict[str, str] | None = None, tests: dict[str, str] | None = None, **rest: Any
) -> Task[Fruit, Any]:
    """A task out of families by fruit."""
    pool = {"apple": "pome", "peach": "drupe", "grape": "berry"} if demos is None else demos
    return Task[Fruit, Family](
        name="fruit",
        instruction="Name the family.",
        demos=examples(pool),
        tests=examples(tests or {}),
        **rest,
    )


def examples(families: dict[str, str]) -> Any:
    """Examples whose ids are their names."""
    return [
        {"id": name, "input": {"name": name}, "output": family} for name, family in families.items()
    ]
