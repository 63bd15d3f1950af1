"""Predictors behind HTTP: an ASGI application, and a server that runs it."""
