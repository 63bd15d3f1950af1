"""Every lint rule: its name, its severity and its reason, in the order of `docs/lint.md`."""

from __future__ import annotations

from functools import partial

from promptkit.linting.findings import Rule
from promptkit.translation import mark

_error = partial(Rule, severity="error")
_warning = partial(Rule, severity="warning")
_note = partial(Rule, severity="note")
_error_of_model = partial(_error, needs_model=True)
_warning_of_model = partial(_warning, needs_model=True)
_note_of_model = partial(_note, needs_model=True)

# --- names and fields, read off the syntax tree ---------------------------------------------------

SYNTAX = _error("syntax", mark("A template that does not parse renders nothing."))
UNKNOWN_NAME = _error(
    "unknown-name", mark("An undefined name is an error when the template is rendered.")
)
UNKNOWN_FIELD = _error(
    "unknown-field",
    mark("A field that the task does not have is an error when the template is rendered."),
)
NEVER_DEFINED = _warning(
    "never-defined",
    mark("A misspelt field with `default` or `is defined` silently renders as nothing."),
)
UNKNOWN_FILTER = _error(
    "unknown-filter", mark("A filter or test that Jinja does not have stops the template.")
)
MISSING_TEMPLATE = _error(
    "missing-template",
    mark("Templates that are included, imported or extended are only found in the search path."),
)
LOST_TEXT = _warning(
    "lost-text", mark("In a template that extends another, only its blocks are printed.")
)
NOT_TEXT = _warning(
    "not-text",
    mark("A list prints as its items with commas between; a record or a function has no text."),
)
ANSWER_USED = _error(
    "answer-used",
    mark("A template that looks at the answer would treat the shots and the query differently."),
)

# --- what comes out of rendering ------------------------------------------------------------------

RENDERING = _error("rendering", mark("The template does not render an example of the task."))
SLOW = _warning(
    "slow", mark("Long loops slow down every prompt; such a template is rendered only once here.")
)
SHOTS_IGNORED = _error(
    "shots-ignored",
    mark("Without inputs and answers of the shots, every number of shots is zero shots."),
)
QUERY_IGNORED = _error(
    "query-ignored",
    mark("A prompt that does not show the query has the same answer for all queries."),
)
ANSWER_REVEALED = _error(
    "answer-revealed", mark("An answer in the query's own text tells the model what to say.")
)
UNUSED_FIELD = _warning(
    "unused-field", mark("A field that the prompt never shows cannot help the model.")
)
SHOTS_DIFFER = _warning(
    "shots-differ",
    mark(
        "The model continues the pattern of the shots, so the query must match it up to the answer."
    ),
)
FINAL_NEWLINE = _warning(
    "final-newline",
    mark("The newline that an editor puts at the end of a file ends the prompt, unlike the shots."),
    fixable=True,
)
NO_SEPARATOR = _error(
    "no-separator",
    mark("Without a separator after an answer, the model cannot tell where it ends."),
    fixable=True,
)
SHOTS_ON_A_LINE = _warning(
    "shots-on-a-line",
    mark("With a space alone after an answer, an answer of two words ends after the first."),
)
GLUED_WORDS = _warning(
    "glued-words",
    mark(
        "The newline behind a block tag is dropped (`trim_blocks`), so two texts may run together."
    ),
)
BREAKS_OUT = _warning(
    "breaks-out",
    mark("A value that contains what ends an answer looks like the beginning of another example."),
)
UNREACHABLE_ANSWER = _warning(
    "unreachable-answer",
    mark("A generated answer ends at the template's stop, so a gold answer must not contain it."),
)
BROKEN_JSON = _warning(
    "broken-json",
    mark(
        "A quote or a newline in a value breaks JSON that is written by hand; "
        "`tojson` escapes both."
    ),
)

# --- white space and characters of the template ---------------------------------------------------

SPACE_BEFORE_ANSWER = _warning(
    "space-before-answer",
    mark(
        "Other white space than one space in front of an answer makes tokens that text rarely has."
    ),
    fixable=True,
)
TRAILING_SPACE = _warning(
    "trailing-space",
    mark("White space at the end of a line or of the prompt is invisible, but the model reads it."),
    fixable=True,
)
TAB = _warning(
    "tab",
    mark('A tab looks like spaces and is another token; write {{ "\\t" }} where you mean it.'),
    fixable=True,
)
CARRIAGE_RETURN = _warning(
    "carriage-return",
    mark(
        "Jinja reads a carriage return as a newline, so the model does not read the file as it is."
    ),
    fixable=True,
)
INVISIBLE = _warning(
    "invisible-character",
    mark("An invisible character changes the tokens, and makes equal texts unequal."),
    fixable=True,
)
STRAY_JOINER = _warning(
    "stray-joiner",
    mark("A joiner where its script has none, or at the end of a label, is unseen and has tokens."),
    fixable=True,
)
MIXED_SCRIPTS = _warning(
    "mixed-scripts",
    mark("A word of two alphabets has a letter that looks like another one and has other tokens."),
)
SINGLE_BRACES = _warning(
    "single-braces", mark("A name in single braces is printed as it stands; Jinja takes two.")
)
CONTROL_TOKEN = _warning(
    "control-token",
    mark("Control tokens typed by hand fit one model; role tags use the template of every model."),
)

