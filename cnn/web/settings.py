"""What `pneumothorax serve` is told, and the limits of what visitors may ask for."""

from dataclasses import dataclass
from pathlib import Path

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Serve:
    """Answer on X-rays by a page and an API, on this machine alone unless --host is given."""

    run: Path | None = None
    """Run folder that has come as far as its gate (make gate); without it the model that ships
    answers, which has learned from phantoms alone."""
    host: str = "127.0.0.1"
    """Address to listen on; any but this machine's own needs a token."""
    port: int = 8000
    """Port to listen on; 0 for any that is free."""
    token: str | None = None
    """Secret of at least 16 characters that visitors give first; PNEUMOTHORAX_TOKEN in the
    environment does the same, and is seen by fewer."""
    largest: int = 100
    """Megabytes of the largest upload."""
    keep: float = 15.0
    """Minutes after which an answer and its pictures are forgotten."""
    outlines: Path | None = None
    """Csv file that gets what readers outline on the page; without it there is no pen."""


@dataclass(frozen=True)
class Limits:
    """Bounds on what visitors may ask for, so that one leaves room for the others.

    Parameters
    ----------
    upload_bytes : int
        Of a request's body.
    receive_seconds, answer_seconds : float
        For the body to arrive, and from then on for the answer.
    uploads : int
        Uploads at once, the one that is being answered among them.
    keep_seconds : float
        For which an answer can be looked at.
    keep_studies : int
        Answers that are kept; the oldest goes for a new one.
    """

    upload_bytes: int = 100 * MEBIBYTE
    receive_seconds: float = 60.0
    answer_seconds: float = 60.0
    uploads: int = 16
    keep_seconds: float = 900.0
    keep_studies: int = 100
