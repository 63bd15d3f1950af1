"""Inputs that are asked beside the tests so that scores can be calibrated.

All of them come from the pool, none from the tests. Some say nothing, some are random words of
the task, and some are labelled examples that are held out from the shots.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import chain
from random import Random
from typing import Any

from promptkit.errors import PromptkitError, TaskError
from promptkit.examples import Example, canonical, text_key, text_of
from promptkit.near import near_pairs, normalised
from promptkit.task import Task

CONTENT_FREE = ("N/A", "", "[MASK]")
"""Texts that say nothing (Zhao et al. 2021)."""

RANDOM_TEXTS = 20
"""How many texts of random words are asked (Fei et al. 2023)."""

HELD_OUT = 64
"""The most labelled examples that are held out."""

LEAST_HELD_OUT = 10
"""The fewest from which numbers are fitted."""

_TRIES = 10  # draws for each random text, where the input's type refuses some

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Letters that are written without spaces between words: Thai, Lao, Tibetan, Burmese, Khmer,
Japanese and Chinese."""


def content_free(task: Task[Any, Any]) -> tuple[Example[Any, Any], ...]:
    """Inputs whose texts say nothing, one for each of `CONTENT_FREE` that the input type accepts.

    All fields that may hold such a text do; the others hold what they most often hold together in
    the pool. Raises `TaskError` where there is no such field.
    """
    return _blank(task, CONTENT_FREE, "content-free")


def premise(task: Task[Any, Any]) -> Example[Any, Any]:
    """An input that leaves only the text around it: empty where its type accepts that.

    Raises `TaskError` like `content_free`.
    """
    return _blank(task, ("", "N/A", "[MASK]"), "premise")[0]


def random_texts(
    task: Task[Any, Any], count: int = RANDOM_TEXTS, seed: int = 0
) -> tuple[Example[Any, Any], ...]:
    """Up to `count` different inputs of random words, as many as the pool's texts have on average.

    Scripts without spaces give letters instead of words; a field that is no text has the value of
    a random example. The same for one seed and pool. Raises `TaskError` for a pool without
    examples, and where the input type accepts none.
    """
    if not len(task.demos):
        raise TaskError("domain-context calibration draws words from the pool, which is empty")
    texts = _text_fields(task)
    units = {name: [_units(_fields(demo)[name]) for demo in task.demos] for name in texts}
    words = {name: [*chain.from_iterable(found)] or [""] for name, found in units.items()}
    lengths = {name: max(1, round(len(words[name]) / len(task.demos))) for name in texts}
    random = Random(f"{seed}\0{task.demos.fingerprint}")
    made: dict[str, Example[Any, Any]] = {}
    for _ in range(_TRIES * count):
        fields = {name: _fields(_one_of(task.demos.root, random))[name] for name in _names(task)}
        for name in texts:
            drawn = [_one_of(words[name], random) for _ in range(lengths[name])]
            fields[name] = "".join(drawn).strip()
        probe = _accepted(task, fields, f"random text {len(made) + 1}")
        if probe is not None:
            made.setdefault(text_key(probe.input), probe)
        if len(made) == count:
            break
    if not made:
        raise TaskError("domain-context calibration: the input type accepts no random words")
    return tuple(made.values())


def held_out(
    task: Task[Any, Any], shown: Collection[str], size: int = HELD_OUT
) -> tuple[Example[Any, Any], ...]:
    """Return labelled examples of the pool that are not among those `shown` as shots.

    Their label frequencies are those of the whole pool, as far as enough are left of each label,
    since a method that is fitted to them takes their frequencies for those of new queries. Those
    that read nearly like a test are left out. Raises `TaskError` where fewer than `LEAST_HELD_OUT`
    are left.
    """
    left = [demo for demo in task.demos if demo.id not in shown]
    kept = _unlike(task.tests, _in_proportion(left, task.demos)[: 2 * size])[:size]
    if len(kept) < LEAST_HELD_OUT:
        raise TaskError(
            f"temperature and vector calibration need {LEAST_HELD_OUT} examples of the pool that "
            f"are no shots; of {len(task.demos)}, {len(kept)} are left beside {len(shown)} shots. "
            "Add examples, or compare fewer shots"
        )
    return tuple(kept)


