"""Arguments of commands, read as tasks, models, selections and numbers."""

from __future__ import annotations

import importlib
import os
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from rich.text import Text

import promptkit
from promptkit.cli.console import err, note
from promptkit.errors import ModelError, PromptkitError, TaskError, escaped
from promptkit.graphemes import beginning
from promptkit.inference.answering import Progress
from promptkit.models.base import Model, Sampling
from promptkit.models.remote.address import address_of, is_url
from promptkit.selection.orders import Order, as_order
from promptkit.selection.orders import orders as balanced_orders
from promptkit.selection.strategies import Selection, read_selection
from promptkit.tasks.loading import load_task
from promptkit.tasks.task import NearDuplicates, Task
from promptkit.text import listed
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.linting.token_model import TokenModel
    from promptkit.models.llama import LlamaModel
    from promptkit.models.remote.server_model import ServerModel


_LONGEST_NAME = 60
"""Limit in characters: file systems take 255 bytes, and a character may have four."""


def folder_name(task: str) -> str:
    """Return a task's name as the name of a folder, in any script, on any system."""
    encoding = sys.getfilesystemencoding()
    known = task.encode(encoding, "replace").decode(encoding, "replace")  # ASCII in LC_ALL=C
    name = re.sub(r'[\\/:*?"<>|\s\0-\x1f\x7f-\x9f]+', "-", known)
    return beginning(name.strip(".-"), _LONGEST_NAME).rstrip(".-") or "task"


def task_named(name: str, near_duplicates: str | None = None) -> Task[Any, Any]:
    """Return the task of this name; `near_duplicates` replaces its own setting."""
    if near_duplicates is None:
        return _loaded(name)
    choices("near-duplicates", [near_duplicates], NearDuplicates)
    return _loaded(name).model_copy(update={"near_duplicates": near_duplicates})


def _loaded(name: str) -> Task[Any, Any]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute.isidentifier()) or Path(name).exists():
        return load_task(name, notify=note)
    sys.path.insert(0, os.getcwd())
    try:
        task = getattr(importlib.import_module(module), attribute)
    except PromptkitError:
        raise
    except Exception as error:  # whatever the module raises
        raise TaskError(f"{name}: {type(error).__name__}: {error}{_place(error)}") from error
    if not isinstance(task, Task):
        raise TaskError(tr("{name} is a {kind}, not a Task", name=name, kind=type(task).__name__))
    return task


def _place(error: BaseException) -> str:
    """Return the place in the user's module at which an error was raised, or nothing."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    frames = [frame for frame in frames if not frame.filename.startswith("<frozen")]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames[1:] else ""


def model_named(name: str, **settings: Any) -> LlamaModel | ServerModel:
    """Return a model, loaded with the settings of `promptkit.load_model`, or a server's."""
    if is_url(name):
        return _server(name, **settings)
    doing = Text(
        tr(
            "loading {name} (the first time, it is tried in a process of its own)",
            name=escaped(name),
        )
    )
    with err.status(doing):
        return promptkit.load_model(name, notify=note, **settings)


def shown_model(name: str) -> str:
    """Return the name of a model as it may be shown: without the secrets of a URL."""
    if not is_url(name):
        return name
    address = address_of(name)
    return address.root + (f"#{address.model}" if address.model else "")


def token_model_named(name: str, **settings: Any) -> TokenModel:
    """Return a model that shows its tokens."""
    model: Any = model_named(name, **settings)
    if is_url(name) and not model.shows_tokens:
        raise ModelError(
            tr(
                "{name}: this server does not show its tokens, which lint reads; lint with "
                "the model's file, or without a model",
                name=model.identity.name,
            )
        )
    return model  # type: ignore[no-any-return]


def _server(url: str, *, context: int | None = None, **settings: Any) -> ServerModel:
    """Return a server's model; settings that only the server itself can have are refused."""
    for name in ("threads", "exact", "gpu_layers"):
        if settings.get(name) not in (None, False, "auto"):
            option = name.replace("_", "-")
            raise ModelError(
                tr("--{option}: a server has its own; start it with what you need", option=option)
            )
    with err.status(Text(tr("connecting to the server"))):
        return promptkit.load_server(url, context=context, notify=note)


def gpu_layers(text: str) -> int | Literal["auto"]:
    return "auto" if text == "auto" else int(text)


def models_named(names: Sequence[str], adapters: Sequence[Path], **how: Any) -> list[Model]:
    """Return each model, by default the bundled one, followed by itself with each adapter."""
    models: list[Model] = []
    for name in dict.fromkeys(names or ["smollm2"]):
        model = model_named(name, **how)
        models.append(model)
        if adapters and is_url(name):
            raise ModelError(tr("--adapter: a server has its own; start it with the adapter"))
        models += [model.adapted(adapter) for adapter in adapters]  # type: ignore[union-attr]
    return models


def numbers(texts: Sequence[str]) -> list[int]:
    try:
        numbers = [int(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0:
        text = ",".join(texts)
        raise TaskError(
            tr("--shots {text!r}: write shot counts with commas, such as 0,1,2,4,8", text=text)
        )
    return numbers


def choices(name: str, values: list[str], kind: Any) -> list[Any]:
    for value in values:
        if value not in get_args(kind):
            raise TaskError(
                tr(
                    "--{name} {value!r}: choose {kind}",
                    name=name,
                    value=value,
                    kind=listed(get_args(kind), "or"),
                )
            )
    return values


def selections(names: Sequence[str], embedder: str | None) -> list[Selection]:
    """Return selections from names or files of ids, with the embedder if one is named."""
    embed = promptkit.load_embedder(embedder) if embedder is not None else None
    chosen = [read_selection(name, embed) for name in names]
    if embed is not None and not any(hasattr(one, "embed") for one in chosen):
        raise TaskError(tr("--embedder: no --selection compares inputs; add --selection similar"))
    return chosen


def orders(names: Sequence[str], count: int | None) -> list[Order]:
    """Return orders from names, and `count` balanced ones."""
    return [*map(as_order, names), *(balanced_orders(count) if count is not None else ())]


def calibrations(names: Sequence[str], task: Task[Any, Any]) -> Sequence[str]:
    """Return methods of calibration, checked before a model is loaded; `all` stays as it is."""
    from promptkit.calibration.apply import ALL, methods_of

    others = [name for name in names if name != ALL]
    methods = methods_of(others, task)  # refuses unknown names, beside "all" too
    if ALL in names:
        methods_of(ALL, task)
    return ALL if ALL in names else methods


def option_orders(count: int, task: Task[Any, Any]) -> int:
    """Return a number of orders of options, checked before a model is loaded."""
    from promptkit.calibration.option_orders import methods_of

    methods_of(count, task)
    return count


def sampling(max_tokens: int, temperature: float) -> Sampling:
    try:
        return Sampling(max_tokens, temperature)
    except ValueError as error:
        raise TaskError(str(error)) from None


@contextmanager
def progress(what: str, models: Sequence[Model]) -> Iterator[Progress]:
    """Show a progress bar with the remaining time and the tokens decoded per second."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        *(TextColumn(what), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[speed]}"), TimeRemainingColumn()),
    )
    with Bar(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        job = bar.add_task(what, total=None, speed="")

        def update(done: int, total: int) -> None:
            tokens = sum(model.usage.decoded_tokens for model in models)
            seconds = sum(model.usage.decode_seconds for model in models)
            speed = tr("{tokens:,.0f} tokens/s", tokens=tokens / seconds) if seconds else ""
            bar.update(job, completed=done, total=total, speed=speed)

        yield update
