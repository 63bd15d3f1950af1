"""Bodies of requests: read within limits of size and time, and decoded."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import ClientDisconnect, Request

from promptkit.serving.refusal import RefusalError
from promptkit.serving.service_limits import ServiceLimits
from promptkit.translation import tr


async def json_of(request: Request, limits: ServiceLimits) -> Any:
    """Return the value that the body of a request holds.

    Raises:
        RefusalError: It is too large, comes too slowly, or is not JSON.
    """
    try:
        body = await asyncio.wait_for(_read(request, limits.body_bytes), limits.seconds)
    except asyncio.TimeoutError:
        raise RefusalError(
            408, tr("the body did not come within {seconds:g} s", seconds=limits.seconds)
        ) from None
    except ClientDisconnect:
        raise RefusalError(400, tr("the client went away")) from None
    try:
        return json.loads(body)
    except RecursionError:
        raise RefusalError(400, tr("no JSON: it is nested too deeply")) from None
    except ValueError as error:
        raise RefusalError(400, tr("no JSON: {error}", error=error)) from None


async def _read(request: Request, most: int) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most:
        raise _too_large(most)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> RefusalError:
    return RefusalError(
        413, tr("the body is larger than {most:,} bytes; send fewer inputs at once", most=most)
    )
