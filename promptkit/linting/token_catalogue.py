"""The rules about a model's tokens (see `catalogue`)."""

from __future__ import annotations

from promptkit.linting.catalogue import BLOCK, TURNS, block
from promptkit.linting.findings import Case, Rule

CANNOT_ASK = Rule(
    "cannot-ask",
    "error",
    "A prompt that this model cannot be asked stops every other command.",
    Case("{% system %}Be short.{% endsystem %}\n" + TURNS),
    Case(TURNS),
    needs_model=True,
)
BASE_MODEL_CHAT = Rule(
    "base-model-chat",
    "error",
    "A model without a chat template has no turns.",
    Case(TURNS),
    Case(BLOCK),
    needs_model=True,
)
CHAT_MODEL_RAW = Rule(
    "chat-model-raw",
    "note",
    "A chat model may answer better in turns than in raw text; a comparison says so.",
    Case(BLOCK),
    Case(TURNS),
    needs_model=True,
)
SYSTEM_IN_USER = Rule(
    "system-in-user",
    "note",
    "Where a chat template has no system turn, `{% system or user %}` stands in the user's.",
    Case("{% system or user %}Be short.{% endsystem %}\n" + TURNS),
    Case(TURNS),
    needs_model=True,
)
DOUBLE_BOS = Rule(
    "double-bos",
    "error",
    "The beginning of a text is marked once, and promptkit does that.",
    block("<s>{{ input.name }}: {{ output }}"),
    Case(BLOCK),
    needs_model=True,
)
TOO_LONG = Rule(
    "too-long",
    "warning",
    "A prompt that exceeds the context cannot be run.",
    Case("{% for i in range(80) %}\nSay it again.\n{% endfor %}\n" + BLOCK),
    Case(BLOCK),
    needs_model=True,
)
LABEL_PREFIX = Rule(
    "label-prefix",
    "warning",
    "Where a label's tokens are a prefix of another's, only the answer's end distinguishes them.",
    Case(
        "{% example %}\n; {{ input.name }}: {{ output }}{% endexample %}\n",
        labels='["bird", "bird of prey"]',
        demos="owl,bird of prey\nhen,bird\n",
    ),
    Case(labels='["bird", "bird of prey"]', demos="owl,bird of prey\nhen,bird\n"),
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
    "Labels that share their first token are only distinguished by later tokens.",
    Case(labels='["pome", "pepo"]', demos="apple,pome\nmelon,pepo\n"),
    Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    needs_model=True,
)
LABEL_LENGTHS = Rule(
    "label-lengths",
    "note",
    "The score is a sum over tokens, so a label of many tokens scores lower than one of few.",
    Case(labels='["bird", "monotreme"]', demos="owl,bird\nplatypus,monotreme\n"),
    Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    needs_model=True,
)
TOKEN_COST = Rule(
    "token-cost",
    "note",
    "Scripts that a vocabulary covers poorly take more tokens, so that fewer shots fit.",
    Case(labels='["bird", "fish"]', demos="उल्लू रात का पक्षी है,bird\nरोहू मछली है,fish\n"),
    Case(labels='["bird", "fish"]', demos="owl,bird\ncod,fish\n"),
    needs_model=True,
)
