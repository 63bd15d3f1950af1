"""Checks with a model: what its tokens make of labels, prompts and scripts."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from promptkit.errors import PromptError, PromptTooLongError, TemplateError
from promptkit.graphemes import clusters
from promptkit.linting import catalogue as rules
from promptkit.linting.characters import script
from promptkit.linting.findings import Finding
from promptkit.linting.rendered import asked_for, rendering_error
from promptkit.linting.source_rules import CONTROL, USE_ROLES
from promptkit.linting.subject import Subject, demonstrations, inputs
from promptkit.prompts.chat_template import puts_system_in_user
from promptkit.prompts.prompt import Prompt, TokenizedPrompt
from promptkit.tasks.examples import Example
from promptkit.templating.source import Page, Where
from promptkit.templating.template import Template
from promptkit.text import about, counted
from promptkit.translation import tr

if TYPE_CHECKING:
    from promptkit.linting.token_model import TokenModel

ENGLISH = "The committee will meet again on Tuesday to discuss the results of the second survey."
"""The text that a script's tokens are compared with."""
DEAR, COSTLY = 1.5, 4.0
"""Ratio of tokens to those of as much English from which a script is noted, and warned of."""
LETTERS = {"CJK": 3, "HIRAGANA": 2, "KATAKANA": 2, "HANGUL": 2}
"""Letters of English that one character stands for, about, where these are more than one."""
_SAMPLE = 200


def check_prompts(
    subject: Subject, page: Page, template: Template, model: TokenModel, shots: int
) -> Iterator[Finding]:
    """Yield findings about a template's prompts as tokens of a model."""
    renderer = template.renderer(subject.task)
    first, *others = inputs(subject)
    demos = [demo for value in others for demo in demonstrations(subject, value)[:1]]
    prompt = renderer.render(asked_for(first, subject.metadata), demos)
    yield from _kind(prompt, page, model)
    if prompt.messages and model.chat_template is None:
        return
    yield from _typed_controls(page, model)
    try:
        (tokenized,) = model.tokenize([prompt])
    except PromptTooLongError:
        pass  # said below, with the number of shots that fit
    except PromptError as error:
        yield rules.CANNOT_ASK.at(page.line(1), str(error), tr("change the template, or the model"))
        yield from _prefixes(prompt, subject.at_key("labels"), model)
        return
    else:
        yield from _system(prompt, page, model)
        yield from _double_bos(tokenized, page, model)
        yield from _wordings(subject, page, template, model, demos)
    yield from _lengths(subject, page, template, model, shots)


def _kind(prompt: Prompt, page: Page, model: TokenModel) -> Iterator[Finding]:
    name, where = model.identity.name, page.line(1)
    if prompt.messages and model.chat_template is None:
        message = tr("the template makes turns, and {name} has no chat template", name=name)
        fix = tr("use a template without role tags, or a chat model")
        yield rules.BASE_MODEL_CHAT.at(where, message, fix)
    elif not prompt.messages and model.chat_template is not None:
        message = tr("raw text for {name}, which has a chat template", name=name)
        fix = tr("compare it with chat.j2, or with role tags of your own")
        yield rules.CHAT_MODEL_RAW.at(where, message, fix)


def _system(prompt: Prompt, page: Page, model: TokenModel) -> Iterator[Finding]:
    if prompt.messages and model.chat_template is not None:
        words = model.vocabulary
        if puts_system_in_user(prompt, model.chat_template, bos=words.bos_text, eos=words.eos_text):
            tag = page.at(max(page.source.find("system or user"), 0))
            yield rules.SYSTEM_IN_USER.at(
                page.line(tag.line),
                tr(
                    "{name} has no system turn: it begins the first user turn instead",
                    name=model.identity.name,
                ),
                tr("nothing, if that is meant"),
            )


def _typed_controls(page: Page, model: TokenModel) -> Iterator[Finding]:
    """Yield control tokens of this model that `source_rules` does not know."""
    controls = [text for text in model.vocabulary.controls if len(text) > 1 and text.strip()]
    for token in page.texts:
        for text in controls:
            at = token.text.find(text)
            if at >= 0 and not CONTROL.fullmatch(text):
                message = tr(
                    "{text!r} is a control token of {name}", text=text, name=model.identity.name
                )
                yield rules.CONTROL_TOKEN.at(page.at(token.offset + at), message, tr(USE_ROLES))


