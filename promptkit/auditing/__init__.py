"""Audits: what a predictor does to groups, to swapped terms, and by its prompt alone."""
