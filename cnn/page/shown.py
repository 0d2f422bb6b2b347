"""An answered X-ray as the page shows it and the API hands it out."""

from dataclasses import dataclass

from baseline.evidence_map.maps import EvidenceMap
from baseline.report.waterfall import Bar
from cnn.study.answer import Answer
from features.reading.placement import Placement

PNG, SVG = "image/png", "image/svg+xml"


@dataclass(frozen=True)
class Layer:
    """What can be laid over the X-ray.

    Parameters
    ----------
    name : str
        One of `drawing.LAYERS`.
    title, legend : str
        What it is called, and how its colours are to be read.
    drawing : str
        Elements of SVG, in pixels of `Shown.size`; "" where there is nothing to draw.
    """

    name: str
    title: str
    legend: str
    drawing: str


@dataclass(frozen=True)
class Shown:
    """A study to be looked at.

    Parameters
    ----------
    answer : Answer
    json : str
        The same as JSON.
    size : (int, int)
        Columns and rows of the working size, in which layers are drawn.
    layers : tuple of Layer
    pictures : dict
        Content type and bytes, by file name: one of `drawing.PICTURES`.
    window : (float, float)
        Grey levels in [0, 1] that are shown black and white at first.
    grid : (int, int)
        Rows and columns of xray.png, in whose pixels the pen draws.
    deep : bool
        Whether the file has more grey levels than a byte holds, so that the page reads levels.png.
    by_place, by_measure : list of Bar
        Waterfalls.
    place : Placement
        Where the picture lies in the file, on whose grid masks are coded.
    truth : str or None
        What is known of the truth, in words; None for nothing.
    evidence_map : EvidenceMap
        What the pen snaps to; `maps.EMPTY` where the lungs are too small for it.
    """

    answer: Answer
    json: str
    size: tuple[int, int]
    layers: tuple[Layer, ...]
    pictures: dict[str, tuple[str, bytes]]
    window: tuple[float, float]
    grid: tuple[int, int]
    deep: bool
    by_place: list[Bar]
    by_measure: list[Bar]
    place: Placement
    truth: str | None
    evidence_map: EvidenceMap
