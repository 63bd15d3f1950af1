"""Predictors in a row, the cheapest first; and loading of whatever is saved that predicts."""
