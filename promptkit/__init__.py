"""Few-shot prompts for local models, compared across shot counts.

Importing this package loads no runtime, prints nothing and touches no network: every name below
is loaded where it is first used.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # importing typing for it takes long enough to press Ctrl-C meanwhile

__version__ = "0.1.0"

if TYPE_CHECKING:
    from promptkit.errors import PromptkitError
    from promptkit.experiments.compare import compare
    from promptkit.experiments.comparison import Comparison
    from promptkit.formatting.variants import variants
    from promptkit.gates.check import check
    from promptkit.inference.prediction import Prediction, Predictor
    from promptkit.inference.store import Store
    from promptkit.linting.findings import Finding
    from promptkit.linting.lint import lint
    from promptkit.models.base import Model, Sampling
    from promptkit.models.embedding import Embedder, load_embedder
    from promptkit.models.fake import FakeModel
    from promptkit.models.llama import LlamaModel, load_model
    from promptkit.optimising.search import optimise
    from promptkit.prompts.prompt import Prompt
    from promptkit.tasks.examples import Example, ExampleSet
    from promptkit.tasks.loading import load_task, save_task
    from promptkit.tasks.task import Task
    from promptkit.tasks.verbalizers import Verbalizer
    from promptkit.templating.template import Template

_HOMES = {
    "Comparison": "experiments.comparison",
    "Embedder": "models.embedding",
    "Example": "tasks.examples",
    "ExampleSet": "tasks.examples",
    "FakeModel": "models.fake",
    "Finding": "linting.findings",
    "LlamaModel": "models.llama",
    "Model": "models.base",
    "Prediction": "inference.prediction",
    "Predictor": "inference.prediction",
    "Prompt": "prompts.prompt",
    "PromptkitError": "errors",
    "Sampling": "models.base",
    "Store": "inference.store",
    "Task": "tasks.task",
    "Template": "templating.template",
    "check": "gates.check",
    "Verbalizer": "tasks.verbalizers",
    "compare": "experiments.compare",
    "lint": "linting.lint",
    "load_embedder": "models.embedding",
    "load_model": "models.llama",
    "load_task": "tasks.loading",
    "optimise": "optimising.search",
    "save_task": "tasks.loading",
    "variants": "formatting.variants",
}

__all__ = [
    "Comparison",
    "Embedder",
    "Example",
    "ExampleSet",
    "FakeModel",
    "Finding",
    "LlamaModel",
    "Model",
    "Prediction",
    "Predictor",
    "Prompt",
    "PromptkitError",
    "Sampling",
    "Store",
    "Task",
    "Template",
    "Verbalizer",
    "check",
    "compare",
    "lint",
    "load_embedder",
    "load_model",
    "load_task",
    "optimise",
    "save_task",
    "variants",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'promptkit' has no attribute {name!r}")
    value = getattr(import_module(f"promptkit.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
