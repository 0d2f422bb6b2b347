"""The addresses that people look at: pages, and what these link to."""

import asyncio
from typing import Annotated

from fastapi import FastAPI, Form
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from cnn.page import rendering
from cnn.web import pages
from cnn.web.addresses import StudyName, found
from cnn.web.service import Service
from cnn.web.token import Token


def add_pages(app: FastAPI, service: Service, token: Token | None) -> None:
    """What people look at."""

    @app.get("/", include_in_schema=False)
    async def start() -> Response:
        return HTMLResponse(pages.start(service))

    @app.get("/pages/{name}", include_in_schema=False)
    async def study(name: StudyName) -> Response:
        return HTMLResponse(pages.study(service, name, found(service, name)))

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
