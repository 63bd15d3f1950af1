"""Keys of inputs: what counts as the same, exactly and after normalisation."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptkit.errors import PromptkitError
from promptkit.lookup.lookup_keys import InputField, keys_of, normaliser, rules_of

RULES = st.sets(st.sampled_from(["nfc", "nfkc", "case", "space"]))
NAME = keys_of([InputField("name", True, ("nfc", "case", "space"))])
SEVERAL = keys_of([InputField("name", True, ("case",)), InputField("year", False, ())])


@given(st.text(), RULES)
def test_a_normalised_text_stays_as_it_is(text: str, rules: set[str]) -> None:
    normalise = normaliser(rules)
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_rules_are_those_of_unicode(text: str) -> None:
    assert normaliser(["nfc"])(text) == normalize("NFC", text)
    assert normaliser(["nfkc"])(text) == normalize("NFKC", text)
    assert normaliser(["case"])(text) == text.casefold()
    assert normaliser(["space"])(text) == " ".join(text.split())
    assert normaliser([])(text) == text


@given(st.text(), st.text())
def test_texts_share_a_key_where_their_normalised_forms_are_the_same(one: str, other: str) -> None:
    normalise = normaliser(["nfc", "case", "space"])
    same = normalise(one) == normalise(other)
    assert (NAME(one)[0] == NAME(other)[0]) == same
    assert (NAME(one)[1] == NAME(other)[1]) == (one == other)
    assert NAME({"name": one}) == NAME(one)


def test_the_same_name_in_other_writing() -> None:
    first = NAME("Straße é")[0]
    for other in ("STRASSE É", " straße  e\u0301\n", "strasse é"):
        assert NAME(other)[0] == first
    assert NAME("m²")[0] != NAME("m2")[0]
    wide = keys_of([InputField("name", True, ("nfkc",))])
    assert wide("m²")[0] == wide("m2")[0]


def test_fields_are_compared_one_by_one() -> None:
    assert SEVERAL({"year": 1, "name": "A"})[0] == SEVERAL({"name": "a", "year": 1.0})[0]
    assert SEVERAL({"year": 1, "name": "A"})[1] != SEVERAL({"name": "a", "year": 1.0})[1]
    assert SEVERAL({"year": True, "name": "a"})[0] != SEVERAL({"year": 1, "name": "a"})[0]
    assert SEVERAL({"year": "1", "name": "a"})[0] != SEVERAL({"year": 1, "name": "a"})[0]
    assert NAME({"name": ["a"]}) != NAME({"name": '["a"]'})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a", "objects with the fields name, year"),
        ({"name": "a"}, "no field 'year'"),
        ({"name": "a", "year": 1, "age": 2}, "unknown field 'age'"),
        ({"name": "a", "year": float("nan")}, "no value of an input"),
        ({"name": "a", "year": b"1"}, "no value of an input"),
    ],
)
def test_what_is_no_input_is_refused(value: object, reason: str) -> None:
    with pytest.raises(PromptkitError, match=reason):
        SEVERAL(value)


def test_rules_are_written_for_a_field_or_for_all() -> None:
    assert rules_of([], ["a", "b"]) == dict.fromkeys("ab", ("nfc", "case", "space"))
    assert rules_of(["none", "b=nfkc, case"], ["a", "b"]) == {"a": (), "b": ("nfkc", "case")}
    with pytest.raises(PromptkitError, match=r"unknown rule 'nfx'; choose of: nfc, nfkc"):
        rules_of(["nfx"], ["a"])
    with pytest.raises(PromptkitError, match="no field 'c'; choose of: a"):
        rules_of(["c=case"], ["a"])
