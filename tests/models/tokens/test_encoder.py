from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from promptkit.errors import PromptError
from promptkit.models.runtime.split_points import find_cuts
from promptkit.models.tokens.encoder import Encoder, common_prefix
from promptkit.models.tokens.part_cache import Cuts
from promptkit.models.tokens.reader import ControlToken
from promptkit.prompts.pieces import Piece
from promptkit.prompts.prompt import Prompt, TokenizedPrompt


class Merging:
    """Bytes, some longer words (the longest that fits is taken), and control tokens."""

    def __init__(
        self,
        words: Sequence[str] = (),
        controls: Mapping[str, ControlToken] | None = None,
        bos: int | None = None,
        cuts: Cuts | None = None,
    ) -> None:
        self.words = [bytes([byte]) for byte in range(256)] + [word.encode() for word in words]
        self.controls = CONTROLS if controls is None else controls
        self.bos = bos
        self.cuts = cuts

    def plain(self, text: str) -> list[int]:
        raw, ids = text.encode(), []
        while raw:
            longer = filter(raw.startswith, self.words[256:])
            best = max(longer, key=len, default=raw[:1])
            ids.append(self.words.index(best))
            raw = raw.removeprefix(best)
        return ids

    def piece(self, token: int) -> bytes:
        if token < len(self.words):
            return self.words[token]
        return next(text.encode() for text, control in self.controls.items() if control.id == token)


CONTROLS = {"<s>": ControlToken(1000), "<|end|>": ControlToken(1001)}
PLAIN = Encoder(Merging())


def template(text: str) -> Piece:
    return Piece(text, "template")


def data(text: str) -> Piece:
    return Piece(text, "data")


def ask(text: str, *labels: str, stop: str = "\n") -> Prompt:
    return Prompt((template(text),), candidates=labels, stop=stop, query="q1")


def ids_of(encoder: Encoder, *pieces: Piece) -> list[int]:
    return list(encoder.encode(Prompt(pieces)).ids)


def text_of(tokenizer: Merging, ids: Sequence[int]) -> str:
    return b"".join(map(tokenizer.piece, ids)).decode()


# -- Prompt and label together -------------------------------------------------------------------


def test_a_label_is_tokenized_together_with_its_prompt() -> None:
    tokenizer = Merging([": pome", " drupe", ":"])
    tokenized = Encoder(tokenizer).encode(ask("fig:", " pome", " drupe"))
    # ": pome" swallows the prompt's last token, so the branch lies in front of it.
    assert text_of(tokenizer, tokenized.ids) == "fig"
    assert [[text_of(tokenizer, [token]) for token in c] for c in tokenized.candidates] == [
        [": pome"],
        [":", " drupe"],
    ]
    assert tokenized.prompt.text == "fig:"


def test_the_branch_lies_behind_what_all_labels_share() -> None:
    tokenized = PLAIN.encode(ask("a:", " red", " rose"))
    assert bytes(tokenized.ids) == b"a: r"
    assert [bytes(c) for c in tokenized.candidates] == [b"ed", b"ose"]
    assert tokenized.naive_tokens == 6 + 7


def test_a_single_label_branches_off_where_the_prompt_ends() -> None:
    tokenized = PLAIN.encode(ask("a:", " red"))
    assert (bytes(tokenized.ids), [bytes(c) for c in tokenized.candidates]) == (b"a:", [b" red"])
    merged = Encoder(Merging([": r"])).encode(ask("a:", " red"))
    assert (bytes(merged.ids), len(merged.candidates[0])) == (b"a", 3)


def test_a_generated_answer_has_no_candidates() -> None:
    tokenized = PLAIN.encode(Prompt((template("a:"),)))
    assert (tokenized.ids, tokenized.candidates) == (tuple(b"a:"), ())
    assert tokenized.naive_tokens == 2


LETTERS = st.text("ab \n", max_size=6)
WORDS = st.lists(st.text("ab \n", min_size=2, max_size=4), max_size=6)


