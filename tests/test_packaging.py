"""What is installed: the built-in templates, the types, the licence, the command."""

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    source = folder / "source"
    wanted = shutil.ignore_patterns(".git", ".venv", "runs", ".*_cache", "__pycache__")
    shutil.copytree(ROOT, source, ignore=wanted)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    return zipfile.ZipFile(file)


def test_the_wheel_has_the_built_in_templates(wheel: zipfile.ZipFile) -> None:
    names = {path.name for path in (ROOT / "templates").glob("*.j2")}
    assert names
    assert {f"promptkit/built_in/{name}" for name in names} <= set(wheel.namelist())


def test_the_wheel_has_types_and_licence_and_no_tests(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "promptkit/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {
        "promptkit",
        "promptkit_fewshot",
    }


def test_the_metadata_is_complete(wheel: zipfile.ZipFile) -> None:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(wheel.read(name).decode())
    assert metadata["Name"] == "promptkit-fewshot"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Summary"]
    assert "## Start" in str(metadata.get_payload())
    extras = set(metadata.get_all("Provides-Extra") or ())
    assert {"smollm2", "hub", "pandas", "schema", "data", "dev"} <= extras


def test_a_template_is_found_in_the_installed_package(
    wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    wheel.extractall(tmp_path)
    script = (
        "import promptkit, promptkit.templating.template as t; "
        "print(t.BUILT_IN); t.Template.load('colon')"
    )
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {script}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == tmp_path / "promptkit" / "built_in"