def _double_bos(tokenized: TokenizedPrompt, page: Page, model: TokenModel) -> Iterator[Finding]:
    bos, text = model.vocabulary.bos, model.vocabulary.bos_text
    typed = [t.offset + t.text.index(text) for t in page.texts if text and text in t.text]
    if bos is not None and typed and tokenized.ids.count(bos) > 1:
        yield rules.DOUBLE_BOS.at(
            page.at(typed[0]),
            tr(
                "the prompt has {count} times {text!r}, the mark of a beginning",
                count=tokenized.ids.count(bos),
                text=text,
            ),
            tr("delete it; it is put in front of every prompt that wants it"),
        )


# --- labels ---------------------------------------------------------------------------------------


def _wordings(
    subject: Subject,
    page: Page,
    template: Template,
    model: TokenModel,
    demos: Sequence[Example[Any, Any]],
) -> Iterator[Finding]:
    """Yield findings about the labels and the words of verbalizers."""
    query, seen = asked_for(inputs(subject)[0], subject.metadata), set()
    for verbalizer, where in subject.wordings():
        try:
            prompt = template.renderer(subject.task, verbalizer).render(query, demos)
            if prompt.candidates in seen:  # letters, whatever the words
                continue
            seen.add(prompt.candidates)
            (tokenized,) = model.tokenize([prompt])
        except TemplateError as error:
            yield rendering_error(error, [page])
        except PromptTooLongError:
            continue  # said below
        except PromptError as error:
            yield rules.CANNOT_ASK.at(where, str(error), tr("choose other words"))
            yield from _prefixes(prompt, where, model)
        else:
            yield from _labels(tokenized, where, page, model)


def _prefixes(prompt: Prompt, where: Where, model: TokenModel) -> Iterator[Finding]:
    """Yield labels whose tokens begin those of others, where nothing ends an answer.

    Where something ends an answer, it does.
    """
    if prompt.stop or prompt.messages:
        return
    plain = model.vocabulary.plain
    tokens = {text.strip(" "): tuple(plain(text)) for text in prompt.candidates or ()}
    in_order = sorted(tokens, key=tokens.__getitem__)
    for one, other in pairwise(in_order):
        if tokens[other][: len(tokens[one])] == tokens[one]:
            message = tr("the tokens of {one!r} begin those of {other!r}", one=one, other=other)
            yield rules.LABEL_PREFIX.at(
                where, message, tr("rename one, or let a newline end answers")
            )


def _labels(
    tokenized: TokenizedPrompt, where: Where, page: Page, model: TokenModel
) -> Iterator[Finding]:
    """Yield findings, at `where`, about the labels as a prompt writes them."""
    candidates = tokenized.prompt.candidates
    if not candidates:
        return
    vocabulary = model.vocabulary
    tokens = {text.strip(" "): tuple(vocabulary.plain(text)) for text in candidates}
    for label, ids in tokens.items():
        written = b"".join(map(vocabulary.piece, ids)).strip(b" ").decode("utf-8", "replace")
        if written != label:
            message = tr(
                "the tokenizer writes the label {label!r} as {written!r}",
                label=label,
                written=written,
            )
            yield rules.LABEL_ROUND_TRIP.at(where, message, tr("rename it"))
    yield from _in_bytes(tokens, where, model)
    yield from _merging(tokenized, page, model)
    yield from _same_start(tokens, where, model)
    lengths = {len(ids) for ids in tokens.values()}
    if len(lengths) > 1:
        short, long = (pick(tokens, key=lambda name: len(tokens[name])) for pick in (min, max))
        yield rules.LABEL_LENGTHS.at(
            where,
            tr(
                "labels have {least} ({short!r}) to {most} tokens ({long!r})",
                least=min(lengths),
                short=short,
                most=max(lengths),
                long=long,
            ),
            tr("choose labels of one length, or compare with calibration in mind"),
        )


def _in_bytes(
    tokens: Mapping[str, tuple[int, ...]], where: Where, model: TokenModel
) -> Iterator[Finding]:
    """Yield labels with tokens that are bytes of a character, and no characters."""
    for label, ids in tokens.items():
        parts = [piece for piece in map(model.piece, ids) if not _is_text(piece)]
        if parts:
            shown = " ".join([piece.hex() for piece in parts[:4]])
            more = ", …" if len(parts) > 4 else ""
            yield rules.LABEL_BYTES.at(
                where,
                tr(
                    "of the {tokens} of the label {label!r}, {count} are parts of characters "
                    "(bytes {shown}{more})",
                    tokens=counted(len(ids), "token", "tokens"),
                    label=label,
                    count=len(parts),
                    shown=shown,
                    more=more,
                ),
                tr("choose another word for it, or a model whose vocabulary has its characters"),
            )


