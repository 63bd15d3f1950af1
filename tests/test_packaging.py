"""What is installed: the built-in templates, the types, the licence, the command."""

import ast
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.slow

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


@pytest.mark.slow
def test_the_wheel_has_the_catalogs_of_messages(wheel: zipfile.ZipFile) -> None:
    assert "promptkit/locale/hi/LC_MESSAGES/promptkit.mo" in wheel.namelist()


def test_the_wheel_has_the_built_in_templates(wheel: zipfile.ZipFile) -> None:
    names = {path.name for path in (ROOT / "templates").glob("*.j2")}
    assert names
    assert {f"promptkit/built_in/{name}" for name in names} <= set(wheel.namelist())


def test_the_wheel_has_types_and_licence_and_no_tests(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {"promptkit/py.typed", "promptkit/__init__.pyi"} <= set(names)
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
    assert "## The demo" in str(metadata.get_payload())
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


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

NOT_FOR_THE_PACKAGE = {"bench", "dev", "docs"}
"""The extras of those who work on promptkit."""

PROVIDED = {"pytest", "pydantic-core"}
"""The plugin is loaded by pytest alone, and pydantic requires one version of its core."""


def declared(requirements: list[str]) -> set[str]:
    return {Requirement(text).name.lower().replace("_", "-") for text in requirements}


def imported() -> set[str]:
    """Return the distributions whose modules the package imports, or looks for by name."""
    modules = set()
    for path in (ROOT / "promptkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import(names=names):
                    modules |= {alias.name for alias in names}
                case ast.ImportFrom(module=str(name)):
                    modules.add(name)
                case ast.Call(
                    func=ast.Attribute(attr="find_spec"), args=[ast.Constant(value=name)]
                ):
                    modules.add(name)
    owners = packages_distributions()
    return {
        owners.get(name, [name])[0].lower().replace("_", "-")
        for module in modules
        if (name := module.split(".")[0]) not in {*sys.stdlib_module_names, "promptkit"}
    }


@pytest.mark.slow
def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    extras = PROJECT["optional-dependencies"]
    users = [text for name in extras.keys() - NOT_FOR_THE_PACKAGE for text in extras[name]]
    core = declared(PROJECT["dependencies"])
    assert not core & declared(users)
    assert core | declared(users) == imported() - PROVIDED


def test_the_dev_extra_has_all_others() -> None:
    dev = PROJECT["optional-dependencies"]["dev"]
    (own,) = [Requirement(text) for text in dev if text.startswith("promptkit-fewshot[")]
    assert own.extras == PROJECT["optional-dependencies"].keys() - {"bench", "dev"}
