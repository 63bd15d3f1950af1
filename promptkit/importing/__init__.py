"""Prompts that were written for other tools, as tasks and templates.

No code is run: what only Python can say is named, not carried over.
"""
