"""The site of docs/: built without a warning, complete, and of its own files only."""

import re
import shutil
from pathlib import Path

import cli_reference
import pytest
import site_build

import promptkit

ROOT = Path(__file__).parents[1]
API = {path: path.read_text("utf-8") for path in sorted((ROOT / "docs" / "api").glob("*.md"))}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name in ("docs", "promptkit", "tests/support"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "zensical.toml", root)
    assert site_build.build(root) == []
    return root / "site"


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    loaded = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?\s*(?:https?:)?//", re.I)
    linked = re.compile(r"<link\b[^>]*\bhref=[\"']?\s*(?:https?:)?//", re.I)
    styled = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", re.I)
    for file in [*pages, *site.rglob("*.css")]:
        text = file.read_text("utf-8")
        assert not [found[0] for kind in (loaded, linked, styled) for found in kind.finditer(text)]


@pytest.mark.slow
def test_the_search_finds_public_names(site: Path) -> None:
    index = (site / "search.json").read_text("utf-8")
    assert all(name in index for name in promptkit.__all__)


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "zensical.toml").read_text("utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert f'"{page.relative_to(ROOT / "docs").as_posix()}"' in navigation


def test_every_public_name_is_in_the_reference() -> None:
    described = re.findall(r"^::: promptkit\.(?:errors\.)?(\w+)$", "".join(API.values()), re.M)
    assert len(described) == len(set(described))
    assert set(promptkit.__all__) <= set(described)


def test_the_reference_of_the_commands_is_current() -> None:
    """Write it again with `make docs`."""
    assert cli_reference.PAGE.read_text("utf-8") == cli_reference.reference()
