"""Probes of calibration: inputs that are scored alongside the tests.

All of them come from the pool, none from the tests: content-free inputs, random words of the task,
and labelled examples that are held out from the shots.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from promptkit.errors import TaskError
from promptkit.files.json_values import read_name
from promptkit.selection.pool import digest
from promptkit.tasks.examples import Example, canonical, output_key, text_key, texts_of
from promptkit.tasks.near_duplicates import near_pairs, normal_form
from promptkit.tasks.task import Task
from promptkit.translation import tr

CONTENT_FREE = ("N/A", "", "[MASK]")
"""Content-free texts (Zhao et al. 2021)."""

RANDOM_TEXTS = 20
"""Number of texts of random words (Fei et al. 2023)."""

HELD_OUT = 64
"""Number of labelled examples that are held out, at most."""

LEAST_HELD_OUT = 10
"""Number of them from which scaling is fitted, at least."""

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters that are written without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer,
Japanese and Chinese."""


def content_free(task: Task[Any, Any]) -> tuple[Example[Any, Any], ...]:
    """Return content-free inputs, one for each of `CONTENT_FREE` that the input type accepts.

    All fields that may hold such a text do; the others hold what they most often hold together in
    the pool. Raises `TaskError` where there is no such field.
    """
    return _blank(task, CONTENT_FREE, "content-free")


def premise(task: Task[Any, Any]) -> Example[Any, Any]:
    """Return an input that leaves only the text around it: empty where its type accepts that.

    Raises `TaskError` like `content_free`.
    """
    return _blank(task, ("", "N/A", "[MASK]"), "premise")[0]


def with_options(
    task: Task[Any, Any], probe: Example[Any, Any], query: Example[Any, Any]
) -> Example[Any, Any]:
    """Return a probe with the options of a query, under an id of its own."""
    options = {task.options or "": list(task.answers_of(query))}
    update = {"input": probe.input.model_copy(update=options), "id": f"{probe.id} {query.id}"}
    return probe.model_copy(update=update)


def random_texts(
    task: Task[Any, Any], count: int = RANDOM_TEXTS, seed: int = 0
) -> tuple[Example[Any, Any], ...]:
    """Return up to `count` different inputs of random words, as many as the pool has on average.

    Scripts without spaces give letters instead of words; a field that is no text has the value of
    a random example. The same for one seed and pool, and of a pool with one more example, a text
    differs only where a word of that example enters it. Raises `TaskError` for a pool without
    examples, and where the input type accepts none.
    """
    if not len(task.demos):
        raise TaskError(tr("domain-context calibration draws words from the pool, which is empty"))
    texts = _text_fields(task)
    urns = {
        name: _Urn(task, name, seed, words=name in texts) for name in task.types()[0].model_fields
    }
    made: dict[str, Example[Any, Any]] = {}
    for turn in range(10 * count):  # the input's type may refuse some
        fields = {name: urn.draw(turn) for name, urn in urns.items()}
        probe = _accepted(task, fields, f"random text {len(made) + 1}")
        if probe is not None:
            made.setdefault(text_key(probe.input), probe)
        if len(made) == count:
            break
    if not made:
        raise TaskError(tr("domain-context calibration: the input type accepts no random words"))
    return tuple(made.values())


def held_out(
    task: Task[Any, Any], shown: Collection[str], size: int = HELD_OUT
) -> tuple[Example[Any, Any], ...]:
    """Return labelled examples of the pool that are not among those `shown` as shots.

    Their label frequencies are those of the whole pool, as far as enough are left of each label,
    since a method that is fitted to them takes their frequencies for those of new queries. Those
    that are near-duplicates of a test are left out. Raises `TaskError` where fewer than
    `LEAST_HELD_OUT` are left.
    """
    if task.folds:
        raise TaskError(
            tr(
                "temperature and vector calibration learn from examples that are no tests, "
                "and with folds every example is one; split them (split = 0.5 in [files] "
                "of task.toml)"
            )
        )
    left = [demo for demo in task.demos if demo.id not in shown]
    kept = _unlike(task.tests, _in_proportion(left, task.demos)[: 2 * size])[:size]
    if len(kept) < LEAST_HELD_OUT:
        raise TaskError(
            tr(
                "temperature and vector calibration need {least} examples of the "
                "pool that are no shots; of {pool}, {left} are left beside {shown} "
                "shots. Add examples, or compare fewer shots",
                least=LEAST_HELD_OUT,
                pool=len(task.demos),
                left=len(kept),
                shown=len(shown),
            )
        )
    return tuple(kept)


