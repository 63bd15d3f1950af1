"""FewShotPromptTemplate of LangChain: a prefix, examples, a suffix, joined and then formatted.

LangChain formats an example, and then the joined text once more, so that braces in an example's
text have to be doubled twice. Here both passes are done at once, and data is never read as a
template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from string import Formatter
from typing import Any

import jinja2

from promptkit.errors import TaskError, shorten
from promptkit.importing import jinja
from promptkit.importing.imported import (
    Imported,
    ImportedTask,
    Omissions,
    RefusedError,
    as_instruction,
    check,
    column_of,
)
from promptkit.importing.jinja import Part, Variable
from promptkit.importing.plain_values import ForeignFile, beside, read, read_text
from promptkit.translation import tr

_NOT_NEEDED = {"_type", "input_variables", "optional_variables", "validate_template", "name"}
_READ = {
    *("prefix", "suffix", "examples", "example_prompt", "example_prompt_path", "prefix_path"),
    *("suffix_path", "example_separator", "template_format", "partial_variables"),
}


@dataclass(frozen=True)
class _FewShotPrompt:
    """A few-shot prompt of a file, its templates read."""

    prefix: str
    example: str
    example_format: str
    separator: str
    suffix: str
    format: str
    examples: tuple[Mapping[str, Any], ...]
    partial: Mapping[str, str]


def carry(source: ForeignFile) -> Imported:
    """Return the few-shot prompt as a task. Raises `TaskError` if it cannot be imported."""
    omissions = Omissions(source)
    prompt = _read(source, omissions)
    path = source.path
    try:
        roles = _roles(prompt, omissions)
        template, instruction = _template(prompt, roles)
        check(template, "prompt.j2")
    except (jinja2.TemplateSyntaxError, ValueError) as error:
        why = error.message if isinstance(error, jinja2.TemplateSyntaxError) else error
        raise TaskError(
            tr("{path}: the template does not parse: {why}", path=path, why=why)
        ) from None
    except RefusedError as error:
        raise TaskError(
            tr("{path}: {error}; write the template anew", path=path, error=error)
        ) from None
    demos, fields = _rows(prompt, roles, omissions)
    inputs = [tuple(row[name] for name in fields) for row in demos]
    repeats = len(set(inputs)) < len(inputs)
    if repeats:
        omissions.add(
            ["examples"], tr("an example stands twice"), tr("the first is kept, by `repeats`")
        )
    omissions.add(
        ["examples"],
        tr("the file does not say which answers there are, so that they are generated"),
        tr("where they are labels, write `labels = [...]` under [output] in task.toml"),
    )
    task = ImportedTask(
        name=path.stem,
        templates={"prompt.j2": template},
        fields=fields,
        instruction=instruction,
        demos=demos,
        repeats=repeats,
    )
    return Imported("LangChain", (task,), tuple(omissions.found))


# -- Reading -------------------------------------------------------------------------------------


def _read(source: ForeignFile, omissions: Omissions) -> _FewShotPrompt:
    config, path = source.value, source.path
    if (kind := config.get("_type")) != "few_shot":
        imports = tr("_type is {kind!r}; promptkit imports `few_shot` prompts", kind=kind)
        raise TaskError(f"{path}: {imports}")
    for key in config:
        if key not in _READ | _NOT_NEEDED and config[key] not in (None, [], {}, ""):
            omissions.add(
                [key], tr("promptkit has nothing like it"), tr("see whether the task needs it")
            )
    example, example_format = _example_prompt(source)
    examples = config.get("examples")
    if isinstance(examples, str):
        examples = read(beside(path, examples)).value
    if not isinstance(examples, list) or not all(isinstance(e, dict) for e in examples):
        raise TaskError(
            tr(
                "{path}: examples is {value}, not a list of mappings or a file; an "
                "example selector is code: write the examples down",
                path=path,
                value=shorten(examples),
            )
        )
    if not (config.get("suffix") or config.get("suffix_path")):
        raise TaskError(tr("{path}: there is no suffix, and so nothing is asked", path=path))
    partial = config.get("partial_variables") or {}
    return _FewShotPrompt(
        prefix=_text(source, config, "prefix"),
        example=example,
        example_format=example_format,
        separator=str(config.get("example_separator", "\n\n")),
        suffix=_text(source, config, "suffix"),
        format=_format(source, config),
        examples=tuple(examples),
        partial={str(name): str(value) for name, value in partial.items()},
    )


def _example_prompt(source: ForeignFile) -> tuple[str, str]:
    config = source.value
    if config.get("example_prompt_path"):
        inner = read(beside(source.path, str(config["example_prompt_path"])))
    else:
        inner = replace(source, value=config.get("example_prompt"))
    if not isinstance(inner.value, dict) or inner.value.get("_type", "prompt") != "prompt":
        raise TaskError(
            tr("{path}: example_prompt is not a mapping with a `template`", path=inner.path)
        )
    return _text(inner, inner.value, "template"), _format(inner, inner.value)


def _text(source: ForeignFile, config: Mapping[str, Any], key: str) -> str:
    if config.get(f"{key}_path") is not None:
        return read_text(beside(source.path, str(config[f"{key}_path"])))
    text = config.get(key, "")
    if not isinstance(text, str):
        raise TaskError(
            tr(
                "{path}: {key} is {value}, not a text",
                path=source.path,
                key=key,
                value=shorten(text),
            )
        )
    return text


def _format(source: ForeignFile, config: Mapping[str, Any]) -> str:
    name = config.get("template_format", "f-string")
    if name not in ("f-string", "jinja2"):
        raise TaskError(
            tr(
                "{path}: template_format {name!r}: promptkit imports f-string and jinja2",
                path=source.path,
                name=name,
            )
        )
    return str(name)


# -- Templates -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Roles:
    """Meaning of the names in the templates."""

    fields: Mapping[str, str]
    """Input fields by the examples' names."""
    output: str
    """The examples' name of the answer."""
    query: Mapping[str, str]
    """Expressions for the names of prefix and suffix."""
    aligned: bool
    """True if the suffix is the example up to its answer."""


