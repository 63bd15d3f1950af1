"""One contestant on one grid, in a process of its own: `python -m benchmarks.contest JOB`.

Prints a `Run` as JSON. Loading is not timed: imports, the model file, and a first prompt of another
task. Everything else is.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

import promptkit
from benchmarks import limit, peers
from benchmarks.meter import Meter, Taken, peak_mb
from benchmarks.peers import Answer
from benchmarks.work import GRIDS, Asked, Grid, prompts
from promptkit.models.base import Generation, Sampling, Score
from promptkit.models.prepare.model_files import find
from promptkit.prompts.prompt import TokenizedPrompt

EVERY = 18
"""A loop without any reuse asks every so manieth query; its cost is then multiplied."""


@dataclass(frozen=True, slots=True)
class Job:
    """The task of a process."""

    contestant: str
    grid: str
    model: str
    threads: int
    queries: int | None = None
    """Number of queries, if fewer than the grid has."""
    folder: str = ""
    """Folder for weights in another format, shared by processes."""
    survey: Mapping[str, Any] = field(default_factory=dict)
    """The survey of the grid."""


@dataclass(frozen=True, slots=True)
class Run:
    """The outcome of a job."""

    taken: Taken
    peak_mb: float
    answers: tuple[Answer, ...] = ()
    """In the grid's order; empty if only a sample was run."""
    times: float = 1.0
    """Factor by which the figures of a sample were multiplied."""
    note: str = ""
    unique: int = 0
    """Fewest tokens of what was asked, answers that were generated included; 0 if not counted."""


@dataclass(frozen=True, slots=True)
class Survey:
    """Measurements of a grid before the contest."""

    load: limit.Load
    setting: limit.Setting
    """The fastest one for the limit."""
    speeds: Mapping[str, float]
    """Tokens a second of every setting that was tried."""
    flash_attention: bool
    """Setting with which the stock loops are faster."""
    flash_seconds: Mapping[str, float]
    """The time of a small part of the grid, with and without."""


class Question(BaseModel):
    """Input of a task that runs before the clock starts."""

    text: str


Loop = Callable[[Any, Sequence[Asked]], list[Answer]]

LOOPS: Mapping[str, Loop] = {
    "first token": peers.first_token,
    "first token, sorted": peers.first_token_sorted,
    "generate": peers.written,
    "log-likelihood": peers.loglikelihood,
}
"""Over llama-cpp-python's `Llama`."""

OTHER = Asked("Is the sky blue? Say", ("yes", "no"), (" yes", " no"), "\n")
"""Prompt that the peers run before the clock starts."""


def survey(job: Job, meter: Meter) -> Survey:
    """Counts the grid, and tries what the limit and the stock loops run best with."""
    grid, path = _grid(job), str(find(job.model))
    task = grid.task()
    with suppress(RuntimeError):  # what it finds out about the file at first use, it remembers
        _load(job, prepared=True).close()
    model = _load(job, prepared=False)
    template = promptkit.Template.of(task)
    load = limit.load_of(
        prompt
        for shots in grid.shots
        for seed in grid.seeds
        for prompt in promptkit.Predictor(task, template, model, shots, seed).tokenize(
            list(task.tests)[: grid.queries]
        )
        if isinstance(prompt, TokenizedPrompt)
    )
    model.close()
    setting, speeds = limit.best(path, load, job.threads, Path(job.folder))
    sample = list(prompts(grid.first(2)))
    loop = LOOPS[grid.contestants[0]]
    flash_seconds = {"on": float("inf"), "off": float("inf")}
    for name in [*flash_seconds] * 2:
        job = replace(job, survey={"load": asdict(load), "flash_attention": name == "on"})
        taken = stock(job, meter, loop, sample).taken
        flash_seconds[name] = min(flash_seconds[name], taken.seconds)
    flash = flash_seconds["on"] < flash_seconds["off"]
    return Survey(load, setting, speeds, flash, flash_seconds)


def stock(job: Job, meter: Meter, loop: Loop, asked: Sequence[Asked]) -> Run:
    """A loop over llama-cpp-python's own `Llama`."""
    llama = _llama(job)
    loop(llama, [OTHER])
    meter.start()
    answers = loop(llama, asked)
    taken = meter.stop()
    llama.close()
    return Run(taken, peak_mb(), tuple(answers))


def over_grid(job: Job, meter: Meter, loop: Loop) -> Run:
    """A loop over all of the grid."""
    return stock(job, meter, loop, list(prompts(_grid(job))))


def anew(job: Job, meter: Meter) -> Run:
    """Log-likelihoods without reuse: a sample, since every prompt costs what it costs alone."""
    grid = _grid(job)
    asked, llama = list(prompts(grid)), _llama(job)
    sample = [one for index, one in enumerate(asked) if index % grid.queries % EVERY == 0]
    peers.loglikelihood_anew(llama, [OTHER])
    meter.start()
    peers.loglikelihood_anew(llama, sample)
    taken = meter.stop()
    # A label's last token is in the count of the naive tokens, but it is not read.
    naive = taken.tokens + sum(len(one.answers) for one in sample)
    times = job.survey["load"]["naive"] / naive
    note = f"measured on {len(sample)} of {len(asked)} prompts"
    return Run(taken, peak_mb(), times=times, note=note)


