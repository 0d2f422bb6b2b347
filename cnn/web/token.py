"""The secret of a service that other machines may reach, compared in constant time."""

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cnn.page import rendering

COOKIE = "pneumothorax"
SHORTEST = 16


class Token:
    """A secret that visitors give.

    Parameters
    ----------
    secret : str
        At least `SHORTEST` characters.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        # A browser keeps this instead; it is worth nothing once the service has ended.
        key = secrets.token_bytes(32)
        self._cookie = hmac.new(key, self._secret, hashlib.sha256).hexdigest()

    def is_right(self, given: str) -> bool:
        """Whether a visitor has given the secret."""
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._secret)

    def is_known(self, headers: Headers) -> bool:
        """Whether a request has the secret in its header, or the cookie of who gave it before."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_right(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        value = "" if cookie is None else cookie.value
        return hmac.compare_digest(value.encode(), self._cookie.encode())

    def ask(self, sentence: str = "") -> Response:
        """The page that asks for the secret."""
        return HTMLResponse(rendering.page("token.html", {"sentence": sentence}), 401)

    def welcome(self) -> Response:
        """To the start page, with the cookie."""
        response = RedirectResponse("/", 303)
        response.set_cookie(COOKIE, self._cookie, httponly=True, samesite="strict")
        return response
