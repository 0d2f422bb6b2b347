"""What a visitor is told who gets no answer: one sentence, as JSON or as a page."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from cnn.page import rendering


class Refused(Exception):
    """A request that gets no answer.

    Parameters
    ----------
    status : int
        Of HTTP.
    sentence : str
        What was wrong, the rule and the repair.
    retry_after : int, optional
        Seconds after which it may be tried again.
    """

    def __init__(self, status: int, sentence: str, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def wants_page(scope: Scope) -> bool:
    """Whether a person in a browser asks, not a program."""
    return "text/html" in Request(scope).headers.get("accept", "")


def response(
    scope: Scope, status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that says no.

    Parameters
    ----------
    scope : Scope
        Of the request.
    status : int
    sentence : str
    headers : mapping, optional
        Further headers.
    """
    if wants_page(scope):
        page = rendering.page("refused.html", {"sentence": sentence})
        return HTMLResponse(page, status, headers)
    return JSONResponse({"error": sentence}, status, headers)


def of(scope: Scope, refused: Refused) -> Response:
    """The response of a `Refused`."""
    return response(scope, refused.status, refused.sentence, refused.headers)