@given(words=WORDS, prompt=LETTERS, labels=st.lists(LETTERS, min_size=1, max_size=4), bos=...)
def test_candidates_are_the_whole_text_and_branch_as_late_as_can_be(
    words: list[str], prompt: str, labels: list[str], bos: bool
) -> None:
    tokenizer = Merging(words, bos=1000 if bos else None)
    try:
        tokenized = Encoder(tokenizer).encode(ask(prompt, *labels, stop="."))
    except PromptError:
        assume(False)
    start = [1000] if bos else []
    bare = [start + tokenizer.plain(prompt + label) for label in labels]
    stopped = [start + tokenizer.plain(f"{prompt}{label}.") for label in labels]
    whole = [[*tokenized.ids, *candidate] for candidate in tokenized.candidates]
    assert whole in (bare, stopped)
    # No candidate begins another one, and none is empty.
    assert all(tokenized.candidates)
    for one, two in pairwise(sorted(whole)):
        assert two[: len(one)] != one
    assert len(tokenized.ids) >= 1
    if len(labels) > 1:
        assert len({candidate[0] for candidate in tokenized.candidates}) > 1


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=5))
def test_common_prefix(sequences: list[list[int]]) -> None:
    length = common_prefix(sequences)
    assert all(sequence[:length] == sequences[0][:length] for sequence in sequences)
    longer = {tuple(sequence[: length + 1]) for sequence in sequences}
    assert len(longer) > 1 or min(map(len, sequences)) == length


# -- Labels that begin others --------------------------------------------------------------------


def test_where_a_label_begins_another_every_label_is_scored_with_the_first_of_the_stop() -> None:
    tokenized = PLAIN.encode(ask("a:", " pome", " pomegranate", " fig", stop="\n\n"))
    assert [bytes(c) for c in tokenized.candidates] == [b"pome\n", b"pomegranate\n", b"fig\n"]


def test_a_stop_that_merges_with_the_label() -> None:
    tokenizer = Merging([" pome", " pomegranate", "e\n", "granate\n", "ite\n\n"])
    tokenized = Encoder(tokenizer).encode(ask("a:", " pom", " pome", " pomite", stop="\n\n"))
    shown = [[text_of(tokenizer, [t]) for t in c] for c in tokenized.candidates]
    # "ite\n\n" is the label's end and the stop's beginning in one token.
    assert [row[-1] for row in shown] == ["\n", "\n", "ite\n\n"]
    assert "".join(shown[0]) == " pom\n"


def test_a_stop_that_is_a_control_token_of_the_chat_template() -> None:
    prompt = ask("a:", " pome", " pomegranate", stop="<|end|>\n")
    chat = Prompt(prompt.pieces, candidates=prompt.candidates, stop=prompt.stop, stop_is_chat=True)
    for asked in (prompt, chat):
        candidates = PLAIN.encode(asked).candidates
        assert [candidate[-1] for candidate in candidates] == [1001, 1001]
        assert [bytes(candidate[:-1]) for candidate in candidates] == [b"", b"granate"]


def test_a_label_that_ends_in_the_stops_text() -> None:
    with pytest.raises(PromptError, match=r"cannot tell the labels 'b' and 'b\\n' apart"):
        PLAIN.encode(ask("a:", "b", "b\n", stop="\n"))


def test_labels_that_begin_others_need_a_stop() -> None:
    with pytest.raises(PromptError) as caught:
        PLAIN.encode(ask("a:", " pome", " pomegranate", stop=""))
    assert str(caught.value) == (
        "example 'q1', 0 shots: one label begins another, and nothing in the template ends an "
        "answer; let a newline follow {{ output }}"
    )


def test_labels_of_equal_tokens() -> None:
    class Folding(Merging):
        def plain(self, text: str) -> list[int]:
            return super().plain(text.lower())

    with pytest.raises(PromptError) as caught:
        Encoder(Folding()).encode(ask("a:", " Fig", " pome", " fig"))
    assert str(caught.value) == (
        "example 'q1', 0 shots: this model's tokens cannot tell the labels ' Fig' and ' fig' "
        "apart; rename one"
    )


@pytest.mark.slow
def test_many_labels_are_compared_quickly() -> None:
    labels = [f" label {number:04d}" for number in range(2000)]
    tokenized = PLAIN.encode(ask("a" * 500, *labels))
    assert len(tokenized.candidates) == 2000


# -- The beginning -------------------------------------------------------------------------------


def test_one_bos_where_the_model_wants_one() -> None:
    wanting = Encoder(Merging(bos=1000))
    assert ids_of(wanting, template("a")) == [1000, *b"a"]
    assert ids_of(wanting, template("<s>a")) == [1000, *b"a"]
    # What the data looks like changes nothing, and a template may ask for two.
    assert ids_of(wanting, data("<s>a")) == [1000, *b"<s>a"]
    assert ids_of(wanting, template("<s><s>a")) == [1000, 1000, *b"a"]
    assert ids_of(PLAIN, template("<s>a")) == [1000, *b"a"]
    assert ids_of(PLAIN, template("a")) == [*b"a"]


