"""Keys and passwords are in nothing that is written or shown; texts of inputs only where said."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from fake_servers import Toy, llama_cpp, served

import promptkit as pk
from promptkit.errors import PromptkitError

KEY, PASSWORD = "sk-secret-0123456789", "p4ssw0rd-secret"


def test_the_key_of_a_server_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PROMPTKIT_API_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    notes: list[str] = []
    with served(llama_cpp(Toy())) as server:
        model = pk.load_server(server.url, notify=notes.append)
        result = pk.compare(task, models=[model], shots=[0], limit=2, store="s.sqlite")
        result.save("run")
        own = pk.Predictor(task, pk.Template.of(task), model)
        pk.freeze(own, "a.promptkit")
        assert any(head.get("Authorization") == f"Bearer {KEY}" for _, head, _ in server.requests)
    shown = [repr(model), repr(own), str(result), *notes, caplog.text]
    shown += [repr(vars(model)), repr(model.identity), repr(getattr(model, "origin", None))]
    assert not [text for text in shown if KEY in text]
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert KEY.encode() not in file.read_bytes(), file
    from promptkit.files.zip_parts import parts_of

    parts = parts_of((tmp_path / "a.promptkit").read_bytes(), 2**24)
    assert not [name for name, content in parts.items() if KEY.encode() in content]


def test_a_password_of_a_url_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMPTKIT_API_KEY", raising=False)
    for url in (
        f"http://me:{PASSWORD}@127.0.0.1:9",
        f"http://me:{PASSWORD}@[",
        f"http://127.0.0.1:9?key={PASSWORD}",
    ):
        with pytest.raises(PromptkitError) as caught:
            pk.load_server(url, attempts=1)
        assert PASSWORD not in str(caught.value)
        assert PASSWORD not in repr(caught.value)


def test_a_secret_type_is_no_part_of_a_prompt() -> None:
    from pydantic import BaseModel, SecretStr

    class Login(BaseModel):
        name: str
        password: SecretStr

    demos: Any = [{"input": {"name": "a", "password": PASSWORD}, "output": True}]
    with pytest.raises(PromptkitError) as caught:
        pk.Task[Login, bool](name="t", demos=demos)
    assert PASSWORD not in str(caught.value)


def test_messages_show_the_beginning_of_a_text_and_not_all_of_it() -> None:
    """A private text may stand in an error, but not at length."""
    long = f"{'x' * 200} {KEY}"
    task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    with pytest.raises(PromptkitError) as caught:
        task.as_query({"name": [long]})
    assert KEY not in str(caught.value)
    with pytest.raises(PromptkitError) as caught:
        task.as_query({"name": "a", long: 1})
    assert len(str(caught.value)) < 3_000


def test_a_model_logs_no_prompt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    own = pk.Predictor(task, pk.Template.of(task), pk.FakeModel(), 2)
    own.predict([task.as_query({"name": KEY})])
    assert KEY not in caplog.text


def test_environment_variables_are_no_part_of_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMPTKIT_API_KEY", KEY)
    task = pk.load_task(Path(__file__).parents[2] / "examples" / "fruit")
    for source in ("{{ environ }}", "{{ env }}", "{{ os.environ }}", "{{ self.environment }}"):
        template = pk.Template(f"{source}{{% example %}}{{{{ output }}}}{{% endexample %}}")
        try:
            shown = template.render(task, shots=0, query={"name": "fig"}).text
        except PromptkitError as error:
            shown = str(error)
        assert KEY not in shown
