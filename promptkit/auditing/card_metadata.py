"""Metadata of cards, in the fields of the Hugging Face hub's model cards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from promptkit.auditing.card_facts import (
    OF_OPTIONS,
    CardFacts,
    FigureFacts,
    ModelFacts,
    ResultFacts,
)
from promptkit.evaluation import metric_text
from promptkit.evaluation.metric import measured

METRICS = {
    "macro_f1": "f1",
    "brier": "brier_score",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}
"""Identifiers of metrics on the hub that are not their names here."""

_LICENSES = """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0
    bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause
    bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0
    cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1
    eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl
    apple-ascl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl
    lgpl-lr deepfloyd-if-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma
"""

LICENSES = frozenset(_LICENSES.split())
"""Identifiers of licences on the hub."""


def metadata(facts: CardFacts) -> dict[str, Any]:
    """Return the metadata of a card; what is not known is left out.

    Args:
        facts: The facts.
    """
    index = [*_index(facts)]
    found: dict[str, Any] = {
        **_license(facts.stated.license),
        "language": languages(facts),
        "library_name": "promptkit",
        "pipeline_tag": _pipeline(facts),
        "tags": [*_tags(facts)],
        "base_model": [*dict.fromkeys(_base_models(facts.models))],
        **({"base_model_relation": "adapter"} if facts.kind == "adapter" else {}),
        "datasets": [*_datasets(facts)],
        "metrics": [*dict.fromkeys(one["type"] for each in index for one in each["metrics"])],
        "model-index": [{"name": facts.name, "results": index}] if index else [],
    }
    return {name: value for name, value in found.items() if value}


def languages(facts: CardFacts) -> list[str]:
    """Return the codes of the languages as the hub has them: ISO 639, without script and region."""
    stated = facts.stated.languages or [
        code for source in facts.stated.sources for code in source.languages
    ]
    return [*dict.fromkeys(code.partition("-")[0].lower() for code in stated)]


def _license(name: str) -> dict[str, str]:
    """Return the fields of a licence; one that the hub does not know has a name of its own."""
    if not name or name.lower() in LICENSES:
        return {"license": name.lower()}
    return {"license": "other", "license_name": name}


def _pipeline(facts: CardFacts) -> str:
    task = facts.task
    if task is None:
        return ""
    if task.output == OF_OPTIONS:
        return "multiple-choice"
    return "text-classification" if task.labels or facts.kind == "student" else "text-generation"


def _tags(facts: CardFacts) -> Iterator[str]:
    yield "promptkit"
    yield from {"adapter": ("lora",), "student": ("distillation",)}.get(facts.kind, ("few-shot",))
    yield from dict.fromkeys(
        one.architecture for one in facts.models if re.fullmatch(r"[a-z0-9_-]+", one.architecture)
    )


def _base_models(models: Iterable[ModelFacts]) -> Iterator[str]:
    """Yield the hub's names of models, where a model or its file says one."""
    for one in models:
        if named := re.match(r"hf:([\w.-]+/[\w.-]+)/", one.name):
            yield named[1]
            continue
        for key in ("source.repo_url", "repo_url", "base_model.0.repo_url", "source.url"):
            url = one.declared.get(key)
            if isinstance(url, str) and (found := _HUB.fullmatch(url)):
                yield found[1]
                break


_HUB = re.compile(r"https://(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)/?", re.ASCII)
_HUB_DATA = re.compile(r"https://(?:huggingface\.co|hf\.co)/datasets/([\w./-]+?)/?", re.ASCII)


def _datasets(facts: CardFacts) -> Iterator[str]:
    for source in facts.stated.sources:
        if found := _HUB_DATA.fullmatch(source.url):
            yield found[1]


def _index(facts: CardFacts) -> Iterator[dict[str, Any]]:
    """Yield the results of what the card is about, one of a task and its tests."""
    for result in facts.results:
        figures = [one for one in result.figures if one.metric not in _APART]
        if not result.of_subject or not figures:
            continue
        task = _pipeline(facts) or "text-classification"
        dataset = {"name": f"{facts.name}, tests", "type": _slug(facts.name), "split": "test"}
        if facts.task is not None:
            dataset["revision"] = facts.task.fingerprint
        yield {
            "task": {"type": task},
            "dataset": dataset,
            "metrics": [_metric(one, result) for one in figures],
        }


_APART = ("ece", "coverage")  # which the hub knows nothing of


def _metric(figure: FigureFacts, result: ResultFacts) -> dict[str, Any]:
    """Return a metric; its name, in English, has the interval, which has no field on the hub."""
    metric = measured(figure.metric)
    about = f"{result.n:,} {'query' if result.n == 1 else 'queries'}"
    if figure.ci is not None:
        about = f"95 % {metric_text.bracket(metric, figure.ci)}, {about}"
    return {
        "type": METRICS.get(figure.metric, figure.metric),
        "value": round(figure.value, 4),
        "name": f"{metric.said} ({about})",
    }


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "task"
