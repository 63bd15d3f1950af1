"""Terms as whole words, and sentences that are filled with them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from swap_samples import remarks

from promptkit.auditing.swap_sentences import filled_query, fillings, own_ids, sentences_of
from promptkit.auditing.swap_words import terms_in, with_holes
from promptkit.errors import DataError
from promptkit.tasks.swap_patterns import Pattern, named_holes, pattern_of
from promptkit.tasks.swap_slots import SwapSlot, SwapTerm, slots_of

ANNA = SwapTerm("Anna", {"subject": "she", "object": "her"}, "female")
FATIMA = SwapTerm("Fatima", {"subject": "she", "object": "her"}, "female")
BEN = SwapTerm("Ben", {"subject": "he", "object": "him"}, "male")
PERSON = SwapSlot("person", (ANNA, FATIMA, BEN))
BOY = SwapTerm("लड़का", {"oblique": "लड़के"})
GIRL = SwapTerm("लड़की", {"oblique": "लड़की"})
CHILD = SwapSlot("child", (BOY, GIRL))


def swapped(text: str, slot: SwapSlot) -> list[str]:
    """The text with each term of a slot in place of the one that stands in it."""
    task = remarks(text)
    (sentence,) = sentences_of(task.tests, task, {slot.name: slot}).sentences
    return [sentence.filled({slot.name: term})["text"] for term in slot.terms]


@pytest.mark.parametrize(
    ("text", "swaps"),
    [
        ("Anna is kind.", ["Anna is kind.", "Fatima is kind.", "Ben is kind."]),
        ("I met ANNA.", ["I met ANNA.", "I met FATIMA.", "I met BEN."]),
        ("i met anna.", ["i met anna.", "i met fatima.", "i met ben."]),
        ("Anna's cat", ["Anna's cat", "Fatima's cat", "Ben's cat"]),
        (
            "She said: I am Ben",
            ["She said: I am Anna", "She said: I am Fatima", "She said: I am Ben"],
        ),
        (
            "Anna says she is late. I told her.",
            [
                "Anna says she is late. I told her.",
                "Fatima says she is late. I told her.",
                "Ben says he is late. I told him.",
            ],
        ),
        ("He is Ben.", ["She is Anna.", "She is Fatima.", "He is Ben."]),
    ],
)
def test_terms_are_replaced_with_their_forms_and_case(text: str, swaps: list[str]) -> None:
    assert swapped(text, PERSON) == swaps


@pytest.mark.parametrize("text", ["Annabel", "Hanna", "Anna-Maria", "Anna9", "ann a", "she is"])
def test_parts_of_words_are_no_terms(text: str) -> None:
    assert terms_in([text], PERSON) == []


def test_hindi_terms_are_whole_words() -> None:
    assert terms_in(["राम"], SwapSlot("name", (SwapTerm("राम"), SwapTerm("सीता")))) != []
    assert terms_in(["रामा"], SwapSlot("name", (SwapTerm("राम"), SwapTerm("सीता")))) == []
    assert terms_in(["क़"], SwapSlot("name", (SwapTerm("क"), SwapTerm("ख")))) == []
    assert swapped("लड़का आया।", CHILD) == ["लड़का आया।", "लड़की आया।"]
    assert swapped("लड़के को दो।", CHILD) == ["लड़के को दो।", "लड़की को दो।"]


def test_a_composed_term_is_found_decomposed() -> None:
    decomposed = unicodedata.normalize("NFD", "लड़का आया।")
    assert len(swapped(decomposed, CHILD)) == 2
    assert (
        swapped(unicodedata.normalize("NFD", "Zoé"), slots_of({"n": ["Zoé", "Ann"]})["n"])[1]
        == "Ann"
    )


def test_scripts_without_spaces_have_no_word_boundaries() -> None:
    slot = slots_of({"name": ["安娜", "本"]})["name"]
    assert swapped("我叫安娜。", slot) == ["我叫安娜。", "我叫本。"]


def test_the_longest_term_counts() -> None:
    slot = slots_of({"place": ["York", "New York", "Rome"]})["place"]
    assert swapped("in New York", slot) == ["in York", "in New York", "in Rome"]


def test_articles_stand_with_their_word() -> None:
    slot = slots_of({"of": ["an American", "a German"]})["of"]
    assert swapped("An American ate an apple.", slot)[1] == "A German ate an apple."


def test_inputs_with_two_terms_or_an_unclear_form_are_left_out() -> None:
    task = remarks("Anna met Ben.", "Anna lost her cat.", "Anna")
    his = SwapSlot(
        "person",
        (
            SwapTerm("Anna", {"object": "her", "possessive": "her"}),
            SwapTerm("Ben", {"object": "him", "possessive": "his"}),
        ),
    )
    read = sentences_of(task.tests, task, {"person": his})
    assert [sentence.row.input.text for sentence in read.sentences] == ["Anna"]
    assert sorted(one.reason for one in read.left_out) == [
        "it has several terms of person",
        "nothing says which form 'her' is",
    ]


def test_rows_that_differ_in_a_term_are_one_sentence() -> None:
    task = remarks("I am Anna.", "I am Ben.", "{person} is here.", "no name")
    read = sentences_of(task.tests, task, {"person": PERSON})
    assert [str(sentence.shown["text"]) for sentence in read.sentences] == [
        "I am {person}.",
        "{person} is here.",
    ]
    assert read.seen == {("person", "Anna"), ("person", "Ben")}


def test_braces_of_the_data_stay() -> None:
    text = 'Anna wrote {"a": 1} and {x}, {{person}}'
    assert str(named_holes(text, {"person": PERSON})) == text
    assert swapped("{a} Anna", PERSON) == ["{a} Anna", "{a} Fatima", "{a} Ben"]


def test_a_form_that_a_term_lacks_is_an_error() -> None:
    task = remarks("I saw {person.possessive} cat.")
    with pytest.raises(DataError, match=r"'Anna' of the slot 'person' has no form 'possessive'"):
        sentences_of(task.tests, task, {"person": PERSON})


def test_one_slot_varies_at_a_time() -> None:
    task = remarks("Anna in Rome", "{person} in {place}")
    slots = {"person": PERSON, **slots_of({"place": ["Rome", "Oslo", "Paris"]})}
    read = sentences_of(task.tests, task, slots)
    assert len(read.sentences) == 1  # the same with slots
    made = fillings(read.sentences, slots)
    assert [(one.slot, {k: t.text for k, t in one.context.items()}) for one in made] == [
        ("person", {"place": "Rome"}),
        ("place", {"person": "Anna"}),
    ]
    every = fillings(read.sentences, slots, contexts=99)
    assert len(every) == 6
    assert len(fillings(read.sentences, slots, contexts=2)) == 4


def test_all_fillings_of_a_sentence_share_an_id_of_their_own() -> None:
    task = remarks("Anna", demos=[("Ben", "mild")])
    (sentence,) = sentences_of(task.tests, task, {"person": PERSON}).sentences
    (id,) = own_ids(task, [sentence])
    made = [filled_query(task, sentence, {"person": term}, id) for term in PERSON.terms]
    assert {query.id for query in made} == {id}
    assert task.tests.by_id(id) is None
    assert [query.output for query in made] == ["mild"] * 3


# Whatever the terms and the text around them are.

LETTERS = "abzéñßżбжαω" + "कखगलडक़"
MARKS = "\u093c\u093e\u093f\u0941\u094d\u0902"

words = st.tuples(st.sampled_from(LETTERS), st.text(LETTERS + MARKS, max_size=5)).map("".join)
around = st.text(LETTERS + MARKS + " .,:-\u200d9AÉ", max_size=12)


@given(st.lists(words, min_size=2, max_size=4, unique=True), around, around, words)
def test_a_filling_has_the_terms_form_and_nothing_else_changes(
    terms: list[str], before: str, after: str, suffix: str
) -> None:
    slot = SwapSlot("x", tuple([SwapTerm(term, {"form": term + suffix}) for term in terms]))
    pattern = pattern_of(f"{before}{{x}} {{x.form}}{after}", {"x": slot})
    for term in slot.terms:
        assert pattern.filled({"x": term}) == f"{before}{term.text} {term.text}{suffix}{after}"


@given(st.lists(words, min_size=2, max_size=4, unique=True), around, around)
def test_finding_and_putting_back_changes_nothing(
    terms: list[str], before: str, after: str
) -> None:
    slot = SwapSlot("x", tuple(map(SwapTerm, terms)))
    text = f"{before} {terms[0]} {after}"
    pattern = with_holes(Pattern((text,)), slot, slot.terms[0])
    assert pattern.filled({"x": slot.terms[0]}).casefold() == text.casefold()
    other = pattern.filled({"x": slot.terms[1]})
    kept = [piece for piece in pattern.pieces if isinstance(piece, str)]
    place = 0
    for piece in kept:  # all that is no term stands there in its order
        place = other.index(piece, place) + len(piece)


@given(words, words)
def test_a_longer_word_does_not_have_the_term(term: str, more: str) -> None:
    slot = SwapSlot("x", (SwapTerm(term), SwapTerm("#")))
    assume(term.casefold() not in more.casefold())
    assert terms_in([f"{term}{more}"], slot) == []