def _roles(prompt: _FewShotPrompt, omissions: Omissions) -> _Roles:
    for text, format in ((prompt.example, prompt.example_format), (prompt.suffix, prompt.format)):
        if format == "jinja2" and (refused := jinja.refused(text)):
            raise RefusedError(tr("it {refused}", refused=refused))
    shown = _names(prompt.example, prompt.example_format)
    asked = [name for name in _names(prompt.suffix, prompt.format) if name not in prompt.partial]
    if len(shown) < 2:
        raise ValueError(tr("example_prompt does not print an input and an answer"))
    pairs = _align(prompt)
    rest = [name for name in shown if pairs is None or name not in pairs.values()]
    if pairs is None:
        unseen = [name for name in shown if name not in asked]
        output = unseen[-1] if unseen else shown[-1]
        same = {name: name for name in asked if name in shown and name != output}
        left = [name for name in shown if name not in same and name != output]
        new = [name for name in asked if name not in same and name != output]
        guessed = dict(zip(new, left, strict=False))
        for name, field in guessed.items():
            one, other = f"{{{name}}}", f"{{{field}}}"
            why = tr("{one} is taken for the examples' {other}, by its place", one=one, other=other)
            omissions.add(["suffix"], why, tr("check it in the template"))
        pairs, aligned = same | guessed, False
    else:
        (output,), aligned = rest, True
    fields = {name: column_of(name) for name in shown if name != output}
    query = {name: f"query.{fields[field]}" for name, field in pairs.items()}
    for key in ("prefix", "suffix"):
        for name in _names(getattr(prompt, key), prompt.format):
            if name in fields and name not in query:
                query[name] = f"query.{fields[name]}"
            elif name not in query and name not in prompt.partial:
                one = f"{{{name}}}"
                why = tr(
                    "{one} is in no example, so that it stands in the template as text", one=one
                )
                omissions.add([key], why, tr("write its value there"))
    return _Roles(fields, output, query, aligned)


def _names(template: str, format: str) -> list[str]:
    if format == "jinja2":
        return jinja.fields(template)
    return list(dict.fromkeys(p.name for p in _parts(template, format) if isinstance(p, Variable)))


def _parts(template: str, format: str) -> list[Part]:
    """Return texts and values of a template. Raises `ValueError` for anything else."""
    if format == "jinja2":
        parts = jinja.simple_parts(template, keep_newline=False)
        if parts is None:
            raise ValueError(tr("Jinja with more than values"))
        return parts
    parts = []
    for text, name, spec, conversion in Formatter().parse(template):
        if text:
            parts.append(text)
        if name is None:
            continue
        if spec or conversion or not jinja.is_name(name):
            how = f"{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
            one = f"{{{name}{how}}}"
            raise ValueError(tr("{one} formats a value; promptkit prints it as it is", one=one))
        parts.append(Variable(name))
    return _merged(parts)


