"""Rendering of Jinja templates to prompts, with the origin of every character."""
