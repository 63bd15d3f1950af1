"""Every lint rule: its name, its severity and its reason, in the order of `docs/lint.md`."""

from __future__ import annotations

from promptkit.linting.findings import Rule

# --- names and fields, read off the syntax tree ---------------------------------------------------

SYNTAX = Rule("syntax", "error", "A template that does not parse renders nothing.")
UNKNOWN_NAME = Rule(
    "unknown-name", "error", "An undefined name is an error when the template is rendered."
)
UNKNOWN_FIELD = Rule(
    "unknown-field",
    "error",
    "A field that the task does not have is an error when the template is rendered.",
)
NEVER_DEFINED = Rule(
    "never-defined",
    "warning",
    "A misspelt field with `default` or `is defined` silently renders as nothing.",
)
UNKNOWN_FILTER = Rule(
    "unknown-filter", "error", "A filter or test that Jinja does not have stops the template."
)
MISSING_TEMPLATE = Rule(
    "missing-template",
    "error",
    "Templates that are included, imported or extended are only found in the search path.",
)
LOST_TEXT = Rule(
    "lost-text", "warning", "In a template that extends another, only its blocks are printed."
)
NOT_TEXT = Rule(
    "not-text",
    "warning",
    "A list prints as its items with commas between; a record or a function has no text.",
)
ANSWER_USED = Rule(
    "answer-used",
    "error",
    "A template that looks at the answer would treat the shots and the query differently.",
)

# --- what comes out of rendering ------------------------------------------------------------------

RENDERING = Rule("rendering", "error", "The template does not render an example of the task.")
SLOW = Rule(
    "slow",
    "warning",
    "Long loops slow down every prompt; such a template is rendered only once here.",
)
SHOTS_IGNORED = Rule(
    "shots-ignored",
    "error",
    "Without inputs and answers of the shots, every number of shots is zero shots.",
)
QUERY_IGNORED = Rule(
    "query-ignored",
    "error",
    "A prompt that does not show the query has the same answer for all queries.",
)
ANSWER_REVEALED = Rule(
    "answer-revealed", "error", "An answer in the query's own text tells the model what to say."
)
UNUSED_FIELD = Rule(
    "unused-field", "warning", "A field that the prompt never shows cannot help the model."
)
SHOTS_DIFFER = Rule(
    "shots-differ",
    "warning",
    "The model continues the pattern of the shots, so the query must match it up to the answer.",
)
FINAL_NEWLINE = Rule(
    "final-newline",
    "warning",
    "The newline that an editor puts at the end of a file ends the prompt, unlike the shots.",
    fixable=True,
)
NO_SEPARATOR = Rule(
    "no-separator",
    "error",
    "Without a separator after an answer, the model cannot tell where it ends.",
    fixable=True,
)
SHOTS_ON_A_LINE = Rule(
    "shots-on-a-line",
    "warning",
    "With a space alone after an answer, an answer of two words ends after the first.",
)
GLUED_WORDS = Rule(
    "glued-words",
    "warning",
    "The newline behind a block tag is dropped (`trim_blocks`), so two texts may run together.",
)
BREAKS_OUT = Rule(
    "breaks-out",
    "warning",
    "A value that contains what ends an answer looks like the beginning of another example.",
)
UNREACHABLE_ANSWER = Rule(
    "unreachable-answer",
    "warning",
    "A generated answer ends at the template's stop, so a gold answer must not contain it.",
)
BROKEN_JSON = Rule(
    "broken-json",
    "warning",
    "A quote or a newline in a value breaks JSON that is written by hand; `tojson` escapes both.",
)

# --- white space and characters of the template ---------------------------------------------------

SPACE_BEFORE_ANSWER = Rule(
    "space-before-answer",
    "warning",
    "Other white space than one space in front of an answer makes tokens that text rarely has.",
    fixable=True,
)
TRAILING_SPACE = Rule(
    "trailing-space",
    "warning",
    "White space at the end of a line or of the prompt is invisible, but the model reads it.",
    fixable=True,
)
TAB = Rule(
    "tab",
    "warning",
    'A tab looks like spaces and is another token; write {{ "\\t" }} where you mean it.',
    fixable=True,
)
CARRIAGE_RETURN = Rule(
    "carriage-return",
    "warning",
    "Jinja reads a carriage return as a newline, so the model does not read the file as it is.",
    fixable=True,
)
INVISIBLE = Rule(
    "invisible-character",
    "warning",
    "An invisible character changes the tokens, and makes equal texts unequal.",
    fixable=True,
)
MIXED_SCRIPTS = Rule(
    "mixed-scripts",
    "warning",
    "A word of two alphabets has a letter that looks like another one and has other tokens.",
)
SINGLE_BRACES = Rule(
    "single-braces", "warning", "A name in single braces is printed as it stands; Jinja takes two."
)
CONTROL_TOKEN = Rule(
    "control-token",
    "warning",
    "Control tokens typed by hand fit one model; role tags use the template of every model.",
)

