"""Random template programs, hostile by design: a seed gives the same program everywhere.

The programs are built from what is costly to count: loops, filters with attribute paths,
namespaces that hold themselves, dict views, macros, included files, numbers of equal hashes, long
texts and formats. Against the sandbox as it was before paths, dict views and hashes were counted,
three of the first hundred programs did not end: two printed a tree of dict views
(`{'a': ns.y, 'b': ns.y}.values()`, sixty times over), and one walked an attribute path of
3,000,000 steps in `str.format`.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

SIZES = (0, 1, 3, 50, 2_000, 99_999, 3_000_000, 10**9)
TEXTS = ("", "x", " ", "<", "x ", "a-b\\n", "<!--", "{0}", "%s", "%(a)s", "%f", "\\t", "é", "😀")
NUMBERS = ("0", "1", "-3", "7", "2.5", "1e308", "(2**61-1)", "(2**999)", "n", "n", "10**400")
SPECS = (">80", "1000000000", ".99f", "", "{1}", "08.3f", "c", "x")
LISTS = ("range(2000)", "[1, 2.5] * 2000", "['b', 'a']", "[ns, ns]", "range(0, 9999 * 7, 7)")
WORDS = ("a", "b", "name", "x", "items", "0", "origin", "upper", "__class__")

OF_TEXT = (
    *("upper", "lower", "title", "trim", "list", "length", "wordcount", "wordwrap", "reverse"),
    *("wordwrap(1)", "center(99)", "e", "string", "striptags", "indent", "urlencode", "int"),
    *("replace('x', 'xyxy')", "trim(t)", "truncate(9)", "tojson", "capitalize", "unique | list"),
)
OF_LIST = (
    *("list", "length", "sort", "unique | list", "join(t)", "first", "last", "max", "min", "sum"),
    *("map('string') | list", "map('upper') | join", "batch(2) | list", "slice(3) | list"),
    *("map(attribute=p) | list", "sort(attribute=p)", "groupby(p)", "sum(attribute=p)"),
    *("join(t, attribute=p)", "unique(attribute=p) | list", "min(attribute=p)", "reverse | list"),
    *("selectattr(p) | list", "rejectattr(p, 'eq', 1) | list", "max(attribute='x')", "tojson"),
    *("shuffle(t) | list", "select('in', l) | list", "reject('number') | list", "string"),
    *("sort(case_sensitive=false)", "map('wordwrap', 1) | list", "map(attribute='x') | list"),
    *("shuffle(1)", "map('format', 1) | list", "items | list", "map('list') | list", "sort(true)"),
)
METHODS = (
    *("upper()", "split()", "split(t)", "rfind(t)", "strip(t)", "splitlines()", "count(t)"),
    *("join(l)", "format(n, t)", "format_map(d)", "replace(t, t)", "center(n)", "zfill(9)"),
    *("title()", "isidentifier()", "rsplit(t)", "expandtabs(n)", "partition(t)", "index(t)"),
)
TESTS = ("defined", "iterable", "mapping", "in l", "eq n", "sameas ns", "string", "none", "odd")


class Program(NamedTuple):
    """A template, and the files that it may load."""

    source: str
    files: dict[str, str]


def program(seed: int) -> Program:
    """The program of a seed."""
    draw = _Drawer(Random(seed))
    files = {name: draw.beginning() + draw.statements(2, 1) for name in ("a.j2", "b.j2")}
    return Program(draw.beginning() + draw.statements(3, 2), files)


class _Drawer:
    """Draws parts of a program."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def beginning(self) -> str:
        """Names that every program may use."""
        path = self._one((f"'x.' * {self._size()} ~ 'x'", "'x'", "'a.b'", "'x,x,x'", "'name'"))
        return (
            "{% set ns = namespace(x=1, y=[]) %}{% set ns.x = ns %}"
            f"{{% set p = {path} %}}{{% set n = {self._one(NUMBERS[:8])} %}}{{% set i = 1 %}}"
            f"{{% set t = '{self._one(TEXTS)}' * {self._random.choice(SIZES[:-1])} %}}"
            f"{{% set l = {self._one(LISTS)} %}}{{% set d = {{'a': t, 'x': n, 'b': l}} %}}"
            "{% macro m(k=1) %}{{ k }}{% if k is number and 0 < k < 99 %}{{ m(k - 1) }}"
            "{{ m(k - 1) }}{% endif %}{% endmacro %}"
            "{% macro c() %}{{ caller() }}{% endmacro %}"
        )

    def statements(self, count: int, depth: int) -> str:
        return "".join(self._statement(depth) for _ in range(self._random.randint(1, count)))

    def _one(self, options: tuple[str, ...]) -> str:
        return self._random.choice(options)

    def _size(self) -> int:
        return self._random.choice(SIZES)

    def _statement(self, depth: int) -> str:
        value = self._value(depth)
        if depth <= 0:
            return f"{{{{ {value} }}}}"
        inner = self.statements(2, depth - 1)
        return self._one(
            (
                f"{{{{ {value} }}}}",
                f"{{{{ {value} }}}}",
                f"{{{{ ({value}) | string | length }}}}",
                f"{{% set v = {value} %}}{{% set w = v %}}{{{{ [v, w] | length }}}}",
                f"{{% set ns.x = {value} %}}",
                f"{{% for i in {self._list(depth)} %}}{inner}{{% endfor %}}",
                f"{{% for i in range({self._size()}) %}}{inner}{{% endfor %}}",
                f"{{% for i in range(60) %}}{self._doubling()}{{% endfor %}}{{{{ ns.y }}}}",
                f"{{% if {value} %}}{inner}{{% endif %}}",
                f"{{% set t %}}{inner}{{% endset %}}",
                f"{{% filter {self._one(OF_TEXT[:10])} %}}{inner}{{% endfilter %}}",
                f"{{% macro q(a) %}}{inner}{{% endmacro %}}{{{{ q({value}) }}}}",
                f"{{% call c() %}}{inner}{{% endcall %}}",
                "{% include 'a.j2' %}",
                "{% include ['missing.j2', 'b.j2'] ignore missing %}",
                "{% import 'b.j2' as module %}{{ [module] * 9 }}",
            )
        )

    def _doubling(self) -> str:
        made = self._one(
            (
                "[ns.y, ns.y]",
                "{'a': ns.y, 'b': ns.y}.values()",
                "{'a': ns.y}.items()",
                "(ns.y, i)",
                "ns.y ~ ns.y",
                "namespace(a=ns.y, b=ns.y)",
                "dict(a=ns.y, b=ns.y)",
                "[ns.y] | map('string')",
                "cycler(ns.y, ns.y)",
            )
        )
        return f"{{% set ns.y = {made} %}}"

    def _value(self, depth: int) -> str:
        if depth <= 0:
            return self._one(("n", "t", "l", "d", "i", "ns"))
        kinds = (lambda _: self._number(), self._text, self._list, self._list, self._other)
        return self._random.choice(kinds)(depth)

    def _number(self) -> str:
        one, other = self._one(NUMBERS), self._one(NUMBERS)
        return self._one((one, one, f"{one} {self._one(('+', '-', '*', '%', '//', '**'))} {other}"))

    def _text(self, depth: int) -> str:
        times = f"'{self._one(TEXTS)}' * {self._size()}"
        if depth <= 0:
            return self._one(("t", "query.name", f"({times})"))
        inner = self._text(depth - 1)
        return self._one(
            (
                f"({times})",
                f"({inner} ~ {self._value(depth - 1)})",
                f"({inner} | {self._one(OF_TEXT)})",
                f"({inner}).{self._one(METHODS)}",
                f"('{self._one(TEXTS)}' * {self._size()} % d)",
                f"('{self._one(TEXTS)}%s' % {inner})",
                f"({inner}).format({self._value(depth - 1)})",
                f"'{{0:{self._one(SPECS)}}}'.format({self._value(depth - 1)}, 9)",
                f"('{{0' ~ '.x' * {self._size()} ~ '}}').format(ns)",
                f"({inner})[{self._one(('1', 'n', '-9'))}:]",
            )
        )

    def _list(self, depth: int) -> str:
        size = self._size()
        step = self._one(("1", "(2**61-1)", "(2**61-1)", "3"))
        many = f"range(0, {size} * {step}, {step})"
        if depth <= 0:
            return self._one(("l", many, f"[ns] * {size}", f"range({size})"))
        inner, value = self._list(depth - 1), self._value(depth - 1)
        return self._one(
            (
                many,
                f"[{value}, {value}] * {size}",
                f"[{value}] * {size}",
                f"([ns] * {size}) | {self._one(OF_LIST)}",
                f"({inner} | {self._one(OF_LIST)})",
                f"({inner} | {self._one(OF_LIST)})",
                f"({inner} | map('{self._one(('string', 'abs', 'list', 'title'))}'))",
                f"{{'a': {value}, 'b': {inner}}}.{self._one(('values()', 'items()', 'keys()'))}",
                f"([{{'a': {value}}}.values()] * {size})",
                f"({inner} + {inner})",
                f"({inner})[::-1]",
                f"({value},) * {size}",
                "shots",
            )
        )

    def _other(self, depth: int) -> str:
        inner, value = self._list(depth - 1), self._value(depth - 1)
        return self._one(
            (
                f"dict({inner} | batch(2))",
                f"dict({inner} | map('string') | batch(2) | list)",
                f"{{{value}: {value}}}",
                f"(d.keys() - {inner})",
                f"({value} in {inner})",
                f"({value} == {inner})",
                f"({value} is {self._one(TESTS)})",
                f"query.{self._one(WORDS)}",
                f"({value}).{self._one(WORDS)}.{self._one(WORDS)}",
                f"({value})[{self._text(0)}]",
                f"m({self._number()})",
                f"cycler({value}, {value})",
                f"joiner({value})()",
                "ns.x.x.x",
                f"namespace(a={value})",
                "self",
                "loop",
            )
        )
