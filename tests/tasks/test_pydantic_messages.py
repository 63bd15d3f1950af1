"""What pydantic says of values, in English and in other languages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from promptkit.tasks.pydantic_messages import said_of
from promptkit.translation import use


def _refused(value: int) -> int:
    raise ValueError(f"{{{value}}} is refused")


FLAWS: list[tuple[Any, Any]] = [
    (int, "x"),
    (Literal["a", "b"], "c"),
    (Annotated[float, Field(le=9)], 10.0),
    (Annotated[list[int], Field(max_length=3)], [1] * 4),
    (Annotated[str, Field(min_length=1)], ""),
    (Annotated[int, AfterValidator(_refused)], 3),
]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    yield
    use("en")


def flaw(kind: Any, value: Any) -> Any:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return caught.value.errors()[0]


@pytest.mark.parametrize(("kind", "value"), FLAWS)
def test_english_is_what_pydantic_says(kind: Any, value: Any) -> None:
    error = flaw(kind, value)
    assert said_of(error) == error["msg"]


@pytest.mark.parametrize(("kind", "value"), FLAWS)
def test_other_languages_keep_the_values(kind: Any, value: Any) -> None:
    error = flaw(kind, value)
    use("hi")
    said = said_of(error)
    assert said != error["msg"]
    shown = {key: str(value) for key, value in (error.get("ctx") or {}).items()}
    assert all(text.removesuffix(".0") in said for text in shown.values())


@pytest.mark.parametrize("context", [None, {}, {"gt": 3}])
def test_errors_of_other_types_are_said_as_they_are(context: Any) -> None:
    use("hi")
    for kind in ("own", "greater_than_or_so"):
        assert said_of({"type": kind, "msg": "{own} words", "ctx": context}) == "{own} words"
    assert said_of({"type": "greater_than", "msg": "own words", "ctx": {}}) == "own words"