# --- rows and labels ------------------------------------------------------------------------------

BAD_ROW = _error(
    "bad-row", mark("A row that does not fit the task's types stops every other command.")
)
REPEATED_ROW = _error("repeated-row", mark("A repeated row counts twice."))
CONTRADICTION = _error(
    "contradiction", mark("One of two rows with the same input and different outputs is wrong.")
)
LEAK = _error("leak", mark("A test that can be its own demonstration measures nothing."))
NEAR_REPEAT = _warning(
    "near-repeat",
    mark(
        "Rows that differ in case, punctuation or a word may count twice, and leak like equal ones."
    ),
)
LABEL_MISSING = _warning("label-missing", mark("A label without demonstrations cannot be shown."))
LABEL_UNTESTED = _note("label-untested", mark("A label without tests is not evaluated."))
IMBALANCE = _warning(
    "imbalance", mark("With imbalanced labels, always answering the commonest one looks accurate.")
)
PADDED = _warning(
    "padded-value", mark("White space around a value is part of every prompt that shows it.")
)
ANSWER_IN_INPUT = _warning(
    "answer-in-input",
    mark("Where most inputs contain their own label, copying it looks like a correct answer."),
)
MIXED_FORMS = _warning(
    "mixed-normal-forms",
    mark("A character that is spelt in two ways looks the same and has other tokens."),
)
LABEL_NFC = _warning(
    "label-nfc",
    mark("A label that Unicode NFC changes is not what a keyboard, a file or a model writes."),
)
LABEL_CHARACTERS = _warning(
    "label-characters",
    mark(
        "Labels that differ only in case, or contain an invisible character, are easily confused."
    ),
)

# --- a model's tokens -----------------------------------------------------------------------------

CANNOT_ASK = _error_of_model(
    "cannot-ask", mark("A prompt that this model cannot be asked stops every other command.")
)
BASE_MODEL_CHAT = _error_of_model(
    "base-model-chat", mark("A model without a chat template has no turns.")
)
CHAT_MODEL_RAW = _note_of_model(
    "chat-model-raw",
    mark("A chat model may answer better in turns than in raw text; a comparison says so."),
)
SYSTEM_IN_USER = _note_of_model(
    "system-in-user",
    mark("Where a chat template has no system turn, `{% system or user %}` stands in the user's."),
)
DOUBLE_BOS = _error_of_model(
    "double-bos", mark("The beginning of a text is marked once, and promptkit does that.")
)
TOO_LONG = _warning_of_model("too-long", mark("A prompt that exceeds the context cannot be run."))
LABEL_PREFIX = _warning_of_model(
    "label-prefix",
    mark(
        "Where a label's tokens are a prefix of another's, only the answer's end "
        "distinguishes them."
    ),
)
LABEL_MERGES = _warning_of_model(
    "label-merges",
    mark(
        "A label that merges with the text in front of it is scored by other "
        "tokens than it has alone."
    ),
)
LABEL_ROUND_TRIP = _error_of_model(
    "label-round-trip",
    mark("A label that the tokenizer writes in another way is not the label that is scored."),
)
LABEL_START = _note_of_model(
    "label-start",
    mark("Labels that share their first token are only distinguished by later tokens."),
)
LABEL_LENGTHS = _note_of_model(
    "label-lengths",
    mark("The score is a sum over tokens, so a label of many tokens scores lower than one of few."),
)
LABEL_BYTES = _warning_of_model(
    "label-bytes",
    mark(
        "A label in parts of characters is scored through tokens that the model has seldom read so."
    ),
)
TOKEN_COST = _note_of_model(
    "token-cost",
    mark("Scripts that a vocabulary covers poorly take more tokens, so that fewer shots fit."),
)
COSTLY_SCRIPT = _warning_of_model(
    "costly-script",
    mark(
        "A script in pieces fills the context, takes long to read, and is seldom "
        "one the model knows."
    ),
)


RULES = tuple(rule for rule in list(vars().values()) if isinstance(rule, Rule))
"""Every rule, in the order of `docs/lint.md`."""
