"""Variants of a template's format, made from its own syntax."""
