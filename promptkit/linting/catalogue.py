"""The rules about templates: severity, reason, an example that breaks and one that keeps each.

`row_catalogue` and `token_catalogue` have the others. `docs/lint.md` is made from all of them, and
the tests run the examples.
"""

from __future__ import annotations

from promptkit.linting.findings import Case, Rule

BLOCK = "{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}\n"
_LOOP = (
    "{% for shot in shots %}\n{{ shot.input.name }}: {{ shot.output }}\n{% endfor %}\n"
    "{{ query.name }}:"
)
TURNS = (
    "{% example %}\n{% user %}{{ input.name }}{% enduser %}\n"
    "{% assistant %}{{ output }}{% endassistant %}\n{% endexample %}\n"
)
_COLOURED = {
    "labels": '["bird", "fish"]',
    "input": 'name = "str"\ncolour = "str"',
    "header": "name,colour,output",
    "demos": "owl,brown,bird\ntuna,blue,fish\n",
    "tests": "hen,white,bird\ncod,grey,fish\n",
}


def block(line: str, **more: str) -> Case:
    return Case(f"{{% example %}}\n{line}\n{{% endexample %}}\n", **more)


def _loop(query: str) -> Case:
    return Case(_LOOP.replace("{{ query.name }}:", query))


# --- names and fields, read off the syntax tree ---------------------------------------------------

SYNTAX = Rule(
    "syntax",
    "error",
    "A template that does not parse renders nothing.",
    block("{{ input.name }: {{ output }}"),
    Case(BLOCK),
)
UNKNOWN_NAME = Rule(
    "unknown-name",
    "error",
    "An undefined name is an error when the template is rendered.",
    block("{{ inptu.name }}: {{ output }}"),
    Case(BLOCK),
)
UNKNOWN_FIELD = Rule(
    "unknown-field",
    "error",
    "A field that the task does not have is an error when the template is rendered.",
    block("{{ input.nmae }}: {{ output }}"),
    Case(BLOCK),
)
NEVER_DEFINED = Rule(
    "never-defined",
    "warning",
    "A misspelt field with `default` or `is defined` silently renders as nothing.",
    block('{{ input.name }}{{ input.colr | default("") }}: {{ output }}'),
    Case(BLOCK),
)
UNKNOWN_FILTER = Rule(
    "unknown-filter",
    "error",
    "A filter or test that Jinja does not have stops the template.",
    block("{{ input.name | uper }}: {{ output }}"),
    block("{{ input.name | upper }}: {{ output }}"),
)
MISSING_TEMPLATE = Rule(
    "missing-template",
    "error",
    "Templates that are included, imported or extended are only found in the search path.",
    Case('{% extends "colour.j2" %}\n'),
    Case('{% extends "colon.j2" %}\n'),
)
LOST_TEXT = Rule(
    "lost-text",
    "warning",
    "In a template that extends another, only its blocks are printed.",
    Case('{% extends "colon.j2" %}\nAnswer in one word.\n'),
    Case('{% extends "colon.j2" %}\n{% block labels %}\nAnswer in one word.\n{% endblock %}\n'),
)
NOT_TEXT = Rule(
    "not-text",
    "warning",
    "A list prints as its items with commas between; a record or a function has no text.",
    Case("One of {{ labels }}.\n" + BLOCK),
    Case('One of {{ labels | join(", ") }}.\n' + BLOCK),
)
ANSWER_USED = Rule(
    "answer-used",
    "error",
    "A template that looks at the answer would treat the shots and the query differently.",
    block("{{ input.name }}: {{ output | upper }}"),
    Case(BLOCK),
)

# --- what comes out of rendering ------------------------------------------------------------------

