"""An example that breaks each lint rule, and one that keeps it."""

from __future__ import annotations

from typing import NamedTuple

from lint_cases import Case

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


class LintExample(NamedTuple):
    """A task that breaks a rule, and one that keeps it."""

    bad: Case
    good: Case


EXAMPLES: dict[str, LintExample] = {
    "syntax": LintExample(block("{{ input.name }: {{ output }}"), Case(BLOCK)),
    "unknown-name": LintExample(block("{{ inptu.name }}: {{ output }}"), Case(BLOCK)),
    "unknown-field": LintExample(block("{{ input.nmae }}: {{ output }}"), Case(BLOCK)),
    "never-defined": LintExample(
        block('{{ input.name }}{{ input.colr | default("") }}: {{ output }}'),
        Case(BLOCK),
    ),
    "unknown-filter": LintExample(
        block("{{ input.name | uper }}: {{ output }}"),
        block("{{ input.name | upper }}: {{ output }}"),
    ),
    "missing-template": LintExample(
        Case('{% extends "colour.j2" %}\n'), Case('{% extends "colon.j2" %}\n')
    ),
    "lost-text": LintExample(
        Case('{% extends "colon.j2" %}\nAnswer in one word.\n'),
        Case('{% extends "colon.j2" %}\n{% block labels %}\nAnswer in one word.\n{% endblock %}\n'),
    ),
    "not-text": LintExample(
        Case("One of {{ labels }}.\n" + BLOCK),
        Case('One of {{ labels | join(", ") }}.\n' + BLOCK),
    ),
    "answer-used": LintExample(block("{{ input.name }}: {{ output | upper }}"), Case(BLOCK)),
    "rendering": LintExample(
        block("{{ input.name }} is {{ output }} or {{ output }}"), Case(BLOCK)
    ),
    "slow": LintExample(
        Case(
            "{% for i in range(99999) %}{% for j in range(9) %}{% endfor %}{% endfor %}\n" + _LOOP
        ),
        Case(_LOOP),
    ),
    "shots-ignored": LintExample(Case("{{ query.name }}:"), Case(_LOOP)),
    "query-ignored": LintExample(_loop("The next one:"), Case(_LOOP)),
    "answer-revealed": LintExample(_loop("{{ query.name }}: {{ shots[0].output }}"), Case(_LOOP)),
    "unused-field": LintExample(
        Case(BLOCK, **_COLOURED),
        block("{{ input.colour }} {{ input.name }}: {{ output }}", **_COLOURED),
    ),
    "shots-differ": LintExample(_loop("{{ query.name }} :"), Case(_LOOP)),
    "final-newline": LintExample(Case(_LOOP + "\n"), Case(_LOOP)),
    "no-separator": LintExample(
        Case("{% example %}\n{{ input.name }}: {{ output }}{% endexample %}\n"),
        Case(BLOCK),
    ),
    "shots-on-a-line": LintExample(
        Case("{% example %}{{ input.name }}: {{ output }} {% endexample %}"),
        Case(BLOCK),
    ),
    "glued-words": LintExample(
        block("Name: {% if input.name %}{{ input.name }}{% endif %}\nClass: {{ output }}"),
        block("Name: {{ input.name }}\nClass: {{ output }}"),
    ),
    "breaks-out": LintExample(Case(demos='"wolf\ndog",mammal\n'), Case(demos="wolf,mammal\n")),
    "unreachable-answer": LintExample(
        Case(output='type = "str"', demos="owl,bird\n", tests='hen,"bird\nof prey"\n'),
        Case(output='type = "str"', demos="owl,bird\n", tests="hen,bird of prey\n"),
    ),
    "broken-json": LintExample(
        block(
            '{"name": "{{ input.name }}", "class": "{{ output }}"}', demos='"the ""wolf""",mammal\n'
        ),
        block(
            '{"name": {{ input.name | tojson }}, "class": {{ output | tojson }}}',
            demos='"the ""wolf""",mammal\n',
        ),
    ),
    "space-before-answer": LintExample(block("{{ input.name }}:  {{ output }}"), Case(BLOCK)),
    "trailing-space": LintExample(block("{{ input.name }}: {{ output }} "), Case(BLOCK)),
    "tab": LintExample(block("{{ input.name }}:\t{{ output }}"), Case(BLOCK)),
    "carriage-return": LintExample(Case(BLOCK.replace("\n", "\r\n")), Case(BLOCK)),
    "invisible-character": LintExample(
        Case(demos="wo\u200blf,mammal\n"), Case(demos="wolf,mammal\n")
    ),
    "stray-joiner": LintExample(Case(demos="wo\u200dlf,mammal\n"), Case(demos="wolf,mammal\n")),
    "mixed-scripts": LintExample(
        Case(demos="w\u043elf,mammal\n"),
        Case(demos="wolf,mammal\n\u0432\u043e\u043b\u043a,mammal\n"),
    ),
    "single-braces": LintExample(
        block("{input.name} is {{ input.name }}: {{ output }}"), Case(BLOCK)
    ),
    "control-token": LintExample(
        block("<|im_start|>user\n{{ input.name }}: {{ output }}"), Case(TURNS)
    ),
    "bad-row": LintExample(Case(demos="wolf,mamal\n"), Case(demos="wolf,mammal\n")),
    "repeated-row": LintExample(Case(demos="dog,mammal\n"), Case(demos="wolf,mammal\n")),
    "contradiction": LintExample(Case(demos="dog,fish\n"), Case(demos="wolf,mammal\n")),
    "leak": LintExample(Case(demos="owl,bird\n"), Case(demos="wolf,mammal\n")),
    "near-repeat": LintExample(Case(demos="Dog.,mammal\n"), Case(demos="wolf,mammal\n")),
    "label-missing": LintExample(
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
    ),
    "label-untested": LintExample(
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
    ),
    "imbalance": LintExample(
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
    ),
    "padded-value": LintExample(Case(demos="wolf ,mammal\n"), Case(demos="wolf,mammal\n")),
    "answer-in-input": LintExample(
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
    ),
    "label-nfc": LintExample(
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
    ),
    "mixed-normal-forms": LintExample(
        Case(
            labels='["coffee", "tea"]',
            demos="cafe\u0301 latte,coffee\ngreen,tea\n",
            tests="caf\u00e9 noir,coffee\nblack,tea\n",
        ),
        Case(
            labels='["coffee", "tea"]',
            demos="caf\u00e9 latte,coffee\ngreen,tea\n",
            tests="caf\u00e9 noir,coffee\nblack,tea\n",
        ),
    ),
    "label-characters": LintExample(
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
    ),
    "cannot-ask": LintExample(Case("{% system %}Be short.{% endsystem %}\n" + TURNS), Case(TURNS)),
    "base-model-chat": LintExample(Case(TURNS), Case(BLOCK)),
    "chat-model-raw": LintExample(Case(BLOCK), Case(TURNS)),
    "system-in-user": LintExample(
        Case("{% system or user %}Be short.{% endsystem %}\n" + TURNS), Case(TURNS)
    ),
    "double-bos": LintExample(block("<s>{{ input.name }}: {{ output }}"), Case(BLOCK)),
    "too-long": LintExample(
        Case("{% for i in range(80) %}\nSay it again.\n{% endfor %}\n" + BLOCK),
        Case(BLOCK),
    ),
    "label-prefix": LintExample(
        Case(
            "{% example %}\n; {{ input.name }}: {{ output }}{% endexample %}\n",
            labels='["bird", "bird of prey"]',
            demos="owl,bird of prey\nhen,bird\n",
        ),
        Case(labels='["bird", "bird of prey"]', demos="owl,bird of prey\nhen,bird\n"),
    ),
    "label-merges": LintExample(
        Case(
            "{% example %}\n{{ input.name }}:{{ output }}\n{% endexample %}\n",
            labels='[":)", ":("]',
            demos="fine,:)\nbad,:(\n",
        ),
        Case(labels='[":)", ":("]', demos="fine,:)\nbad,:(\n"),
    ),
    "label-round-trip": LintExample(
        Case(labels='["snake\u2581case", "camel"]', demos="a_b,snake\u2581case\naB,camel\n"),
        Case(labels='["snake", "camel"]', demos="a_b,snake\naB,camel\n"),
    ),
    "label-start": LintExample(
        Case(labels='["pome", "pepo"]', demos="apple,pome\nmelon,pepo\n"),
        Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    ),
    "label-lengths": LintExample(
        Case(labels='["bird", "monotreme"]', demos="owl,bird\nplatypus,monotreme\n"),
        Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    ),
    "label-bytes": LintExample(
        Case(labels='["पक्षी", "मछली"]', demos="owl,पक्षी\ncod,मछली\n"),
        Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    ),
    "token-cost": LintExample(
        Case(
            labels='["bird", "fish"]', demos="сова охотится ночью,bird\nтреска живёт в море,fish\n"
        ),
        Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    ),
    "costly-script": LintExample(
        Case(labels='["bird", "fish"]', demos="उल्लू रात का पक्षी है,bird\nरोहू मछली है,fish\n"),
        Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    ),
}
"""The bad and the good example of each rule."""
