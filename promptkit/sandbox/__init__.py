"""Jinja within bounds, for the templates of users and the chat templates of models."""
