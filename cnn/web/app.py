"""The service over HTTP: pages for people, an API for programs, by one set of addresses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, File, Form, Path, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp

from cnn.study.answer import Answer
from cnn.web import guard, intake, pages, refusals, rendering
from cnn.web.drawing import PICTURES
from cnn.web.outlines import OutlineError
from cnn.web.refusals import Refused
from cnn.web.service import Service
from cnn.web.shown import Shown
from cnn.web.token import Token
from cnn.web.uploads import Upload
from features.run.files import UserError
from features.run.version import VERSION

# FastAPI would look for programs to report to; this service reports to nobody.
SILENT: Any = dict.fromkeys(
    ("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False
)
# The answer's schema, and those of its parts.
(ANSWER,), ANSWER_PARTS = msgspec.json.schema_components(
    (Answer,), ref_template="#/components/schemas/{name}"
)
# Seconds between two looks for answers that are too old.
SWEEPING = 20.0

StudyName = Annotated[str, Path(description="As in the header Location of its upload")]


NO_X_RAY = (
    "No X-ray was sent; send a DICOM, PNG, JPEG or TIFF file in the form's field 'file', or the "
    "number of a phantom in its field 'sample'."
)


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


class Drawn(BaseModel):
    """An outline: run-length code on the grid of xray.png, "-1" for no pneumothorax."""

    code: str
    reader: str


class KeptOutline(BaseModel):
    """An outline as it stands in the csv, its code on the file's own grid."""

    image: str
    code: str
    reader: str
    time: str


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in statuses}


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
    _add_studies(app, service)
    _add_pen(app, service)
    _add_pages(app, service, token)
    _add_operations(app, service)
    app.openapi()["components"]["schemas"].update(ANSWER_PARTS)
    return guard.around(intake.bounded(app, service), token)


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


def _add_studies(app: FastAPI, service: Service) -> None:
    """Uploads, answers and their pictures."""

    @app.post(
        "/studies",
        status_code=201,
        responses={
            201: {"content": {"application/json": {"schema": ANSWER}}},
            **_problems(400, 401, 403, 408, 413, 422, 503),
        },
    )
    async def answer(
        request: Request,
        file: Annotated[UploadFile | None, File(description="DICOM, PNG, JPEG or TIFF")] = None,
        sample: Annotated[int | None, Form(description="Or one of the phantoms, from 1")] = None,
    ) -> Response:
        """Answer on one X-ray; its address is in the header Location."""
        if sample is not None and 1 <= sample <= len(service.samples):
            name, shown = await service.sample(sample)
        elif file is not None and file.filename and sample is None:
            name, shown = await service.answer(Upload(file.filename, file.file))
        else:
            raise Refused(422, NO_X_RAY)
        if refusals.wants_page(request.scope):
            return RedirectResponse(f"/pages/{name}", 303)
        return _json(shown.json, 201, {"Location": f"/studies/{name}"})

    @app.get(
        "/studies/{name}",
        responses={
            200: {"content": {"application/json": {"schema": ANSWER}}},
            **_problems(401, 403, 404, 422),
        },
    )
    async def again(name: StudyName) -> Response:
        """The same answer again, until it is forgotten."""
        return _json(_found(service, name).json)

    @app.delete("/studies/{name}", status_code=204, responses=_problems(401, 403, 404, 422))
    async def forget(name: StudyName) -> Response:
        """Forget an answer and its pictures at once."""
        if not service.kept.remove(name):
            raise _gone()
        return Response(status_code=204)

    @app.get(
        "/studies/{name}/pictures/{picture}",
        response_class=Response,
        responses={
            200: {"content": {"image/png": {}, "image/svg+xml": {}}},
            **_problems(401, 403, 404, 422),
        },
    )
    async def picture(
        name: StudyName,
        picture: Annotated[str, Path(description=", ".join(PICTURES))],
    ) -> Response:
        """The X-ray, the mask on the file's own grid, or a layer over the X-ray."""
        found = _found(service, name).pictures.get(picture)
        if found is None:
            raise Refused(404, "This X-ray has no such picture; see /openapi.json for their names.")
        kind, content = found
        return Response(content, media_type=kind, headers={"Cache-Control": "private, max-age=600"})


def _add_pen(app: FastAPI, service: Service) -> None:
    """Readers' outlines, where the service was told to keep them."""
    outlines = service.outlines
    if outlines is None:
        return

    @app.post(
        "/studies/{name}/outline",
        status_code=201,
        responses=_problems(400, 401, 403, 404, 422, 507),
    )
    async def outline(name: StudyName, drawn: Drawn) -> KeptOutline:
        """Keep a reader's outline; a former one of the same reader goes for it."""
        study = _found(service, name)
        try:
            row = outlines.add(study, drawn.code, drawn.reader)
        except OutlineError as error:
            raise Refused(422, str(error)) from None
        except UserError as error:
            raise Refused(507, str(error)) from None
        return KeptOutline(image=row.image, code=row.code, reader=row.reader, time=row.time)


def _found(service: Service, name: str) -> Shown:
    shown = service.kept.get(name)
    if shown is None:
        raise _gone()
    return shown


def _gone() -> Refused:
    return Refused(
        404, "No such study, or it has been forgotten meanwhile; send the X-ray once more."
    )


def _json(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(text, status, headers, "application/json")


def _add_pages(app: FastAPI, service: Service, token: Token | None) -> None:
    """What people look at."""

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return HTMLResponse(pages.start(service))

    @app.get("/pages/{name}", include_in_schema=False)
    async def study(name: StudyName) -> Response:
        return HTMLResponse(pages.study(service, name, _found(service, name)))

    @app.get("/samples/{number}.jpg", include_in_schema=False)
    async def thumbnail(number: int) -> Response:
        if not 1 <= number <= len(service.samples):
            raise HTTPException(404)
        content = service.samples[number - 1].thumbnail
        return Response(content, media_type="image/jpeg")

    @app.get("/static/{file}", include_in_schema=False)
    async def static(file: str) -> Response:
        if file not in rendering.static_files():
            raise HTTPException(404)
        kind, content = rendering.static_files()[file]
        return Response(content, headers={"Content-Type": kind, "Cache-Control": "no-cache"})

    if token is None:
        return

    @app.get("/token", include_in_schema=False)
    async def ask() -> Response:
        return token.ask()

    @app.post("/token", include_in_schema=False)
    async def given(secret: Annotated[str, Form()]) -> Response:
        if token.is_right(secret):
            return token.welcome()
        await asyncio.sleep(1)  # whoever guesses shall wait
        return token.ask("That is not the token; look at how the service was started.")


def _add_operations(app: FastAPI, service: Service) -> None:
    """What those ask who run the service."""

    @app.get("/healthz")
    async def health() -> JSONResponse:
        """Whether the service is up."""
        return JSONResponse({"status": "ok", "version": VERSION})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}}}, **_problems(401, 403)},
    )
    async def metrics() -> Response:
        """Counts and times in Prometheus' format."""
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4")
