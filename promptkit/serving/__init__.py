"""Predictors behind HTTP: an ASGI application, and a server that runs it."""

from __future__ import annotations

from importlib.util import find_spec

from promptkit.errors import MissingExtraError

if None in (
    find_spec("httptools"),
    find_spec("prometheus_client"),
    find_spec("starlette"),
    find_spec("swagger_ui"),
    find_spec("uvicorn"),
):
    raise MissingExtraError("serving", "server")
