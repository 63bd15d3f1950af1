"""Comparisons: the grid of cells, the run over it, and saved runs."""