RENDERING = Rule(
    "rendering",
    "error",
    "The template does not render an example of the task.",
    block("{{ input.name }} is {{ output }} or {{ output }}"),
    Case(BLOCK),
)
SLOW = Rule(
    "slow",
    "warning",
    "Long loops slow down every prompt; such a template is rendered only once here.",
    Case("{% for i in range(99999) %}{% for j in range(9) %}{% endfor %}{% endfor %}\n" + _LOOP),
    Case(_LOOP),
)
SHOTS_IGNORED = Rule(
    "shots-ignored",
    "error",
    "Without inputs and answers of the shots, every number of shots is zero shots.",
    Case("{{ query.name }}:"),
    Case(_LOOP),
)
QUERY_IGNORED = Rule(
    "query-ignored",
    "error",
    "A prompt that does not show the query has the same answer for all queries.",
    _loop("The next one:"),
    Case(_LOOP),
)
ANSWER_REVEALED = Rule(
    "answer-revealed",
    "error",
    "An answer in the query's own text tells the model what to say.",
    _loop("{{ query.name }}: {{ shots[0].output }}"),
    Case(_LOOP),
)
UNUSED_FIELD = Rule(
    "unused-field",
    "warning",
    "A field that the prompt never shows cannot help the model.",
    Case(BLOCK, **_COLOURED),
    block("{{ input.colour }} {{ input.name }}: {{ output }}", **_COLOURED),
)
SHOTS_DIFFER = Rule(
    "shots-differ",
    "warning",
    "The model continues the pattern of the shots, so the query must match it up to the answer.",
    _loop("{{ query.name }} :"),
    Case(_LOOP),
)
FINAL_NEWLINE = Rule(
    "final-newline",
    "warning",
    "The newline that an editor puts at the end of a file ends the prompt, unlike the shots.",
    Case(_LOOP + "\n"),
    Case(_LOOP),
    fixable=True,
)
NO_SEPARATOR = Rule(
    "no-separator",
    "error",
    "Without a separator after an answer, the model cannot tell where it ends.",
    Case("{% example %}\n{{ input.name }}: {{ output }}{% endexample %}\n"),
    Case(BLOCK),
    fixable=True,
)
SHOTS_ON_A_LINE = Rule(
    "shots-on-a-line",
    "warning",
    "With a space alone after an answer, an answer of two words ends after the first.",
    Case("{% example %}{{ input.name }}: {{ output }} {% endexample %}"),
    Case(BLOCK),
)
GLUED_WORDS = Rule(
    "glued-words",
    "warning",
    "The newline behind a block tag is dropped (`trim_blocks`), so two texts may run together.",
    block("Name: {% if input.name %}{{ input.name }}{% endif %}\nClass: {{ output }}"),
    block("Name: {{ input.name }}\nClass: {{ output }}"),
)
BREAKS_OUT = Rule(
    "breaks-out",
    "warning",
    "A value that contains what ends an answer looks like the beginning of another example.",
    Case(demos='"wolf\ndog",mammal\n'),
    Case(demos="wolf,mammal\n"),
)
UNREACHABLE_ANSWER = Rule(
    "unreachable-answer",
    "warning",
    "A generated answer ends at the template's stop, so a gold answer must not contain it.",
    Case(output='type = "str"', demos="owl,bird\n", tests='hen,"bird\nof prey"\n'),
    Case(output='type = "str"', demos="owl,bird\n", tests="hen,bird of prey\n"),
)
BROKEN_JSON = Rule(
    "broken-json",
    "warning",
    "A quote or a newline in a value breaks JSON that is written by hand; `tojson` escapes both.",
    block('{"name": "{{ input.name }}", "class": "{{ output }}"}', demos='"the ""wolf""",mammal\n'),
    block(
        '{"name": {{ input.name | tojson }}, "class": {{ output | tojson }}}',
        demos='"the ""wolf""",mammal\n',
    ),
)

# --- white space and characters of the template ---------------------------------------------------

SPACE_BEFORE_ANSWER = Rule(
    "space-before-answer",
    "warning",
    "Other white space than one space in front of an answer makes tokens that text rarely has.",
    block("{{ input.name }}:  {{ output }}"),
    Case(BLOCK),
    fixable=True,
)
TRAILING_SPACE = Rule(
    "trailing-space",
    "warning",
    "White space at the end of a line or of the prompt is invisible, but the model reads it.",
    block("{{ input.name }}: {{ output }} "),
    Case(BLOCK),
    fixable=True,
)
TAB = Rule(
    "tab",
    "warning",
    'A tab looks like spaces and is another token; write {{ "\\t" }} where you mean it.',
    block("{{ input.name }}:\t{{ output }}"),
    Case(BLOCK),
    fixable=True,
)
CARRIAGE_RETURN = Rule(
    "carriage-return",
    "warning",
    "Jinja reads a carriage return as a newline, so the model does not read the file as it is.",
    Case(BLOCK.replace("\n", "\r\n")),
    Case(BLOCK),
    fixable=True,
)
INVISIBLE = Rule(
    "invisible-character",
    "warning",
    "An invisible character changes the tokens, and makes equal texts unequal.",
    Case(demos="wo\u200blf,mammal\n"),
    Case(demos="wolf,mammal\n"),
    fixable=True,
)
MIXED_SCRIPTS = Rule(
    "mixed-scripts",
    "warning",
    "A word of two alphabets has a letter that looks like another one and has other tokens.",
    Case(demos="w\u043elf,mammal\n"),
    Case(demos="wolf,mammal\n\u0432\u043e\u043b\u043a,mammal\n"),
)
SINGLE_BRACES = Rule(
    "single-braces",
    "warning",
    "A name in single braces is printed as it stands; Jinja takes two.",
    block("{input.name} is {{ input.name }}: {{ output }}"),
    Case(BLOCK),
)
CONTROL_TOKEN = Rule(
    "control-token",
    "warning",
    "Control tokens typed by hand fit one model; role tags use the template of every model.",
    block("<|im_start|>user\n{{ input.name }}: {{ output }}"),
    Case(TURNS),
)
