"""Checks of a template's literal text: white space and characters that nobody sees."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from promptkit.graphemes import JOINERS
from promptkit.linting import catalogue as rules
from promptkit.linting.characters import invisible, mixed
from promptkit.linting.findings import Finding
from promptkit.templating.source import Edit, LexerToken, Page
from promptkit.translation import mark, tr

_TRAILING = re.compile(r"[ \t]+(?=\n)|[ \t]+\Z")
_TABS = re.compile(r"\t+")
_OUTPUT = re.compile(r"(\w+\.)?output\b")
_SINGLE = re.compile(r"\{ *((?:task|labels|shots?|query|input|output)\b[^{}\n]*?) *\}")
CONTROL = re.compile(
    r"<\|[a-zA-Z][\w ]*\|>|</?s>|<(?:bos|eos|pad|unk)>|<(?:start|end)_of_turn>"
    r"|\[/?INST\]|<</?SYS>>|<｜[^<>]{1,40}｜>"
)
USE_ROLES = mark("write {% system %}, {% user %} and {% assistant %}")


def carriage_returns(page: Page) -> Iterator[Finding]:
    """Yield line ends that Jinja converts."""
    if "\r" not in page.raw:
        return
    first = page.raw.index("\r")
    count = page.raw.count("\r")
    message = (
        tr("a carriage return at the end of a line or inside one")
        if count == 1
        else tr(
            "{count} carriage returns, the first at the end of a line or inside one", count=count
        )
    )
    edit = Edit(page.file, 0, len(page.raw), page.source)
    yield rules.CARRIAGE_RETURN.at(
        page.at(first),
        message,
        tr("save it with newlines alone"),
        [edit],
    )


def trailing_spaces(page: Page) -> Iterator[Finding]:
    """Yield white space at the end of a line, and of the file."""
    for start, end in _trailing(page):
        behind = page.source[:start].endswith("%}")
        if end < len(page.source):
            message, fix = tr("white space at the end of the line"), tr("delete it")
        else:
            message = tr("white space at the end of the prompt, in front of the answer")
            fix = tr("delete it; the shots say what goes there")
        if behind:
            message += tr(", which keeps the newline that the tag would drop")
        # Without it, a tag in front would drop the newline.
        edits = () if behind else page.edit(start, end, "")
        yield rules.TRAILING_SPACE.at(page.at(start), message, fix, edits)


def _trailing(page: Page) -> Iterator[tuple[int, int]]:
    for start, match in _matches(_TRAILING, page.texts):
        end = start + len(match[0])
        if page.source[end : end + 1] in ("\n", ""):
            yield start, end


def _matches(
    pattern: re.Pattern[str], tokens: Iterable[LexerToken]
) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the matches in tokens, each with its offset in the source."""
    for token in tokens:
        for match in pattern.finditer(token.text):
            yield token.offset + match.start(), match


def tabs(page: Page) -> Iterator[Finding]:
    """Yield tabs that the model reads."""
    trailing = {start for start, _ in _trailing(page)}
    for start, match in _matches(_TABS, page.texts):
        if start not in trailing:
            edits = page.edit(start, start + len(match[0]), " ")
            yield rules.TAB.at(page.at(start), tr("a tab"), tr("write a space"), edits)


def spaces_before_answers(page: Page) -> Iterator[Finding]:
    """Yield white space before an answer that is not one space."""
    tokens = page.tokens
    for index, token in enumerate(tokens):
        spaces = len(token.text) - len(token.text.rstrip(" "))
        if token.kind == "data" and spaces > 1 and _OUTPUT.match(_expression(tokens, index)):
            start = token.end - spaces
            yield rules.SPACE_BEFORE_ANSWER.at(
                page.at(start),
                tr("{spaces} spaces in front of the answer", spaces=spaces),
                tr("leave one"),
                page.edit(start, token.end, " "),
            )


def _expression(tokens: list[LexerToken], index: int) -> str:
    """The expression that is printed behind a text."""
    text = ""
    for token in tokens[index + 1 :]:
        if token.kind == "variable_end":
            return text
        if token.kind != "whitespace" and token.kind != "variable_begin":
            text += token.text
        if len(text) > 80:
            break
    return ""


def hidden_characters(page: Page) -> Iterator[Finding]:
    """Yield invisible characters, and letters of another alphabet."""
    for token in page.texts:
        for offset, name in invisible(token.text):
            char = token.text[offset]
            if char != "\r":
                start = token.offset + offset
                text = " " if char.isspace() else ""
                rule = rules.STRAY_JOINER if char in JOINERS else rules.INVISIBLE
                yield rule.at(
                    page.at(start),
                    tr("{name} in the template", name=name),
                    tr("write a space") if text else tr("delete it"),
                    page.edit(start, start + 1, text),
                )
        for offset, word, odd in mixed(token.text):
            yield rules.MIXED_SCRIPTS.at(
                page.at(token.offset + offset),
                tr("the word {word!r} has letters of another alphabet: {odd}", word=word, odd=odd),
                tr("type the word anew"),
            )


def single_braces(page: Page) -> Iterator[Finding]:
    """Yield names of the task in single braces."""
    for start, match in _matches(_SINGLE, page.texts):
        message = tr("{text!r} is printed as it stands", text=match[0])
        expression = f"{{{{ {match[1]} }}}}"
        fix = tr("write {text}", text=expression)
        yield rules.SINGLE_BRACES.at(page.at(start), message, fix)


def control_tokens(page: Page) -> Iterator[Finding]:
    """Yield texts that are control tokens of some models."""
    texts = (token for token in page.tokens if token.kind in ("data", "string"))
    for start, match in _matches(CONTROL, texts):
        message = tr(
            "{text!r} is a control token of some models, and text for others", text=match[0]
        )
        yield rules.CONTROL_TOKEN.at(page.at(start), message, tr(USE_ROLES))


SOURCE_RULES = (
    carriage_returns,
    trailing_spaces,
    tabs,
    spaces_before_answers,
    hidden_characters,
    single_braces,
    control_tokens,
)
