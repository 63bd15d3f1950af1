"""Other weights for a file: the same model, except for how its matrices are stored."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gguf.constants import GGMLQuantizationType
from gguf.gguf_writer import GGUFWriter
from tiny_gguf import CHATML, large_embedding, write_gemma3_swa, write_llama, write_mamba

from promptkit.models.gguf.header import read_header
from promptkit.models.llama import LlamaModel
from promptkit.models.prepare.convert import convert, main
from promptkit.models.prepare.isolated import FailedError
from promptkit.models.prepare.model_files import verify
from promptkit.models.prepare.precision import distances
from promptkit.models.runtime.context import RuntimeSettings
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt

pytestmark = pytest.mark.slow

Write = Callable[[Path], Path]


def quantised(kind: str, **options: object) -> Write:
    weight_type = GGMLQuantizationType[kind]
    return lambda path: write_llama(path, weight_type=weight_type, **options)  # type: ignore[arg-type]


FILES: dict[str, Write] = {
    "Q4_0": quantised("Q4_0"),
    "Q4_1": quantised("Q4_1", chat_template=CHATML),
    "Q8_0": quantised("Q8_0", tokenizer="spm"),
    "BF16": quantised("BF16"),
    "gemma3": write_gemma3_swa,
    "mamba": write_mamba,
}


@pytest.fixture(scope="module", params=FILES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name = str(request.param)
    return FILES[name](tmp_path_factory.mktemp(name) / f"{name}.gguf")


def test_only_the_weights_change(source: Path, tmp_path: Path) -> None:
    file = verify(source)
    made = convert(file, "F16", tmp_path / "made.gguf")
    assert made.header.weight_type == "F16"
    renewed = {"general.file_type", "general.quantization_version"}
    for key in file.header.metadata.keys() - renewed:
        assert made.header.metadata[key] == file.header.metadata[key]
    assert made.header.metadata.keys() - renewed == file.header.metadata.keys() - renewed
    before = {tensor.name: tensor for tensor in file.header.tensors}
    for tensor in made.header.tensors:
        if len(tensor.shape) == 1 or not tensor.name.endswith(".weight"):
            assert tensor.type == before[tensor.name].type
    assert verify(source) == file  # it is not touched


def test_text_is_read_as_before(source: Path, tmp_path: Path) -> None:
    assert main(str(source), str(tmp_path / "made.gguf"), "F32") == ""
    before, after = LlamaModel(source, threads=1), LlamaModel(tmp_path / "made.gguf", threads=1)
    text = "The family of a peach is </s> <|im_end|>\n\n  drupe, é 🍒"
    pieces = [Prompt((Piece(text, "data"), Piece("<|im_end|> apple", "template")))]
    if before.chat_template is not None:
        pieces.append(Prompt(messages=(Message("user", (Piece(text, "data"),)),)))
    tokenized = before.tokenize(pieces)
    assert after.tokenize(pieces) == tokenized
    assert after.chat_template == before.chat_template
    assert [*map(after.piece, range(300))] == [*map(before.piece, range(300))]


def test_half_precision_is_nearer_to_whole_than_the_kernels_for_integers(tmp_path: Path) -> None:
    for kind in ("Q4_0", "Q4_1", "Q8_0"):
        source = FILES[kind](tmp_path / f"{kind}.gguf")
        for made in ("F32", "F16"):
            main(str(source), str(tmp_path / f"{made}.gguf"), made)
        paths = [tmp_path / "F32.gguf", source, tmp_path / "F16.gguf"]
        whole, own, half = distances([(path, RuntimeSettings(1)) for path in paths])
        assert whole == 0
        assert own is not None
        assert half is not None
        assert 0 < half < own / 4


def test_whole_precision_of_half_changes_nothing(tmp_path: Path) -> None:
    source = quantised("F16")(tmp_path / "half.gguf")
    main(str(source), str(tmp_path / "whole.gguf"), "F32")
    for tensor in read_header(tmp_path / "whole.gguf").tensors:
        assert tensor.type == "F32"
    ours, theirs = (weights(path) for path in (source, tmp_path / "whole.gguf"))
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])


def weights(path: Path) -> dict[str, np.ndarray]:
    kinds = {"F16": np.float16, "F32": np.float32}
    return {
        tensor.name: np.fromfile(path, kinds[tensor.type], tensor.elements, offset=tensor.offset)
        for tensor in read_header(path).tensors
    }


def test_a_weight_too_large_for_half_precision(tmp_path: Path) -> None:
    kind = GGMLQuantizationType.Q4_1
    file = verify(write_llama(tmp_path / "x.gguf", weight_type=kind, edit=large_embedding(kind)))
    with pytest.raises(FailedError, match=r"^llama\.cpp cannot convert it to F16: .*validation"):
        convert(file, "F16", tmp_path / "made.gguf")
    assert convert(file, "F32", tmp_path / "made.gguf").header.weight_type == "F32"


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    file = verify(quantised("Q4_1")(tmp_path / "x.gguf"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(FailedError, match=r"^llama\.cpp cannot convert it to F16"):
            convert(file, "F16", tmp_path / "made.gguf")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_is_damaged_meanwhile(tmp_path: Path) -> None:
    path = quantised("Q4_1")(tmp_path / "x.gguf")
    file = verify(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FailedError, match=r"^llama\.cpp cannot convert it to F16: .*"):
        convert(file, "F16", tmp_path / "made.gguf")


def test_a_header_that_llama_cpp_would_change(tmp_path: Path) -> None:
    def edit(writer: GGUFWriter) -> None:
        writer.add_string("general.note", "before\0after")

    file = verify(quantised("Q4_1", edit=edit)(tmp_path / "x.gguf"))
    with pytest.raises(FailedError, match="changes more than its weights when it makes it F16"):
        convert(file, "F16", tmp_path / "made.gguf")