def _in_proportion(
    examples: Iterable[Example[Any, Any]], pool: Iterable[Example[Any, Any]]
) -> list[Example[Any, Any]]:
    """Order examples so that the first n have the label frequencies of the pool, whatever n is.

    Labels take turns by the method of Webster and Sainte-Laguë; within a label ids decide.
    """
    shares = Counter(repr(example.output) for example in pool)
    by_label: dict[str, list[Example[Any, Any]]] = {}
    for example in sorted(examples, key=lambda example: sha256(canonical(example.id)).digest()):
        by_label.setdefault(repr(example.output), []).append(example)
    turns = [
        ((number + 0.5) / shares[label], label, example)
        for label, group in by_label.items()
        for number, example in enumerate(group)
    ]
    return [example for *_, example in sorted(turns, key=lambda turn: turn[:2])]


def _unlike(
    tests: Iterable[Example[Any, Any]], examples: Sequence[Example[Any, Any]]
) -> list[Example[Any, Any]]:
    """The examples that do not read nearly like a test."""
    every = [*tests, *examples]
    first = len(every) - len(examples)
    alike = set(range(first))
    texts = [normalised(text_of(example.input)) for example in every]
    for before, after in sorted(near_pairs(texts), key=lambda pair: pair[1]):
        if before in alike:
            alike.add(after)
    return [example for index, example in enumerate(examples, first) if index not in alike]


def _blank(task: Task[Any, Any], texts: Sequence[str], what: str) -> tuple[Example[Any, Any], ...]:
    names = _text_fields(task)
    rest = _commonest(task, names)
    made = [
        _accepted(task, {**rest, **dict.fromkeys(names, text)}, f"{what} {text!r}")
        for text in texts
        if names
    ]
    probes = tuple(probe for probe in made if probe is not None)
    if not probes:
        raise TaskError(
            f"contextual and pmi calibration ask about an input that says nothing, but no field "
            f"of {task.types()[0].__name__} accepts {', '.join(map(repr, texts))}; "
            "use batch or domain-context"
        )
    return probes


def _text_fields(task: Task[Any, Any]) -> tuple[str, ...]:
    """The fields of an input that may hold a text that says nothing."""
    if not len(task.demos):
        return _names(task)
    fields = _fields(task.demos[0])
    return tuple(
        name
        for name in fields
        if any(_accepted(task, {**fields, name: text}, "") for text in CONTENT_FREE)
    )


def _commonest(task: Task[Any, Any], without: Collection[str]) -> Mapping[str, Any]:
    """What the other fields of an input most often are, together."""
    found: dict[bytes, Mapping[str, Any]] = {}
    counts: Counter[bytes] = Counter()
    for demo in task.demos:
        rest = {name: value for name, value in _fields(demo).items() if name not in without}
        plain = task.fields_of(demo)
        key = canonical([plain[name] for name in rest])
        found.setdefault(key, rest)
        counts[key] += 1
    return found[counts.most_common(1)[0][0]] if counts else {}


def _accepted(
    task: Task[Any, Any], fields: Mapping[str, Any], name: str
) -> Example[Any, Any] | None:
    """The example, if the input type accepts it, under an id that no other example has."""
    try:
        example = task.as_query(fields)
    except PromptkitError:
        return None
    except Exception:  # whatever a validator of the input's own raises for a text like no other
        return None
    while task.demos.by_id(name) is not None or task.tests.by_id(name) is not None:
        name += "'"
    return example.model_copy(update={"id": name})


def _names(task: Task[Any, Any]) -> tuple[str, ...]:
    return tuple(task.types()[0].model_fields)


def _fields(example: Example[Any, Any]) -> dict[str, Any]:
    return {name: getattr(example.input, name) for name in type(example.input).model_fields}


def _units(text: Any) -> Iterator[str]:
    """The words of a text, each with a space behind it, or its letters where there are none."""
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


def _one_of(values: Sequence[Any], random: Random) -> Any:
    # random.choice may change between versions of Python, random.random may not.
    return values[int(random.random() * len(values))]
