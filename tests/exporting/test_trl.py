"""TRL reads exported data as what it is; where TRL is installed, which the tests do not need."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

import promptkit as pk

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def trl() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("trl")
        return pytest.importorskip("trl.data_utils")


@pytest.fixture(scope="module")
def tokenizer(trl: Any) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    made = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?", eos_token="?")
    made.chat_template = CHATML
    return made


def loaded(folder: Path, **how: Any) -> Any:
    from datasets import load_dataset

    task = pk.load_task("examples/remarks")
    made = pk.export_training_data(task, folder / "a.jsonl", validation=0, **how)
    files = str(made.files[0])
    return load_dataset("json", data_files=files, cache_dir=str(folder / "cache"))["train"]


def test_prompt_and_completion_are_texts(trl: Any, tokenizer: Any, tmp_path: Path) -> None:
    for row in loaded(tmp_path, shots=2):
        assert not trl.is_conversational(row)
        assert trl.maybe_apply_chat_template(row, tokenizer) == row


def test_turns_are_a_conversation(trl: Any, tokenizer: Any, tmp_path: Path) -> None:
    template = pk.Template.load("chat.j2")
    for row in loaded(tmp_path, shots=1, template=template):
        assert trl.is_conversational(row)
        made = trl.maybe_apply_chat_template(row, tokenizer)
        answer = row["completion"][0]["content"]
        assert made["prompt"].endswith("<|im_end|>\n<|im_start|>assistant\n")
        assert made["completion"] == f"{answer}<|im_end|>\n"


def test_messages_are_a_conversation(trl: Any, tokenizer: Any, tmp_path: Path) -> None:
    template = pk.Template.load("chat.j2")
    for row in loaded(tmp_path, shots=1, template=template, format="chat"):
        assert trl.is_conversational(row)
        text = trl.maybe_apply_chat_template(row, tokenizer)["text"]
        assert text.count("<|im_start|>assistant\n") == 2
        assert text.endswith(f"{row['messages'][-1]['content']}<|im_end|>\n")
