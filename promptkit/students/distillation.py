"""Distillation: a teacher labels a pool, and a student learns from that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, NamedTuple

from promptkit.bulk.bulk_inputs import Inputs
from promptkit.errors import TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.inference.profile import Profile
from promptkit.inference.store import Store, opened
from promptkit.students.arrays_file import packed
from promptkit.students.gold_rows import first_gold, taught_by_gold
from promptkit.students.label_filters import LabelFilters
from promptkit.students.lesson import Lesson
from promptkit.students.linear_head import LinearHead
from promptkit.students.pool_gold import gold_of
from promptkit.students.pool_labels import PoolSource, Tell, label_pool
from promptkit.students.student import Student
from promptkit.students.student_curve import student_curve
from promptkit.students.student_figures import judge
from promptkit.students.student_file import load_student
from promptkit.students.student_folder import is_student
from promptkit.students.taught import Taught, card_of, is_card_of
from promptkit.students.teacher import Teacher
from promptkit.students.training import kind_named, train
from promptkit.tasks.reading import Columns
from promptkit.tasks.task import Task
from promptkit.translation import tr

Notify = Callable[[str], None]


def distill(
    teacher: AnyPredictor | Sequence[AnyPredictor] | None,
    pool: Inputs | None = None,
    *,
    out: str | Path | None = None,
    task: Task[Any, Any] | None = None,
    student: str = "tfidf",
    expected: bool = False,
    temperature: float = 1.0,
    gold_weight: float = 0.0,
    examples: int | None = None,
    min_confidence: float | None = None,
    min_coverage: float | None = None,
    min_agreement: float | None = None,
    curve: bool = True,
    columns: Columns | None = None,
    codes: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
    labels: str | Path | None = None,
    keep: bool = False,
    tell: Tell | None = None,
    notify: Notify | None = None,
) -> Student:
    """Return a student that has learnt from what a teacher says of an unlabelled pool.

    The teacher's answers are kept in `OUT.labels`: the same call goes on from there after any end
    of the process, and another student of the same pool asks nothing. The student is judged by the
    gold outputs of the task's tests; rows of the pool that are nearly a test are left out.

    Without a teacher it learns from gold outputs alone, those of the task's own pool.

    Args:
        teacher: A predictor of labels or numbers; or several, such as orders of the same shots,
            whose answers are averaged; or None for a student of gold outputs alone.
        pool: A .csv, .jsonl or .parquet file, an Arrow stream, or an iterable of records; None
            without a teacher.
        out: The folder of the student; None to keep nothing.
        task: The task, with tests; by default that of the teacher.
        student: The kind of student: `tfidf`, `static`, `static:MODEL` or `gguf:MODEL`.
        expected: Whether the student of a scale, whose labels are numbers, answers with the
            expected number instead of one of them.
        temperature: What the teacher's log-probabilities are divided by: above 1 makes them softer.
        gold_weight: The weight of the pool's outputs where it has some, from 0 (the teacher alone)
            to 1.
        examples: The number of the pool's outputs that are learnt, the first ones of a ranking by
            the seed; all of them by default.
        min_confidence: The least probability of the most probable label of a row.
        min_coverage: The least probability mass on the labels together.
        min_agreement: The least share of the predictors whose answer is that of their mean.
        curve: Whether students of parts of the pool, and of hard labels, are trained and judged.
        columns: The columns of input fields, `output` and `id`, where they have other names.
        codes: Labels by the codes that stand for them among the pool's outputs.
        limit: The number of rows of the pool to read at the most.
        seed: The number of the draws.
        store: The prediction store, or its path; by default `.promptkit/predictions.sqlite`.
        labels: The folder of the teacher's answers, which several students may share; by default
            `OUT.labels`.
        keep: Whether a student in `out` that was made of just the same is returned as it is.
        tell: A function that is called as rows are labelled.
        notify: A function that is called with what is done next.

    Returns:
        The student; its `card` says what it was made of and how well it does.

    Raises:
        TaskError: The task's outputs cannot be learnt, a setting is out of its range, the pool
            cannot be read, no row is left, or `out` is a folder of something else.
        OSError: A file cannot be written.

    Example:
        >>> import promptkit as pk
        >>> task = pk.load_task("examples/fruit")
        >>> teacher = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), shots=2)
        >>> pool = [{"name": f"{size} {kind}s"} for size in range(40) for kind in ("gum", "fig")]
        >>> student = distill(teacher, pool, curve=False, store=pk.Store())
        >>> student.card["training"]["rows"]
        80
        >>> distill(None, task=task, examples=20).card["training"]["gold"]
        20
    """
    filters = LabelFilters(min_confidence, min_coverage, min_agreement)
    lesson = Lesson(student, temperature, gold_weight, filters, seed)
    say = notify or (lambda message: None)
    place = None if out is None else _checked(Path(out))
    if teacher is None:
        taught = _by_gold(task, pool, lesson, expected, examples)
    else:
        own = _teacher(teacher, task, expected)
        if pool is None:
            raise TaskError(tr("a teacher labels a pool; give its rows"))
        filters.check(len(own.members), numeric=not own.task.labels)
        reading = _Reading(PoolSource.of(pool), columns, codes, limit, examples)
        with _answers(place, labels) as folder, opened(store) as kept:
            taught = _taught(own, reading, lesson, folder, kept, tell)
    return made_student(taught, place, say, curve=curve, keep=keep)


def made_student(
    taught: Taught, place: Path | None, say: Notify, *, curve: bool, keep: bool
) -> Student:
    """Return a student of some rows, trained and judged.

    Args:
        taught: What it learns.
        place: Its folder; None to keep nothing.
        say: Called with what is done next.
        curve: Whether students of parts of the rows are judged too.
        keep: Whether a student of the same, which is in the folder, is returned.
    """
    if keep and place is not None and is_student(place):
        known = load_student(place)
        if is_card_of(known.card, taught):
            return replace(known, task=taught.task)
    say(tr("training on {count:,} rows", count=len(taught.rows)))
    begun, lesson = perf_counter(), taught.lesson
    name = "student" if place is None else place.resolve().name
    kind = kind_named(lesson.student)
    made, head = train(taught.task, taught.rows, kind, seed=lesson.seed, name=name)
    seconds = perf_counter() - begun
    judged = judge(made, taught)
    if curve and taught.tests:
        hard = "" if taught.teacher is None else tr(", and on hard labels")
        say(tr("training on parts of the rows{hard}", hard=hard))
        judged["curve"] = [*student_curve(taught)]
    card = card_of(taught, judged, head.strength, seconds)
    made = replace(made, card=card, profile=_profile(taught, made, head, seconds))
    if place is not None:
        made.save(place)
    return made


class _Reading(NamedTuple):
    """Rows of a pool, and how they are read."""

    source: PoolSource
    columns: Columns | None
    codes: Mapping[str, str] | None
    limit: int | None
    examples: int | None
    """Number of outputs that are learnt."""


def _by_gold(
    task: Task[Any, Any] | None,
    pool: Inputs | None,
    lesson: Lesson,
    expects: bool,
    examples: int | None,
) -> Taught:
    if task is None:
        raise TaskError(tr("without a teacher a student learns from a task's pool; give the task"))
    if pool is not None:
        raise TaskError(
            tr("without a teacher a student learns from the task's own pool; give none")
        )
    if lesson.filters != LabelFilters() or lesson.temperature != 1:
        raise TaskError(tr("filters and a temperature are for a teacher's answers; leave them out"))
    return taught_by_gold(task, lesson, expects=expects, examples=examples)


def _teacher(
    given: AnyPredictor | Sequence[AnyPredictor], task: Task[Any, Any] | None, expects: bool
) -> Teacher:
    members = tuple(given) if isinstance(given, Sequence) else (given,)
    own = task or next((getattr(member, "task", None) for member in members), None)
    if not isinstance(own, Task):
        raise TaskError(tr("a teacher without a task; say with `task` what its answers are"))
    return Teacher(members, own, expects)


def _checked(out: Path) -> Path:
    """Return the folder of a student. Raises `TaskError` where it is one of something else."""
    if out.exists() and not is_student(out) and (not out.is_dir() or any(out.iterdir())):
        raise TaskError(tr("{out}: there already, and no student; name another folder", out=out))
    return out


@contextmanager
def _answers(out: Path | None, folder: str | Path | None) -> Iterator[Path]:
    """Yield the folder of a teacher's answers, which is kept beside a student that is."""
    if folder is not None or out is not None:
        yield Path(folder or f"{out}.labels")
        return
    with TemporaryDirectory(prefix="promptkit-") as made:
        yield Path(made)


