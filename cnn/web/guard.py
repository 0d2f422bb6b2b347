"""What stands before the service: response headers, whose requests are heard, and faults of ours.

Each is an ASGI application around another. The order is that of `around`: headers go onto every
response, also onto those of the others.
"""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cnn.web import refusals
from cnn.web.token import Token

POLICY = (
    "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")
FAULT = "This is a fault of the program, not of the file; please report it."
SAFE = ("GET", "HEAD", "OPTIONS")
# Paths that need no token: those by which it is given, and whether the service is up.
OPEN = ("/token", "/healthz", "/static/")


def around(app: ASGIApp, token: Token | None) -> ASGIApp:
    """The application behind all guards.

    Parameters
    ----------
    app : ASGI application
    token : Token or None
        What visitors must know; None where the service is heard on this machine alone.
    """
    return with_headers(without_faults(same_origin(with_token(app, token), token is not None)))


def with_headers(app: ASGIApp) -> ASGIApp:
    """Put `HEADERS` onto every response."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, sending if scope["type"] == "http" else send)

    return guarded


def _print(text: str) -> None:
    print(text, file=sys.stderr)


def say_fault(error: BaseException, say: Callable[[str], None] = _print) -> None:
    """Print where a fault of ours lies, but nothing that it quotes."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}"
    say(f"a fault of ours: {type(error).__name__} in {place}")


def without_faults(app: ASGIApp, say: Callable[[str], None] = _print) -> ASGIApp:
    """Print where a fault of ours lies, but nothing that it quotes: that may be a visitor's."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await app(scope, receive, sending)
        except Exception as error:
            if scope["type"] != "http":
                raise
            say_fault(error, say)
            if not begun:
                await refusals.response(scope, 500, FAULT)(scope, receive, send)

    return guarded


def same_origin(app: ASGIApp, is_wide: bool) -> ASGIApp:
    """Hear no request that another site's page makes a browser send.

    On this machine alone there is no token, so a name that another site has pointed to this
    machine (DNS rebinding) is not answered either.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (sentence := cross_site_reason(scope, is_wide)):
            await refusals.response(scope, 403, sentence)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


def cross_site_reason(scope: Scope, is_wide: bool) -> str:
    """Why a request comes from elsewhere; "" if it does not."""
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    parts = _parts(f"//{host}")
    if not is_wide and (parts is None or parts.hostname not in LOOPBACK):
        return "This service is heard on this machine alone; ask for 127.0.0.1 or localhost."
    if scope["method"] in SAFE:
        return ""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    came_from = None if origin is None else _parts(origin)
    is_foreign = origin is not None and (came_from is None or came_from.netloc != host)
    if is_foreign or site in ("cross-site", "same-site"):
        return "This request comes from another site's page; send it from this service's own."
    return ""


def _parts(address: str) -> SplitResult | None:
    """The parts of an address; None if it is none."""
    try:
        return urlsplit(address)
    except ValueError:
        return None


def with_token(app: ASGIApp, token: Token | None) -> ASGIApp:
    """Let in who knows the token, by cookie or header."""
    if token is None:
        return app

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        needs = scope["type"] == "http" and not scope["path"].startswith(OPEN)
        if not needs or token.is_known(Headers(scope=scope)):
            await app(scope, receive, send)
            return
        response = refusals.response(
            scope,
            401,
            "A token is needed: give it on the page /token, or in the header "
            "'Authorization: Bearer <token>'.",
            {"WWW-Authenticate": "Bearer"},
        )
        if refusals.wants_page(scope) and scope["method"] == "GET":
            response = token.ask()
        await response(scope, receive, send)

    return guarded
