"""One case of the report: its X-ray with coloured zones and outlined masks, waterfalls, sentences.

`draw` makes a `DrawnCase` from plain numbers, so that several processes can draw cases. A
`ShownCase` adds prediction and truth; it is all that the macros in templates/case.html need.
"""

import hashlib
from dataclasses import dataclass

import pandas as pd

from baseline.evidence_map.maps import EvidenceMap, paint
from baseline.explanation import overlays
from baseline.explanation.attributions import PLACES
from baseline.explanation.case import Case, strongest
from baseline.explanation.overlays import Contour, Region
from baseline.explanation.sentences import Reason, sentences
from baseline.report import waterfall, which_cases
from baseline.report.waterfall import Bar
from features.families import registry
from features.lungs.prepared import prepare, working_size
from features.reading import images, rle, square_pixels

# Contribution of a zone that is drawn in full colour, in log-odds: 1 makes the odds 2.7 times as
# high. The same on every page of every run, so that colours can be compared; of real X-rays and of
# phantoms alike, one image in twenty has a zone with more.
FULL_COLOUR = 1.0


@dataclass(frozen=True)
class Picture:
    """An X-ray and what is drawn on it.

    Parameters
    ----------
    uri : str
        JPEG data URI.
    width, height : int
        In pixels; outlines use the same coordinates.
    regions : list of Region
        Coloured parts of the lungs.
    truth, predicted : str
        Outlines of the true mask and of the predicted one, "" for none.
    map_contours : list of Contour
        The evidence map; empty where there is none or it is low everywhere.
    """

    uri: str
    width: int
    height: int
    regions: list[Region]
    truth: str
    predicted: str
    map_contours: list[Contour]


@dataclass(frozen=True)
class CaseInputs:
    """What is needed to draw a case.

    Parameters
    ----------
    id, path : str
        The image.
    size : (int, int)
        Its rows and columns.
    case : Case
        SHAP values and percentiles.
    mask, predicted_mask : str
        Run-length codes of the true mask and of the predicted one; "-1" where there is none.
    evidence_map : EvidenceMap or None
        None where the run has none.
    hottest : Reason or None
        The sentence on the map's hottest cell.
    """

    id: str
    path: str
    size: tuple[int, int]
    case: Case
    mask: str = rle.EMPTY
    predicted_mask: str = rle.EMPTY
    evidence_map: EvidenceMap | None = None
    hottest: Reason | None = None


@dataclass(frozen=True)
class DrawnCase:
    """A drawn case.

    `top_zone` is the zone that the sentences name, "" for none, and `top_place` the same in words;
    `has_map` says whether there is an evidence map, even one that is low everywhere.
    """

    id: str
    anchor: str
    picture: Picture
    reasons: list[Reason]
    by_measure: list[Bar]
    by_place: list[Bar]
    by_family: list[Bar]
    top_zone: str
    top_place: str
    has_map: bool


@dataclass(frozen=True)
class PredictedMask:
    """A predicted mask, and what the report shows with it.

    Parameters
    ----------
    mask : str
        Run-length code.
    by : str
        Which map it was cut from, in words.
    rule : str
        What decided whether to keep it, in words.
    kept : bool or None
        None where the classifier has changed since the gate decided.
    level : float
        Probability at which the map was cut.
    dice : float
    """

    mask: str
    by: str
    rule: str
    kept: bool | None
    level: float
    dice: float


@dataclass(frozen=True)
class ShownCase:
    """A case as the templates show it.

    Parameters
    ----------
    drawn : DrawnCase
    probability : float
    truth : float or None
        1 with pneumothorax, 0 without, None unknown.
    area : float or None
        Share of the image in the true mask; None where no mask is known.
    fold : int or None
        Fold whose model predicted it; None for the mean of all.
    tags : str
        Sex, age, view and patient group in a line.
    number : int
        Place in the gallery, from 1; 0 on a page of its own.
    predicted_mask : PredictedMask or None
    """

    drawn: DrawnCase
    probability: float
    truth: float | None
    area: float | None
    fold: int | None
    tags: str = ""
    number: int = 0
    predicted_mask: PredictedMask | None = None

    @property
    def outcome(self) -> str | None:
        """One of `which_cases.OUTCOMES`; None where the truth is unknown."""
        if self.truth is None:
            return None
        return which_cases.outcome(self.probability, self.truth)


def anchor(name: str) -> str:
    """Anchor of an image in the page: the same in every report, whatever its id is made of."""
    return "case-" + hashlib.sha256(name.encode()).hexdigest()[:10]


def draw(inputs: CaseInputs) -> DrawnCase:
    """Draw one case.

    Raises
    ------
    UnreadableImage
        If the image cannot be read any more.
    """
    case = inputs.case
    attribution = pd.Series({place: float(case.within(place).sum()) for place in PLACES})
    picture = draw_picture(inputs, attribution)
    finest_zones = [region.zones[-1] for region in picture.regions]
    top_zone = strongest(case, finest_zones)
    hottest = [inputs.hottest] if inputs.hottest else []
    return DrawnCase(
        id=inputs.id,
        anchor=anchor(inputs.id),
        picture=picture,
        reasons=[*sentences(case, finest_zones), *hottest],
        by_measure=waterfall.by_measure(case),
        by_place=waterfall.by_place(case),
        by_family=waterfall.by_family(case),
        top_zone=top_zone,
        top_place=registry.zone_in_words(top_zone) if top_zone else "",
        has_map=inputs.evidence_map is not None,
    )


def draw_picture(inputs: CaseInputs, attribution: pd.Series) -> Picture:
    """The X-ray at the working size of 512 pixels, with coloured zones and outlined masks.

    Parameters
    ----------
    inputs : CaseInputs
    attribution : Series
        Sum of the SHAP values by place, in log-odds.
    """
    pixels = images.read(inputs.path)[1]
    prepared = prepare(pixels)
    small = working_size(pixels)
    rows, columns = small.shape

    def outlined(code: str) -> str:
        return overlays.outline(
            square_pixels.resample_mask(rle.decode(code, inputs.size), small.shape)
        )

    contours = []
    if inputs.evidence_map is not None:
        contours = overlays.contours(paint(inputs.evidence_map, (rows, columns)))
    return Picture(
        uri=overlays.jpeg(small),
        width=columns,
        height=rows,
        regions=overlays.regions(prepared.zones, attribution),
        truth=outlined(inputs.mask),
        predicted=outlined(inputs.predicted_mask),
        map_contours=contours,
    )
