"""Rendered prompts as values, and their previews."""
