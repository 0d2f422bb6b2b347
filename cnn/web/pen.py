"""The pen's addresses, where the service was told to keep readers' outlines."""

from typing import Annotated

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from baseline.evidence_map import maps
from cnn.page import snapping
from cnn.page.outlines import OutlineError
from cnn.web.addresses import StudyName, found, problems
from cnn.web.refusals import Refused
from cnn.web.service import Service
from features.run.files import UserError


class Drawn(BaseModel):
    """An outline: run-length code on the grid of xray.png, "-1" for no pneumothorax.

    Rows and columns are that grid's, so that a code of another grid is recognised.
    """

    code: str
    rows: int
    columns: int
    reader: str


class KeptOutline(BaseModel):
    """An outline as it stands in the csv, its code on the file's own grid."""

    image: str
    code: str
    reader: str
    time: str


# Column or row as a share of the picture's width or height.
Share = Annotated[float, Field(ge=0, le=1)]


class Line(BaseModel):
    """A closed line: column and row of each point, as shares of the picture's width and height."""

    points: Annotated[list[tuple[Share, Share]], Field(max_length=20_000)]


def add_pen(app: FastAPI, service: Service) -> None:
    """Readers' outlines, where the service was told to keep them."""
    outlines = service.outlines
    if outlines is None:
        return

    @app.post(
        "/studies/{name}/outline",
        status_code=201,
        responses=problems(400, 401, 403, 404, 422, 507),
    )
    async def outline(name: StudyName, drawn: Drawn) -> KeptOutline:
        """Keep a reader's outline; a former one of the same reader goes for it."""
        study = found(service, name)
        try:
            row = outlines.add(study, drawn.code, (drawn.rows, drawn.columns), drawn.reader)
        except OutlineError as error:
            raise Refused(422, str(error)) from None
        except UserError as error:
            raise Refused(507, str(error)) from None
        return KeptOutline(image=row.image, code=row.code, reader=row.reader, time=row.time)

    @app.post("/studies/{name}/snap", responses=problems(400, 401, 403, 404, 422))
    async def snap(name: StudyName, line: Line) -> Line:
        """Move a line that was drawn roughly to the edge of the evidence map; keeps nothing."""
        study = found(service, name)  # here, since all who look studies up share this thread
        points = np.array(line.points, np.float64).reshape(-1, 2)
        painted = maps.paint(study.evidence_map, study.size[::-1])
        try:
            moved = await run_in_threadpool(snapping.snap, points, painted)
        except UserError as error:
            raise Refused(422, str(error)) from None
        return Line(points=moved.tolist())
