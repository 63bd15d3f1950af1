"""Messages in other languages: that none is missing, and that the command line shows them."""

from __future__ import annotations

import json
import os
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import catalog
import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from promptkit import translation
from promptkit.cli.language_option import taken
from promptkit.translation import language, languages, tr, trn, use

ROOT = Path(__file__).parents[1]

OTHERS = [tag for tag in languages() if tag != translation.SOURCE]


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Each test leaves English behind."""
    yield
    use("en")


# The catalogs.


@pytest.fixture(scope="module", params=OTHERS)
def known(request: pytest.FixtureRequest) -> Catalog:
    with catalog.place(request.param).open("rb") as file:
        return read_po(file, locale=request.param)


def forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def test_every_message_is_translated(known: Catalog) -> None:
    wanted = {message.id for message in catalog.template() if message.id}
    assert len(wanted) > 2000
    have = {message.id for message in known if message.id and catalog.is_translated(message)}
    assert sorted(map(str, wanted - have)) == []
    assert sorted(map(str, have - wanted)) == [], "run tests/support/catalog.py"


def fields(text: str) -> list[tuple[str, str, str]]:
    parts = string.Formatter().parse(text)
    return sorted(
        (name, kind or "", spec or "") for _, name, spec, kind in parts if name is not None
    )


def test_translations_have_the_fields_of_the_message(known: Catalog) -> None:
    wrong = []
    for message in known:
        if not message.id or not _has_fields(message):
            continue
        wanted = fields(forms(message.id)[-1])
        one_may_leave_out_its_number = [each for each in wanted if each[0] != "n"]
        for number, form in enumerate(forms(message.string)):
            if fields(form) != wanted and (number or fields(form) != one_may_leave_out_its_number):
                wrong.append((form, message.id))
    assert wrong == []


def _has_fields(message: Message) -> bool:
    """Whether a message is formatted: some have braces that stand for themselves."""
    try:
        return all(re.fullmatch(r"\w+", name) for name, *_ in fields(forms(message.id)[-1]))
    except ValueError:
        return False


def test_translations_keep_the_spaces_and_lines_around(known: Catalog) -> None:
    def around(text: str) -> tuple[bool, bool, int]:
        return text[:1].isspace(), text[-1:].isspace(), text.count("\n")

    wrong = [
        (form, message.id)
        for message in known
        if message.id
        for one, form in zip(forms(message.id), forms(message.string), strict=True)
        if around(one) != around(form)
    ]
    assert wrong == []


def test_the_binary_catalog_is_that_of_the_text(known: Catalog) -> None:
    place = catalog.place(str(known.locale))
    assert place.with_suffix(".mo").read_bytes() == catalog.as_binary(known)
    assert place.read_bytes() == catalog.as_text(catalog.updated(str(known.locale)))


# The functions.


def test_a_language_is_chosen_and_left() -> None:
    assert tr("did you mean {name!r}?", name="apple") == "did you mean 'apple'?"
    use("hi_IN")
    assert language() == "hi"
    assert tr("") == ""
    assert tr("did you mean {name!r}?", name="{x}") == "क्या आपका मतलब '{x}' था?"
    use("xx")
    assert language() == "en"


def test_the_environment_chooses_as_gettext_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    use()
    assert language() == "en"
    monkeypatch.setenv("LANG", "hi_IN.UTF-8")
    use()
    assert language() == "hi"
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    use()
    assert language() == "en"


def test_numbers_choose_a_form() -> None:
    assert trn("{n:,} row", "{n:,} rows", 1) == "1 row"
    assert trn("{n:,} row", "{n:,} rows", 1200) == "1,200 rows"


@pytest.mark.parametrize(
    ("arguments", "rest", "tag"),
    [
        (["--lang", "hi", "lint"], ["lint"], "hi"),
        (["lint", "--lang=hi", "x"], ["lint", "x"], "hi"),
        (["lint", "--lang", "en", "--lang", "hi"], ["lint"], "hi"),
        (["lookup", "--", "--lang", "hi"], ["lookup", "--", "--lang", "hi"], None),
        (["lint", "--lang"], ["lint", "--lang"], None),
        (["compare", "--language", "hi"], ["compare", "--language", "hi"], None),
    ],
)
def test_the_option_is_taken_from_any_place(
    arguments: list[str], rest: list[str], tag: str | None
) -> None:
    assert taken(arguments) == (rest, tag)


# The command line.


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "promptkit", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "COLUMNS": "100", **environment},
        cwd=ROOT,
        check=False,
    )


def has_hindi(text: str) -> bool:
    return re.search("[\u0900-\u097f]{3}", text) is not None


def test_commands_speak_the_language_of_the_option() -> None:
    for place in (["--lang", "hi", "lint", "nowhere"], ["lint", "nowhere", "--lang=hi"]):
        done = run(*place)
        assert done.returncode == 2
        assert has_hindi(done.stderr)
        assert "Traceback" not in done.stderr
    assert not has_hindi(run("lint", "nowhere").stderr)
    assert not has_hindi(run("lint", "nowhere", "--lang", "en", LANGUAGE="hi").stderr)
    assert has_hindi(run("lint", "nowhere", LANG="hi_IN.UTF-8", LC_ALL="", LANGUAGE="").stderr)


def test_help_and_errors_of_usage_are_translated() -> None:
    page = run("--lang", "hi", "compare", "--help").stdout
    for line in page.splitlines():
        words = re.findall(r"[A-Za-z]{3,}", re.sub(r"--?[\w/-]+|[A-Z]{2,}\S*", "", line))
        assert has_hindi(line) or len(words) < 4, line
    wrong = run("--lang", "hi", "compare", "--nothing")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("उपयोग: ")
    assert "ऐसा कोई विकल्प नहीं: --nothing" in wrong.stderr
    missing = run("--lang", "hi", "compare")
    assert "आर्ग्युमेंट 'TASK' नहीं दिया गया।" in missing.stderr


def test_an_unknown_language_is_an_error() -> None:
    done = run("--lang", "xx", "lint", "examples/fruit")
    assert done.returncode == 2
    assert done.stderr == "error: --lang 'xx': no language of messages; choose one of: en, hi\n"
    done = run("lint", "--lang")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


def test_json_is_the_same_in_every_language() -> None:
    found = [
        json.loads(run("--lang", tag, "lint", "examples/fruit", "--json", "-").stdout)
        for tag in ("en", "hi")
    ]
    assert keys(found[0]) == keys(found[1])


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items()}
    return [keys(each) for each in value] if isinstance(value, list) else type(value).__name__
