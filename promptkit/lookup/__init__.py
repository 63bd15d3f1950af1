"""Stored answers, looked up without a model."""
