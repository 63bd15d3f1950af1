"""The Jinja of others in promptkit's gives the text that plain Jinja makes of the same values."""

from __future__ import annotations

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import create_model

from promptkit import Task
from promptkit.errors import TemplateError
from promptkit.importing import jinja
from promptkit.importing.imported import column_of
from promptkit.templating.template import Template

VALUES = {"a": " x\n", "b": "y"} | {
    name: f"<{name}>" for name in ("input", "query", "output", "shots", "labels", "loop", "caller")
}
COLUMNS = {name: column_of(name) for name in VALUES}
Row = create_model("Row", **dict.fromkeys(COLUMNS.values(), (str, ...)))  # type: ignore[call-overload]
TASK = Task[Row, str](name="t")  # type: ignore[valid-type]
QUERY = {COLUMNS[name]: value for name, value in VALUES.items()}


def ours(source: str, root: str, *, keep_newline: bool = True) -> str:
    """The text of the translated template, where `root` is the record with the values."""
    names = {name: f"{root}.{column}" for name, column in COLUMNS.items()}
    translated = jinja.translate(source, names, keep_newline=keep_newline)
    if root == "query":
        whole = "x{{ '.' }}" + translated + "{{ '.' }}"
    else:  # as an importer writes it, the answer in the same block
        block = jinja.tag("x{{ '.' }}", "example") + translated + "{{ '.' }}{{ output }}\n"
        whole = jinja.tag(block, "endexample")
    return Template(whole).render(TASK, query=QUERY).text


@pytest.mark.slow
@pytest.mark.parametrize("root", ["query", "input"])
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% set b = a %}{{- b -}}", " x\n"),
        ("{{ b }}{% set b = a %}{{ b }}", "y x\n"),
        ("{{ b }}{% set b %}{{ b }}!{% endset %}{{ b }}", "yy!"),
        ("{% set a, b = b, a %}{{ a }}{{ b }}", "y x\n"),
        ("{% if b == 'y' %}{% set b = 'z' %}{% endif %}{{ b }}", "z"),
        ("{% if b == 'n' %}{% set b = 'z' %}{% endif %}{{ b }}", "y"),
        ("{% for i in 'pq' %}{{ b }}{% set b = i %}{{ b }}{% endfor %}{{ b }}", "ypyqy"),
        ("{% for b in b %}{{ b }}{{ a }}{% endfor %}{{ b }}", "y x\ny"),
        ("{% for a, b in [(b, 'q')] %}{{ a }}{{ b }}{% endfor %}{{ b }}", "yqy"),
        ("{% with b = a %}{{ b }}{% endwith %}{{ b }}", " x\ny"),
        ("{% macro m(b, c=b) %}{{ b }}{{ c }}{% endmacro %}{{ m('p') }}{{ b }}", "ppy"),
        ("{% macro b(c) %}{{ c }}{% endmacro %}{{ b(a) }}", " x\n"),
        (
            "{% macro m() %}{{ caller(a) }}{% endmacro %}{% call(b) m() %}{{ b }}{% endcall %}",
            " x\n",
        ),
        ("{% set n = namespace(b=b) %}{% set n.b = n.b ~ b %}{{ n.b }}", "yy"),
        ("{{ dict(b=a).b }}{{ {'b': b}.b }}{{ 'xbx' | replace(old='b', new=b) }}", " x\nyxyx"),
        ("{% for input in 'pq' %}{{ a }}{{ input }}{% endfor %}{{ input }}", " x\np x\nq<input>"),
        ("{% set output = a %}{{ output }}{{ b }}", " x\ny"),
        ("{% set query = a %}{% set shots = query %}{{ shots }}{{ b }}", " x\ny"),
        ("{{ loop }}{% for i in 'pq' %}{{ loop.index }}{{ b }}{% endfor %}", "<loop>1y2y"),
        (
            "{{ caller }}{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}p{% endcall %}",
            "<caller>p",
        ),
        ("{% set b %}{% raw %}\n{{ b }} {% endraw %}{%- endset -%} {{ b }}", "\n{{ b }} "),
        ("{{ b -}}{% raw %} {{ {% endraw %}{{- b }}", "y {{ y"),
        ("{% set b = 'p' %}\n{{ b }}\n  {% if b %}\n  {{ b }}{% endif %}\n", "\np\n  \n  p\n"),
    ],
)
def test_a_name_with_several_meanings(source: str, expected: str, root: str) -> None:
    peer = jinja2.Environment(keep_trailing_newline=True).from_string(source)
    assert peer.render(**VALUES) == expected
    assert ours(source, root) == f"x.{expected}."