class _Urn:
    """The values of a field in the pool, or their words, of which each turn draws some."""

    def __init__(self, task: Task[Any, Any], name: str, seed: int, *, words: bool) -> None:
        values = [_fields(demo)[name] for demo in task.demos]
        parts: list[list[Any]] = [[*_units(v)] if words else [v] for v in values]
        keys = [
            int.from_bytes(digest(f"words of {name}", seed, demo.id)[:8], "big")
            for demo in task.demos
        ]
        sizes = [*map(len, parts)]
        place = np.concatenate([np.arange(size, dtype=np.uint64) for size in sizes])
        self._keys = _mixed(np.repeat(np.array(keys, np.uint64), sizes) + place)
        self._parts = [*chain.from_iterable(parts)]
        self._count = max(1, round(len(self._parts) / len(parts))) if words else None

    def draw(self, turn: int) -> Any:
        """A value, or as many words as a value has on average.

        Those with the least keys are drawn: each part has a key of its own for every turn, whatever
        other parts there are.
        """
        order = np.argsort(_mixed(self._keys + np.uint64(turn)), kind="stable")
        drawn = [self._parts[index] for index in order[: self._count or 1]]
        return drawn[0] if self._count is None else "".join(drawn).strip()


def _mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hashes of numbers, as near ones as may be (SplitMix64)."""
    mixed = keys * np.uint64(0x9E3779B97F4A7C15)  # wraps around, as a hash may
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _in_proportion(
    examples: Iterable[Example[Any, Any]], pool: Iterable[Example[Any, Any]]
) -> list[Example[Any, Any]]:
    """Order examples so that the first n have the label frequencies of the pool, whatever n is.

    Labels take turns by the method of Webster and Sainte-Laguë; within a label ids decide.
    """
    shares = Counter(output_key(example.output) for example in pool)
    by_label: dict[str, list[Example[Any, Any]]] = {}
    for example in sorted(examples, key=lambda example: digest("calibration", 0, example.id)):
        by_label.setdefault(output_key(example.output), []).append(example)
    turns = [
        ((number + 0.5) / shares[label], label, example)
        for label, group in by_label.items()
        for number, example in enumerate(group)
    ]
    return [example for *_, example in sorted(turns, key=lambda turn: turn[:2])]


def _unlike(
    tests: Iterable[Example[Any, Any]], examples: Sequence[Example[Any, Any]]
) -> list[Example[Any, Any]]:
    """Return the examples that are no near-duplicates of a test."""
    texts = [normal_form(texts_of(example.input)) for example in (*tests, *examples)]
    first = len(texts) - len(examples)
    alike = set(range(first))
    for before, after in sorted(near_pairs(texts), key=lambda pair: pair[1]):
        if before in alike:
            alike.add(after)
    return [example for index, example in enumerate(examples, first) if index not in alike]


def _blank(task: Task[Any, Any], texts: Sequence[str], what: str) -> tuple[Example[Any, Any], ...]:
    names = _text_fields(task)
    rest = _commonest(task, names)
    made = [
        _accepted(task, rest | dict.fromkeys(names, text), f"{what} {text!r}")
        for text in texts
        if names
    ]
    probes = tuple(filter(None, made))
    if not probes:
        raise TaskError(
            tr(
                "contextual and pmi calibration ask about a content-free input, but no "
                "field of {name} accepts {texts}; use batch or domain-context",
                name=task.types()[0].__name__,
                texts=", ".join(map(repr, texts)),
            )
        )
    return probes


def _text_fields(task: Task[Any, Any]) -> tuple[str, ...]:
    """Return the fields of an input that may hold a content-free text."""
    if not len(task.demos):
        return tuple(task.types()[0].model_fields)
    fields = _fields(task.demos[0])
    return tuple(
        name
        for name in fields
        if any(_accepted(task, {**fields, name: text}, "") for text in CONTENT_FREE)
    )


def _commonest(task: Task[Any, Any], without: Collection[str]) -> dict[str, Any]:
    """Return the commonest values of the other fields of an input, together."""
    found: dict[bytes, dict[str, Any]] = {}
    counts: Counter[bytes] = Counter()
    for demo in task.demos:
        rest = {name: value for name, value in _fields(demo).items() if name not in without}
        plain = task.fields_of(demo)
        key = canonical([plain.get(name) for name in rest])
        found.setdefault(key, rest)
        counts[key] += 1
    return found[counts.most_common(1)[0][0]] if counts else {}


def _accepted(
    task: Task[Any, Any], fields: Mapping[str, Any], name: str
) -> Example[Any, Any] | None:
    """Return the example, if the input type accepts it, under an id that no other has."""
    try:
        infos = task.types()[0].model_fields
        example = task.as_query({read_name(k, infos[k]): value for k, value in fields.items()})
    except (
        Exception
    ):  # also whatever a validator of the input's own raises for a text like no other
        return None
    while task.demos.by_id(name) is not None or task.tests.by_id(name) is not None:
        name += "'"
    return example.model_copy(update={"id": name})


def _fields(example: Example[Any, Any]) -> dict[str, Any]:
    return {name: getattr(example.input, name) for name in type(example.input).model_fields}


def _units(text: Any) -> Iterator[str]:
    """Yield the words of a text, each with a space behind it, or its letters in such scripts."""
    for word in str(text or "").split():
        if not _UNSPACED.search(word):
            yield f"{word} "
            continue
        letter = ""
        for character in word:
            if letter and not unicodedata.category(character).startswith("M"):
                yield letter
                letter = ""
            letter += character  # marks stay with their letter
        yield letter
