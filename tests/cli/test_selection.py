"""Selections and embedders on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_gguf import write_bert

from promptkit.cli import app

FRUIT = Path(__file__).parents[2] / "examples" / "fruit"

Render = Callable[..., "list[str] | str"]


@pytest.fixture
def render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Render:
    """The shots that `promptkit render` shows, or what is wrong."""
    monkeypatch.chdir(tmp_path)

    def render(*words: object) -> list[str] | str:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            app(["render", str(FRUIT), "--json", "-", *map(str, words)], prog_name="promptkit")
        out, err = capfd.readouterr()
        if caught.value.code:
            return err
        shots: list[str] = json.loads(out)["shots"]
        return shots

    return render


def test_similar_shots_are_like_the_query(render: Render) -> None:
    words = ("--selection", "similar", "--query", "wild cherry", "--shots", 1)
    (shot,) = render(*words)
    assert "cherry" in shot
    assert render(*words, "--seed", 1) == [shot]
    two = render(*words[:-1], 2)
    assert two[-1] == shot
    assert render(*words[:-1], 2, "--order", "drawn") == two[::-1]


@pytest.mark.slow
def test_an_embedder_compares_instead(render: Render, tmp_path: Path) -> None:
    file = write_bert(tmp_path / "tiny.gguf")
    words = ("--selection", "similar", "--shots", 4, "--query", "wild cherry")
    assert render(*words, "--embedder", file) != render(*words)
    assert "no --selection compares inputs" in render("--embedder", file)
    assert "no such file" in render(*words, "--embedder", tmp_path / "none.gguf")


def test_a_file_gives_the_shots(render: Render, tmp_path: Path) -> None:
    drawn = render("--shots", 3, "--seed", 4)
    file = tmp_path / "best.json"
    file.write_text(json.dumps({"shots": drawn}))
    assert render("--shots", 3, "--selection", file) == drawn
    assert "the list 'best.json' has only 3" in render("--shots", 4, "--selection", file)
