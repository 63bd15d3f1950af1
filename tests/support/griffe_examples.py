"""An extension of the site's docstring parser: `Example:` is a section of examples, like `Examples:`."""

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
