"""Result of `compare`: rows, paired differences, cost, and the predictions behind them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptkit.calibration.calibrated_predictors import calibrated_predictor
from promptkit.calibration.calibration_note import CalibrationNote
from promptkit.errors import MissingExtraError, TaskError
from promptkit.evaluation.learning_curve import LearningCurve
from promptkit.evaluation.results import (
    Best,
    Confusion,
    FieldConfusion,
    FreeAnswers,
    Pair,
    Reliability,
    Row,
    Selective,
    Slicing,
    Spread,
    Variance,
)
from promptkit.experiments.setup import Setup
from promptkit.experiments.winner import check_prompted, threshold_of
from promptkit.files import saving
from promptkit.inference.batch import Cost
from promptkit.inference.cell import FIELDS, RAW, Cell, describe
from promptkit.inference.prediction import Prediction, Predictor
from promptkit.inference.store import Store
from promptkit.inference.threshold_stage import Thresholds
from promptkit.models.base import ModelIdentity
from promptkit.prompts.prompt import Prompt
from promptkit.tasks.examples import Example
from promptkit.templating.template import Template
from promptkit.translation import tr

FILES = ("comparison.json", "predictions.jsonl", "prompts.json", "report.html")
"""Files that `Comparison.save` always writes."""

if TYPE_CHECKING:
    import altair
    import pandas


@dataclass(frozen=True)
class Comparison:
    """Results of a grid of cells over the same queries; `print` them, or save them.

    Example:
        >>> from promptkit import FakeModel, Store, compare, load_task
        >>> task = load_task("examples/fruit")
        >>> result = compare(task, models=[FakeModel()], shots=[0, 1], seeds=2, store=Store())
        >>> [(row.shots, row.n) for row in result.rows if row.seed is None]
        [(0, 51), (1, 51)]
    """

    task: str
    """Name of the task."""
    fingerprint: str
    """Digest of the task."""
    models: tuple[ModelIdentity, ...]
    """Identities of the models, each once."""
    templates: tuple[Template, ...]
    """Templates of the grid, each once."""
    rows: tuple[Row, ...]
    """Metrics of every cell: the aggregate over seeds, then each seed."""
    pairs: tuple[Pair, ...]
    """Paired differences between cells."""
    best: Best
    """Cell that scored highest, tested against all others."""
    verdicts: tuple[str, ...]
    """Conclusions in plain language, the most important first."""
    warnings: tuple[str, ...]
    """Limits of the results that a careful reader must know."""
    notes: tuple[str, ...]
    """Hints on reading the figures, such as what counts as right."""
    variance: tuple[Variance, ...]
    """Variance components of the metric at each number of shots."""
    spreads: tuple[Spread, ...]
    """Distances between the levels of each swept factor."""
    reliability: tuple[Reliability, ...]
    """Reliability bins of each cell."""
    confusion: tuple[Confusion, ...]
    """Confusion matrix of each cell."""
    calibrations: tuple[CalibrationNote, ...]
    """Inputs that each method of calibration learnt from, per cell."""
    free_answers: tuple[FreeAnswers, ...]
    """Free-form answers of cells with low coverage."""
    usage: Cost
    """Prompts, tokens and seconds that the comparison took."""
    predictions: tuple[Prediction, ...]
    """Predictions of all cells."""
    prompts: Mapping[str, Prompt]
    """Prompts by their `prompt_sha256`."""
    pool: Mapping[str, str]
    """Short digest of each demonstration of the pool, by its id."""
    slices: tuple[Slicing, ...] = ()
    """Metrics of the queries that share a value of a column, by column."""
    selective: Selective | None = None
    """Queries that the best cell can answer with a stated error."""
    thresholds: tuple[Thresholds, ...] = ()
    """Thresholds of the labels of each cell, where an answer is a list of labels."""
    field_confusion: tuple[FieldConfusion, ...] = ()
    """Confusion matrices of the fields of records that have a closed set of values."""
    metric: str = "accuracy"
    """Name of the metric that pairs, the best cell, verdicts, variance components, spreads, slices
    and charts are about."""

    learning_curve: LearningCurve | None = None
    """Metric against the number of labelled rows, where it was asked for."""
    setup: Setup | None = None
    """What the comparison was made of, so that a predictor of a cell can be made again."""
    predictors: tuple[Predictor, ...] = field(default=(), repr=False, compare=False)
    """Predictor of every cell and seed, without its calibration; not saved."""
    queries: tuple[Example[Any, Any], ...] = field(default=(), repr=False, compare=False)
    """What was asked; not saved."""

    def predictor(
        self,
        cell: Cell | None = None,
        *,
        seed: int | None = None,
        store: Store | str | Path | None = None,
    ) -> Predictor:
        """Return the predictor of a cell, with its calibration, and its threshold if it has one.

        `cell` is by default the best one, and `seed` its first draw. What the comparison asked is
        looked up in `store`, by default the one in the current folder. Raises `TaskError` for a
        cell that it does not have.
        """
        chosen = (cell or self.best.cell).at(seed=None)
        check_prompted(chosen)
        raw = chosen.at(calibration=RAW)
        known = [one for one in self.predictors if one.cell.at(seed=None) == raw]
        seeds = [one.seed for one in known]
        if not known or (seed is not None and seed not in seeds):
            raise TaskError(
                tr(
                    "the comparison asked no prompts of {describe}, seed {seed}",
                    describe=describe(chosen),
                    seed=seed,
                )
            )
        one = known[0 if seed is None else seeds.index(seed)]
        most = max(other.shots for other in self.predictors)
        found, _ = calibrated_predictor(one, chosen.calibration, self.queries, most, store)
        return replace(found, threshold=threshold_of(self.selective, chosen))

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON can hold it; the predictions are `to_records()`."""
        return {**self._results(), "files": self._digests}

    def _results(self) -> dict[str, Any]:
        """Return `to_dict()` without the digests, for which all files are encoded."""
        apart = ("task", "fingerprint", "predictions", "prompts", "predictors", "queries")
        names = [one.name for one in fields(self) if one.name not in apart]
        return {
            "task": {"name": self.task, "fingerprint": self.fingerprint},
            **{name: encoded(getattr(self, name)) for name in names},
        }

    @cached_property
    def _digests(self) -> dict[str, str]:
        """The digests of the files that `save` writes beside `comparison.json`."""
        from promptkit.report.packed_prompts import packed

        return _digests_of(_data_files(self.to_records(), packed(self.prompts)))

    def to_records(self) -> list[dict[str, Any]]:
        """The predictions as JSON can hold them."""
        return records(self.predictions)

    def to_pandas(self, what: str = "rows") -> pandas.DataFrame:
        """One line per cell, or one per slice and cell where `what` is slices.

        Raises `MissingExtraError` without pandas, and `TaskError` for another `what`.
        """
        if what not in ("rows", "slices"):
            raise TaskError(tr("unknown table {what!r}; choose one of: rows, slices", what=what))
        try:
            import pandas
        except ImportError:
            raise MissingExtraError(tr("a data frame"), "pandas") from None
        if what == "rows":
            return pandas.DataFrame([_line(row) for row in self.rows])
        return pandas.DataFrame(
            [
                {"by": one.by, "level": part.level, "small": part.small, **_line(row)}
                for one in self.slices
                for part in one.slices
                for row in part.rows
            ]
        )

    def plot(self, what: str = "accuracy") -> altair.TopLevelMixin:
        """A chart, to look at in a notebook or to go on with.

        `what` is accuracy, differences, reliability, confusion, variance, spread, cost, pareto,
        learning or risk.
        Raises `TaskError` for another and for what there is none of, and `MissingExtraError`
        without the extra report.
        """
        try:
            from promptkit.report.charts import plot as charts
        except ImportError:
            raise MissingExtraError("a plot", "report") from None
        chart: altair.TopLevelMixin = charts.plot(self._results(), what)
        return chart

    def save(self, folder: str | Path) -> Path:
        """Writes all that `promptkit report` and people need; returns the folder.

        That is `comparison.json`, `predictions.jsonl`, `prompts.json` with the exact prompts, and
        `report.html`. Templates that stand in no file, such as the variants of `formats`, go to
        `formats/`. Raises OSError where it cannot be written; a run that was saved there before is
        then unchanged.
        """
        from promptkit.report import page
        from promptkit.report.packed_prompts import packed

        folder = Path(folder)
        records, prompts = self.to_records(), packed(self.prompts)
        files = _data_files(records, prompts)
        self.__dict__["_digests"] = _digests_of(files)  # lest to_dict makes the texts once more
        data = self.to_dict()
        files["report.html"] = page.html(data, records, prompts)
        for number, template in enumerate(self.templates, 1):
            if template.file is None:
                files[f"formats/{_file_name(template, number)}"] = _said(template)
        files["comparison.json"] = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        saving.write_all({folder / name: text for name, text in files.items()})
        return folder

    def __str__(self) -> str:
        from promptkit.report import terminal

        return terminal.text(self._results(), self.to_records())

    __repr__ = __str__


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _data_files(records: Iterable[dict[str, Any]], prompts: Any) -> dict[str, str]:
    """The files of a run whose digests stand in `comparison.json`."""
    return {
        "predictions.jsonl": "".join([f"{_encode(record)}\n" for record in records]),
        "prompts.json": _encode(prompts) + "\n",
    }


