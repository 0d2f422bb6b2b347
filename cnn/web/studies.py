"""The API's addresses: an X-ray is sent, its answer and pictures are fetched, it is forgotten."""

from typing import Annotated

from fastapi import FastAPI, File, Form, Path, Request, UploadFile
from fastapi.responses import RedirectResponse, Response

from cnn.page.drawing import PICTURES
from cnn.web import refusals
from cnn.web.addresses import ANSWER, NO_X_RAY, StudyName, as_json, found, gone, problems
from cnn.web.refusals import Refused
from cnn.web.service import Service
from cnn.web.uploads import Upload


def add_uploads(app: FastAPI, service: Service) -> None:
    """Where X-rays are sent."""

    @app.post(
        "/studies",
        status_code=201,
        responses={
            201: {"content": {"application/json": {"schema": ANSWER}}},
            **problems(400, 401, 403, 408, 413, 422, 503),
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
        return as_json(shown.json, 201, {"Location": f"/studies/{name}"})


def add_answers(app: FastAPI, service: Service) -> None:
    """Answers and pictures, until they are forgotten."""

    @app.get(
        "/studies/{name}",
        responses={
            200: {"content": {"application/json": {"schema": ANSWER}}},
            **problems(401, 403, 404, 422),
        },
    )
    async def again(name: StudyName) -> Response:
        """The same answer again, until it is forgotten."""
        return as_json(found(service, name).json)

    @app.delete("/studies/{name}", status_code=204, responses=problems(401, 403, 404, 422))
    async def forget(name: StudyName) -> Response:
        """Forget an answer and its pictures at once."""
        if not service.kept.remove(name):
            raise gone()
        return Response(status_code=204)

    @app.get(
        "/studies/{name}/pictures/{picture}",
        response_class=Response,
        responses={
            200: {"content": {"image/png": {}, "image/svg+xml": {}}},
            **problems(401, 403, 404, 422),
        },
    )
    async def picture(
        name: StudyName,
        picture: Annotated[str, Path(description=", ".join(PICTURES))],
    ) -> Response:
        """The X-ray, the mask on the file's own grid, or a layer over the X-ray."""
        known = found(service, name).pictures.get(picture)
        if known is None:
            raise Refused(404, "This X-ray has no such picture; see /openapi.json for their names.")
        kind, content = known
        return Response(content, media_type=kind)
