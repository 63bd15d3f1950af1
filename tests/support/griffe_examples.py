"""An extension of the parser of docstrings: `Example:` is a section, as `Examples:` is."""

import re
from typing import Any

import griffe


class ExampleSections(griffe.Extension):
    """Doctests below `Example:`, read as code and not as Markdown."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rename the section of an object's docstring."""
        if obj.docstring is not None:
            text = re.sub(r"^( *)Example:$", r"\1Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = text