def test_the_empty_prompt() -> None:
    wanting = Encoder(Merging(bos=1000))
    assert ids_of(wanting) == [1000]
    assert wanting.encode(ask("", "a", "b")) == TokenizedPrompt(
        ask("", "a", "b"), (1000,), (tuple(b"a"), tuple(b"b"))
    )
    with pytest.raises(PromptError, match="example None, 0 shots: the prompt is empty"):
        PLAIN.encode(Prompt())
    for labels in (("a", "b"), ("a",)):
        with pytest.raises(PromptError, match="'q1', 0 shots: nothing stands in front of the answ"):
            PLAIN.encode(ask("", *labels))


# -- Control tokens ------------------------------------------------------------------------------


def test_control_tokens_come_from_templates_only() -> None:
    chat = Piece("<|end|>", "chat")
    assert ids_of(PLAIN, template("a<s>b"), chat) == [*b"a", 1000, *b"b", 1001]
    assert ids_of(PLAIN, template("a"), data("<s><|end|>")) == [*b"a<s><|end|>"]


@pytest.mark.parametrize("cut", range(1, 7))
def test_no_control_token_grows_over_a_border(cut: int) -> None:
    left, right = "<|end|>"[:cut], "<|end|>"[cut:]
    assert ids_of(PLAIN, template(left), data(right)) == [*b"<|end|>"]
    assert ids_of(PLAIN, data(left), template(right)) == [*b"<|end|>"]
    assert ids_of(PLAIN, template(left), template(right)) == [1001]
    assert ids_of(PLAIN, template(left), data("x"), template(right)) == [
        *f"{left}x{right}".encode()
    ]


def test_a_label_is_data() -> None:
    tokenized = PLAIN.encode(ask("a:<|end|", ">", "<s>"))
    assert [bytes(c) for c in tokenized.candidates] == [b">", b"<s>"]
    assert bytes(tokenized.ids) == b"a:<|end|"


def test_the_longest_control_token_that_fits_is_taken() -> None:
    encoder = Encoder(Merging(controls={"<s>": ControlToken(7), "<s>>": ControlToken(8)}))
    assert ids_of(encoder, template("<s>>")) == [8]
    assert ids_of(encoder, template("<s>"), data(">")) == [7, *b">"]


def test_white_space_that_a_control_token_strips() -> None:
    controls = {
        "<l>": ControlToken(500, strips_left=True),
        "<r>": ControlToken(501, strips_right=True),
        "<b>": ControlToken(502, strips_left=True, strips_right=True),
    }
    encoder = Encoder(Merging(controls=controls))
    assert ids_of(encoder, template("a \n<l> b")) == [*b"a", 500, *b" b"]
    assert ids_of(encoder, template("a <r> \t b")) == [*b"a ", 501, *b"b"]
    assert ids_of(encoder, template("a <b> <b> ")) == [*b"a", 502, 502]
    assert ids_of(encoder, template("<r> \n<r>  <l>")) == [501, 501, 500]
    # Only what C calls white space; a no-break space stays.
    assert ids_of(encoder, template("a\u00a0<l>")) == [*"a\u00a0".encode(), 500]


def test_no_control_tokens_at_all() -> None:
    assert ids_of(Encoder(Merging(controls={})), template("<s>")) == [*b"<s>"]
    assert ids_of(Encoder(Merging(controls={"": ControlToken(9)})), template("<s>")) == [*b"<s>"]


PIECES = st.lists(
    st.builds(
        Piece,
        st.one_of(
            st.sampled_from(["<s>", "<|end|>", "<|end|", "|end|>", "<", "s>", "<<s>>"]),
            st.text("<s>|end", max_size=9),
        ),
        st.sampled_from(["template", "data", "chat"]),
    ),
    max_size=6,
)


@pytest.mark.slow
@given(PIECES)
def test_every_control_token_stands_wholly_in_text_of_templates(pieces: list[Piece]) -> None:
    text = "".join(piece.text for piece in pieces)
    assume(text)
    foreign = [piece.kind == "data" for piece in pieces for _ in piece.text]
    ids = ids_of(PLAIN, *pieces)
    at = 0
    for token in ids:
        shown = Merging().piece(token).decode()
        assert text[at : at + len(shown)] == shown
        if token >= 1000:
            assert not any(foreign[at : at + len(shown)])
        else:
            for control in CONTROLS:
                inside = text.startswith(control, at)
                assert not inside or any(foreign[at : at + len(control)])
        at += len(shown)
    assert at == len(text)


