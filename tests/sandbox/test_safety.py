"""Templates are not trusted: they call nothing, read no files, and end, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from child import Child
from hostile import TASK, Fruit

from promptkit.errors import PromptError, TemplateError
from promptkit.prompts import chat_template
from promptkit.prompts.pieces import Message, Piece
from promptkit.prompts.prompt import Prompt
from promptkit.sandbox.limits import MAX_STEPS, MAX_TEXT
from promptkit.tasks.task import Task
from promptkit.templating.template import Template

INJECTIONS = {
    # Attribute walks.
    "classes of a string": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "classes of data": "{{ query.name.__class__.__base__.__subclasses__() }}",
    "classes of a record": "{{ query.__class__.__init__.__globals__ }}",
    "a record's own attributes": "{{ query._fields }}",
    "classes of a list": "{{ [].__class__.__base__ }}",
    "classes of a dict": "{{ {}.__class__.__bases__[0] }}",
    "the method resolution order of a type": "{{ dict.mro() }}",
    "by subscript": "{{ ''['__class__'] }}",
    "by subscript of a record": "{{ query['__class__'] }}",
    "a name in pieces": "{{ ''['__cla' ~ 'ss__'] }}",
    "a name in pieces, added": "{{ ''['__cla' + 'ss__'] }}",
    "a name backwards": "{{ ''['__ssalc__'[::-1]] }}",
    "a name formatted": "{{ ''['%s%s' % ('__cla', 'ss__')] }}",
    "a name in hexadecimal": r"{{ ''['\x5f\x5fclass\x5f\x5f'] }}",
    "a name in Unicode escapes": r"{{ ''['\u005f\u005fclass\u005f\u005f'] }}",
    "a name from a filter": "{{ ''[['__', 'class', '__'] | join] }}",
    # Filters.
    "the filter attr": "{{ '' | attr('__class__') }}",
    "attr with escapes": r"{{ '' | attr('\x5f\x5fclass\x5f\x5f') }}",
    "attr twice": "{{ (query | attr('name')) | attr('__init__') }}",
    "map with an attribute": "{{ [''] | map(attribute='__class__') | list }}",
    "map with attr": "{{ [''] | map('attr', '__class__') | first }}",
    "sort by an attribute": "{{ ['a', 'b'] | sort(attribute='__class__') | first }}",
    "sum of an attribute": "{{ [''] | sum(attribute='__class__.__name__') }}",
    "join of an attribute": "{{ [''] | join(attribute='__class__') }}",
    "groupby an attribute": "{{ [''] | groupby('__class__') }}",
    "selectattr": "{{ [''] | selectattr('__class__') | list }}",
    "max by an attribute": "{{ ['', 'a'] | max(attribute='__class__') }}",
    "unique by an attribute": "{{ ['a'] | unique(attribute='__class__') | list }}",
    "xmlattr with a key that breaks out": "{{ {'a onload=x': 1} | xmlattr }}",
    "pprint": "{{ query.name | pprint }}",
    "random": "{{ [1, 2, 3] | random }}",
    "lipsum": "{{ lipsum() }}",
    # Format strings.
    "format with attributes": "{{ '{0.__class__}'.format('') }}",
    "format with items": "{{ '{0[__class__]}'.format(query) }}",
    "format of a record": "{{ '{0.__class__.__init__.__globals__}'.format(query) }}",
    "format_map": "{{ '{a.__class__}'.format_map({'a': ''}) }}",
    "format by subscript": "{{ ''['format'] and '{0.__class__}'['format']('') }}",
    "format by attr": "{{ ('{0.__class__}' | attr('format'))('') }}",
    "format by map": "{{ ['{0.__class__}'] | map('attr', 'format') | first }}",
    "format of markup": "{{ ('{0.__class__}' | safe).format('') }}",
    "format with a nested field": "{{ '{0:{1.__class__}}'.format(1, '') }}",
    "percent with a record": "{{ '%r' % [query] }}",
    "percent with a method": "{{ '%s' % ''.upper }}",
    "the filter format": "{{ '%s' | format(query) }}",
    # Globals and the template's own objects.
    "globals of cycler": "{{ cycler.__init__.__globals__.os }}",
    "globals of joiner": "{{ joiner.__init__.__globals__ }}",
    "globals of namespace": "{{ namespace.__init__.__globals__ }}",
    "globals of lipsum": "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "self": "{{ self._TemplateReference__context }}",
    "self, by attr": "{{ self | attr('_TemplateReference__context') }}",
    "the environment": "{{ self.environment }}",
    "the loop's insides": "{% for a in [1] %}{{ loop._iterable }}{% endfor %}",
    "a macro's function": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "an undefined name's insides": "{{ nothing.__init__.__globals__ }}",
    "a caller's insides": "{% macro m() %}{{ caller.__init__ }}{% endmacro %}"
    "{% call m() %}{% endcall %}",
    "range's class": "{{ range.__class__ }}",
    "dict.fromkeys": "{{ dict.fromkeys('ab') }}",
    "a namespace's insides": "{{ namespace(a=1)._Namespace__attrs }}",
    "request": "{{ request.application.__globals__ }}",
    "config": "{{ config.items() }}",
    "get_flashed_messages": "{{ get_flashed_messages.__globals__ }}",
    "url_for": "{{ url_for.__globals__ }}",
    "environment, by name": "{{ environment.getattr('', '__class__') }}",
    "context, by name": "{{ context.environment }}",
    "builtins": "{{ __builtins__ }}",
    "import of Python": "{{ __import__('os').system('id') }}",
    "open": "{{ open('/etc/passwd').read() }}",
    "import of a module": "{% import 'os' as os %}{{ os.system('id') }}",
    "from a module": "{% from 'os' import system %}{{ system('id') }}",
    # Methods of values.
    "bytes": "{{ 'a'.encode() }}",
    "an integer's bytes": "{{ (1).to_bytes(9, 'big') }}",
    "a float from text": "{{ (1.0).fromhex('1') }}",
    "translate": "{{ 'a'.translate({97: 'b'}) }}",
    "a list's append": "{{ [1].append(2) }}",
    "a dict's update": "{{ {}.update({1: 2}) }}",
    "a bound method's owner": "{{ ''.upper.__self__ }}",
    "the code of a generator": "{{ ([1] | map('string')).gi_frame }}",
    "a coroutine": "{{ ([1] | map('string')).cr_frame }}",
    "await": "{{ await x }}",
    # What would differ from run to run.
    "an address": "{{ ''.upper }}",
    "an address of a generator": "{{ [1] | map('string') }}",
    "an address, joined": "{{ ''.upper ~ 'a' }}",
    "an address, as a string": "{{ ([1] | map('string')) | string }}",
    "an address in a list": "{{ ['a', cycler] }}",
    "an address in dict values": "{{ {'a': cycler('x')}.values() }}",
    "an address in dict items": "{{ {'a': cycler('x')}.items() | string }}",
    "an address among keys": "{{ {joiner: 'x'}.keys() ~ '' }}",
    "an undefined name in dict values": "{{ {'a': nothing.x}.values() }}",
    "an address through shuffle": "{{ [joiner, cycler] | shuffle(1) | list | length }}",
    "the order of a set": "{{ {'a': 1, 'b': 2}.keys() - ['b'] }}",
    "the origin of a text": "{{ query.name.origin.example }}",
    "the origin by subscript": "{{ query.name['origin'] }}",
    "the origin by attr": "{{ query.name | attr('origin') }}",
    "the origin by map": "{{ [query.name] | map(attribute='origin.example') | list }}",
    "the origin in format": "{{ '{0.origin}'.format(query.name) }}",
    "the pieces of a text": "{% set x %}{{ query.name }}{% endset %}{{ x.pieces }}",
    "an address, through join": "{{ [''.upper] | join }}",
    "an address, through format": "{{ '{}'.format(''.upper) }}",
    # Files.
    "a file above": "{% include '../../../../../../etc/passwd' %}",
    "a file by its path": "{% include '/etc/passwd' %}",
    "a file behind NUL": r"{% include 'colon.j2\0' %}",
    "a file behind a dot": "{% include './../pyproject.toml' %}",
    "a file behind a backslash": r"{% include '..\\..\\pyproject.toml' %}",
    "a file to extend": "{% extends '../pyproject.toml' %}",
    "a file to import": "{% import '../pyproject.toml' as x %}",
    "a file named by data": "{% include query.name %}",
    "the folder itself": "{% include '.' %}",
}


@pytest.mark.parametrize("source", INJECTIONS.values(), ids=INJECTIONS)
def test_an_injection_is_refused_with_its_line(source: str) -> None:
    with pytest.raises(TemplateError) as caught:
        Template(f"\n{source}", "t.j2").render(TASK, shots=1, query={"name": "/etc/passwd"})
    assert (caught.value.file, caught.value.line) == ("t.j2", 2)


@pytest.mark.parametrize("source", INJECTIONS.values(), ids=INJECTIONS)
def test_an_injection_in_data_is_text(source: str) -> None:
    template = Template("{{ query.name }}", "t.j2")
    assert template.render(TASK, query={"name": source}).text == source


CHAT_ONLY = {
    "exceptions": "{{ raise_exception.__globals__ }}",
    "the clock": "{{ strftime_now.__self__ }}",
    "the clock's module": "{{ strftime_now.__globals__ }}",
    "a JSON encoder": "{{ [1] | tojson(cls=cycler) }}",
    "a JSON default": "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ [cycler] | tojson(default=m) }}",
    "a message's class": "{{ messages[0].__class__ }}",
    "the content's class": "{{ messages[0]['content'].__class__ }}",
}
# A chat template is loaded from nowhere, and sees neither shots nor query.
FOR_CHAT = {
    name: source for name, source in INJECTIONS.items() if "query" not in source
} | CHAT_ONLY


@pytest.mark.parametrize("source", FOR_CHAT.values(), ids=FOR_CHAT)
def test_an_injection_in_a_models_chat_template_is_refused(source: str) -> None:
    prompt = Prompt(messages=(Message("user", (Piece("hi", "data"),)),))
    # Chat templates are lenient, so that an unknown name is empty; reading on from it is not.
    try:
        text = chat_template.apply(prompt, f"{{{{ messages[0].content }}}}{source}").text
    except PromptError:
        return
    assert not re.search(r"0x|<|class|builtin|root:|os\b", text)


def test_links_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "task" / "templates"
    (folder / "sub").mkdir(parents=True)
    (folder / "link.j2").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "inside.j2").symlink_to(folder / "sub" / "real.j2")
    (folder / "sub" / "real.j2").write_text("real")
    for name in ("link.j2", "up/secret.txt"):
        template = Template(f"{{% include '{name}' %}}", "t.j2", (folder,))
        with pytest.raises(TemplateError, match="a link to a file outside the templates"):
            template.render(TASK, query={"name": "fig"})
    inside = Template("{% include 'inside.j2' %}", "t.j2", (folder,))
    assert inside.render(TASK, query={"name": "fig"}).text == "real"
    with pytest.raises(TemplateError, match="a link to a file outside the templates"):
        Template.load("link.j2", folder)
    assert Template.load(folder / "link.j2").source == "secret"  # a path is what a person names


@pytest.mark.parametrize(
    "source",
    [
        "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "{{ 1" + " + 1" * 5_000 + " }}",
        "{% for a in 'a' %}" * 60 + "{% endfor %}" * 60,
        "{% if 1 %}" * 2_000 + "{% endif %}" * 2_000,
        "{{ " + "9" * 5_000 + " }}",
    ],
    ids=["parentheses", "operators", "loops", "conditions", "digits"],
)
def test_a_template_that_nests_too_deeply_is_an_error(source: str) -> None:
    with pytest.raises(TemplateError, match=r"^t\.j2"):
        Template(source, "t.j2").render(TASK, query={"name": "fig"})


# --- bounds ---------------------------------------------------------------------------------------


_CHILDREN: list[Child] = []


@pytest.fixture
def child() -> Child:
    """A child is used until it dies."""
    if not _CHILDREN or not _CHILDREN[-1].lives:
        _CHILDREN.append(Child())
    return _CHILDREN[-1]


@pytest.fixture(scope="module", autouse=True)
def _ended() -> Iterator[None]:
    yield
    for child in _CHILDREN:
        if child.lives:
            child.end()


GROW = "{% set ns = namespace(a='%s') %}{% for i in range(100) %}{% set ns.a = ns.a OP ns.a %}"
NESTED = "{% set ns = namespace(a=['x']) %}{% for i in range(60) %}"

PATH = (
    "{% set ns = namespace(y=1) %}{% set ns.x = ns %}{% set p = 'x.' * 50000 ~ 'x' %}"
    "{% set l = [ns] * 2000 %}"
)
COLLIDING = "{% set l = range(0, 20000 * (2**61 - 1), 2**61 - 1) %}"

EXHAUSTION = {
    # Loops.
    "a long range": "{% for a in range(10**9) %}x{% endfor %}",
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}"
    "{% endfor %}{% endfor %}",
    "nested loops that print": "{% for a in range(99999) %}{% for b in range(99999) %}{{ a }}"
    "{% endfor %}{% endfor %}",
    "nested loops over nothing left": "{% for a in range(99999) %}{% for b in range(99999) if "
    "false %}{% endfor %}{% endfor %}",
    "a loop over a stream": "{% for a in range(9999) %}{% for b in range(99999) | map('abs') %}"
    "{% endfor %}{% endfor %}",
    "a recursive loop": "{% for a in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "a recursive loop, in width": "{% for a in range(50) recursive %}{% if loop.depth < 9 %}"
    "{{ loop(range(50)) }}{% endif %}{% endfor %}",
    "a recursive macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro, in width": "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
    "{% endmacro %}{{ m(60) }}",
    "macros that call each other": "{% macro a() %}{{ b() }}{{ b() }}{% endmacro %}"
    "{% macro b() %}{{ a() }}{{ a() }}{% endmacro %}{{ a() }}",
    "a block that shows itself": "{% block a %}{{ self.a() }}{% endblock %}",
    "callers": "{% macro m(n) %}{{ caller() }}{% if n %}{% call m(n - 1) %}a{% endcall %}"
    "{% call m(n - 1) %}b{% endcall %}{% endif %}{% endmacro %}{% call m(60) %}c{% endcall %}",
    "a filter block": "{% for a in range(99999) %}{% filter upper %}{% for b in range(999) %}x"
    "{% endfor %}{% endfilter %}{% endfor %}",
    # Text.
    "multiplied text": "{{ 'x' * 10**9 }}",
    "text multiplied from the right": "{{ 10**9 * 'x' }}",
    "multiplied data": "{{ query.name * 10**9 }}",
    "a multiplied list": "{{ [0] * 10**9 }}",
    "a multiplied list of lists": "{{ [[0] * 10**6] * 10**6 }}",
    "a multiplied tuple": "{{ ((0,) * 10**9) | length }}",
    "multiplied markup": "{{ ('x' | safe) * 10**9 }}",
    "doubled by ~": GROW.replace("%s", "x").replace("OP", "~") + "{% endfor %}{{ ns.a }}",
    "doubled by +": GROW.replace("%s", "x").replace("OP", "+") + "{% endfor %}{{ ns.a }}",
    "doubled by set": "{% set a = 'x' %}"
    + "{% set a %}{{ a }}{{ a }}{% endset %}" * 60
    + "{{ a }}",
    "doubled by a macro": "{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}{{ "
    + "m(" * 40
    + "'x'"
    + ")" * 40
    + " }}",
    "literal text in a loop": "{% for a in range(99999) %}" + "x" * 5_000 + "{% endfor %}",
    "literal text in a captured loop": "{% set a %}{% for a in range(99999) %}"
    + "x" * 5_000
    + "{% endfor %}{% endset %}{{ a }}",
    "data in a loop": "{% set a = 'x' * 9999 %}{% for i in range(99999) %}{{ a }}{% endfor %}",
    "center": "{{ 'x' | center(10**9) }}",
    "center, as a constant": "{{ 'x' | center(1000000000) }}",
    "ljust": "{{ 'x'.ljust(10**9) }}",
    "rjust": "{{ 'x'.rjust(1000000000, 'y') }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "center, as a method": "{{ 'x'.center(10**9) }}",
    "expandtabs": "{{ '\\t'.expandtabs(10**9) }}",
    "tabs, multiplied": "{{ ('\\t' * 9999).expandtabs(99999) }}",
    "mapped center": "{{ range(99999) | map('string') | map('center', 99999) | join }}",
    "mapped center, in a list": "{{ range(99999) | map('string') | map('center', 99999) | list }}",
    "percent with a width": "{{ '%1000000000d' % 1 }}",
    "percent with a precision": "{{ '%.1000000000f' % 1.0 }}",
    "percent with a star": "{{ '%*d' % (10**9, 1) }}",
    "percent with a key": "{{ '%(a(b))1000000000d' % {'a(b)': 1} }}",
    "percent with a key, often": "{{ ('%(a)s' * 9999) % {'a': 'x' * 9999} }}",
    "the filter format": "{{ '%1000000000d' | format(1) }}",
    "format with a width": "{{ '{:1000000000}'.format(1) }}",
    "format with a nested width": "{{ '{:{}}'.format(1, 10**9) }}",
    "format with a precision": "{{ '{:.1000000000f}'.format(1.0) }}",
    "format, often": "{{ ('{0}' * 9999).format('x' * 99999) }}",
    "format_map with a width": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "indent": "{{ ('a\\n' * 9999) | indent(10**6) }}",
    "indent by a text": "{{ ('a\\n' * 9999) | indent('x' * 99999) }}",
    "join": "{{ range(99999) | join('x' * 9999) }}",
    "join, as a method": "{{ ('x' * 9999).join(['a'] * 99999) }}",
    "join of a stream": "{{ ('x' * 9999).join(range(99999) | map('string')) }}",
    "replace": "{{ ('x' * 99999) | replace('x', 'y' * 99999) }}",
    "replace, as a method": "{{ ('x' * 99999).replace('x', 'y' * 99999) }}",
    "replace of nothing": "{{ ('x' * 99999).replace('', 'y' * 99999) }}",
    "wordwrap": "{{ ('x ' * 99999) | wordwrap(1, wrapstring='y' * 99999) }}",
    "batch with a filling": "{{ [1] | batch(10**9, 0) | list }}",
    "slice": "{{ [1] | slice(10**9) | list }}",
    "sum of lists": "{{ ([[0] * 9999] * 9999) | sum(start=[]) }}",
    "a list of characters": "{{ ('\\u4e00' * 3 * 10**7) | list | length }}",
    "split": "{{ ('x,' * 10**7).split(',') | length }}",
    "tojson with an indent": "{{ [[1]] | tojson(indent=10**9) }}",
    "tojson of much": "{{ (['x' * 9999] * 99999) | tojson }}",
    "tojson of records": "{{ (shots * 10**6) | list | tojson }}",
    "escapes": "{{ ('&' * 3 * 10**7) | e }}",
    "percent of a wide float, often": "{{ ('%f' * 10**6) % ((1e308,) * 10**6) }}",
    "fields of nothing, often": "{{ ('{0}' * 10**7).format('') }}",
    "joined dict values": "{% set v = {'a': 'x' * 33000000}.values() %}{{ ([v] * 100) | join }}",
    "a module, often": "{% set m %}{{ 'x' * 10**6 }}{% endset %}{{ [[m] * 10**6] }}",
    # Paths, in filters and formats.
    "a path in map": PATH + "{{ l | map(attribute=p) | list | length }}",
    "a path in sort": PATH + "{{ l | sort(attribute=p) | length }}",
    "many paths in sort": PATH + "{{ l | sort(attribute='x,' * 10**6 ~ 'x') | length }}",
    "a path in groupby": PATH + "{{ l | groupby(p) | length }}",
    "a path in sum": PATH + "{{ l | sum(p) }}",
    "a path in join": PATH + "{{ l | join('', p) }}",
    "a path in unique": PATH + "{{ l | unique(attribute=p) | list | length }}",
    "a path in min": PATH + "{{ l | min(attribute=p) }}",
    "a path in max": PATH + "{{ l | max(false, p) }}",
    "a path in selectattr": PATH + "{{ l | selectattr(p) | list | length }}",
    "a path in rejectattr": PATH + "{{ l | rejectattr(p) | list | length }}",
    "a short path, often": PATH + "{% set p = 'x.' * 400 ~ 'x' %}"
    "{{ (l * 9) | map(attribute=p) | list | length }}",
    "a path in format": PATH + "{% for i in range(99999) %}"
    "{% if ('{0' ~ '.x' * 10**5 ~ '.y}').format(ns) %}{% endif %}{% endfor %}",
    "items in format": "{% for i in range(99999) %}"
    "{% if ('{0' ~ '[0]' * 10**5 ~ '}').format('x') %}{% endif %}{% endfor %}",
    # Equal hashes.
    "unique numbers": COLLIDING + "{{ l | unique | list | length }}",
    "unique pairs": COLLIDING + "{{ l | batch(1) | map('first') | unique | list | length }}",
    "keys": COLLIDING + "{{ dict(l | batch(2)) | length }}",
    "keys, in pairs": COLLIDING + "{{ dict(l | batch(2) | list) | length }}",
    # Work besides the steps.
    "a long seed": "{{ range(99999) | shuffle('x' * 33000000) | length }}",
    "many statements": "{% for i in range(99999) %}" + "{% set a = [] %}" * 999 + "{% endfor %}",
    "texts among conditions": "{% for i in range(99999) %}"
    + "a{% if i %}b{% endif %}" * 999
    + "{% endfor %}",
    "a long macro": "{% macro m() %}" + "{% set a = [] %}" * 999 + "{% endmacro %}"
    "{% for i in range(99999) %}{% set b = m() %}{% endfor %}",
    "attributes": "{% for i in range(99999) %}" + "{% set a = loop.index %}" * 99 + "{% endfor %}",
    "filters": "{% for i in range(99999) %}" + "{% set a = i | abs %}" * 99 + "{% endfor %}",
    "includes that are missing": "{% for i in range(99999) %}"
    "{% include ['a', 'b', 'c'] ignore missing %}{% endfor %}",
    "wrapping white space": "{{ (' ' * 10**6) | wordwrap(1) | length }}",
    "wrapping a long word": "{{ ('x' * 10**6) | wordwrap(1) | length }}",
    "sorting texts": "{% for i in range(999) %}"
    "{% set a = range(9999) | map('string') | sort(case_sensitive=false) %}{% endfor %}",
    "a tree of dict values": "{% set ns = namespace(a='x' * 1000) %}{% for i in range(60) %}"
    "{% set ns.a = {'a': ns.a, 'b': ns.a}.values() %}{% endfor %}{{ ns.a }}",
    "a tree of dict items": "{% set ns = namespace(a='x' * 1000) %}{% for i in range(60) %}"
    "{% set ns.a = {'a': ns.a, 'b': ns.a}.items() %}{% endfor %}{{ ns.a | string }}",
    # Numbers.
    "remainders": "{% set a = 2**12000 - 1 %}{% set b = 2**6000 + 1 %}{% for i in range(99999) %}"
    "{% set c = a % b %}{% endfor %}",
    "a power": "{{ 10**(10**10) }}",
    "a power of data": "{{ (query.name | length)**(10**9) }}",
    "a tower": "{% set ns = namespace(a=9) %}{% for i in range(99) %}{% set ns.a = ns.a * ns.a %}"
    "{% endfor %}{{ ns.a % 7 }}",
    "a number read": "{{ ('f' * 10**7) | int(base=16) % 7 }}",
    "rounding": "{{ 1.5 | round(10**9, 'ceil') }}",
    # One value in many places.
    "a tree of lists": NESTED + "{% set ns.a = [ns.a, ns.a] %}{% endfor %}{{ ns.a }}",
    "a tree of lists, in JSON": NESTED + "{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
    "{{ ns.a | tojson }}",
    "a tree of lists, compared": NESTED + "{% set ns.a = [ns.a, ns.a] %}{% endfor %}"
    "{{ ns.a == [ns.a] }}",
    "a tree of tuples as a key": "{% set ns = namespace(a=('x',)) %}{% for i in range(60) %}"
    "{% set ns.a = (ns.a, ns.a) %}{% endfor %}{{ {ns.a: 1} }}",
    "a tree of dicts": "{% set ns = namespace(a={}) %}{% for i in range(60) %}"
    "{% set ns.a = {'a': ns.a, 'b': ns.a} %}{% endfor %}{{ ns.a }}",
    "a tree of calls": "{% set ns = namespace(a={}) %}{% for i in range(60) %}"
    "{% set ns.a = dict(a=ns.a, b=ns.a) %}{% endfor %}{{ ns.a }}",
    "a tree by batch": "{% set ns = namespace(a=[0]) %}{% for i in range(60) %}"
    "{% for r in [0] | batch(3, ns.a) %}{% set ns.a = r %}{% endfor %}{% endfor %}{{ ns.a }}",
    "a tree of arguments": "{% macro m(n) %}{% if n %}{{ m(n - 1, varargs, varargs) }}{% else %}"
    "{{ varargs }}{% endif %}{% endmacro %}{{ m(60, 1) }}",
    "a tree of namespaces": "{% set ns = namespace(a=namespace()) %}{% for i in range(60) %}"
    "{% set ns.a = namespace(a=ns.a, b=ns.a) %}{% endfor %}{{ ns.a }}",
    # Reading over and over.
    "searching": "{% set a = 'x' * 10**7 %}{% for i in range(99999) %}{{ a.count('y') }}"
    "{% endfor %}",
    "searching from the end": "{{ ('a' * 10**7).rfind('b' + 'a' * 10**6) }}",
    "comparing": "{% set a = 'x' * 10**7 %}{% set b = 'x' * 10**7 %}{% for i in range(99999) %}"
    "{% if a == b %}{% endif %}{% endfor %}",
    "looking for": "{% set a = 'x' * 10**7 %}{% for i in range(99999) %}"
    "{% if 'y' in a %}{% endif %}{% endfor %}",
    "slicing": "{% set a = [0] * 10**6 %}{% for i in range(99999) %}{% set b = a[:] %}{% endfor %}",
    "selecting in a list": "{% set a = range(99999) | list %}{{ a | reject('in', a) | list }}",
    "stripping": "{{ ('ab' * 10**6).strip('x' * 10**6 ~ 'ab') | length }}",
    "tags": "{{ ('<!---->' * 10**6) | striptags }}",
}

EXHAUSTION_FOR_CHAT = {
    name: source
    for name, source in EXHAUSTION.items()
    if "query" not in source and "shots" not in source
}


@pytest.mark.slow
@pytest.mark.parametrize("source", EXHAUSTION.values(), ids=EXHAUSTION)
def test_exhaustion_is_an_error_with_its_line(child: Child, source: str) -> None:
    """With a part of the steps, so that it does not take long."""
    answer = child.ask(kind="template", source=f"\n{source}", steps=MAX_STEPS // 40)
    assert answer.get("error") == "TemplateError", answer
    assert answer["message"].startswith("t.j2:2: "), answer


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [source for source in EXHAUSTION.values() if "query" not in source and "shots" not in source],
    ids=[
        name
        for name, source in EXHAUSTION.items()
        if "query" not in source and "shots" not in source
    ],
)
def test_exhaustion_in_a_models_chat_template_is_an_error(child: Child, source: str) -> None:
    whole = "{{ messages[0].content }}" + source
    answer = child.ask(kind="chat", source=whole, steps=MAX_STEPS // 40)
    assert answer.get("error") == "PromptError", answer
    assert "chat template" in answer["message"]


LONG = {
    "a field": "{{ query['x' * 33000000] }}",
    "an attribute": "{{ {}['x' * 33000000].a }}",
    "an option": "{{ ('x' * 33000000) | letter(['a']) }}",
    "options": "{{ 'a' | letter(['x' * 33000000]) }}",
    "a template": "{% include 'x' * 33000000 %}",
    "templates": "{% include ['x' * 33000000] %}",
    "a key": "{{ '%(a)s' % {'x' * 33000000: 1} }}",
    "a callee": "{{ ('x' * 33000000)() }}",
    "a test": "{{ 1 is " + "x" * 1_000_000 + " }}",
}


@pytest.mark.parametrize("source", LONG.values(), ids=LONG)
def test_messages_are_short(child: Child, source: str) -> None:
    answer = child.ask(kind="template", source=source, steps=None)
    assert answer["error"] == "TemplateError"
    assert answer["message"].startswith("t.j2")
    assert len(answer["message"]) < 1_000


def test_a_refusal_of_a_chat_template_is_short(child: Child) -> None:
    source = "{{ raise_exception('no system ' ~ 'x' * 33000000) }}"
    answer = child.ask(kind="chat", source=source, steps=None)
    assert "no system" in answer["message"]
    assert len(answer["message"]) < 1_000


def test_a_date_format_is_short(child: Child) -> None:
    answer = child.ask(kind="chat", source="{{ strftime_now('%c' * 16000000) }}", steps=None)
    assert answer["error"] == "PromptError"


def test_a_date_of_any_width_is_an_error(child: Child) -> None:
    answer = child.ask(kind="chat", source="{{ strftime_now('%1000000000d') }}", steps=None)
    assert answer["error"] == "PromptError"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["nested loops that print", "literal text in a loop", "doubled by set"]
)
def test_the_whole_bound_fits_into_memory(child: Child, name: str) -> None:
    answer = child.ask(kind="template", source=EXHAUSTION[name], steps=None, seconds=300)
    assert answer.get("error") == "TemplateError", answer
    assert f"{MAX_STEPS:,} steps" in answer["message"] or f"{MAX_TEXT:,}" in answer["message"]


@pytest.mark.slow
def test_a_rendering_begins_with_all_its_steps() -> None:
    loops = "{% for i in range(99999) %}{% endfor %}" * 90
    template = Template(f"{loops}{{{{ query.name }}}}", "t.j2")
    for index in range(3):
        assert template.render(TASK, query={"name": f"fig{index}"}).text == f"fig{index}"


@pytest.mark.slow
def test_a_thousand_shots_of_ten_kilobytes_are_within_bounds() -> None:
    shots = [
        {"input": {"name": f"{i}", "note": "lorem ipsum " * 850}, "output": "pome", "id": f"{i}"}
        for i in range(1_000)
    ]
    task = Task[Fruit, Literal["drupe", "pome"]](name="t", instruction="i", demos=shots)
    source = (
        "{{ shots | map(attribute='input.name') | join(', ') }}\n"
        "{% macro lines(text) %}{% for line in text.split('ipsum') %}{{ line | trim }}|{% endfor %}"
        "{% endmacro %}\n"
        "{% example %}\n{{ lines(input.note) }}{{ input.note | upper | replace('M', 'mm') }}\n"
        "{{ input.name }}: {{ output }}\n{% endexample %}\n"
    )
    prompt = Template(source, "t.j2").render(task, shots=1_000, query={"name": "fig"})
    assert len(prompt.text) > 10_000_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ 'a' + 'b' * 3 }}", "abbb"),
        ("{{ 7 % 3 }} {{ 7 // 2 }} {{ 2**10 }} {{ 7 / 2 }} {{ 7 - 8 }}", "1 3 1024 3.5 -1"),
        ("{{ '%s: %5.1f|' % (query.name, 2.25) }}", "fig:   2.2|"),
        ("{{ '{:>5}|{a}'.format(query.name, a=1) }}", "  fig|1"),
        ("{{ query.name.upper() ~ 1 ~ none }}", "FIG1None"),
        ("{{ [1, 2, 3][1:] | join('-') }} {{ query.name[::-1] }}", "2-3 gif"),
        ("{{ [1, 2, 3] | sum }} {{ [1, 2] | map('string') | join }}", "6 12"),
        ("{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}", "a1"),
        (
            "{% for a in range(3) %}{{ loop.cycle('x', 'y') }}{{ loop.length }}{% endfor %}",
            "x3y3x3",
        ),
        (
            "{% for a in [3, 1] | sort %}{{ a }}{% if not loop.last %},{% endif %}{% endfor %}",
            "1,3",
        ),
        ("{% for a in 'ab' | map('upper') %}{{ loop.length }}{{ a }}{% endfor %}", "2A2B"),
        (
            "{% for a in [1, [2, [3]]] recursive %}{% if a is iterable %}{{ loop(a) }}{% else %}"
            "{{ a }}{% endif %}{% endfor %}",
            "123",
        ),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}", "aba"),
        ("{% set j = joiner('+') %}{% for a in 'xy' %}{{ j() }}{{ a }}{% endfor %}", "x+y"),
        (
            "{% set ns = namespace(n=0) %}{% for a in 'xy' %}{% set ns.n = ns.n + 1 %}{% endfor %}"
            "{{ ns.n }}",
            "2",
        ),
        ("{% if 1 < 2 < 3 and query.name in ['fig'] and 'i' in query.name %}yes{% endif %}", "yes"),
        (
            "{{ [{'a': 1}] | map(attribute='a') | first }} {{ {'b': [1, none]} | tojson }}",
            '1 {"b": [1, null]}',
        ),
        ("{{ ['b', 'a'] | sort | join('', attribute=0) }}", "ab"),
    ],
)
def test_what_honest_templates_do_is_as_jinja_does_it(source: str, text: str) -> None:
    assert Template(source, "t.j2").render(TASK, query={"name": "fig"}).text == text


@pytest.mark.slow
def test_operators_over_constants_are_the_templates_text() -> None:
    prompt = Template("{{ '<|im_' + 'end|>' * 2 }}{{ query.name }}", "t.j2").render(
        TASK, query={"name": "fig"}
    )
    assert [piece.kind for piece in prompt.pieces] == ["template", "data"]
