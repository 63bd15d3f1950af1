"""Every rule: its severity, the reason for it, and an example that breaks and one that keeps it.

`docs/lint.md` is made from here, and the tests run the examples.
"""

from __future__ import annotations

from promptkit.linting.findings import Case, Rule

_BLOCK = "{% example %}\n{{ input.name }}: {{ output }}\n{% endexample %}\n"
_LOOP = (
    "{% for shot in shots %}\n{{ shot.input.name }}: {{ shot.output }}\n{% endfor %}\n"
    "{{ query.name }}:"
)
_TURNS = (
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


def _block(line: str, **more: str) -> Case:
    return Case(f"{{% example %}}\n{line}\n{{% endexample %}}\n", **more)


def _loop(query: str) -> Case:
    return Case(_LOOP.replace("{{ query.name }}:", query))


# --- names and fields, read off the syntax tree ---------------------------------------------------

SYNTAX = Rule(
    "syntax",
    "error",
    "A template that does not parse renders nothing.",
    _block("{{ input.name }: {{ output }}"),
    Case(_BLOCK),
)
UNKNOWN_NAME = Rule(
    "unknown-name",
    "error",
    "A name that nothing defines is an error when the template is rendered.",
    _block("{{ inptu.name }}: {{ output }}"),
    Case(_BLOCK),
)
UNKNOWN_FIELD = Rule(
    "unknown-field",
    "error",
    "A field that the task does not have is an error when the template is rendered.",
    _block("{{ input.nmae }}: {{ output }}"),
    Case(_BLOCK),
)
NEVER_DEFINED = Rule(
    "never-defined",
    "warning",
    "A misspelt field behind `default` or `is defined` renders as nothing, and nobody notices.",
    _block('{{ input.name }}{{ input.colr | default("") }}: {{ output }}'),
    Case(_BLOCK),
)
UNKNOWN_FILTER = Rule(
    "unknown-filter",
    "error",
    "A filter or test that Jinja does not have stops the template.",
    _block("{{ input.name | uper }}: {{ output }}"),
    _block("{{ input.name | upper }}: {{ output }}"),
)
MISSING_TEMPLATE = Rule(
    "missing-template",
    "error",
    "What is included, imported or extended is looked up in the search path, and nowhere else.",
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
    "A record, a list or a function prints in Python's notation, or not at all.",
    Case("One of {{ labels }}.\n" + _BLOCK),
    Case('One of {{ labels | join(", ") }}.\n' + _BLOCK),
)
ANSWER_USED = Rule(
    "answer-used",
    "error",
    "A template that looks at the answer would treat the shots and the query differently.",
    _block("{{ input.name }}: {{ output | upper }}"),
    Case(_BLOCK),
)

# --- what comes out of rendering ------------------------------------------------------------------

RENDERING = Rule(
    "rendering",
    "error",
    "An example of the task does not go through the template.",
    _block("{{ input.name }} is {{ output }} or {{ output }}"),
    Case(_BLOCK),
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
    "A prompt that does not show what is asked has the same answer for everything.",
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
    Case(_BLOCK, **_COLOURED),
    _block("{{ input.colour }} {{ input.name }}: {{ output }}", **_COLOURED),
)
SHOTS_DIFFER = Rule(
    "shots-differ",
    "warning",
    "The model goes on as the shots did, so the query must look like them in all but the answer.",
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
    "With nothing between an answer and what follows, the model cannot tell where it ends.",
    Case("{% example %}\n{{ input.name }}: {{ output }}{% endexample %}\n"),
    Case(_BLOCK),
    fixable=True,
)
SHOTS_ON_A_LINE = Rule(
    "shots-on-a-line",
    "warning",
    "With a space alone after an answer, an answer of two words ends after the first.",
    Case("{% example %}{{ input.name }}: {{ output }} {% endexample %}"),
    Case(_BLOCK),
)
GLUED_WORDS = Rule(
    "glued-words",
    "warning",
    "The newline behind a block tag is dropped (`trim_blocks`), so two texts may run together.",
    _block("Name: {% if input.name %}{{ input.name }}{% endif %}\nClass: {{ output }}"),
    _block("Name: {{ input.name }}\nClass: {{ output }}"),
)
BREAKS_OUT = Rule(
    "breaks-out",
    "warning",
    "A value that contains what ends an answer looks like the beginning of another example.",
    Case(demos='"wolf\ndog",mammal\n'),
    Case(demos="wolf,mammal\n"),
)

# --- white space and characters of the template ---------------------------------------------------

SPACE_BEFORE_ANSWER = Rule(
    "space-before-answer",
    "warning",
    "Other white space than one space in front of an answer makes tokens that text rarely has.",
    _block("{{ input.name }}:  {{ output }}"),
    Case(_BLOCK),
    fixable=True,
)
TRAILING_SPACE = Rule(
    "trailing-space",
    "warning",
    "White space at the end of a line or of the prompt is read by the model, and nobody sees it.",
    _block("{{ input.name }}: {{ output }} "),
    Case(_BLOCK),
    fixable=True,
)
TAB = Rule(
    "tab",
    "warning",
    'A tab looks like spaces and is another token; write {{ "\\t" }} where you mean it.',
    _block("{{ input.name }}:\t{{ output }}"),
    Case(_BLOCK),
    fixable=True,
)
CARRIAGE_RETURN = Rule(
    "carriage-return",
    "warning",
    "Jinja reads a carriage return as a newline, so the file is not what the model reads.",
    Case(_BLOCK.replace("\n", "\r\n")),
    Case(_BLOCK),
    fixable=True,
)
INVISIBLE = Rule(
    "invisible-character",
    "warning",
    "A character that nobody sees changes the tokens, and makes equal texts unequal.",
    Case(demos="wo\u200blf,mammal\n"),
    Case(demos="wolf,mammal\n"),
    fixable=True,
)
MIXED_SCRIPTS = Rule(
    "mixed-scripts",
    "warning",
    "A word of two alphabets has a letter that looks like another, and other tokens.",
    Case(demos="w\u043elf,mammal\n"),
    Case(demos="wolf,mammal\n\u0432\u043e\u043b\u043a,mammal\n"),
)
SINGLE_BRACES = Rule(
    "single-braces",
    "warning",
    "A name in single braces is printed as it stands; Jinja takes two.",
    _block("{input.name} is {{ input.name }}: {{ output }}"),
    Case(_BLOCK),
)
CONTROL_TOKEN = Rule(
    "control-token",
    "warning",
    "Control tokens typed by hand fit one model; role tags use the template of every model.",
    _block("<|im_start|>user\n{{ input.name }}: {{ output }}"),
    Case(_TURNS),
)

# --- the examples ---------------------------------------------------------------------------------

BAD_ROW = Rule(
    "bad-row",
    "error",
    "A row that does not fit the task's types stops every other command.",
    Case(demos="wolf,mamal\n"),
    Case(demos="wolf,mammal\n"),
)
REPEATED_ROW = Rule(
    "repeated-row",
    "error",
    "A row that stands twice counts twice.",
    Case(demos="dog,mammal\n"),
    Case(demos="wolf,mammal\n"),
)
CONTRADICTION = Rule(
    "contradiction",
    "error",
    "One of two rows with the same input and different outputs is wrong.",
    Case(demos="dog,fish\n"),
    Case(demos="wolf,mammal\n"),
)
LEAK = Rule(
    "leak",
    "error",
    "A test that can be its own demonstration measures nothing.",
    Case(demos="owl,bird\n"),
    Case(demos="wolf,mammal\n"),
)
NEAR_REPEAT = Rule(
    "near-repeat",
    "warning",
    "Rows that differ in case, punctuation or a word may count twice, and leak like equal ones.",
    Case(demos="Dog.,mammal\n"),
    Case(demos="wolf,mammal\n"),
)
LABEL_MISSING = Rule(
    "label-missing",
    "warning",
    "A label that no demonstration has cannot be shown.",
    Case(
        labels='["bird", "fish"]',
        demos="owl,bird\nduck,bird\n",
        tests="hen,bird\ncod,fish\n",
    ),
    Case(
        labels='["bird", "fish"]',
        demos="owl,bird\ntuna,fish\n",
        tests="hen,bird\ncod,fish\n",
    ),
)
LABEL_UNTESTED = Rule(
    "label-untested",
    "note",
    "Nothing is learned about a label that no test has.",
    Case(
        labels='["bird", "fish"]',
        demos="owl,bird\ntuna,fish\n",
        tests="hen,bird\n",
    ),
    Case(
        labels='["bird", "fish"]',
        demos="owl,bird\ntuna,fish\n",
        tests="hen,bird\ncod,fish\n",
    ),
)
IMBALANCE = Rule(
    "imbalance",
    "warning",
    "Where one label has most of the rows, always saying it looks good.",
    Case(
        demos="".join(
            f"{name},bird\n"
            for name in (
                *("gull", "kite", "swan", "crow", "dove", "rook", "wren"),
                *("jay", "tit", "lark", "ibis", "emu", "rhea"),
            )
        )
    ),
    Case(demos="gull,bird\n"),
)
PADDED = Rule(
    "padded-value",
    "warning",
    "White space around a value stands in every prompt that shows it.",
    Case(demos="wolf ,mammal\n"),
    Case(demos="wolf,mammal\n"),
)
ANSWER_IN_INPUT = Rule(
    "answer-in-input",
    "warning",
    "Where most inputs contain their own label, copying looks like knowing.",
    Case(
        labels='["bird", "fish"]',
        demos="blackbird bird,bird\ncat fish,fish\n",
        tests="a bird of prey,bird\nflat fish,fish\n",
    ),
    Case(
        labels='["bird", "fish"]',
        demos="owl,bird\ntuna,fish\n",
        tests="hen,bird\ncod,fish\n",
    ),
)
LABEL_NFC = Rule(
    "label-nfc",
    "warning",
    "A label that Unicode NFC changes is not what a keyboard, a file or a model writes.",
    Case(
        labels='["cafe\u0301", "tea"]',
        demos="latte,cafe\u0301\ngreen,tea\n",
        tests="mocha,cafe\u0301\nblack,tea\n",
    ),
    Case(
        labels='["caf\u00e9", "tea"]',
        demos="latte,caf\u00e9\ngreen,tea\n",
        tests="mocha,caf\u00e9\nblack,tea\n",
    ),
)
LABEL_CHARACTERS = Rule(
    "label-characters",
    "warning",
    "Labels that differ in case alone, or hide a character, are told apart by chance.",
    Case(
        labels='["tea", "Tea"]',
        demos="green,tea\nblack,Tea\n",
        tests="white,tea\nmint,Tea\n",
    ),
    Case(
        labels='["tea", "coffee"]',
        demos="green,tea\nmocha,coffee\n",
        tests="white,tea\nlatte,coffee\n",
    ),
)

# --- a model's tokens -----------------------------------------------------------------------------

CANNOT_ASK = Rule(
    "cannot-ask",
    "error",
    "A prompt that this model cannot be asked stops every other command.",
    Case("{% system %}Be short.{% endsystem %}\n" + _TURNS),
    Case(_TURNS),
    needs_model=True,
)
BASE_MODEL_CHAT = Rule(
    "base-model-chat",
    "error",
    "A model without a chat template has no turns.",
    Case(_TURNS),
    Case(_BLOCK),
    needs_model=True,
)
CHAT_MODEL_RAW = Rule(
    "chat-model-raw",
    "note",
    "A chat model may answer better in turns than in raw text; a comparison says so.",
    Case(_BLOCK),
    Case(_TURNS),
    needs_model=True,
)
SYSTEM_IN_USER = Rule(
    "system-in-user",
    "note",
    "Where a chat template has no system turn, `{% system or user %}` stands in the user's.",
    Case("{% system or user %}Be short.{% endsystem %}\n" + _TURNS),
    Case(_TURNS),
    needs_model=True,
)
DOUBLE_BOS = Rule(
    "double-bos",
    "error",
    "The beginning of a text is marked once, and promptkit does that.",
    _block("<s>{{ input.name }}: {{ output }}"),
    Case(_BLOCK),
    needs_model=True,
)
TOO_LONG = Rule(
    "too-long",
    "warning",
    "A prompt that does not fit the context cannot be asked.",
    Case("{% for i in range(80) %}\nSay it again.\n{% endfor %}\n" + _BLOCK),
    Case(_BLOCK),
    needs_model=True,
)
LABEL_PREFIX = Rule(
    "label-prefix",
    "warning",
    "Where one label's tokens begin another's, the end of the answer decides between them.",
    Case(labels='["bird", "bird of prey"]', demos="owl,bird of prey\nhen,bird\n"),
    Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    needs_model=True,
)
LABEL_MERGES = Rule(
    "label-merges",
    "warning",
    "A label that merges with the text in front of it is scored by other tokens than it has alone.",
    Case(
        "{% example %}\n{{ input.name }}:{{ output }}\n{% endexample %}\n",
        labels='[":)", ":("]',
        demos="fine,:)\nbad,:(\n",
    ),
    Case(labels='[":)", ":("]', demos="fine,:)\nbad,:(\n"),
    needs_model=True,
)
LABEL_ROUND_TRIP = Rule(
    "label-round-trip",
    "error",
    "A label that the tokenizer writes in another way is not the label that is scored.",
    Case(labels='["snake\u2581case", "camel"]', demos="a_b,snake\u2581case\naB,camel\n"),
    Case(labels='["snake", "camel"]', demos="a_b,snake\naB,camel\n"),
    needs_model=True,
)
LABEL_START = Rule(
    "label-start",
    "note",
    "Labels that share their first token are told apart by the tokens after it.",
    Case(labels='["pome", "pepo"]', demos="apple,pome\nmelon,pepo\n"),
    Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    needs_model=True,
)
LABEL_LENGTHS = Rule(
    "label-lengths",
    "note",
    "The score is a sum over tokens, so a label of many tokens starts behind one of few.",
    Case(labels='["bird", "monotreme"]', demos="owl,bird\nplatypus,monotreme\n"),
    Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    needs_model=True,
)
TOKEN_COST = Rule(
    "token-cost",
    "note",
    "Scripts that a vocabulary hardly knows take many tokens: fewer shots fit, and each is slower.",
    Case(labels='["bird", "fish"]', demos="उल्लू रात का पक्षी है,bird\nरोहू मछली है,fish\n"),
    Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    needs_model=True,
)