def _digests_of(files: Mapping[str, str]) -> dict[str, str]:
    return {name: saving.digest(text) for name, text in files.items()}


def records(predictions: Iterable[Prediction]) -> list[dict[str, Any]]:
    """Return predictions as JSON can hold them."""
    return [
        {
            name: value if type(value) in _PLAIN else encoded(value)
            for name in _RECORD
            for value in [getattr(prediction, name)]
        }
        for prediction in predictions
    ]


_RECORD = [name for name in (*Prediction.__slots__, *FIELDS) if name != "calibration"]
"""Fields of a record: `calibrated` has the answers under every calibration."""

_PLAIN = frozenset((str, int, bool, type(None)))


def encoded(value: Any) -> Any:
    """Return a value as JSON can hold it: a dataclass as an object, an infinite number as null."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: encoded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encoded(item) for item in value]
    if is_dataclass(value):
        kind: Any = type(value)
        found = {name: encoded(getattr(value, field)) for field, name in _names(kind)}
        return _flat(found) if kind is Row else found
    return value


def _line(row: Row) -> dict[str, Any]:
    """Return a row as a line of a data frame."""
    return {**_flat(asdict(row)), "predictor": row.predictor}


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose figures are fields: `mae`, `mae_ci`, `mae_ci_fixed`."""
    figures = {
        name if part == "value" else f"{name}_{part}": value
        for name, figure in row["figures"].items()
        for part, value in figure.items()
    }
    return {name: value for name, value in row.items() if name != "figures"} | figures


@cache
def _names(kind: Any) -> list[tuple[str, str]]:
    """Return the fields of a dataclass that are saved, with their names in JSON."""
    if kind is Template:
        return [("name", "name"), ("source", "source")]
    # What is about several cells together has no seed, and a confusion matrix no zeros.
    unset = "seed" if issubclass(kind, Variance | Spread | Reliability | Confusion) else ""
    names = [(f.name, f.name) for f in fields(kind) if f.name != unset]
    if kind is Row:
        return [*names, ("predictor", "predictor")]
    if issubclass(kind, Confusion):
        own = [pair for pair in names if pair[0] != "answers"]
        return [*own, ("answers", "counts"), ("per_class", "per_class")]
    return names


def _file_name(template: Template, number: int) -> str:
    stem = re.sub(r"[^\w.-]+", "-", template.name.partition(" [")[0].removesuffix(".j2"))
    return f"{stem}-{number}.j2"


def _said(template: Template) -> str:
    """A template's source under a comment with its name, which renders the same."""
    return f"{{# {template.name.replace('#}', '# }')} #}}\n{template.source}"
