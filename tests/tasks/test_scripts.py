"""Normal forms, digits and full stops of all scripts, where answers are read and compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, create_model

from promptkit import Store, Task, Template, compare, load_task
from promptkit.errors import DataError
from promptkit.experiments.free_answers import label_written
from promptkit.models.base import Generation
from promptkit.models.fake import FakeModel
from promptkit.tasks.answer_texts import normalised, number_in, token_f1
from promptkit.tasks.digits import plain_digits, plain_number
from promptkit.tasks.near_duplicates import alike, near_pairs, normal_form
from promptkit.tasks.near_duplicates import normalised as sentences
from promptkit.tasks.options import Options
from promptkit.tasks.output_type import OutputType
from promptkit.tasks.writing import save_task

ZERO = {
    "Devanagari": "०",
    "Arabic": "٠",
    "Persian": "۰",
    "Thai": "๐",
    "full width": "０",
    "Bengali": "০",
}

# --- normal forms ---------------------------------------------------------------------------------

SPELT = [
    ("caf\u00e9", "cafe\u0301"),
    ("स\u095b\u0940", "स\u091c\u093c\u0940"),  # a nukta, which NFC takes apart
    ("\u095cक", "\u0921\u093cक"),
    ("ガス", "カ\u3099ス"),
    ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
    ("কোন", "ক\u09c7\u09beন"),
]


@pytest.mark.parametrize(("one", "other"), [*SPELT, *[(b, a) for a, b in SPELT]])
def test_a_label_is_found_in_any_normal_form(one: str, other: str) -> None:
    output = OutputType(Literal[(one, "x")])  # type: ignore[valid-type]
    assert output.parse(other) == one
    assert output.validate(other) == one
    answer = Generation(f" {other}।", "stop", 1, 1, 0.0)
    assert label_written(answer, {one: one, "x": "x"}) == one
    many = OutputType(Literal[(one, other)])  # type: ignore[valid-type]
    assert many.parse(one) == one  # exactly, where two labels differ in their form alone
    assert many.parse(other) == other


@pytest.mark.parametrize(("one", "other"), SPELT)
def test_texts_are_the_same_in_any_normal_form(one: str, other: str) -> None:
    text = OutputType(str)
    assert text.same(one, other)
    assert not text.same(one, one + "x")
    record = OutputType(create_model("Answer", name=(str, ...)))
    assert record.same({"name": one}, {"name": other})
    assert token_f1(one, other) == 1
    assert alike(normal_form([one]), normal_form([other]))


class Question(BaseModel):
    ask: str
    choices: Annotated[list[str], Options()]


def test_options_are_found_in_any_normal_form() -> None:
    row = {"input": {"ask": "?", "choices": ["caf\u00e9", "thé"]}, "output": "cafe\u0301"}
    second = {"input": {"ask": "!", "choices": ["a", "b"]}, "output": "१"}
    task = Task[Question, str](name="t", tests=[row, second])
    assert [one.output for one in task.tests] == ["caf\u00e9", "b"]


KEPT = ["स\u095bा", "क्\u200dष", "می\u200cخواهم", "cafe\u0301", "ﬁ²", "ന്\u200d", "फल\u200b"]


def test_nothing_is_stripped_or_composed_in_what_is_read_and_stored(tmp_path: Path) -> None:
    """The model sees the bytes of the file, and so do the saved predictions."""
    (tmp_path / "task.toml").write_text(
        'name = "t"\n[input]\nword = "str"\n[output]\ntype = "str"\n[files]\ndemos = "d.csv"\n'
        'tests = "t.jsonl"\n',
        "utf-8",
    )
    rows = "".join(f"{word} है,{word}\n" for word in KEPT)
    (tmp_path / "d.csv").write_text("word,output\n" + rows, "utf-8")
    lines = [json.dumps({"word": word, "output": word}, ensure_ascii=False) for word in KEPT]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), "utf-8")
    task = load_task(tmp_path)
    assert [one.input.word for one in task.tests] == KEPT
    assert [one.output for one in task.demos] == KEPT
    template = Template("{% example %}\n{{ input.word }}: {{ output }}\n{% endexample %}\n")
    prompt = template.render(task, shots=len(KEPT), query=task.tests[-1])
    for word in KEPT:
        assert f"{word} है: {word}\n" in prompt.text
    result = compare(
        task, models=[FakeModel()], templates=[template], shots=[2], store=Store(), lint=False
    )
    assert [one["input"]["word"] for one in result.to_records()][: len(KEPT)] == KEPT
    saved = result.save(tmp_path / "run")
    text = (saved / "predictions.jsonl").read_text("utf-8")
    assert {json.loads(line)["input"]["word"] for line in text.splitlines()} == set(KEPT)
    save_task(task, tmp_path / "copy")
    assert [one.input.word for one in load_task(tmp_path / "copy").tests] == KEPT


# --- digits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("४२", "42"),
        ("٤٢٫٥", "42.5"),
        ("۱٬۲۳۴٬۵۶۷", "1234567"),
        ("４２．５", "42.5"),
        ("−४", "-4"),
        ("؜-٤٢", "-42"),
        ("\u200e−۴۲", "-42"),
        (" ४२ ", "42"),
        ("٤٢e٣", "42e3"),
        # No numbers, or ones that may mean two things.
        ("४2", "४2"),
        ("٤,٢", "٤,٢"),
        ("٤٬٢", "٤٬٢"),
        ("四十二", "四十二"),
        ("४२ किलो", "४२ किलो"),
        ("फल", "फल"),
        ("½", "½"),
    ],
)
def test_numbers_in_any_script(text: str, plain: str) -> None:
    assert plain_number(text) == plain


@given(st.integers(-(10**12), 10**12), st.sampled_from([*ZERO.values()]))
def test_digits_of_every_script_are_the_same_number(number: int, zero: str) -> None:
    written = "".join(chr(ord(zero) + int(c)) if c.isdigit() else c for c in str(number))
    assert OutputType(int).parse(written) == number
    assert OutputType(float).validate(written) == number
    assert number_in(f"x {written}।") == number
    assert plain_digits(written) == str(number)


@pytest.mark.parametrize("zero", ZERO.values(), ids=ZERO)
def test_outputs_that_are_numbers_take_any_digits(zero: str) -> None:
    two = chr(ord(zero) + 2)
    assert OutputType(int).parse(two) == 2
    assert OutputType(int).parse(two, as_json=True) == 2
    assert OutputType(Annotated[int, Field(ge=0, le=5)]).parse(two) == 2
    assert OutputType(Literal[1, 2, 3]).parse(two) == 2
    assert OutputType(Literal[1.5, 2.0]).parse(two) == 2.0
    assert OutputType(Literal["1", "2"]).labels == ("1", "2")
    with pytest.raises(ValueError, match="not one of the labels"):
        OutputType(Literal["1", "2"]).parse(two)  # a label that is text, in its own script
    answer = Generation(f"{two}.", "stop", 1, 1, 0.0)
    assert label_written(answer, {"1": "1", "2": "2"}) == "2"
    with pytest.raises(ValueError, match="integer"):
        OutputType(int).parse(f"{two}२" if two != "२" else "२٢")


class Reading(BaseModel):
    city: str
    degrees: float
    year: int = 0


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_inputs_that_are_numbers_take_any_digits(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "task.toml").write_text(
        'name = "t"\n[input]\ncity = "str"\ndegrees = "float"\nyear = "int"\n[output]\n'
        f'scale = [1, 2, 3]\n[files]\ntests = "t.{suffix}"\n',
        "utf-8",
    )
    row = {"city": "शहर ५", "degrees": "−४٫५".replace("٫", "．"), "year": "१९९४", "output": "३"}
    text = (
        ",".join(row) + "\n" + ",".join(row.values()) + "\n"
        if suffix == "csv"
        else json.dumps(row, ensure_ascii=False)
    )
    (tmp_path / f"t.{suffix}").write_text(text, "utf-8")
    (found,) = load_task(tmp_path).tests
    assert found.input.model_dump() == {"city": "शहर ५", "degrees": -4.5, "year": 1994}
    assert found.output == 3


def test_what_is_no_number_is_refused_with_its_value() -> None:
    row = {"input": {"city": "x", "degrees": "四十"}, "output": 1}
    with pytest.raises(DataError, match=r"degrees.*'四十'.*number"):
        Task[Reading, int](name="t", tests=[row])


@pytest.mark.parametrize(
    ("text", "number"),
    [("कुल ४२ फल।", 42), ("٣٫٥ كيلو", 3.5), ("١٬٢٠٠", 1200), ("４２個。", 42), ("Total: ३.५।", 3.5)],
)
def test_the_number_in_a_text(text: str, number: float) -> None:
    assert number_in(text) == number


def test_digits_make_no_difference_to_a_text() -> None:
    assert normalised("४२ किलो।") == normalised("42 किलो")
    assert normalised("٣٫٥") == "3.5"
    assert normalised("٣٫٥", "de") == normalised("3,5", "de")


# --- full stops -----------------------------------------------------------------------------------

STOPS = ["।", "॥", "。", "．", "｡", "؟", "۔", "።", "။", "។", "։", "！", "？", "᱾", "."]


@pytest.mark.parametrize("stop", STOPS)
def test_full_stops_of_all_scripts_end_an_answer(stop: str) -> None:
    def written(text: str) -> str | None:
        return label_written(Generation(text, "stop", 1, 1, 0.0), {"फल": "फल", "सब्ज़ी": "सब्ज़ी"})

    assert written(f"फल{stop}") == "फल"
    assert written(f" फल {stop} ") == "फल"
    assert written(f"फल{stop} यह मीठा है{stop}") == "फल"
    assert written(f"यह फल है{stop}") is None
    assert normalised(f"फल{stop}") == "फल"
    assert number_in(f"42{stop}") == 42


@pytest.mark.parametrize("stop", [stop for stop in STOPS if stop not in ".．"])
def test_full_stops_of_all_scripts_end_a_sentence(stop: str) -> None:
    assert sentences(f"एक{stop}दो{stop}").split("\n") == ["एक", "दो"]
    assert alike(sentences(f"एक दो{stop}"), sentences("एक दो"))


def test_a_sentence_in_front_of_another_is_a_label_in_english_too() -> None:
    words = {"berry": "berry", "pome": "pome", "3.5": "3.5"}
    for text, label in (
        ("Berry. It is small", "berry"),
        ("berry! pome?", "berry"),
        ("3.5 stars", None),
        ("3.5", "3.5"),
        ("No berry. pome", None),
    ):
        assert label_written(Generation(text, "stop", 1, 1, 0.0), words) == label


# --- texts without spaces between words -----------------------------------------------------------


def near(one: str, other: str) -> bool:
    return [*near_pairs([normal_form([one]), normal_form([other])])] == [(0, 1)]


THAI = "พัสดุที่ฉันสั่งซื้อเมื่อวันจันทร์ยังมาไม่ถึงที่อยู่ของฉันที่กรุงเทพ"
CHINESE = (
    "我上周一在你们的网上商店订购的包裹到今天为止仍然还没有送到我家"
    "的地址请你们尽快帮我查询一下这个包裹的情况"
)
KHMER = "កញ្ចប់ដែលខ្ញុំបានកម្មង់កាលពីថ្ងៃចន្ទមកដល់ផ្ទះរបស់ខ្ញុំហើយនៅភ្នំពេញ"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (THAI, THAI.replace("กรุงเทพ", "กรุงเทพแล้ว")),
        (CHINESE, CHINESE.replace("尽快", "尽快地")),
        (CHINESE, CHINESE + "。"),
        (KHMER, KHMER.replace("នៅ", "នៅឯ")),
        (KHMER, KHMER.replace("ខ្ញុំ", "ខ្ញុំ\u200b")),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_near_duplicates_without_spaces(one: str, other: str) -> None:
    assert near(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (THAI, THAI.replace("มาไม่ถึง", "มาถึง")),
        (KHMER, KHMER.replace("មកដល់", "មិនមកដល់")),
        (CHINESE, CHINESE.replace("还没有", "还有")),
        (CHINESE, CHINESE.replace("包裹", "书本")),
    ],
)
def test_a_negation_makes_another_text_without_spaces(one: str, other: str) -> None:
    assert not near(one, other)


def test_words_of_scripts_without_spaces_are_shared() -> None:
    assert 0 < token_f1("แมวดำ", "แมวขาว") < 1
    assert 0 < token_f1("黑猫", "白猫") < 1
    assert token_f1("ខ្មែ", "ខ្មែ") == 1
