"""The blocks of README.md and docs/ do what the text around them says; links lead somewhere."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from walkthrough import WALKED

import promptkit
from promptkit import Template, load_task

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.hi.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [
        (f"{page.name}-{index}", block)
        for page in PAGES
        for index, block in enumerate(pattern.findall(page.read_text(encoding="utf-8")))
    ]


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return tmp_path


@pytest.mark.model
@pytest.mark.parametrize(("name", "source"), blocks("python"))
def test_python_blocks_run(name: str, source: str, clone: Path) -> None:
    done = run([sys.executable, "-c", source], clone)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout or "compare(" not in source
    if name.startswith("python.md"):
        assert "lemon:" in done.stdout
        assert {"comparison.json", "predictions.jsonl", "report.html"} <= {
            path.name for path in (clone / "runs" / "fruit-in-python").iterdir()
        }


SCRIPTS = [(name.rpartition("-")[0], script) for name, script in blocks("sh")]


@pytest.mark.model
@pytest.mark.parametrize(
    "page", dict.fromkeys(page for page, _ in SCRIPTS if not page.startswith(WALKED))
)
def test_shell_blocks_run(page: str, clone: Path) -> None:
    """One after the other, as a reader would."""
    for line in "".join(script for name, script in SCRIPTS if name == page).splitlines():
        words = shlex.split(line, comments=True)
        assert words[0] == "promptkit"
        done = run([sys.executable, "-m", "promptkit", *words[1:]], clone)
        assert done.returncode == 0, f"{line}: {done.stderr}{done.stdout}"
        assert done.stdout


@pytest.mark.parametrize(("name", "source"), blocks("jinja"))
def test_template_blocks_render(name: str, source: str) -> None:
    task = load_task(ROOT / "examples" / "fruit")
    if "{% for name, value in input %}" in source:  # a part of an example block
        source = f"{{% example %}}\n{source}-> {{{{ output }}}}\n{{% endexample %}}\n"
    prompt = Template(source).render(task, shots=2, query={"name": "fig"})
    shown = str(prompt)
    assert "fig" in shown
    assert all(task.demos.by_id(id).input.name in shown for id in prompt.shots)


def test_links_inside_the_project_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([\w./-]+)(?:#[\w.-]+)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def named(page: str) -> set[str]:
    """Return the public names that a page mentions as Python, outside its blocks."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S))
    known = "|".join(promptkit.__all__)
    code = (
        span for span in spans if not span.endswith((".json", ".html", ".md"))
    )  # names of files
    found = (re.match(rf"(promptkit\.)?({known})\b(\(|\.\w)?", span) for span in code)
    return {m[2] for m in found if m and (m[1] or m[3] or m[2][0].isupper() or "_" in m[2])}


DESCRIBED = [path for path in PAGES if path.parent.name == "docs" and path.stem != "decisions"]


@pytest.mark.parametrize("path", DESCRIBED, ids=lambda path: path.name)
def test_public_names_link_to_their_reference(path: Path) -> None:
    page = path.read_text("utf-8")
    linked = set(re.findall(r"\]\(api/\w+\.md#promptkit\.(\w+)", page))
    assert named(page) <= linked


def test_the_readme_is_short() -> None:
    for page in READMES:
        assert len(page.read_text("utf-8").splitlines()) <= 150


def test_the_template_page_names_every_built_in_template() -> None:
    page = (ROOT / "docs" / "templates.md").read_text(encoding="utf-8")
    for path in (ROOT / "templates").glob("*.j2"):
        assert path.name.replace("-labels", "") in page


def test_the_readme_names_the_make_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        # A file or a folder of that name, such as docs/, must not count as made.
        assert re.search(rf"^\.PHONY:.* {target}\b", makefile, re.MULTILINE)


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()[-1]
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_contents_of_the_decisions_list_them_all() -> None:
    text = (ROOT / "docs" / "decisions.md").read_text("utf-8")
    headings = re.findall(r"^##+ (.*)$", text, re.MULTILINE)
    contents = re.findall(r"\[(.+?)\]\(#(.+?)\)", text.partition("\n## ")[0])
    assert [name for name, _ in contents] == headings
    for name, anchor in contents:
        on_github = re.sub(r"[^\w\s-]", "", name).lower().replace(" ", "-")
        on_the_site = re.sub(r"[-\s]+", "-", on_github)
        assert anchor == on_github == on_the_site, f"{name!r} has other anchors elsewhere"
