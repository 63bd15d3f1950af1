"""Which shots a query sees: nested, reproducible, and never the query itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from strategies import Fruit, fruits, some_text

from promptkit.errors import PromptError, TaskError
from promptkit.selection.draw import Draws, draw, expect, forget, left_out
from promptkit.selection.orders import RULES, as_order, orders
from promptkit.selection.strategies import (
    SELECTIONS,
    Balanced,
    BlockSimilar,
    ByQuery,
    Diverse,
    Fixed,
    Given,
    KCentre,
    Random,
    Selection,
    Similar,
    SimilarBalanced,
    as_selection,
    default_selection,
    read_selection,
    selection_for,
)
from promptkit.tasks.example_set import ExampleSet
from promptkit.tasks.examples import Example, texts_of
from promptkit.tasks.near_duplicates import alike, normal_form
from promptkit.tasks.task import Task
from promptkit.templating.template import Template

POOL = fruits({f"fruit {i}": ("pome", "drupe", "berry")[i % 3] for i in range(12)}).demos
QUERY = Example(input=Fruit(name="quince"))


@pytest.fixture(autouse=True)
def _forget() -> None:
    """Forget the queries of other tests, which are otherwise ranked along."""
    forget(POOL)


names = st.sampled_from(SELECTIONS)
fixed_names = st.sampled_from([n for n in SELECTIONS if isinstance(as_selection(n), Fixed)])
seeds = st.integers(-(2**70), 2**70)


def ids(shots: tuple[Example, ...]) -> list[str]:
    return [shot.id for shot in shots]


def pool_of(texts: Sequence[str], outputs: Sequence[str] = ("pome",)) -> ExampleSet[Any, Any]:
    """Examples 0, 1, … with these names."""
    return ExampleSet(
        tuple(
            Example(input=Fruit(name=text), output=outputs[i % len(outputs)], id=str(i))
            for i, text in enumerate(texts)
        )
    )


def asked(name: str) -> Example[Any, Any]:
    return Example(input=Fruit(name=name), id="query")


@st.composite
def pools(draw: st.DrawFn) -> ExampleSet[Any, Any]:
    """Pools with words in common, and rows that repeat."""
    word = st.sampled_from(["red", "apple", "tart", "of the north", "Ärger", "漢字", "फल", "…"])
    text = st.lists(word, min_size=1, max_size=6).map(" ".join) | some_text
    texts = draw(st.lists(text, min_size=1, max_size=14))
    return pool_of(texts, draw(st.lists(st.sampled_from(["pome", "drupe"]), min_size=1)))


# For all selections and orders.


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(pools(), names, st.sampled_from(RULES) | st.sampled_from(orders(6)), seeds, st.data())
def test_fewer_shots_are_some_of_more(
    pool: ExampleSet[Any, Any], name: str, order: Any, seed: int, data: st.DataObject
) -> None:
    query = data.draw(st.sampled_from(list(pool)) | some_text.map(asked))
    seen: set[str] = set()
    for shots in range(len(pool) + 1):
        try:
            drawn = draw(pool, query, shots, seed=seed, selection=name, order=order)
        except PromptError:
            break
        assert len(set(ids(drawn))) == shots
        assert seen <= set(ids(drawn))
        seen = set(ids(drawn))
    barred = {demo.id for demo in pool if demo.id == query.id or near(demo, query)}
    assert seen == {demo.id for demo in pool} - barred


def near(demo: Example[Any, Any], query: Example[Any, Any]) -> bool:
    one, other = (normal_form(texts_of(example.input)) for example in (demo, query))
    return demo.input == query.input or alike(one, other)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(pools(), names, seeds, st.lists(some_text, min_size=1, max_size=8), st.data())
def test_a_draw_does_not_depend_on_what_else_is_drawn(
    pool: ExampleSet[Any, Any], name: str, seed: int, texts: list[str], data: st.DataObject
) -> None:
    queries = [asked(text) for text in texts] + list(pool)
    together, selection = Draws(pool), as_selection(name)
    together.expect(queries)

    def drawn(draws: Draws, query: Example[Any, Any], shots: int) -> list[str] | None:
        try:
            return ids(draws.draw(query, shots, seed, selection, as_order(selection.order)))
        except PromptError:
            return None

    for query in data.draw(st.permutations(queries)):
        shots = data.draw(st.integers(0, len(pool)))
        assert drawn(together, query, shots) == drawn(Draws(pool), query, shots)


def drawn_by_all() -> str:
    return str(
        [ids(draw(POOL, QUERY, 7, seed=3, selection=n, order="rotated")) for n in SELECTIONS]
    )


def test_a_draw_is_the_same_in_another_process() -> None:
    source = "import test_strategies; print(test_strategies.drawn_by_all())"
    command = [sys.executable, "-W", "ignore", "-c", source]
    folders = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    environment = {"PYTHONPATH": folders, "PYTHONHASHSEED": "5"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == drawn_by_all()


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize(
    "query",
    [
        Example(input=Fruit(name="something else"), id="fruit 3"),
        Example(input=Fruit(name="fruit 3"), id="other"),
    ],
)
def test_the_query_is_never_drawn_by_id_or_text(query: Example, name: str) -> None:
    for selection in (as_selection(name), type(as_selection(name))(allow_near=True)):
        shots = draw(POOL, query, 11, selection=selection)
        assert "fruit 3" not in ids(shots)
        with pytest.raises(PromptError, match="only 11 demonstrations for example"):
            draw(POOL, query, 12, selection=selection)


SENTENCE = "The parcel that I ordered on Monday has still not come to my address"


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize(
    "repeat", [SENTENCE + "!", f"“{SENTENCE.upper()}”", SENTENCE.replace("still not", "not")]
)
def test_near_duplicates_of_the_query_are_left_out_unless_allowed(name: str, repeat: str) -> None:
    texts = ["a short one", repeat, "The driver was late", "I forgot my password"]
    pool, query = pool_of(texts), asked(SENTENCE)
    assert sorted(ids(draw(pool, query, 3, selection=name))) == ["0", "2", "3"]
    first = ids(draw(pool, query, 3, selection=type(as_selection(name))(allow_near=True)))
    assert ids(left_out(pool, query, 3, 0, name)) == [id for id in first if id == "1"]
    reason = (
        r"4 shots asked, .* only 3 demonstrations for example 'query', since 1 near-duplicate of "
        r"it is left out, such as '1'; .* \(--near-duplicates allow"
    )
    with pytest.raises(PromptError, match=reason):
        draw(pool, query, 4, selection=name)
    allowing = type(as_selection(name))(allow_near=True)
    assert "allowed" in allowing.name
    assert "1" in ids(draw(pool, query, 4, selection=allowing))


@pytest.mark.parametrize("name", SELECTIONS)
def test_inputs_that_differ_in_case_alone_may_be_shown(name: str) -> None:
    pool = pool_of(["Essen", "gehen", "Laufen"])
    first = ids(draw(pool, asked("essen"), 2, selection=type(as_selection(name))(allow_near=True)))
    assert ids(left_out(pool, asked("essen"), 2, 0, name)) == [id for id in first if id == "0"]
    shown = draw(pool, asked("essen"), 3, selection=type(as_selection(name))(allow_near=True))
    assert sorted(ids(shown)) == ["0", "1", "2"]
    assert left_out(pool, asked("sehen"), 2, 0, name) == ()


@given(pools(), names, seeds, st.data())
def test_what_is_left_out_is_what_would_be_shown(
    pool: ExampleSet[Any, Any], name: str, seed: int, data: st.DataObject
) -> None:
    query = data.draw(st.sampled_from(list(pool)) | some_text.map(asked))
    selection, shots = as_selection(name), data.draw(st.integers(0, 3))
    try:
        shown = ids(draw(pool, query, shots, seed=seed, selection=selection))
    except PromptError:
        return
    out = ids(left_out(pool, query, shots, seed, selection))
    assert not set(out) & set(shown)
    others = {demo.id: demo for demo in pool if demo.id != query.id and demo.input != query.input}
    assert all(near(others[id], query) for id in out)
    if isinstance(selection, Fixed) and name != "k-centre":
        everything = ids(
            draw(
                pool,
                asked("nothing like them"),
                len(pool),
                seed=seed,
                selection=replace(selection, allow_near=True),
            )
        )
        last = everything.index(shown[-1]) if shown else 0
        barred = [id for id in everything[:last] if id in others and near(others[id], query)]
        assert set(out) == set(barred)


def test_a_task_that_allows_near_duplicates_shows_them() -> None:
    task = fruits({"Fig": "berry", "pear": "pome", "fig": "pome"})
    (fig,) = (demo for demo in task.demos if demo.input.name == "fig")
    allowing = task.model_copy(update={"near_duplicates": "allow"})
    assert selection_for(task, None) == Balanced()
    assert selection_for(allowing, None) == Balanced(allow_near=True)
    assert selection_for(allowing, "similar") == Similar(allow_near=True)
    assert selection_for(allowing, KCentre()) == KCentre(allow_near=True)
    template = Template.load("colon.j2")
    assert len(template.render(allowing, shots=2, query=fig).shots) == 2
    with pytest.raises(PromptError, match="only 1 demonstration for"):
        template.render(task, shots=2, query=fig)


def test_equal_draws_of_a_fixed_selection_are_one_tuple() -> None:
    queries = [asked(f"other {n}") for n in range(5)] + list(POOL)
    expect(POOL, queries)
    for order in ("drawn", "reversed", "rotated"):
        drawn = [draw(POOL, query, 4, selection="balanced", order=order) for query in queries]
        assert len({id(shots) for shots in drawn}) == len(set(map(str, map(ids, drawn))))


def test_queries_that_nobody_announced_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promptkit.selection.draw.MOST", 10)
    draws, queries = Draws(POOL), [asked(f"other {n}") for n in range(35)]
    for name in ("balanced", "similar"):
        selection = as_selection(name)
        for query in [*queries, *POOL]:
            drawn = draws.draw(query, 3, 0, selection, as_order("drawn"))
            assert drawn == draw(POOL, query, 3, selection=selection, order="drawn")
            assert draws.remembered <= 10


def test_a_small_pool_is_an_error_that_says_what_to_do() -> None:
    reason = "13 shots asked, but the pool has only 12 demonstrations .* add some, or ask for fewer"
    with pytest.raises(PromptError, match=reason):
        draw(POOL, QUERY, 13)


@pytest.mark.parametrize("name", SELECTIONS)
def test_no_shots_of_an_empty_pool_are_none(name: str) -> None:
    assert draw(fruits({}).demos, QUERY, 0, selection=name) == ()
    with pytest.raises(PromptError, match="only 0 demonstrations"):
        draw(fruits({}).demos, QUERY, 1, selection=name)


def test_a_negative_number_of_shots_is_an_error() -> None:
    with pytest.raises(PromptError, match="-1 shots"):
        draw(POOL, QUERY, -1)


def test_an_unknown_selection_is_an_error() -> None:
    with pytest.raises(
        PromptError, match="unknown selection 'best'; choose one of: balanced, random, first"
    ):
        draw(POOL, QUERY, 1, selection="best")
    with pytest.raises(PromptError, match="7 is not a selection"):
        draw(POOL, QUERY, 1, selection=7)  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="unknown order 'best'; choose one of: drawn"):
        draw(POOL, QUERY, 1, order="best")


# Fixed selections.


@given(st.integers(0, 11), st.integers(0, 5), fixed_names)
def test_every_query_sees_the_same_ranking_without_itself(index: int, seed: int, name: str) -> None:
    everything = draw(POOL, QUERY, 12, seed=seed, selection=name)
    query = POOL[index]
    shots = draw(POOL, query, 11, seed=seed, selection=name)
    assert shots == tuple(e for e in everything if e != query)


def test_one_seed_draws_the_same_always() -> None:
    pool = fruits({f"fruit {i}": "pome" for i in range(12)}).demos
    assert ids(draw(pool, QUERY, 4, seed=7)) == ["fruit 7", "fruit 6", "fruit 1", "fruit 9"]


def test_different_seeds_draw_different_orders() -> None:
    drawn = {tuple(ids(draw(POOL, QUERY, 12, seed=seed))) for seed in range(50)}
    assert len(drawn) == 50


def test_outputs_do_not_move_a_draw() -> None:
    other = fruits({f"fruit {i}": "berry" for i in range(12)}).demos
    assert ids(draw(POOL, QUERY, 12)) == ids(draw(other, QUERY, 12))


def test_first_keeps_the_order_of_the_pool() -> None:
    assert draw(POOL, QUERY, 5, selection="first", seed=3) == POOL[:5]


@given(st.integers(-5, 100))
def test_balanced_gives_every_label_its_turn(seed: int) -> None:
    families = ["pome"] * 8 + ["drupe"] * 3 + ["berry"]
    pool = fruits({f"fruit {i}": family for i, family in enumerate(families)}).demos
    drawn = [e.output for e in draw(pool, QUERY, 12, seed=seed, selection="balanced")]
    assert set(drawn[:3]) == {"pome", "drupe", "berry"}
    assert set(drawn[3:5]) == set(drawn[5:7]) == {"pome", "drupe"}
    assert drawn[7:] == ["pome"] * 5


@pytest.mark.parametrize("shots", [1, 2, 4, 5, 7, 8])
def test_every_label_is_left_over_equally_often(shots: int) -> None:
    counts = Counter(
        shot.output
        for seed in range(6, 12)
        for shot in draw(POOL, QUERY, shots, seed=seed, selection="balanced")
    )
    assert counts == dict.fromkeys(("pome", "drupe", "berry"), 2 * shots)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["balanced", "random"])
def test_every_order_of_a_small_pool_is_equally_likely(name: str) -> None:
    pool = fruits().demos
    counts = Counter(
        tuple(ids(draw(pool, QUERY, 3, seed=seed, selection=name))) for seed in range(3000)
    )
    assert set(counts) == set(permutations(e.id for e in pool))
    assert chisquare(list(counts.values())).pvalue > 0.001


def test_k_centre_goes_where_nobody_was() -> None:
    groups = ["red apple tart", "der große Hund", "漢字漢字", "xyzzy plugh"]
    pool = pool_of([f"{text} {copy}" for copy in "abc" for text in groups])
    for seed in range(5):
        drawn = ids(draw(pool, QUERY, 4, seed=seed, selection="k-centre"))
        assert {int(id) % 4 for id in drawn} == {0, 1, 2, 3}
    assert len({draw(pool, QUERY, 1, seed=s, selection="k-centre")[0].id for s in range(20)}) > 5


# Pools that grow, and classes that are renamed.


@st.composite
def grown_pools(draw: st.DrawFn) -> tuple[ExampleSet[Any, Any], ExampleSet[Any, Any]]:
    """A pool, and the same with one more row at any place, whose label the pool has."""
    outputs = draw(st.lists(st.sampled_from(["pome", "drupe", "berry"]), min_size=1, max_size=14))
    rows = [Example(input=Fruit(name=f"fruit {i}"), output=o) for i, o in enumerate(outputs)]
    new = Example(input=Fruit(name="medlar"), output=draw(st.sampled_from(outputs)))
    rest = draw(st.permutations(rows))
    place = draw(st.integers(0, len(rows)))
    return ExampleSet(tuple(rows)), ExampleSet((*rest[:place], new, *rest[place:]))


@given(grown_pools(), st.sampled_from(["random", "balanced"]), seeds, st.data())
def test_an_added_row_takes_at_most_one_place(
    pools: tuple[ExampleSet[Any, Any], ExampleSet[Any, Any]],
    name: str,
    seed: int,
    data: st.DataObject,
) -> None:
    small, large = pools
    query = data.draw(st.sampled_from(list(small)) | st.just(QUERY))
    for shots in range(len(small)):
        before = ids(draw(small, query, shots, seed=seed, selection=name))
        after = ids(draw(large, query, shots, seed=seed, selection=name))
        new = [id for id in after if id not in before]
        assert new == [] or (len(new) == 1 and new[0].startswith("medlar"))
        if new == []:
            assert after == before
        if name == "random":
            assert [id for id in after if id not in new] == before[: shots - len(new)]


@given(grown_pools(), seeds)
def test_each_label_has_its_own_ranking(
    pools: tuple[ExampleSet[Any, Any], ExampleSet[Any, Any]], seed: int
) -> None:
    ranked = [draw(pool, QUERY, len(pool), seed=seed, selection="balanced") for pool in pools]
    for label in ("pome", "drupe", "berry"):
        small, large = ([e for e in shots if e.output == label] for shots in ranked)
        assert [e for e in large if e.input.name != "medlar"] == small
    # A label that nobody had moves turns, not which of a label's examples come first.
    other = Example(input=Fruit(name="fig"), output="syconium")
    everything = ExampleSet((*pools[1], other))
    with_it = draw(everything, QUERY, len(everything), seed=seed, selection="balanced")
    assert [e for e in with_it if e.output == "pome"] == [
        e for e in ranked[1] if e.output == "pome"
    ]


@pytest.mark.parametrize("name", ["k-centre", "similar", "similar-balanced", "diverse"])
def test_rows_that_say_nothing_new_move_no_shots_of_others(name: str) -> None:
    vectors = {"red": [1.0, 0, 0], "blue": [0, 1.0, 0], "grey": [0, 0, 1.0], "none": [0, 0, 0]}
    selection = replace(
        as_selection(name), embed=lambda texts: [vectors[text.split()[0]] for text in texts]
    )
    pool = pool_of([f"{word} {i}" for i in range(4) for word in ("red", "blue", "grey")])
    new = Example(input=Fruit(name="red last"), output="pome", id="new")
    grown = ExampleSet((*pool, new))
    for seed in range(5):
        before = ids(draw(pool, asked("red"), 3, seed=seed, selection=selection, order="drawn"))
        after = ids(draw(grown, asked("red"), 3, seed=seed, selection=selection, order="drawn"))
        assert before == after or "new" in after


class _Colour(Enum):
    RED = "red"
    BLUE = "blue"


class _Hue(Enum):
    A = "red"
    B = "blue"


@dataclass(frozen=True)
class _Tone:
    value: str


class _Plain:
    """Without a repr of its own, so that Python would write an address."""

    def __init__(self, value: str) -> None:
        self.value = value


@pytest.mark.slow
@pytest.mark.parametrize("kind", [_Colour, _Hue, _Tone, _Plain, lambda text: {text, "x", "y"}])
def test_draws_do_not_depend_on_how_python_writes_a_label(kind: Any) -> None:
    rows = {"apple": "red", "sea": "blue", "rose": "red", "sky": "blue", "bay": "blue"}

    def pool(output: Any) -> ExampleSet[Any, Any]:
        return ExampleSet(
            tuple(Example(input=Fruit(name=k), output=output(v)) for k, v in rows.items())
        )

    for seed in range(6):
        for name in ("balanced", "similar-balanced", "block-similar"):
            drawn = [
                ids(draw(pool(output), QUERY, 3, seed=seed, selection=name, order=order))
                for output in (kind, kind)
                for order in ("drawn", "rotated")
            ]
            assert drawn[:2] == drawn[2:]
            if kind in (_Colour, _Hue):
                assert drawn[0] == ids(
                    draw(pool(str), QUERY, 3, seed=seed, selection=name, order="drawn")
                )


@pytest.mark.slow
def test_outputs_have_one_text_in_every_process() -> None:
    source = (
        "from promptkit.tasks.examples import output_key\n"
        "import enum\n"
        "F = enum.Flag('F', 'A B')\n"
        "print(output_key([{'one', 'two', 'three'}, F.A | F.B, {F.A: frozenset('abc')}]))"
    )
    found = set()
    for hashing in "123":
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hashing}
        command = [sys.executable, "-W", "ignore", "-c", source]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        found.add(done.stdout.strip())
    assert found == {'[["one","three","two"],3,{"1":["a","b","c"]}]'}


# Selections by query.

TOPICS = [
    "The parcel arrived broken",
    "The parcel arrived late",
    "I forgot my password",
    "My password does not work",
    "The parcel arrived late again",
    "You charged my card twice",
]


def test_similar_shots_stand_nearest_last() -> None:
    pool, query = pool_of(TOPICS), asked("My parcel arrived very late")
    assert ids(draw(pool, query, 3, selection="similar")) == ["0", "4", "1"]
    assert ids(draw(pool, query, 3, selection="similar", order="drawn")) == ["1", "4", "0"]


@pytest.mark.parametrize(
    ("text", "like"),
    [
        ("मुझे पासवर्ड याद नहीं है", "पासवर्ड भूल गया हूँ"),
        ("我的包裹还没有到", "包裹没有送到"),
        ("Das Paket kam beschädigt an", "Beschädigtes Paket"),
    ],
)
def test_similar_knows_any_language(text: str, like: str) -> None:
    pool = pool_of(["कार्ड से पैसे कट गए", "信用卡被扣款两次", "Die Karte wurde belastet", like])
    assert ids(draw(pool, asked(text), 1, selection="similar")) == ["3"]


def test_only_inputs_are_compared() -> None:
    pool = pool_of(["aaa", "bbb", "drupe"], ["drupe", "pome", "berry"])
    changed = pool_of(["aaa", "bbb", "drupe"], ["x", "y", "z"])
    query = Example(input=Fruit(name="a drupe"), output="drupe")
    assert ids(draw(pool, query, 3, selection="similar")) == ids(
        draw(changed, query, 3, selection="similar")
    )


def test_equals_come_in_the_order_of_the_pool() -> None:
    pool = pool_of(["bbb", "aaa", "ccc", "aaa", "ddd"])
    assert ids(draw(pool, asked("aaa b"), 5, selection="similar", order="drawn")) == [
        *("1", "3", "0", "2", "4")
    ]
    embedded = Similar(embed=lambda texts: np.ones((len(texts), 3)))
    assert ids(draw(pool, QUERY, 5, selection=embedded, order="drawn")) == [*"01234"]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 8))
def test_similar_is_the_nearest_neighbours_of_scikit_learn(
    seed: int, size: int, dimensions: int
) -> None:
    from sklearn.neighbors import NearestNeighbors

    vectors = np.random.default_rng(seed).standard_normal((size + 1, dimensions)) * 10.0**seed**0.1
    pool = pool_of([f"text {n}" for n in range(size)])
    places = {f"text {n}": n for n in range(size + 1)}
    selection = Similar(embed=lambda texts: vectors[[places[text] for text in texts]])
    drawn = draw(pool, asked(f"text {size}"), size, selection=selection, order="drawn")
    found = NearestNeighbors(n_neighbors=size, metric="cosine").fit(vectors[:size])
    distances, indices = found.kneighbors(vectors[size:])
    ranked = dict(zip(indices[0], distances[0], strict=True))
    ours = [ranked[int(shot.id)] for shot in drawn]
    assert ours == pytest.approx(sorted(ours), abs=1e-5)


def test_diverse_begins_with_the_nearest_and_avoids_its_like() -> None:
    pool, query = pool_of(TOPICS), asked("My parcel arrived very late")
    first, second = ids(draw(pool, query, 2, selection="diverse", order="drawn"))
    assert (first, second) != ("1", "4")
    assert first == "1"
    alone = draw(pool, query, 6, selection=Diverse(relevance=1.0), order="drawn")
    assert alone == draw(pool, query, 6, selection="similar", order="drawn")


def test_diverse_goes_on_beyond_its_candidates() -> None:
    pool = pool_of([f"fruit {n}" for n in range(150)])
    drawn = draw(pool, QUERY, 140, selection="diverse")
    assert len(set(ids(drawn))) == 140


@given(seeds)
def test_similar_balanced_gives_every_label_its_nearest(seed: int) -> None:
    pool = pool_of(TOPICS, ["parcel", "parcel", "login", "login", "parcel", "bill"])
    query = asked("My parcel arrived very late")
    drawn = draw(pool, query, 6, seed=seed, selection="similar-balanced", order="drawn")
    assert [shot.output for shot in drawn[:3]].count("parcel") == 1
    assert {shot.output for shot in drawn[:3]} == {"parcel", "login", "bill"}
    assert ids(drawn)[0] == "1"
    assert [shot.output for shot in drawn[3:]] == ["parcel", "login", "parcel"]


def test_a_block_is_shared_and_what_is_similar_comes_last() -> None:
    texts = [f"{word} number {n}" for n in range(6) for word in ("apple", "parcel", "hound")]
    pool = pool_of(texts, ["a", "b", "c"])
    queries = [asked(f"my {word}") for word in ("apple", "parcel", "hound")]
    drawn = [draw(pool, query, 8, seed=1, selection="block-similar") for query in queries]
    for shots, query in zip(drawn, queries, strict=True):
        word = query.input.name.removeprefix("my ")
        assert all(shot.input.name.startswith(word) for shot in shots[6:])
    block = draw(pool, QUERY, 12, seed=1, selection="balanced")
    for shots in drawn:
        assert shots[:6] == tuple(shot for shot in block if shot not in shots[6:])[:6]
    few = draw(pool, queries[0], 4, seed=1, selection="block-similar")
    assert few == drawn[0][:2] + drawn[0][6:]
    four = draw(pool, queries[0], 6, seed=1, selection=BlockSimilar(nearest=4))
    assert [shot.input.name.startswith("apple") for shot in four[2:]] == [True] * 4


def test_a_function_that_embeds_is_asked_once_for_the_pool() -> None:
    calls: list[int] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        calls.append(len(texts))
        return [[len(text), text.count("a")] for text in texts]

    queries = [asked(f"query {'a' * n}") for n in range(10)]
    expect(POOL, queries)
    for shots in (1, 2, 4, 8):
        for query in queries:
            draw(POOL, query, shots, selection=Similar(embed=embed))
    assert calls == [12, 10]


@pytest.mark.parametrize(
    ("embed", "reason"),
    [
        (lambda texts: [1.0 for _ in texts], r"shape \(12,\) for 12 texts.*\(texts, dimensions\)"),
        (lambda texts: [[1.0]], r"shape \(1, 1\) for 12 texts"),
        (lambda texts: [["x"] for _ in texts], "array of <U1"),
        (lambda texts: [[float("nan")] for _ in texts], "no finite numbers for 'fruit 0'"),
        (lambda texts: np.ones((len(texts), len(texts))), "12 dimensions for the pool, and 1"),
    ],
)
def test_a_function_that_gives_no_vectors_is_an_error(embed: Any, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        draw(POOL, QUERY, 1, selection=Similar(embed=embed))


def test_vectors_of_any_length_will_do() -> None:
    sizes = np.array([1e-300, 1e300, 0.0, 1.0])
    pool = pool_of(["a", "b", "c", "d"])

    def embed(texts: Sequence[str]) -> Any:
        return np.array([[1.0, ord(text[0]) - 97] for text in texts]) * sizes[: len(texts), None]

    selection = Similar(embed=embed)
    assert ids(draw(pool, asked("b"), 3, selection=selection, order="drawn")) == ["3", "0", "2"]


# Given shots, and names.


def test_shots_are_given_by_id() -> None:
    given = ["fruit 7", "fruit 2", "fruit 9"]
    assert ids(draw(POOL, QUERY, 3, selection=given)) == given
    assert ids(draw(POOL, QUERY, 2, selection=given)) == given[:2]
    assert ids(draw(POOL, POOL[2], 2, selection=given)) == ["fruit 7", "fruit 9"]
    with pytest.raises(PromptError, match="the list 'given' has only 3"):
        draw(POOL, QUERY, 4, selection=given)
    with pytest.raises(
        PromptError, match=r"example 'fruit2' is not in the pool; did you mean 'fruit 2'\?"
    ):
        draw(POOL, QUERY, 1, selection=["fruit2"])


def test_a_file_gives_shots(tmp_path: Any) -> None:
    file = tmp_path / "greedy.json"
    file.write_text('{"shots": ["fruit 7", "fruit 2"], "score": 0.5}')
    assert read_selection(str(file)) == Given(("fruit 7", "fruit 2"), "greedy.json")
    assert read_selection(str(file)).name == "greedy.json"
    for text in ("[1]", '{"shots": []}', '{"shots": [1]}', '{"shots": "a"}', "{", "[" * 10_000):
        file.write_text(text)
        with pytest.raises(TaskError, match=r"greedy\.json"):
            read_selection(str(file))
    with pytest.raises(TaskError, match="No such file"):
        read_selection(str(tmp_path / "none.json"))


def test_an_embedder_goes_to_selections_that_compare() -> None:
    assert read_selection("similar", len) == Similar(embed=len)  # type: ignore[arg-type]
    assert read_selection("k-centre", len) == KCentre(embed=len)  # type: ignore[arg-type]
    assert read_selection("random", len) == Random()  # type: ignore[arg-type]


def test_balanced_is_the_default_where_answers_are_labels() -> None:
    assert default_selection(fruits()) == Balanced()
    assert default_selection(Task[Fruit, str](name="t")) == Random()


def test_names_tell_selections_apart() -> None:
    class Mini:
        name = "mini"

        def __call__(self, texts: Sequence[str]) -> Any: ...

    for name in SELECTIONS:
        assert as_selection(name).name == name
        assert as_selection(name) == as_selection(name)
        assert hash(as_selection(name)) == hash(as_selection(name))
    mini = Mini()
    assert Similar(embed=mini).name == "similar by mini"
    assert KCentre(embed=mini).name == "k-centre by mini"
    assert SimilarBalanced(embed=mini, allow_near=True).name == (
        "similar-balanced by mini, near-duplicates allowed"
    )
    assert Diverse(relevance=0.7).name == "diverse 0.7"
    assert BlockSimilar(nearest=4).name == "block-similar 4"
    for wrong in (lambda: Diverse(relevance=2), lambda: BlockSimilar(nearest=0)):
        with pytest.raises(TaskError):
            wrong()


def test_a_selection_of_ones_own() -> None:
    class Shortest(Fixed):
        kind = "shortest"

        def rank(self, pool: Any, seed: int, count: int) -> Sequence[int]:
            return sorted(range(len(pool)), key=lambda i: len(pool[i].input.name))

    class Unlike(ByQuery):
        kind = "unlike"

        def indices(self, pool: Any, row: Any, barred: Any, seed: int, count: int) -> Any:
            return [i for i in np.argsort(row, kind="stable").tolist() if not barred(i)][:count]

    pool = pool_of(["a long text", "short", "a text"])
    assert ids(draw(pool, QUERY, 2, selection=Shortest())) == ["1", "2"]
    assert ids(draw(pool, asked("text"), 1, selection=Unlike())) == ["1"]
    with pytest.raises(PromptError, match="neither Fixed nor ByQuery"):
        draw(pool, QUERY, 1, selection=Other())


class Other(Selection):
    kind = "other"
