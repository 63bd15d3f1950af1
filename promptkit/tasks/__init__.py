"""Tasks: typed examples, output types, and the files that hold them."""