def _is_text(piece: bytes) -> bool:
    """Return whether the bytes of a token are whole characters."""
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _same_start(
    tokens: Mapping[str, tuple[int, ...]], where: Where, model: TokenModel
) -> Iterator[Finding]:
    starts = defaultdict(list)
    for label, ids in tokens.items():
        starts[ids[:1]].append(label)
    for ids, labels in starts.items():
        if len(labels) > 1 and ids:
            piece = model.piece(ids[0]).decode("utf-8", "replace")
            message = tr(
                "{labels} begin with the same token {piece!r}",
                labels=", ".join(map(repr, labels)),
                piece=piece,
            )
            yield rules.LABEL_START.at(where, message, tr("nothing, or labels that begin apart"))


def _merging(tokenized: TokenizedPrompt, page: Page, model: TokenModel) -> Iterator[Finding]:
    """Yield labels whose first characters form a token with the last ones of the prompt."""
    (alone,) = model.tokenize([replace(tokenized.prompt, messages=(), candidates=None)])
    merged = [
        text
        for text, rest in zip(tokenized.prompt.candidates or (), tokenized.candidates, strict=False)
        if (tokenized.ids + rest)[: len(alone.ids)] != alone.ids
    ]
    if merged:
        before = tokenized.prompt.text[-10:]
        has_space = bool(tokenized.prompt.lead)
        yield rules.LABEL_MERGES.at(
            page.line(page.at(page.source.rfind("output")).line),
            tr(
                "{label!r} merges with the text in front of it, {before!r}",
                label=merged[0],
                before=before,
            ),
            tr("let other text stand there")
            if has_space
            else tr("put a space in front of the answer"),
        )


# --- lengths --------------------------------------------------------------------------------------


def _lengths(
    subject: Subject, page: Page, template: Template, model: TokenModel, shots: int
) -> Iterator[Finding]:
    """Yield a finding where the longest query does not fit after the longest demonstrations."""

    def by_length(part: Sequence[Any]) -> list[Any]:
        return sorted(part, key=lambda row: -sum(len(text) for _, text in subject.texts(row)))

    asked = by_length(subject.rows["tests"] or subject.rows["demos"])[:1]
    demos = [row for row in by_length(subject.rows["demos"]) if row not in asked][:shots]
    if not asked:
        return
    renderer = template.renderer(subject.task)

    def fits(number: int) -> bool:
        shown = [row.example for row in demos[:number]]
        try:
            model.tokenize([renderer.render(asked[0].example, shown)])
        except PromptTooLongError:
            return False
        return True

    if fits(len(demos)):
        return
    low = bisect_left(range(len(demos)), True, key=lambda number: not fits(number)) - 1
    fix = tr("ask for {low} shots at most", low=low) if low > 0 else tr("shorten it")
    yield rules.TOO_LONG.at(
        page.line(1),
        tr(
            "the longest examples do not fit the context of {context} tokens with {count} shots; ",
            context=model.identity.context,
            count=len(demos),
        )
        + (tr("with {low} they do", low=low) if low >= 0 else tr("not even the query")),
        tr("{fix}, or load the model with a larger context", fix=fix),
    )


# --- scripts --------------------------------------------------------------------------------------


def token_costs(subject: Subject, model: TokenModel) -> Iterator[Finding]:
    """Yield scripts that take many tokens, compared with as much text in English."""
    plain = model.vocabulary.plain
    english = len(plain(ENGLISH)) / len(ENGLISH)
    for name, text in sorted(_by_script(subject).items()):
        characters = sum(1 for _ in clusters(text))
        cost = len(plain(text)) / characters
        times = cost / english / LETTERS.get(name, 1)
        if times < DEAR or len(text) < len(ENGLISH) // 4:
            continue
        rule = rules.COSTLY_SCRIPT if times >= COSTLY else rules.TOKEN_COST
        context = model.identity.context
        yield rule.at(
            Where(subject.task_file),
            tr(
                "{script} takes {cost:.2f} tokens a character, about {times:.1f} times "
                "as many as English for as much text ({english:.2f} a letter): the context "
                "of {context:,} tokens holds about {fitting} characters, and prompts take "
                "about {times:.1f} times as long to read",
                script=name.capitalize(),
                cost=cost,
                times=times,
                english=english,
                context=context,
                fitting=about(int(context / cost)),
            ),
            tr("count on fewer shots, or compare a model whose vocabulary knows the script"),
        )


def _by_script(subject: Subject) -> dict[str, str]:
    """Return the texts of a sample of rows that are not ASCII, by their commonest script."""
    texts = defaultdict(list)
    rows = subject.all_rows
    for row in rows[:: max(1, len(rows) // _SAMPLE)]:
        for _, text in subject.texts(row):
            scripts = Counter(script(char) for char in text if char.isalpha())
            if scripts and not text.isascii():
                texts[scripts.most_common(1)[0][0]].append(text)
    return {name: " ".join(written) for name, written in texts.items()}
