"""Texts of inputs."""

from __future__ import annotations

from promptkit.students.input_texts import input_text


def test_texts_are_the_values_of_an_input() -> None:
    assert input_text({"text": "a\nb"}) == "a\nb"
    assert input_text({"title": "A", "body": "b"}) == "A\nb"
    assert input_text({"tags": ["x", "y"], "author": {"name": "z", "age": 7}}) == "x\ny\nz\nage_7"
    assert input_text({"year": 1994, "new": True, "none": None}) == "year_1994\nnew_true"
    assert input_text({"year": 1994}) == "year_1994"
    assert input_text({}) == ""
