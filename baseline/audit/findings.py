"""What a check hands back: one finding, with the places where the user should look."""

from dataclasses import dataclass
from typing import Literal

State = Literal["pass", "fail", "not applicable"]


@dataclass(frozen=True)
class Picture:
    """A picture as a data URI, and what it shows."""

    uri: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of texts under their column names."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Item:
    """One place to look at.

    Parameters
    ----------
    subject : str
        What it is about: an image, a pair of them, a patient, a tag.
    text : str
        What is odd about it.
    ids : tuple of str
        The images that it names.
    pictures : tuple of Picture
    """

    subject: str
    text: str
    ids: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Parameters
    ----------
    check : str
        Name of the check.
    state : {"pass", "fail", "not applicable"}
    sentence : str
        The result in one sentence.
    pipeline : str
        What the pipeline does about it.
    user : str
        What the user can do.
    items : tuple of Item
        Places to look at, the worst first; none where the check passed.
    tables, pictures
        What the page shows whatever the state.
    """

    check: str
    state: State
    sentence: str
    pipeline: str
    user: str
    items: tuple[Item, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


def count(number: int, noun: str) -> str:
    """A number and its noun: "1 image", "2 images", "no images"."""
    words = {0: "no"}.get(number, f"{number:,}")
    return f"{words} {noun}" if number == 1 else f"{words} {noun}s"