# --- rows and labels ------------------------------------------------------------------------------

BAD_ROW = Rule(
    "bad-row", "error", "A row that does not fit the task's types stops every other command."
)
REPEATED_ROW = Rule("repeated-row", "error", "A repeated row counts twice.")
CONTRADICTION = Rule(
    "contradiction", "error", "One of two rows with the same input and different outputs is wrong."
)
LEAK = Rule("leak", "error", "A test that can be its own demonstration measures nothing.")
NEAR_REPEAT = Rule(
    "near-repeat",
    "warning",
    "Rows that differ in case, punctuation or a word may count twice, and leak like equal ones.",
)
LABEL_MISSING = Rule("label-missing", "warning", "A label without demonstrations cannot be shown.")
LABEL_UNTESTED = Rule("label-untested", "note", "A label without tests is not evaluated.")
IMBALANCE = Rule(
    "imbalance",
    "warning",
    "With imbalanced labels, always answering the commonest one looks accurate.",
)
PADDED = Rule(
    "padded-value", "warning", "White space around a value is part of every prompt that shows it."
)
ANSWER_IN_INPUT = Rule(
    "answer-in-input",
    "warning",
    "Where most inputs contain their own label, copying it looks like a correct answer.",
)
LABEL_NFC = Rule(
    "label-nfc",
    "warning",
    "A label that Unicode NFC changes is not what a keyboard, a file or a model writes.",
)
LABEL_CHARACTERS = Rule(
    "label-characters",
    "warning",
    "Labels that differ only in case, or contain an invisible character, are easily confused.",
)

# --- a model's tokens -----------------------------------------------------------------------------

CANNOT_ASK = Rule(
    "cannot-ask",
    "error",
    "A prompt that this model cannot be asked stops every other command.",
    needs_model=True,
)
BASE_MODEL_CHAT = Rule(
    "base-model-chat", "error", "A model without a chat template has no turns.", needs_model=True
)
CHAT_MODEL_RAW = Rule(
    "chat-model-raw",
    "note",
    "A chat model may answer better in turns than in raw text; a comparison says so.",
    needs_model=True,
)
SYSTEM_IN_USER = Rule(
    "system-in-user",
    "note",
    "Where a chat template has no system turn, `{% system or user %}` stands in the user's.",
    needs_model=True,
)
DOUBLE_BOS = Rule(
    "double-bos",
    "error",
    "The beginning of a text is marked once, and promptkit does that.",
    needs_model=True,
)
TOO_LONG = Rule(
    "too-long", "warning", "A prompt that exceeds the context cannot be run.", needs_model=True
)
LABEL_PREFIX = Rule(
    "label-prefix",
    "warning",
    "Where a label's tokens are a prefix of another's, only the answer's end distinguishes them.",
    needs_model=True,
)
LABEL_MERGES = Rule(
    "label-merges",
    "warning",
    "A label that merges with the text in front of it is scored by other tokens than it has alone.",
    needs_model=True,
)
LABEL_ROUND_TRIP = Rule(
    "label-round-trip",
    "error",
    "A label that the tokenizer writes in another way is not the label that is scored.",
    needs_model=True,
)
LABEL_START = Rule(
    "label-start",
    "note",
    "Labels that share their first token are only distinguished by later tokens.",
    needs_model=True,
)
LABEL_LENGTHS = Rule(
    "label-lengths",
    "note",
    "The score is a sum over tokens, so a label of many tokens scores lower than one of few.",
    needs_model=True,
)
TOKEN_COST = Rule(
    "token-cost",
    "note",
    "Scripts that a vocabulary covers poorly take more tokens, so that fewer shots fit.",
    needs_model=True,
)


RULES = tuple(rule for rule in list(vars().values()) if isinstance(rule, Rule))
"""Every rule, in the order of `docs/lint.md`."""
