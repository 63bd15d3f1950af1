"""Tasks whose answers are generated: every answer validates, or the failure says why not."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, field_validator
from samples import COLON, Word, open_task
from tiny_gguf import CHATML, write_llama

from promptkit import Example, Predictor, Sampling, Store, Task, Template, compare, load_task
from promptkit.errors import PromptError
from promptkit.models.llama import LlamaModel

CHAT = Template(
    "{% user %}Letters in {{ query.word }}?{% enduser %}\n{% assistant %}{% endassistant %}", "chat"
)


class Size(Enum):
    SMALL = "छोटा"
    LARGE = "बड़ा"


class Place(BaseModel):
    name: Annotated[str, Field(max_length=4)]
    size: Size


class Answer(BaseModel):
    letters: Annotated[int, Field(ge=1, le=20)]
    short: bool
    score: Annotated[float, Field(ge=0, le=1)]
    place: Place
    note: Annotated[str, Field(max_length=6)] | None = None


GOLD = Answer(
    letters=3, short=True, score=0.5, place=Place(name="Pune", size=Size.LARGE), note="a\nb"
)

TYPES: list[tuple[Any, Any]] = [
    (int, 3),
    (float, 2.5),
    (list[bool], [True, False]),
    (Size | None, Size.SMALL),
    (Answer, GOLD),
]


@pytest.fixture(scope="session", params=["bpe", "spm"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LlamaModel:
    path = tmp_path_factory.mktemp("constrained") / f"{request.param}.gguf"
    template = CHATML if request.param == "bpe" else None
    write_llama(path, tokenizer=request.param, n_ctx=1024, chat_template=template)
    return LlamaModel(path, threads=1)


def words_task(output: Any, gold: Any, **more: Any) -> Task[Word, Any]:
    def example(word: str) -> Example[Any, Any]:
        return Example(input=Word(word=word), output=gold)

    return Task[Word, output](
        name="words",
        demos=[example("apple"), example("fig")],
        tests=[example("plum"), example("pear")],
        **more,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("output", "gold"), TYPES, ids=str)
def test_a_model_of_random_weights_answers_in_the_format(
    tiny: LlamaModel, output: Any, gold: Any
) -> None:
    task = words_task(output, gold)
    ended = 0
    for seed in range(6):
        warm = Sampling(max_tokens=200, temperature=2.0, seed=seed)
        for p in Predictor(task, COLON, tiny, shots=2, sampling=warm).predict(task.tests):
            if p.failure is None:
                ended += 1
                assert p.text is not None
                assert "\n" not in p.text
                task.output_type.validate(p.label)
            else:
                assert "cut at its budget of tokens before it was complete" in p.failure
    assert ended


@pytest.mark.slow
def test_an_answer_does_not_depend_on_its_neighbours(tiny: LlamaModel) -> None:
    task = words_task(Answer, GOLD)
    predictor = Predictor(task, COLON, tiny, shots=1, sampling=Sampling(60, temperature=1.0))
    together = [p.text for p in predictor.predict(task.tests)]
    assert together == [predictor.predict([test])[0].text for test in task.tests]


@pytest.mark.slow
def test_a_chat_template_ends_an_answer(tiny: LlamaModel) -> None:
    if tiny.chat_template is None:
        pytest.skip("this model has no chat template")
    task = words_task(int, 3)
    for seed in range(5):
        warm = Sampling(max_tokens=60, temperature=3.0, seed=seed)
        for p in Predictor(task, CHAT, tiny, sampling=warm).predict(task.tests):
            assert p.failure is None
            assert isinstance(p.label, int)


def test_a_format_without_a_grammar_is_an_error_before_the_model_runs(
    tiny: LlamaModel, tmp_path: Path
) -> None:
    schema = {"type": "object", "properties": {"tags": {"type": "array", "uniqueItems": True}}}
    task = folder_task(tmp_path, schema, {"tags": ["a"]})
    read = tiny.usage.decoded_tokens
    with pytest.raises(PromptError, match=r'\$\.properties\.tags: "uniqueItems" cannot be kept'):
        compare(task, models=[tiny], shots=[0])
    assert tiny.usage.decoded_tokens == read


class Even(BaseModel):
    number: Annotated[int, Field(ge=0, le=9)]

    @field_validator("number")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("not even")
        return value


def test_what_only_python_can_check_stays_a_failure(tiny: LlamaModel) -> None:
    task = words_task(Even, Even(number=2))
    said = set()
    for seed in range(12):
        warm = Sampling(max_tokens=60, temperature=4.0, seed=seed)
        for p in Predictor(task, COLON, tiny, sampling=warm).predict(task.tests):
            said.add(p.failure and p.failure.split(" (")[0])
    assert said == {None, "number: Value error, not even"}


def test_answers_without_and_with_a_grammar_are_stored_apart(tiny: LlamaModel) -> None:
    with Store() as store:
        for output, gold in [(str, "3"), (int, 3), (Annotated[int, Field(ge=3)], 3)]:
            task = words_task(output, gold)
            before = len(store)
            Predictor(task, COLON, tiny, sampling=Sampling(8)).predict(task.tests, store=store)
            assert len(store) == before + len(task.tests)


def folder_task(folder: Path, schema: Any, gold: Any) -> Task[Any, Any]:
    (folder / "task.toml").write_text(
        'name = "people"\ninstruction = "Extract the person."\n[input]\ntext = "str"\n'
        '[output]\nschema = "answer.schema.json"\n'
        '[files]\ndemos = "demos.jsonl"\ntests = "tests.jsonl"\n'
    )
    (folder / "answer.schema.json").write_text(json.dumps(schema))
    for part, text in [("demos", "Ravi, 41, lives in Delhi."), ("tests", "Bob is 25.")]:
        row = {"text": text, "output": gold}
        (folder / f"{part}.jsonl").write_text(json.dumps(row) + "\n")
    return load_task(folder)


# -- The bundled model ---------------------------------------------------------------------------


@pytest.mark.model
@pytest.mark.parametrize(("output", "gold"), TYPES, ids=str)
def test_the_bundled_model_answers_in_the_format(
    smollm2: LlamaModel, output: Any, gold: Any
) -> None:
    task = words_task(output, gold)
    for shots in (0, 2):
        predictor = Predictor(task, COLON, smollm2, shots=shots, sampling=Sampling(120))
        for p in predictor.predict(task.tests):
            assert p.failure is None, p.text
            assert task.output_type.plain(task.output_type.parse(str(p.text).strip())) == p.label


@pytest.mark.model
def test_the_bundled_model_writes_the_tokens_that_it_reads(smollm2: LlamaModel) -> None:
    """Where all spellings of a text are allowed, a model still chooses its own."""
    task = words_task(Answer, GOLD)
    (p, _) = Predictor(task, COLON, smollm2, shots=2, sampling=Sampling(120)).predict(task.tests)
    assert p.text is not None
    (prompt,) = smollm2.tokenize([COLON.render(task, shots=2, query=task.tests[0])])
    (_, answer) = next(smollm2.generate([prompt], Sampling(120)))
    assert answer.generated <= len(smollm2.vocabulary.plain(p.text)) + 2


@pytest.mark.model
def test_the_bundled_model_answers_a_chat(smollm2: LlamaModel) -> None:
    for output, gold in TYPES:
        task = words_task(output, gold)
        for p in Predictor(task, CHAT, smollm2, sampling=Sampling(200)).predict(task.tests):
            assert p.failure is None, p.text


@pytest.mark.model
def test_the_bundled_model_answers_under_the_schema_of_a_folder(
    smollm2: LlamaModel, tmp_path: Path
) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 130},
            "city": {"enum": ["Paris", "दिल्ली", None]},
        },
        "required": ["name", "age", "city"],
    }
    task = folder_task(tmp_path, schema, {"name": "Ravi", "age": 41, "city": "दिल्ली"})
    (p,) = Predictor(task, Template.of(task), smollm2, shots=1).predict(task.tests)
    assert p.failure is None
    assert (p.label["name"], p.label["age"]) == ("Bob", 25)
    assert list(p.label) == ["name", "age", "city"]


@pytest.mark.model
def test_a_budget_that_is_too_small_says_so(smollm2: LlamaModel) -> None:
    task = words_task(Answer, GOLD)
    sampling = Sampling(max_tokens=5)
    for p in Predictor(task, COLON, smollm2, shots=2, sampling=sampling).predict(task.tests):
        assert p.label is None
        assert p.failure is not None
        assert "cut at its budget of tokens before it was complete" in p.failure


def test_a_task_of_open_answers_is_rendered_with_its_format() -> None:
    task = open_task(Answer)
    prompt = COLON.render(task, query={"word": "fig"})
    assert prompt.format is not None
    assert json.loads(prompt.format.schema)["required"] == ["letters", "short", "score", "place"]
