"""Prompts to stored predictions."""
