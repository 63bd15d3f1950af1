"""The ASGI application of a predictor: its routes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from promptkit.errors import DataError, PromptkitError, shorten
from promptkit.inference.any_predictor import AnyPredictor
from promptkit.lookup.lookup import Lookup
from promptkit.serving import openapi, systemone
from promptkit.serving.joined_batches import CrowdedError, JoinedBatches
from promptkit.serving.refusal import MOST_FLAWS, RefusalError, flaw, unfit
from promptkit.serving.request_body import json_of
from promptkit.serving.senders import KeptApart, check_sender
from promptkit.serving.served import AnswerList, InputAnswer, Served, SingleAnswer, served
from promptkit.serving.served_lookup import served_lookup
from promptkit.serving.service_limits import RateLimiter, ServiceLimits
from promptkit.serving.service_metrics import ServiceMetrics
from promptkit.tasks.task import Task
from promptkit.text import counted
from promptkit.translation import tr

Handler = Callable[[Request], Awaitable[Response]]

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Names by which a machine calls itself."""


def service(
    predictor: AnyPredictor,
    *,
    task: Task[Any, Any] | None = None,
    limits: ServiceLimits = ServiceLimits(),
    hosts: Sequence[str] | None = None,
    notify: Callable[[str], None] = lambda message: None,
) -> Starlette:
    """Return the ASGI application that answers with a predictor.

    It has the routes /predict, /v1/systemone, /health, /metrics, /openapi.json and /docs, and asks
    the predictor from one thread.

    Args:
        predictor: A predictor, such as `load_predictor` returns.
        task: The task of its inputs; by default its own. A lookup table needs none.
        limits: What requests may hold, take and wait.
        hosts: Names of the service: of hosts that requests may be to, and whose pages may send
            them; None for any, whose own pages may.
        notify: A function that is called with errors that no client caused.

    Returns:
        The application, which any ASGI server runs.

    Raises:
        TaskError: The predictor has no task.

    Example:
        >>> from promptkit import FakeModel, Predictor, Template, load_task
        >>> from starlette.testclient import TestClient
        >>> task = load_task("examples/fruit")
        >>> with TestClient(service(Predictor(task, Template.of(task), FakeModel()))) as client:
        ...     client.post("/predict", json={"name": "lemon"}).json()["label"] in task.labels
        True
    """
    return _Service(_served(predictor, task), limits, hosts, notify).application()


def _served(predictor: AnyPredictor, task: Task[Any, Any] | None) -> Served:
    if isinstance(predictor, Lookup) and predictor.task is None and task is None:
        return served_lookup(predictor)
    return served(predictor, task)


