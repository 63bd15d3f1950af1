"""Frozen predictors: loaded from their file, with the model that they were frozen with."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from promptkit.calibration.fitted import FittedCalibration
from promptkit.errors import DataError, ModelError, Problem, PromptkitError
from promptkit.files.paths import is_inside
from promptkit.inference.answering import Progress
from promptkit.inference.any_predictor import apart
from promptkit.inference.cell import Cell
from promptkit.inference.frozen_file import STATE, FrozenFile, read_frozen
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.models.base import GpuLayers, Model, ModelIdentity, Sampling, runs_otherwise
from promptkit.models.reloading import load_again
from promptkit.models.runtime.prefix_state import PrefixState
from promptkit.selection.orders import Order
from promptkit.selection.saved_selection import selection_from_dict
from promptkit.tasks.examples import Example
from promptkit.tasks.languages import Languages
from promptkit.tasks.loading import load_task
from promptkit.tasks.verbalizers import Verbalizer
from promptkit.templating.template import Template
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.models.embedding import Embedder


@dataclass(frozen=True)
class FrozenPredictor(Predictor):
    """A predictor that was loaded from a file; its name is the file's.

    Example:
        >>> import promptkit as pk
        >>> task, model = pk.load_task("examples/fruit"), pk.FakeModel()
        >>> predictor = pk.Predictor(task, pk.Template.of(task), model, shots=4)
        >>> file = pk.freeze(predictor, "fruit.promptkit")
        >>> frozen = pk.load_predictor(file, model=model)
        >>> [one.shots for one in frozen.predict([frozen.query({"name": "lemon"})])]
        [4]
    """

    name: str = ""
    """Name in tables."""
    evidence: Mapping[str, Any] | None = field(default=None, hash=False)
    """What was known of its answers when it was frozen."""

    @property
    def identity(self) -> ModelIdentity:
        """Identity of the model, under the name of the predictor."""
        return replace(self.model.identity, name=self.name)

    @property
    def cell(self) -> Cell:
        """Cell of the predictions."""
        return super().cell.at(model=self.name)

    def query(self, fields: Mapping[str, Any]) -> Example[Any, Any]:
        """Return a query out of the fields of its input. Raises `DataError`."""
        return self.task.as_query(fields)

    def predict(
        self,
        queries: Iterable[Example[Any, Any]],
        *,
        store: Store | None = None,
        progress: Progress | None = None,
    ) -> list[Prediction]:
        """Answer every query; one that has the id of a demonstration is another example."""
        queries = list(queries)
        asked = [apart(self.task, query) for query in queries]
        made = super().predict(asked, store=store, progress=progress)
        return [replace(one, id=query.id) for one, query in zip(made, queries, strict=True)]


def load_frozen(
    path: str | Path,
    model: Model | None = None,
    *,
    any_model: bool = False,
    threads: int | None = None,
    gpu_layers: GpuLayers | None = None,
    embedder: Embedder | None = None,
    any_server: bool = False,
    notify: Callable[[str], None] | None = None,
) -> FrozenPredictor:
    """Load a frozen predictor with its model.

    Args:
        path: The file, as `promptkit.freeze` or `promptkit freeze` writes it.
        model: The model; by default the one that the file names.
        any_model: Whether another model than the frozen one may answer.
        threads: The threads that compute; by default as many as were measured to be fastest.
        gpu_layers: The layers that run on a GPU; by default as many as when it was frozen.
        embedder: The embedder by which its shots are selected; by default the one that the file
            names.
        any_server: Whether the file may name any server as the place of its model.
        notify: A function that is called with notes, such as that the weights run as another type.

    Returns:
        The predictor.

    Raises:
        DataError: The file is missing, damaged or of a later version.
        ModelError: The model or the embedder is not found, or not the frozen one.
    """
    frozen = read_frozen(path)
    folder = Path(mkdtemp(prefix="promptkit-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)  # templates are loaded from it
    try:
        frozen.unpack(folder)
        task = load_task(folder / "task")
        template = _template(frozen, folder)
        settings = _settings(frozen.data)
        selection = selection_from_dict(
            frozen.data["selection"], embedder=embedder, threads=threads
        )
    except ModelError as error:
        raise ModelError(f"{frozen.path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(frozen, error) from None
    if task.fingerprint != frozen.data["task"]["fingerprint"]:
        raise _damaged(frozen, tr("its task is read differently by this version of promptkit"))
    given = model is not None
    if model is None:
        how: dict[str, Any] = {"threads": threads, "gpu_layers": gpu_layers, "notify": notify}
        model = _loaded(frozen, any_server=any_server, **how)
    same = _check_model(frozen, model.identity, any_model, notify)
    if frozen.data.get("state") and same and not given:
        _restore(frozen, model, notify)
    return FrozenPredictor(
        task,
        template,
        model,
        selection=selection,
        **settings,
        name=frozen.path.stem,
        evidence=frozen.data["evidence"],
    )


def _template(frozen: FrozenFile, folder: Path) -> Template:
    data = frozen.data["template"]
    templates = folder / "templates"
    folders = tuple([templates / str(number) for number in range(data["folders"])])
    for one in folders:
        one.mkdir(parents=True, exist_ok=True)
    place = None if data["place"] is None else str(templates / data["place"])
    if place is not None and not is_inside(Path(place), templates):
        raise ValueError(tr("its template is in the place {place!r}", place=place))
    source = frozen.files["template.j2"].decode()
    template = Template(source, data["name"], folders, made_from=place)
    template.check()
    return template


def _settings(data: Mapping[str, Any]) -> dict[str, Any]:
    words, order, learnt = data["verbalizer"], data["order"], data["calibration"]
    spoken = data.get("language")
    return {
        "shots": data["shots"],
        "seed": data["seed"],
        "fit": data["fit"],
        "sampling": Sampling(**data["sampling"]),
        "verbalizer": None if words is None else Verbalizer(words["name"], words["words"]),
        "order": None if order is None else Order(**order),
        "rationale_tokens": data["rationale_tokens"],
        "rationales": data.get("rationales", 1),
        "think": data.get("think", 0),
        "calibration": None if learnt is None else FittedCalibration.from_dict(learnt),
        "threshold": data["threshold"],
        "scores": data.get("scores", "all"),
        "language": None if spoken is None else Languages(**spoken),
    }


def _loaded(frozen: FrozenFile, **how: Any) -> Model:
    """Return the model that a file names."""
    origin, identity = frozen.data["model"]["origin"], frozen.data["model"]["identity"]
    if origin is None:
        raise ModelError(
            tr(
                "{path}: frozen with {identity}, which is no model file; give the model: "
                "load_predictor(file, model=...)",
                path=frozen.path,
                identity=identity["name"],
            )
        )
    try:
        return load_again(origin, identity["context"], **how)
    except PromptkitError as error:
        raise ModelError(
            tr(
                "{path}: its model {origin} (SHA-256 {identity}…) cannot be loaded: "
                "{error}; name the file with --model",
                path=frozen.path,
                origin=origin["name"],
                identity=identity["sha256"][:12],
                error=error,
            )
        ) from None


def _check_model(
    frozen: FrozenFile,
    found: ModelIdentity,
    any_model: bool,
    notify: Callable[[str], None] | None,
) -> bool:
    """Raise `ModelError` for another model than the frozen one; return whether it is the same.

    Other settings of the same model are told.
    """
    wanted = frozen.data["model"]["identity"]
    changes = found.changes(wanted)
    if {"sha256", "adapter"} & {*changes} and not any_model:
        raise ModelError(
            tr(
                "{path}: frozen with {wanted} (SHA-256 {digest}…), and this is {name} "
                "({sha256}…), or its adapter is another; to use it all the same, allow any "
                "model (--any-model), and compare it first",
                path=frozen.path,
                wanted=wanted["name"],
                digest=str(wanted["sha256"])[:12],
                name=found.name,
                sha256=found.sha256[:12],
            )
        )
    if changes and notify is not None:
        notify(f"{frozen.path.name}: {runs_otherwise(changes)}")
    return not changes


def _restore(frozen: FrozenFile, model: Model, notify: Callable[[str], None] | None) -> None:
    """Give the model the state of the file; without it, it only begins more slowly."""
    state = PrefixState(tuple(map(int, frozen.data["state"])), frozen.files[STATE])
    try:
        model.restore(state)  # type: ignore[attr-defined]  # a model that was loaded here
    except ModelError as error:
        if notify is not None:
            notify(
                tr(
                    "{name}: {error}; the first answer takes longer",
                    name=frozen.path.name,
                    error=error,
                )
            )


def _damaged(frozen: FrozenFile, reason: object) -> DataError:
    said = tr("it cannot be read ({reason}); freeze the predictor again", reason=reason)
    return DataError([Problem(said, file=str(frozen.path))])
