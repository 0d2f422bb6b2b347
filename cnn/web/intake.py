"""How much may come in: bytes and seconds of an upload, and uploads at once.

An upload that is refused for its size is read on for a while and thrown away: most programs that
send look at the answer only once they have sent all.
"""

import asyncio
import time
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnn.web import refusals
from cnn.web.refusals import Refused
from cnn.web.service import Service
from cnn.web.settings import MEBIBYTE

UPLOADS = "/studies"
# Bytes and seconds of what is thrown away.
DRAINED, DRAINING = 1024 * MEBIBYTE, 30.0
# Bytes of a request that uploads nothing.
SMALL = MEBIBYTE


class _Stopped(Exception):
    """The body is read no further."""


def bounded(app: ASGIApp, service: Service) -> ASGIApp:
    """Bound what comes in.

    Parameters
    ----------
    app : ASGI application
    service : Service
        Whose limits count.
    """
    busy = 0

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal busy
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        is_upload = scope["path"] == UPLOADS and scope["method"] == "POST"
        if not is_upload:
            await _Body(app, service, is_upload, scope, receive, send).go()
            return
        if busy >= service.limits.uploads:
            service.meters.count("busy")
            refused = Refused(
                503,
                f"{busy} X-rays are waiting already; try again in a moment.",
                service.retry_after(),
            )
            await refusals.of(scope, refused)(scope, receive, send)
            return
        busy += 1
        service.meters.in_progress.set(busy)
        try:
            await _Body(app, service, is_upload, scope, receive, send).go()
        finally:
            busy -= 1
            service.meters.in_progress.set(busy)

    return guarded


class _Body:
    """One request whose body is counted while it comes in."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        is_upload: bool,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._app, self._service, self._is_upload = app, service, is_upload
        self._most = service.limits.upload_bytes if is_upload else SMALL
        self._scope, self._receive, self._send = scope, receive, send
        self._until = time.monotonic() + service.limits.receive_seconds
        self._count, self._ended, self._begun = 0, False, False
        self._refused: Refused | None = None

    async def go(self) -> None:
        """Hand the request on, or refuse it."""
        length = Headers(scope=self._scope).get("content-length", "")
        if length.isdecimal() and int(length) > self._most:
            self._refused = self._too_large()
        else:
            with suppress(_Stopped):
                await self._app(self._scope, self._next, self._pass_on)
        if self._refused is None or self._begun:
            return
        if self._refused.status == 413:
            await self._drain()
        await refusals.of(self._scope, self._refused)(self._scope, self._receive, self._send)

    async def _next(self) -> Message:
        """The next part of the body, if there is room and time for it."""
        if self._ended:
            return await self._receive()  # that the visitor is gone
        try:
            async with asyncio.timeout(max(self._until - time.monotonic(), 0)):
                message = await self._receive()
        except TimeoutError:
            seconds = self._service.limits.receive_seconds
            what = self._counted("too_slow")
            self._refused = Refused(
                408, f"The {what} did not arrive within {seconds:g} seconds; send it again."
            )
            raise _Stopped from None
        self._count += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._count > self._most:
            self._refused = self._too_large()
            raise _Stopped
        return message

    async def _pass_on(self, message: Message) -> None:
        """Send the application's response, unless the request has been refused meanwhile."""
        if self._refused is None or self._begun:
            self._begun = True
            await self._send(message)

    def _too_large(self) -> Refused:
        what, most = self._counted("too_large"), self._most // MEBIBYTE
        advice = "send one X-ray by itself" if self._is_upload else "send less"
        return Refused(413, f"The {what} is larger than {most} MB; {advice}.")

    def _counted(self, outcome: str) -> str:
        """Count the outcome of an upload; what the request is, in a word."""
        if self._is_upload:
            self._service.meters.count(outcome)
        return "upload" if self._is_upload else "request"

    async def _drain(self) -> None:
        """Throw away what still comes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAINING):
                while not self._ended and self._count < DRAINED:
                    message = await self._receive()
                    self._count += len(message.get("body", b""))
                    self._ended = not message.get("more_body", False)
