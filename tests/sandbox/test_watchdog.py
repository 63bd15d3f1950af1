"""What no counter sees ends, too, in any thread, and leaves nothing behind."""

from __future__ import annotations

import ctypes
import gc
import signal
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial

import pytest
from hostile import TASK
from jinja2.exceptions import SecurityError

from promptkit.errors import PromptError, TemplateError
from promptkit.prompts import chat_template
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt
from promptkit.sandbox import watchdog
from promptkit.sandbox.codegen import Folding
from promptkit.sandbox.watchdog import watched
from promptkit.templating.template import Template

LOOP = "{% for i in range(99999) %}{% for j in range(99999) %}{{ i }}{% endfor %}{% endfor %}"


def spin() -> None:
    while True:
        try:
            sum(range(1_000))
        except Exception:
            pytest.fail("an exception that anything catches")


def wait_until_idle() -> None:
    """Wait for the watchdog to end, which it does only if it watches no work."""
    for thread in threading.enumerate():
        if thread.name == "promptkit-watchdog":
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "MAX_SECONDS", 0.2)


@pytest.mark.usefixtures("_short")
def test_work_that_takes_too_long_is_an_error() -> None:
    for _ in range(2):  # and then other work goes on
        with pytest.raises(SecurityError, match="seconds"):
            watched(spin)
        assert watched(lambda: 7) == 7
    wait_until_idle()


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_work_in_threads_ends() -> None:
    ended = []

    def work() -> None:
        with pytest.raises(SecurityError):
            watched(spin)
        ended.append(threading.get_ident())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ended) == 3


def test_work_that_takes_too_much_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "MAX_BYTES", 100 * 2**20)
    kept = []

    def grow() -> None:
        for _ in range(400):
            kept.append(bytearray(b"x" * 5_000_000))
            time.sleep(0.01)

    with pytest.raises(SecurityError, match="memory"):
        watched(grow)
    assert len(kept) < 400


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
def test_an_uncounted_rendering_names_its_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had a price."""
    monkeypatch.setattr("promptkit.sandbox.limits.Meter.spend", lambda *_: None)
    with pytest.raises(TemplateError, match=r"^t\.j2(:2)?: the template takes .* seconds"):
        Template(f"\n{LOOP}", "t.j2").render(TASK, query={"name": "fig"})
    turns = (Message("user", (Piece("hi", "data"),)),)
    with pytest.raises(PromptError, match=r"chat template fails( in line 2)?: .* seconds"):
        chat_template.apply(Prompt(messages=turns), f"\n{LOOP}")


class Closing:
    """Takes longer to close than work may take."""

    def __init__(self, closed: list[str]) -> None:
        self.closed = closed

    def __del__(self) -> None:
        close(self.closed)


class Open:
    pass


def close(closed: list[str]) -> None:
    end = time.thread_time() + 0.6
    while time.thread_time() < end:
        sum(range(1_000))
    closed.append("whole")


def by_del(closed: list[str]) -> None:
    Closing(closed)


def by_finalize(closed: list[str]) -> None:
    weakref.finalize(Open(), close, closed)


def by_the_collector(closed: list[str]) -> None:
    def callback(phase: str, _: object) -> None:
        if phase == "start" and not closed:
            close(closed)

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)


def by_code_in_c(closed: list[str]) -> None:
    """The collector waits in C, and runs a callback in Python after it."""

    def callback(phase: str, _: object) -> None:
        if phase == "start" or not closed:
            close([] if phase == "start" else closed)

    cycle = Open()
    cycle.itself = cycle  # type: ignore[attr-defined]
    usleep = ctypes.CDLL(None).usleep
    usleep.argtypes = [ctypes.c_uint, ctypes.py_object]
    kept = weakref.ref(cycle, partial(usleep, 400_000))  # called in the middle of the collection
    del cycle
    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert kept() is None


@pytest.mark.slow
@pytest.mark.usefixtures("_short")
@pytest.mark.parametrize("clean", [by_del, by_finalize, by_the_collector, by_code_in_c])
def test_cleaning_up_is_not_interrupted(clean: Callable[[list[str]], None]) -> None:
    """An exception there is printed and lost, and the model would stay half freed."""
    closed: list[str] = []

    def work() -> None:
        clean(closed)
        spin()

    with pytest.raises(SecurityError, match="seconds"):
        watched(work)
    assert closed == ["whole"]


@pytest.mark.usefixtures("_short")
def test_compiling_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folding, "visit", lambda *_: spin())
    with pytest.raises(TemplateError, match=r"^t\.j2"):
        Template("never compiled before", "t.j2").render(TASK, query={"name": "fig"})


def test_nothing_is_left_behind() -> None:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    before = threading.active_count()
    assert watched(lambda: watched(lambda: 1)) == 1
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == handlers
    wait_until_idle()
    assert threading.active_count() <= before
    assert watched(lambda: 2) == 2  # with a watchdog of its own


@pytest.mark.usefixtures("_short")
def test_an_error_of_the_work_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        watched(lambda: 1 / 0)
    wait_until_idle()