def test_names_that_have_one_meaning_are_renamed() -> None:
    source = "{% for i in range(2) %}{{ a }}{{ dict(b=i).b }}{% endfor %}"
    translated = jinja.translate(source, {"a": "input.a", "b": "input.b"}, keep_newline=True)
    assert translated == source.replace("{{ a }}", "{{ input.a }}").replace("endfor %", "endfor +%")


# -- Chance --------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "a", "b", "c", *sorted(VALUES.keys() - {"a", "b"})])
WORDS = st.sampled_from(["'w'", "' '", "1", "''", "loop.index", "n.a"])


def made(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts in which each `@` is one of the parts, in order."""
    between = pattern.split("@")
    return st.tuples(*parts).map(
        lambda values: between[0] + "".join(map("".join, zip(values, between[1:], strict=True)))
    )


def operators(e: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    of_one = ("(@) | upper", "(@ is string)", "{'a': @}.a", "dict(a=@, b=1)['a']", "[@][0]")
    of_two = ("(@ ~ @)", "(@) | default(@)", "[@] | join(d=@)", "(@ == @)", "(@ and @)")
    replaced = made("(@ | string).replace('x', @ | string)", e, e)
    choice = made("(@ if @ else @)", e, e, e)
    ones, twos = (made(p, e) for p in of_one), (made(p, e, e) for p in of_two)
    return st.one_of(*ones, *twos, replaced, choice)


EXPRESSIONS = st.recursive(NAMES | WORDS, operators, max_leaves=3)


def tag(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sign = st.sampled_from(["", "", "-", "+"])
    return made("{%@ @ @%}", sign, made(pattern, *parts), sign)


def blocks(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    body, n, e = st.lists(inner, max_size=3).map("".join), NAMES, EXPRESSIONS
    loops = (("for @ in @ | string", n, e), ("for @ in 'pq' if @", n, e))
    scopes = (("with @ = @, @ = @", n, e, n, e), ("set @", n), ("set @ | upper", n))
    return st.one_of(
        *(made("@@@", tag(*loop), body, tag("endfor")) for loop in loops),
        *(made("@@@", tag(*each), body, tag(f"end{each[0].split()[0]}")) for each in scopes),
        made("@@@", tag("for @, @ in [(@, @)]", n, n, e, e), body, tag("endfor")),
        made("@@@", tag("if @", e), body, tag("endif")),
        made("@@@@@", tag("if @", e), body, tag("else"), body, tag("endif")),
        made("@@@", tag("filter replace('x', @ | string)", e), body, tag("endfilter")),
        made("@@@{{ m(@) }}", tag("macro m(@, z=@)", n, e), body, tag("endmacro"), e),
        made("@@{{ caller(@) }}@", tag("macro m(@=@)", n, e), body, e, tag("endmacro")),
        made("@@@", tag("call(@) m()", n), body, tag("endcall")),
        made("{% set n = namespace(a=@) %}@{% set n.a = n.a ~ @ %}@{{ n.a }}", e, body, e, body),
    )


LEAVES = st.one_of(
    st.sampled_from(["t", " ", "\n", "  \n", "\n  ", "\t", "{ ", "}", "{# c #}", "{#- c -#}"]),
    st.sampled_from(["{{ '{{' }}", "{% raw %} {{ a }}\n{% endraw %}", "{% set b = a %}"]),
    made("{{@ @ @}}", st.sampled_from(["", "-"]), EXPRESSIONS, st.sampled_from(["", "-"])),
    tag("set @ = @", NAMES, EXPRESSIONS),
    tag("set @, @ = @, @", NAMES, NAMES, EXPRESSIONS, EXPRESSIONS),
)
SOURCES = st.lists(st.recursive(LEAVES, blocks, max_leaves=6), min_size=1, max_size=5)


@pytest.mark.slow
@given(SOURCES.map("".join), st.booleans(), st.sampled_from(["query", "input"]))
def test_jinja_of_others_gives_the_same_text(source: str, keep_newline: bool, root: str) -> None:
    peers = [
        jinja2.Environment(keep_trailing_newline=keep_newline, undefined=undefined)
        for undefined in (jinja2.Undefined, jinja2.StrictUndefined)
    ]
    try:
        lenient, strict = (peer.from_string(source).render(**VALUES) for peer in peers)
    except (jinja2.TemplateError, TypeError, RecursionError):
        return
    if lenient != strict or jinja.refused(source) or not VALUES.keys() >= set(jinja.fields(source)):
        return  # which promptkit does not carry over
    try:
        text = ours(source, root, keep_newline=keep_newline)
    except TemplateError as error:
        if "cannot be printed" in str(error):  # a macro, a loop
            return
        raise
    assert text == f"x.{strict}."