def _taught(
    teacher: Teacher,
    reading: _Reading,
    lesson: Lesson,
    folder: Path,
    store: Store,
    tell: Tell | None,
) -> Taught:
    """Return the rows that a student learns from, and the teacher's answers to the tests."""
    source, columns, codes, limit, examples = reading
    if examples is not None and not lesson.gold_weight:
        raise TaskError(
            tr("a number of outputs to learn, but they have no weight; give gold_weight")
        )
    how: Any = {"columns": columns, "limit": limit}
    labels = label_pool(teacher, source, folder, store=store, tell=tell, **how)
    gold = None
    if lesson.gold_weight:
        found = gold_of(teacher, source, labels, codes=codes, **how)
        gold = first_gold(found, examples, lesson.seed)
    rows, dropped = lesson.rows(teacher, labels, gold)
    said = tuple(teacher.answered_tests(store))
    own = teacher.taught_task
    return Taught(own, teacher, source, labels, lesson, rows, dropped, teacher.tests, said)


def _profile(taught: Taught, made: Student, head: LinearHead, seconds: float) -> Profile:
    return Profile(
        parameters=made.parameters,
        trained=head.weights.size + head.bias.size,
        bytes=len(packed(made.arrays)),
        seconds=taught.seconds + seconds,
        tokens=taught.tokens,
        labels=taught.gold_labels,
    )
