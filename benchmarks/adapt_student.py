"""A student of a prompt: how much faster it is, and how much of the accuracy it keeps."""

from __future__ import annotations

from time import perf_counter

import promptkit as pk
from benchmarks.adapt_data import (
    Reached,
    accuracy,
    arguments,
    paired,
    predicted,
    seconds_each,
    show,
    sst2,
    teacher_of,
    unlabelled,
)
from promptkit.students.input_texts import input_texts
from promptkit.text import signed

_TIMES = 5
_whole = "{:,.0f}".format


def main() -> None:
    """Print what a student reaches that learnt from a prompt's answers to unlabelled texts."""
    parser = arguments("student")
    parser.add_argument("--shots", type=int, default=16, help="of the teacher")
    parser.add_argument("--pool", type=int, help="texts of the pool, the first ones")
    given = parser.parse_args()
    task = sst2(given.out, "dev")
    teacher = teacher_of(task, given)
    folder = given.out / "student"
    how = {"out": folder, "task": task, "limit": given.pool, "curve": False}
    student = pk.distill(teacher, unlabelled(given.out), notify=print, **how)
    queries = [*task.tests][: given.limit]
    taught, learnt = predicted(teacher, queries), predicted(student, queries)
    texts = input_texts(task, queries)
    quickest = min(_seconds(student, texts) for _ in range(_TIMES)) / len(texts)
    slow, quick = seconds_each(taught), seconds_each(learnt)
    share = accuracy(learnt) / accuracy(taught)
    delta, low, high = [signed(one, 1) for one in paired(task, taught, learnt)]
    profile = student.profile
    show(
        f"A student of {student.card['teacher']['name']}",
        [
            Reached("its throughput, times the teacher's", slow / quickest, 1e3, 1e4, _whole),
            Reached("its accuracy as a share of the teacher's", share, 0.95, 1.0),
            Reached("accuracy of the teacher", accuracy(taught)),
            Reached("accuracy of the student", accuracy(learnt)),
            Reached("throughput with its predictions made, times", slow / quick, write=_whole),
            Reached("minutes to make", profile.seconds / 60, write="{:.1f}".format),
        ],
        [
            f"Student less teacher: {delta} points [{low}, {high}].",
            f"{profile.parameters:,} parameters, {(profile.bytes or 0) / 1e6:.1f} MB; the pool has "
            f"{student.card['training']['rows']:,} rows, of which no gold label is used.",
        ],
    )


def _seconds(student: pk.Student, texts: list[str]) -> float:
    begun = perf_counter()
    student.logprobs(texts)
    return perf_counter() - begun
