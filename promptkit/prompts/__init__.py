"""A rendered prompt as a value, and how it is shown."""