def guidance(job: Job, meter: Meter) -> Run:
    """guidance's `select`."""
    asked, model = list(prompts(_grid(job))), peers.guided(_llama(job))
    peers.selected(model, [OTHER])
    meter.start()
    answers = peers.selected(model, asked)
    return Run(meter.stop(), peak_mb(), tuple(answers))


def ours(job: Job, meter: Meter, prepared: bool) -> Run:
    """`promptkit.compare`, with a store that is a new file."""
    grid, model = _grid(job), _load(job, prepared=prepared)
    task = grid.task()
    with tempfile.TemporaryDirectory() as folder:
        _compare(_other(), model, Grid("other", "", Path(), (0,), 1), Path(folder) / "other.sqlite")
        asked, written = _watched(model)
        meter.start()
        comparison = _compare(task, model, grid, Path(folder) / "predictions.sqlite")
        taken = meter.stop()
    answers = tuple([Answer(p.label, p.margin) for p in comparison.predictions])
    # An answer's last token is not decoded, unless it was one that ends a text.
    unique = limit.load_of(asked).tokens + sum(
        answer.generated - (answer.finish != "eos") for answer in written
    )
    return Run(taken, peak_mb(), answers, note=model.identity.weights, unique=unique)


def _watched(model: promptkit.LlamaModel) -> tuple[list[TokenizedPrompt], list[Generation]]:
    """Return lists of what the model is asked from now on, and of the answers that it generates."""
    asked: list[TokenizedPrompt] = []
    written: list[Generation] = []
    score, generate, answer = model.score, model.generate, model.answer

    def scored(prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        asked.extend(prompts)
        return score(prompts)

    def generated(
        prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        asked.extend(prompts)
        for index, made in generate(prompts, sampling):
            written.append(made)
            yield index, made

    def answered(
        prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Score | Generation]]:
        asked.extend(prompts)
        for index, made in answer(prompts, sampling):
            written.extend([made] if isinstance(made, Generation) else [])
            yield index, made

    model.__dict__.update(score=scored, generate=generated, answer=answered)
    return asked, written


def bound(job: Job, meter: Meter) -> Run:
    """The limit of the machine, in the setting that the survey found."""
    load, setting = limit.Load(**job.survey["load"]), limit.Setting(**job.survey["setting"])
    path = limit.converted(str(find(job.model)), setting.weights, Path(job.folder), job.threads)
    with limit.context(path, load, setting, job.threads) as decode:
        decode(min(load.tokens, setting.batch), 1)
        meter.start()
        decode(load.tokens, load.rows)
        taken = meter.stop()
    note = f"{setting}, sequences of up to {limit.cells_of(load, setting.batch)} tokens"
    return Run(taken, peak_mb(), note=note)


RUNS: Mapping[str, Callable[[Job, Meter], Run | Survey]] = {
    "survey": survey,
    "log-likelihood anew": anew,
    "guidance select": guidance,
    "promptkit as-is": partial(ours, prepared=False),
    "promptkit prepared": partial(ours, prepared=True),
    "limit": bound,
    **{name: partial(over_grid, loop=loop) for name, loop in LOOPS.items()},
}


def _compare(
    task: promptkit.Task[Any, Any], model: promptkit.Model, grid: Grid, store: Path
) -> promptkit.Comparison:
    return promptkit.compare(
        task,
        models=[model],
        shots=grid.shots,
        seeds=grid.seeds,
        limit=grid.queries,
        store=store,
    )


def _load(job: Job, *, prepared: bool) -> promptkit.LlamaModel:
    """Raises `RuntimeError` where this promptkit prepares no weights."""
    if "weights" in inspect.signature(promptkit.load_model).parameters:
        weights: dict[str, Any] = {} if prepared else {"weights": "as-is"}
        return promptkit.load_model(job.model, threads=job.threads, **weights)
    if prepared:
        raise RuntimeError("this promptkit prepares no weights")
    return promptkit.load_model(job.model, threads=job.threads)


def _llama(job: Job) -> Any:
    return peers.stock(
        str(find(job.model)),
        context=job.survey["load"]["longest"] + 8,  # what is generated may be longer than a label
        threads=job.threads,
        flash_attention=job.survey["flash_attention"],
    )


def _grid(job: Job) -> Grid:
    return GRIDS[job.grid].first(job.queries)


def _other() -> promptkit.Task[Any, Any]:
    """Prompt that promptkit runs before the clock starts."""
    labels = Literal["yes", "no"]
    question = promptkit.Example[Question, labels](input=Question(text=OTHER.text), output="yes")
    return promptkit.Task[Question, labels](name="other", tests=[question])


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    try:
        said = asdict(RUNS[job.contestant](job, Meter()))
    except promptkit.PromptkitError as error:  # its own messages say enough
        said = {"error": str(error)}
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said))


if __name__ == "__main__":
    main()