class _Service:
    """Routes of an application, and what they share."""

    def __init__(
        self,
        own: Served,
        limits: ServiceLimits,
        hosts: Sequence[str] | None,
        notify: Callable[[str], None],
    ) -> None:
        self._served, self._limits, self._hosts, self._notify = own, limits, hosts, notify
        self._batches = JoinedBatches(
            own.ask, limits.waiting, lambda batch: self._metrics.batched(batch)
        )
        self._metrics = ServiceMetrics(own.usage, lambda: self._batches.waiting)
        self._limiter = None if limits.rate is None else RateLimiter(limits.rate)
        self._document = openapi.document(own, limits)

    def application(self) -> Starlette:
        """Return the application."""
        post, get = ["POST"], ["GET"]
        routes: list[Any] = [
            Route("/predict", self._route("/predict", self._predict), methods=post),
            Route("/health", self._route("/health", self._health), methods=get),
            Route("/metrics", self._route("/metrics", self._show_metrics), methods=get),
            Route("/openapi.json", self._route("/openapi.json", self._openapi), methods=get),
            Route("/docs", self._route("/docs", self._page), methods=get),
            Route("/docs/page.js", self._route("/docs", self._script), methods=get),
            Route("/", self._route("/docs", self._start), methods=get),
            Mount("/docs", StaticFiles(directory=openapi.assets())),
        ]
        if self._served.labels or self._served.options:
            decide = self._route("/v1/systemone", self._decide)
            routes[:0] = [Route("/v1/systemone", decide, methods=post)]
        handlers: Any = {HTTPException: _refused}
        return Starlette(
            routes=routes,
            lifespan=self._lifespan,
            exception_handlers=handlers,
            middleware=[Middleware(KeptApart)],
        )

    @asynccontextmanager
    async def _lifespan(self, application: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(self._batches.close, self._limits.seconds)

    def _route(self, name: str, handler: Handler) -> Handler:
        """Return a handler that is counted, and that answers errors with their reasons."""

        async def answer(request: Request) -> Response:
            start = perf_counter()
            try:
                check_sender(request, self._hosts)
                response = await handler(request)
            except RefusalError as error:
                response = error.response()
            except Exception as error:
                self._notify(f"{name}: {type(error).__name__}: {shorten(str(error), 200)}")
                reason = tr("the predictor failed; its log says why")
                response = RefusalError(500, reason).response()
            self._metrics.requested(name, response.status_code, perf_counter() - start)
            return response

        return answer

    def _check_rate(self, request: Request) -> None:
        if self._limiter is None:
            return
        client = "" if request.client is None else request.client.host
        if (seconds := self._limiter.wait(client)) > 0:
            raise RefusalError(
                429, tr("more than {rate:g} requests/s", rate=self._limits.rate), seconds
            )

    async def _predict(self, request: Request) -> Response:
        self._check_rate(request)
        data = await json_of(request, self._limits)
        if not isinstance(data, list):
            (answer,) = await self._answers(request, [self._read([], data)])
            predictor = self._served.info()
            return _written(SingleAnswer.model_construct(**vars(answer), predictor=predictor))
        answers = [*await self._answers(request, self._read_all(data))]
        predictor = self._served.info()
        return _written(AnswerList.model_construct(answers=answers, predictor=predictor))

    async def _decide(self, request: Request) -> Response:
        self._check_rate(request)
        asked = systemone.request_of(await json_of(request, self._limits))
        own = self._served
        inputs = [
            self._read(["state"], systemone.input_for(own, asked, name)) for name in asked.questions
        ]
        answers = await self._answers(request, inputs)
        response = systemone.SystemOneResponse(
            model=own.info().name,
            answers={
                name: systemone.decision_of(question, answer)
                for (name, question), answer in zip(asked.questions.items(), answers, strict=True)
            },
            usage=systemone.TokenUsage(input_tokens=sum(one.tokens for one in answers)),
        )
        return _written(response)

    def _read_all(self, data: Sequence[Any]) -> list[Any]:
        """Return the inputs of a list. Raises `RefusalError`, with the flaws of all of them."""
        most = self._limits.inputs
        if not data:
            raise RefusalError(422, [flaw([], tr("an empty list; send at least one input"))])
        if len(data) > most:
            raise RefusalError(
                413,
                tr(
                    "{inputs}; send at most {most:,} at once",
                    inputs=counted(len(data), "input", "inputs"),
                    most=most,
                ),
            )
        inputs, flaws = [], list[Mapping[str, Any]]()
        for place, fields in enumerate(data):
            try:
                inputs.append(self._read([place], fields))
            except RefusalError as error:
                flaws += error.detail
        if flaws:
            raise RefusalError(422, flaws[:MOST_FLAWS])
        return inputs

    def _read(self, place: Sequence[str | int], fields: Any) -> Any:
        try:
            return self._served.read(fields)
        except DataError as error:
            raise RefusalError(422, unfit(place, error)) from None

    async def _answers(self, request: Request, inputs: Sequence[Any]) -> Sequence[InputAnswer]:
        """Return the answers to inputs, unless the client goes away before."""
        answers = await self._asked(request, inputs)
        self._metrics.answered(answers)
        return answers

    async def _asked(self, request: Request, inputs: Sequence[Any]) -> Sequence[InputAnswer]:
        if self._served.instant:
            return self._served.ask(inputs)
        seconds = self._limits.seconds
        try:
            future = asyncio.wrap_future(self._batches.submit(inputs))
        except CrowdedError:
            raise RefusalError(503, tr("too many inputs wait for an answer"), 1) from None
        gone = asyncio.ensure_future(request.receive())  # after the body, only of a disconnection
        try:
            await asyncio.wait((future, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not future.done():
                if gone.done():
                    raise RefusalError(499, tr("the client went away"))
                raise RefusalError(503, tr("not answered within {seconds:g} s", seconds=seconds), 1)
            return future.result()
        except PromptkitError as error:
            raise RefusalError(422, [flaw([], str(error))]) from None
        finally:
            future.cancel()
            gone.cancel()

    async def _health(self, request: Request) -> Response:
        predictor = self._served.info().model_dump()
        return JSONResponse({"status": "ok", "predictor": predictor})

    async def _show_metrics(self, request: Request) -> Response:
        return self._metrics.response(request.headers.get("accept", ""))

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(self._document)

    async def _page(self, request: Request) -> Response:
        policy = {"content-security-policy": openapi.POLICY}
        return Response(openapi.PAGE, media_type="text/html", headers=policy)

    async def _script(self, request: Request) -> Response:
        return Response(openapi.SCRIPT, media_type="text/javascript")

    async def _start(self, request: Request) -> Response:
        return RedirectResponse("docs")


def _written(answer: BaseModel) -> Response:
    return Response(answer.model_dump_json(), media_type="application/json")


async def _refused(request: Request, error: Exception) -> Response:
    """Return the response to a request for which there is no route."""
    assert isinstance(error, HTTPException)
    response = RefusalError(error.status_code, error.detail).response()
    response.headers.update(error.headers or {})
    return response
