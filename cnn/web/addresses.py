"""What the addresses of the API share: names, schemas, and the sentences for what is not there."""

from typing import Annotated, Any

import msgspec
from fastapi import Path
from fastapi.responses import Response
from pydantic import BaseModel

from cnn.page.shown import Shown
from cnn.study.answer import Answer
from cnn.web.refusals import Refused
from cnn.web.service import Service

# The answer's schema, and those of its parts.
(ANSWER,), ANSWER_PARTS = msgspec.json.schema_components(
    (Answer,), ref_template="#/components/schemas/{name}"
)
NO_X_RAY = (
    "No X-ray was sent; send a DICOM, PNG, JPEG or TIFF file in the form's field 'file', or the "
    "number of a phantom in its field 'sample'."
)

StudyName = Annotated[str, Path(description="As in the header Location of its upload")]


class Problem(BaseModel):
    """Why there is no answer."""

    error: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What openapi.json says of these statuses."""
    return {status: {"model": Problem} for status in statuses}


def found(service: Service, name: str) -> Shown:
    """A study by its name.

    Raises
    ------
    Refused
        If there is none any more.
    """
    shown = service.kept.get(name)
    if shown is None:
        raise gone()
    return shown


def gone() -> Refused:
    """What is said of a study that is not there."""
    return Refused(
        404, "No such study, or it has been forgotten meanwhile; send the X-ray once more."
    )


def as_json(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A response of JSON that is text already."""
    return Response(text, status, headers, "application/json")