def _align(prompt: _FewShotPrompt) -> dict[str, str] | None:
    """Return the example's names by the suffix's, if the suffix is the example up to its answer."""
    try:
        example = _parts(prompt.example, prompt.example_format)
        suffix = _parts(prompt.suffix, prompt.format)
    except ValueError:
        return None
    example, suffix = [_merged(_filled(parts, prompt.partial)) for parts in (example, suffix)]
    if any("{" in part for part in example if isinstance(part, str)):
        return None  # which the second pass may read
    pairs: dict[str, str] = {}
    for index, (shown, asked) in enumerate(zip(example, suffix, strict=False)):
        last = index == len(suffix) - 1
        if isinstance(shown, Variable) and isinstance(asked, Variable):
            pairs[asked.name] = shown.name
            continue
        is_end = last and isinstance(shown, str) and asked == shown.rstrip(" ")
        if asked != shown and not is_end:
            return None
    rest = example[len(suffix) :]
    variables = [part for part in example if isinstance(part, Variable)]
    answer = rest[0] if rest else None
    once = len({part.name for part in variables}) == len(variables) == len(pairs) + 1
    if not pairs or not isinstance(answer, Variable) or not once:
        return None
    return pairs


def _merged(parts: Sequence[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in parts:
        if merged and isinstance(part, str) and isinstance(merged[-1], str):
            merged[-1] += part
        elif part:
            merged.append(part)
    return merged


def _filled(parts: Sequence[Part], partial: Mapping[str, str]) -> list[Part]:
    return [
        partial[part.name] if isinstance(part, Variable) and part.name in partial else part
        for part in parts
    ]


def _template(prompt: _FewShotPrompt, roles: _Roles) -> tuple[str, str]:
    """Return the template, and the instruction that it prints."""
    named = [_names(text, prompt.format) for text in (prompt.prefix, prompt.suffix)]
    outer = {name: f'"{{{name}}}"' for names in named for name in names}
    outer |= {name: jinja.quoted(value) for name, value in prompt.partial.items()}
    outer |= roles.query

    def written(text: str, names: Mapping[str, str], format: str) -> str:
        if format == "f-string":
            return jinja.emit(_parts(text, format), names)
        return jinja.translate(text, names, keep_newline=True)

    instruction, head = "", ""
    if prompt.prefix:
        if not _names(prompt.prefix, prompt.format) and "{" not in prompt.prefix:
            instruction, head = as_instruction(prompt.prefix)
        else:
            head = written(prompt.prefix, outer, prompt.format)
    separator = written(prompt.separator, outer, prompt.format)
    if head:
        head += separator
    place = "input" if roles.aligned else "shot.input"
    inner = {name: f"{place}.{column}" for name, column in roles.fields.items()}
    inner[roles.output] = "output" if roles.aligned else "shot.output"
    example = _twice(prompt, inner, outer) + separator
    if roles.aligned:
        block = jinja.tag(head, "example") + example
        return jinja.tag(block, "endexample"), instruction
    block = jinja.tag(head, "for shot in shots") + example
    suffix = prompt.suffix
    if prompt.format == "jinja2":
        suffix = suffix.removesuffix("\n")
    return jinja.tag(block, "endfor") + written(suffix, outer, prompt.format), instruction


def _twice(prompt: _FewShotPrompt, inner: Mapping[str, str], outer: Mapping[str, str]) -> str:
    """Return the example's template after both passes."""
    if prompt.example_format == "jinja2":
        return jinja.translate(prompt.example, inner, keep_newline=False)
    written = ""
    for part in _parts(prompt.example, "f-string"):
        if isinstance(part, Variable):
            written += jinja.emit([part], inner)
        elif prompt.format == "f-string":
            written += jinja.emit(_parts(part, "f-string"), outer)
        else:
            written += jinja.literal(part)
    return written


# -- Examples ------------------------------------------------------------------------------------


def _rows(
    prompt: _FewShotPrompt, roles: _Roles, omissions: Omissions
) -> tuple[tuple[Mapping[str, Any], ...], dict[str, str]]:
    for index, example in enumerate(prompt.examples):
        for name in (*roles.fields, roles.output):
            if name not in example:
                why = tr(
                    "examples[{i}] has no {name!r}, which example_prompt prints", i=index, name=name
                )
                raise TaskError(why)
    if any("{" in str(value) for example in prompt.examples for value in example.values()):
        omissions.add(
            ["examples"],
            tr("LangChain reads braces in an example as a template"),
            tr("nothing to do: here they stay as they are"),
        )
    types = {
        column: _type([example[name] for example in prompt.examples])
        for name, column in roles.fields.items()
    }
    rows = []
    for example in prompt.examples:
        values = {column: example[name] for name, column in roles.fields.items()}
        row = {c: str(value) if types[c] == "str" else value for c, value in values.items()}
        rows.append(row | {"output": str(example[roles.output])})
    return tuple(rows), types


def _type(values: Sequence[Any]) -> str:
    for kind in (bool, int, float):
        if values and all(type(value) is kind for value in values):
            return kind.__name__
    return "str"
