"""The rules about a task's rows and labels (see `catalogue`)."""

from __future__ import annotations

from promptkit.linting.findings import Case, Rule

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
    "A repeated row counts twice.",
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
    "A label without demonstrations cannot be shown.",
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
    "A label without tests is not evaluated.",
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
    "With imbalanced labels, always answering the commonest one looks accurate.",
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
    "White space around a value is part of every prompt that shows it.",
    Case(demos="wolf ,mammal\n"),
    Case(demos="wolf,mammal\n"),
)
ANSWER_IN_INPUT = Rule(
    "answer-in-input",
    "warning",
    "Where most inputs contain their own label, copying it looks like a correct answer.",
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
    "Labels that differ only in case, or contain an invisible character, are easily confused.",
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
