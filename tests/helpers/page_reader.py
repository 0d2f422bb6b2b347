"""Reads the tags and the text of a page of the report."""

import re
from html.parser import HTMLParser

import numpy as np


class Page(HTMLParser):
    """A page's tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def every(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every tag of a kind, in order."""
        return [attributes for name, attributes in self.tags if name == tag]


def polygons(path: str) -> list[np.ndarray]:
    """Points of SVG polygons that are written as a place and the steps from it."""
    points = []
    for part in path.strip("M").split("M"):
        numbers = np.array(re.findall(r"-?\d+", part.rstrip("z")), float)
        points.append(np.cumsum(numbers.reshape(-1, 2), axis=0))
    return points
