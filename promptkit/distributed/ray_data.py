"""Bulk prediction on the machines of a Ray cluster, through Ray Data."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from promptkit.bulk.bulk_asking import ChunkAnswers, Queries
from promptkit.distributed.ray_worker import Asker, Desk, SentPredictor, answered, sent
from promptkit.errors import MissingExtraError, ModelError, TaskError
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.tasks.task import Task
from promptkit.translation import tr

LOCAL = "local"
"""Address of a cluster that is started on this machine, and stopped behind the run."""

_TICKETS = 10_000  # batches of one dataset; its actors, and their models, are loaded once
_OBJECT_BYTES = 128 << 20  # of batches that are on their way


@dataclass(frozen=True)
class RayWorkers:
    """Actors of a Ray cluster that ask a predictor for `promptkit.predict`.

    Each loads the model for itself. Rows are read, and parts are written, by the process that
    calls `predict`, so that its answers, rejects and guarantees are those of one process.

    Example:
        >>> RayWorkers("local", actors=2)
        RayWorkers(address='local', actors=2, threads=None, store=None)
    """

    address: str = LOCAL
    """Address of the cluster, `auto` on one of its machines, or `local`."""
    actors: int | None = None
    """Number of actors; by default one for each machine."""
    threads: int | None = None
    """Threads of each; by default all that were measured to be fastest, or its share of cores."""
    store: str | Path | None = None
    """Prediction store on each machine of a cluster, on a disk of its own; by default there is
    none. With `local`, it is that of the run."""

    def asked(
        self,
        predictor: AnyPredictor,
        task: Task[Any, Any],
        batches: Iterator[Queries],
        store: Path | None,
        /,
    ) -> Iterator[ChunkAnswers]:
        """Yield the answers to each batch, in the order of the batches.

        Raises:
            MissingExtraError: Ray is not installed.
            TaskError: There is no such cluster, or the predictor cannot be sent.
            ModelError: The predictor cannot be loaded there, or fails.
        """
        check_ray()
        if self.actors is not None and self.actors < 1:
            raise TaskError(tr("actors {actors}: it is 1 or more", actors=self.actors))
        own = store if self.address == LOCAL else self.store
        path = None if own is None else Path(own).absolute()
        recipe = SentPredictor.of(predictor, task)
        with _cluster(self.address, self.actors or 1):
            pool = ActorPool.of(self.actors, on_gpu=recipe.gpu_layers > 0)
            yield from _in_order(pool, batches, recipe, path, self.threads)


@dataclass(frozen=True)
class ActorPool:
    """Actors as a cluster has room for them."""

    actors: int
    each: int
    """Number of actors on a machine."""
    cpus: int
    """Processors that one reserves, so that no more than `each` of them are on a machine."""

    gpus: float = 0
    """GPUs, or the share of one, that an actor reserves; Ray hides all others from it."""

    @classmethod
    def of(cls, actors: int | None, *, on_gpu: bool = False) -> ActorPool:
        """Return the pool of a number of actors, by default one for each machine.

        Raises:
            TaskError: The cluster has no room for them.
        """
        import ray

        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        found = [one for one in alive if one.get("CPU", 0) >= 1]
        if not found:
            raise TaskError(tr("no machine of the Ray cluster has a processor for an actor"))
        if on_gpu and not (found := [one for one in found if one.get("GPU", 0) >= 1]):
            raise TaskError(
                tr(
                    "no machine of the Ray cluster has a GPU for the layers of the model; run "
                    "without one (--gpu-layers 0)"
                )
            )
        number = actors or len(found)
        each = ceil(number / len(found))
        cpus = min(int(one["CPU"]) for one in found)
        if cpus < each:
            raise TaskError(
                tr(
                    "{number} actors are more than the Ray cluster has processors for",
                    number=number,
                )
            )
        gpus = min(one["GPU"] for one in found) / each if on_gpu else 0
        return cls(number, each, cpus // each, int(gpus) or int(gpus * 10_000) / 10_000)


def _in_order(
    pool: ActorPool,
    batches: Iterator[Queries],
    recipe: SentPredictor,
    store: Path | None,
    threads: int | None,
) -> Iterator[ChunkAnswers]:
    """Yield the answers to batches, of which few are read ahead of those that are answered."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    desk = ray.remote(num_cpus=0, scheduling_strategy=here)(Desk).remote()
    results = _results(pool, desk, (desk, recipe, store, threads, pool.each))
    ready: dict[int, ChunkAnswers] = {}
    read = done = 0
    most = 2 * pool.actors + 1
    while True:
        while read - done < most and (batch := next(batches, None)) is not None:
            if batch:
                ray.get(desk.put.remote(read, sent(batch)))
            else:
                ready[read] = ChunkAnswers((), 0)
            read += 1
        if done == read:
            return
        while done not in ready:
            number, made = next(results)
            if number >= done:  # not answered twice
                ready[number] = made
        yield ready.pop(done)
        done += 1


def _results(
    pool: ActorPool, desk: Any, arguments: tuple[Any, ...]
) -> Iterator[tuple[int, ChunkAnswers]]:
    """Yield the answers to batches at the desk, by number, as they come; it never ends."""
    import ray

    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        while True:
            tickets = ray.data.range(_TICKETS, override_num_blocks=_TICKETS)
            answers = tickets.map_batches(
                Asker,
                batch_size=None,
                batch_format="pyarrow",
                fn_constructor_args=arguments,
                compute=ray.data.ActorPoolStrategy(size=pool.actors),
                num_cpus=pool.cpus,
                num_gpus=pool.gpus,
            )
            for table in answers.iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                number, made = answered(table)
                ray.get(desk.forget.remote(number))
                yield number, made
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()
        raise ModelError(
            tr("Ray: {reason}", reason=reason[-1] if reason else type(error).__name__)
        ) from error


@contextmanager
def _cluster(address: str, actors: int) -> Iterator[None]:
    """Connect to a cluster, or start one; one that the caller is connected to stays."""
    import ray

    if ray.is_initialized():
        yield
        return
    local: dict[str, Any] = {
        "num_cpus": actors,
        "include_dashboard": False,
        "object_store_memory": _OBJECT_BYTES,
    }
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # an error line for every pool
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(local if address == LOCAL else {}),
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise TaskError(
            tr("no Ray cluster at {address}: {error}", address=address, error=error)
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def check_ray() -> None:
    """Raise `MissingExtraError` where Ray Data is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise MissingExtraError(tr("prediction on Ray"), "ray") from None
