"""Large grids: rendering and planning 100,000 prompts, and reading 10,000 predictions back.

No model runs here; its tokenizer does. Each part is measured in a process of its own, so that its
peak memory is its own: `python -m benchmarks.scale`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, get_args

from pydantic import BaseModel

import promptkit
from benchmarks.meter import peak_mb
from promptkit.models.base import Generation, ModelIdentity, Sampling, Score, Usage
from promptkit.models.planning.batches import Schedule
from promptkit.models.planning.prefix_trie import Item, Limits, Plan
from promptkit.prompts.prompt import Prompt, TokenizedPrompt

SHOTS = (0, 1, 2, 4, 8)
SEEDS = (0, 1)

WORDS = (
    "the a our this every no order parcel invoice refund account password card address letter "
    "screen button page driver shop price discount delivery box was is has came went looks feels "
    "stopped arrived broke failed works late early twice again today yesterday never always "
    "without with after before and but because while slowly badly well wrong empty broken new"
)

Topic = Literal["billing", "delivery", "account", "product"]


class Message(BaseModel):
    """A customer's message."""

    text: str


@dataclass(frozen=True, slots=True)
class Figure:
    """Measurement of one part."""

    name: str
    prompts: int
    seconds: dict[str, float]
    """By step."""
    peak_mb: float
    """The largest resident memory of the process, the loaded model included."""
    base_mb: float
    """The same before the first prompt."""
    goals: tuple[float, float]
    """The seconds it may take, and those it should."""
    goal_mb: float | None = None

    @property
    def total(self) -> float:
        """Seconds, filling the store left out."""
        return sum(seconds for step, seconds in self.seconds.items() if step != "fill")


class Untouched:
    """A model whose tokenizer is real and whose scores are made up (`promptkit.Model`)."""

    def __init__(self, model: promptkit.LlamaModel) -> None:
        self._model = model
        self.usage = Usage()

    @property
    def identity(self) -> ModelIdentity:
        return self._model.identity

    def tokenize(self, prompts: Sequence[Prompt]) -> list[TokenizedPrompt]:
        return self._model.tokenize(prompts)

    def piece(self, token: int) -> bytes:
        return self._model.piece(token)

    def score(self, prompts: Sequence[TokenizedPrompt]) -> Iterator[tuple[int, Score]]:
        for index, prompt in enumerate(prompts):
            logprobs = [-1.0 - ((index + i) % 7) / 7 for i in range(len(prompt.candidates))]
            yield index, Score(tuple(logprobs), len(prompt.ids), 0.0)

    def generate(
        self, prompts: Sequence[TokenizedPrompt], sampling: Sampling = Sampling()
    ) -> Iterator[tuple[int, Generation]]:
        raise NotImplementedError("its answers are labels")


def messages(queries: int, demos: int = 100) -> promptkit.Task[Message, Topic]:
    """A task of made-up messages of 6 to 18 words, the same every time."""
    draw, words = random.Random(0), WORDS.split()
    texts: dict[str, None] = {}
    while len(texts) < queries + demos:
        texts[" ".join(draw.choices(words, k=draw.randint(6, 18)))] = None
    topics: tuple[Topic, ...] = get_args(Topic)
    examples = [
        promptkit.Example[Message, Topic](input=Message(text=text), output=topics[index % 4])
        for index, text in enumerate(texts)
    ]
    return promptkit.Task[Message, Topic](
        name="messages",
        instruction="Say what each message is about.",
        demos=examples[:demos],
        tests=examples[demos:],
    )


def plan_of(prompts: Sequence[TokenizedPrompt]) -> Plan:
    """Return the work of a model before the first token, within a usual context's limits."""
    limits = Limits(cells=4096, sequences=64, batch=512, outputs=512)
    return Plan([Item(prompt.ids, prompt.candidates) for prompt in prompts], limits)


def large(model_name: str, prompts: int) -> Figure:
    """Renders, tokenizes and plans a grid."""
    task = messages(queries=prompts // (len(SHOTS) * len(SEEDS)))
    model = promptkit.load_model(model_name)
    template = promptkit.Template.of(task)
    base = peak_mb()
    start = perf_counter()
    renderer = template.renderer(task)  # which `compare` makes for all cells
    tokenized = [
        prompt
        for shots in SHOTS
        for seed in SEEDS
        for prompt in promptkit.Predictor(task, template, model, shots, seed).tokenize(
            list(task.tests), renderer
        )
        if isinstance(prompt, TokenizedPrompt)
    ]
    made = perf_counter()
    plan = plan_of(tokenized)
    planned = perf_counter()
    for _ in Schedule(plan).steps():
        pass
    scheduled = perf_counter()
    seconds = {
        "render and tokenize": made - start,
        "plan": planned - made,
        "schedule": scheduled - planned,
    }
    return Figure("render and plan", len(tokenized), seconds, peak_mb(), base, (60, 20), 2000)


def stored(model_name: str, predictions: int) -> Figure:
    """Reads a grid out of a store that has all of it."""
    task = messages(queries=predictions // (len(SHOTS) * len(SEEDS)))
    model = promptkit.load_model(model_name)
    base = peak_mb()
    with tempfile.TemporaryDirectory() as folder:
        seconds = {}
        for name in ("fill", "read"):
            start = perf_counter()
            comparison = promptkit.compare(
                task,
                models=[Untouched(model)],
                shots=SHOTS,
                seeds=SEEDS,
                store=Path(folder) / "predictions.sqlite",
            )
            seconds[name] = perf_counter() - start
            model.close()
            model = promptkit.load_model(model_name)  # which has not seen these texts
        if comparison.usage.cached != comparison.usage.prompts:
            raise SystemExit("the store did not have the whole grid")
    count = len(comparison.predictions)
    return Figure("read from the store", count, seconds, peak_mb(), base, (2, 0.5))


PARTS = {"large": (large, 100_000), "stored": (stored, 10_000)}


def measure(part: str, model_name: str, prompts: int | None = None) -> Figure:
    """One part in a process of its own. Raises `RuntimeError` with what it said last."""
    command = [sys.executable, "-m", "benchmarks.scale", "--part", part, "--model", model_name]
    size = ["--prompts", str(prompts)] if prompts is not None else []
    root = Path(__file__).parents[1]
    done = subprocess.run([*command, *size], capture_output=True, text=True, check=False, cwd=root)
    if done.returncode != 0:
        raise RuntimeError(f"{part}: {(done.stderr.strip() or 'it ended').splitlines()[-1]}")
    return Figure(**json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.scale", description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--part", choices=PARTS, help="measure this part here, and print JSON")
    parser.add_argument("--prompts", type=int, help="how many, not 100,000 and 10,000")
    options = parser.parse_args()
    if options.part:
        run, prompts = PARTS[options.part]
        print(json.dumps(asdict(run(options.model, options.prompts or prompts))))
        return
    for part in PARTS:
        figure = measure(part, options.model, options.prompts)
        steps = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in figure.seconds.items())
        print(
            f"{figure.name}: {figure.prompts:,} prompts; {steps}; peak {figure.peak_mb:,.0f} MB, "
            f"{figure.base_mb:,.0f} MB of it before the first prompt"
        )


if __name__ == "__main__":
    main()