def test_text_that_is_not_unicode() -> None:
    with pytest.raises(PromptError, match=r"example 'q1', 0 shots: '\\udcff' in"):
        PLAIN.encode(ask("a\udcff:", "b", "c"))
    with pytest.raises(PromptError, match="half of a surrogate pair"):
        PLAIN.encode(ask("a:", "b", "c\ud800"))


# -- What prompts share --------------------------------------------------------------------------

ANYWHERE = Cuts(line=re.compile(r"\n(?=\S)"), word=re.compile(r"\S(?= \S)"))


class Counting(Merging):
    """Counts the characters that it tokenizes."""

    characters = 0

    def plain(self, text: str) -> list[int]:
        self.characters += len(text)
        return super().plain(text)


def fruit(number: int, labels: tuple[str, ...] = (" pome", " drupe")) -> Prompt:
    shots = [template("fruit 0:"), data(" pome"), template("\n")] * 20
    query = [data(f"fruit {number}"), template(":")]
    return Prompt((*shots, *query), candidates=labels, stop="\n", query=str(number))


def test_what_prompts_share_is_tokenized_once() -> None:
    tokenizer = Counting(cuts=ANYWHERE)
    encoder = Encoder(tokenizer)
    prompts = [fruit(number) for number in range(100)]
    encoder.encode_all(prompts[:4])  # which are encoded whole as well
    before = tokenizer.characters
    tokenized = encoder.encode_all(prompts[4:])
    assert tokenizer.characters - before < 100 * len("\nfruit 10:f")
    assert tokenized == Encoder(Merging()).encode_all(prompts[4:])


CONTROLLED = st.lists(
    st.builds(
        Piece,
        st.lists(
            st.sampled_from(
                ["a", "b", "\n", " ", "<s>", "<|end|>", "<|e", "nd|>", "a\nb", "<l>", "<r>"]
            ),
            max_size=6,
        ).map("".join),
        st.sampled_from(["template", "data", "chat"]),
    ),
    max_size=3,
)


@pytest.mark.slow
@given(
    words=WORDS,
    beginnings=st.lists(CONTROLLED, min_size=1, max_size=2),
    endings=st.lists(CONTROLLED, min_size=2, max_size=5),
    labels=st.lists(LETTERS, min_size=1, max_size=3),
    bos=st.booleans(),
)
def test_prompts_that_share_a_beginning(
    words: list[str],
    beginnings: list[list[Piece]],
    endings: list[list[Piece]],
    labels: list[str],
    bos: bool,
) -> None:
    controls = {
        **CONTROLS,
        "<l>": ControlToken(500, strips_left=True),
        "<r>": ControlToken(501, strips_right=True),
    }
    more: dict[str, Any] = {"controls": controls, "bos": 1000 if bos else None}
    cuts = find_cuts(words, (), byte_level=False)
    encoder = Encoder(Merging(words, cuts=cuts, **more))
    whole = Encoder(Merging(words, **more))
    for beginning, ending in product(beginnings, endings):
        prompt = Prompt((*beginning, *ending), candidates=tuple(labels), stop="<|end|>")
        assert result(encoder, prompt) == result(whole, prompt)


def result(encoder: Encoder, prompt: Prompt) -> TokenizedPrompt | str:
    try:
        return encoder.encode(prompt)
    except PromptError as error:
        return str(error)


@pytest.mark.parametrize("word", ["a\nT", ". s", "1:\nfruit"])
def test_a_tokenizer_that_must_not_be_cut_is_found_out(word: str) -> None:
    tokenizer = Merging([word], cuts=ANYWHERE)
    prompts = [fruit(number) for number in range(5)]
    assert Encoder(tokenizer).encode_all(prompts) == Encoder(Merging([word])).encode_all(prompts)


@pytest.mark.slow
def test_prompts_before_the_one_that_finds_it_out_are_encoded_again() -> None:
    word = "7:\nfruit"  # in few of the prompts, and not in those that are tried first
    prompts = [fruit(number) for number in range(600)]
    pieces = (template("fruit 7:"), data("\nfruit 7:"))
    for index in (100, 300, 511):
        prompts[index] = Prompt(pieces, candidates=(" pome", " fig"), stop="\n")
    found = Encoder(Merging([word], cuts=ANYWHERE)).encode_all(prompts)
    assert found == Encoder(Merging([word])).encode_all(prompts)
