"""Predictors behind HTTP: an ASGI application, and a server that runs it."""

from __future__ import annotations

from importlib import util

from promptkit.errors import MissingExtraError
from promptkit.translation import tr

if None in (
    util.find_spec("httptools"),
    util.find_spec("prometheus_client"),
    util.find_spec("starlette"),
    util.find_spec("swagger_ui"),
    util.find_spec("uvicorn"),
):
    raise MissingExtraError(tr("serving"), "server")
