"""Other formats of a template, made from its own syntax."""
