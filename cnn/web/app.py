"""The service over HTTP: pages for people, an API for programs, by one set of addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from cnn.page import rendering
from cnn.web import guard, intake, pen, refusals, studies, visits
from cnn.web.addresses import ANSWER_PARTS, NO_X_RAY, problems
from cnn.web.refusals import Refused
from cnn.web.service import Service
from cnn.web.token import Token
from features.run.version import VERSION

# FastAPI would look for programs to report to; this service reports to nobody.
SILENT: Any = dict.fromkeys(
    ("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False
)
# Seconds between two looks for answers that are too old.
SWEEPING = 20.0


def build(service: Service, token: Token | None = None) -> ASGIApp:
    """The application.

    Parameters
    ----------
    service : Service
        Closed when the application ends.
    token : Token, optional
        What visitors must know.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (_sweep(service), service.warm_up())]
        for task in tasks:
            task.add_done_callback(_say_fault)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            service.close()

    app = FastAPI(
        title="Pneumothorax, with reasons",
        description=rendering.NOTICE,
        version=VERSION,
        lifespan=life,
        docs_url=None,  # they would load their scripts from a network
        redoc_url=None,
        telemetry=SILENT,
    )
    _add_refusals(app)
    studies.add_uploads(app, service)
    studies.add_answers(app, service)
    pen.add_pen(app, service)
    visits.add_pages(app, service, token)
    _add_operations(app, service)
    app.openapi()["components"]["schemas"].update(ANSWER_PARTS)
    return guard.around(intake.bounded(app, service), token)


def _say_fault(task: asyncio.Task[None]) -> None:
    """Print where work that nobody waits for has failed."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        guard.say_fault(error)


async def _sweep(service: Service) -> None:
    """Forget what is too old, also while nobody asks for anything."""
    while True:
        service.meters.kept.set(service.kept.sweep())
        await asyncio.sleep(SWEEPING)


def _add_refusals(app: FastAPI) -> None:
    """One sentence for everything that goes wrong."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return refusals.of(request.scope, error)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return refusals.response(request.scope, 500, guard.FAULT)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][1:])
        what = error.errors()[0]["msg"]
        sentence = NO_X_RAY if where == "file" else f"{where or 'The request'}: {what}."
        return refusals.response(request.scope, 422, sentence)

    @app.exception_handler(HTTPException)
    async def odd(request: Request, error: HTTPException) -> Response:
        sentence = {
            404: "There is nothing at this address; begin at the start page.",
            405: "This address is not for that; see /openapi.json.",
        }.get(error.status_code, "The request could not be read; send a form with one file.")
        headers = dict(error.headers or {})
        if error.status_code == 405:  # the first of several routes knows its own methods alone
            routes = [r for r in app.routes if isinstance(r, Route)]
            fitting = [r for r in routes if r.matches(request.scope)[0] is not Match.NONE]
            headers["Allow"] = ", ".join(sorted({m for r in fitting for m in r.methods or ()}))
        return refusals.response(request.scope, error.status_code, sentence, headers)


def _add_operations(app: FastAPI, service: Service) -> None:
    """What those ask who run the service."""

    @app.get("/healthz")
    async def health() -> JSONResponse:
        """Whether the service is up."""
        return JSONResponse({"status": "ok", "version": VERSION})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **problems(401, 403)},
    )
    async def metrics() -> Response:
        """Counts and times in Prometheus' format."""
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4")
