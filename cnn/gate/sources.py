"""Where masks may come from: the U-Net's map, the evidence map, or the mean of both.

All are brought to the X-ray's own size as grey levels of 1/255, so that one gate serves them alike.
The U-Net's map may be the mean of several runs' (`cnn.gate.runs`). The stages that choose the
gate's rule, outline its masks and write the submission all read the maps here, so that they use the
same ones.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from baseline.evidence_map import maps as evidence_maps
from baseline.evidence_map.maps import EvidenceMap
from baseline.explanation import top_zone
from baseline.explanation.top_zone import TopZone
from baseline.gate.rules import SOURCES, GateInputs
from cnn.data.planes import to_bytes
from cnn.gate import masks
from cnn.prediction.store import stream_maps
from features.reading import rle
from features.run.folder import RunFolder

GreyMap = NDArray[np.uint8]
Squares = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class SourceMaps:
    """The maps of some runs.

    The evidence maps and the top zones are read once, when the first image needs them.

    Parameters
    ----------
    runs : tuple of RunFolder
        As `cnn.gate.runs.together` gives them. The U-Net's maps of all are averaged, whatever their
        networks' sizes; classifier and evidence map are the first one's.
    """

    runs: tuple[RunFolder, ...]

    @cached_property
    def _evidence(self) -> dict[str, EvidenceMap]:
        return evidence_maps.read(self.runs[0])

    @cached_property
    def _top_zones(self) -> dict[str, TopZone]:
        return top_zone.read(self.runs[0])

    def images(
        self, rows: pd.DataFrame, sources: Sequence[str] = SOURCES, to_measure: bool = True
    ) -> Iterator["ImageInputs"]:
        """Yield what the maps of each image are drawn from, one image in memory at a time.

        Parameters
        ----------
        rows : DataFrame
            id, rows and columns of the images; fastest in the order of the dataset. To measure
            them also probability, and mask (run-length code, missing where unknown).
        sources : sequence of str
            Which of `rules.SOURCES` are wanted; the others are not drawn.
        to_measure : bool
            Whether the gate's inputs are wanted too.
        """
        ids = rows["id"].tolist()
        shapes = zip(rows["rows"].tolist(), rows["columns"].tolist(), strict=True)
        squares: Iterable[Squares] = ((),) * len(ids)
        if set(sources) != {"evidence"}:
            squares = zip(*(stream_maps(run, ids) for run in self.runs), strict=True)
        codes, odds, zones = [None] * len(ids), [0.0] * len(ids), dict[str, TopZone]()
        if to_measure:
            codes = rows["mask"].astype(object).where(rows["mask"].notna(), None).tolist()
            odds, zones = log_odds(rows["probability"]).tolist(), self._top_zones
        known = None if set(sources) == {"unet"} else self._evidence
        for name, shape, of_runs, code, odds_of_image in zip(
            ids, shapes, squares, codes, odds, strict=True
        ):
            yield ImageInputs(
                squares=of_runs,
                evidence_map=None if known is None else known.get(name, evidence_maps.EMPTY),
                shape=shape,
                sources=tuple(sources),
                zone=zones.get(name, top_zone.NONE),
                truth=code,
                log_odds=odds_of_image,
            )

    def stream(
        self, rows: pd.DataFrame, sources: Sequence[str] = SOURCES
    ) -> Iterator[dict[str, GreyMap]]:
        """Yield the maps of each image by source, (rows, columns) each; see `images`."""
        return map(draw_image, self.images(rows, sources, to_measure=False))

    def measure(
        self, rows: pd.DataFrame, sources: Sequence[str] = SOURCES
    ) -> Iterator[tuple[dict[str, GreyMap], dict[str, GateInputs]]]:
        """Yield the maps of each image, and the gate's inputs from each of them; see `images`."""
        return map(measure_image, self.images(rows, sources))


@dataclass(frozen=True)
class ImageInputs:
    """What one image's maps are drawn and measured from; small, so that workers may get it.

    Parameters
    ----------
    squares : tuple of (size, size) arrays of float32
        The U-Net's map of each run; none where only the evidence map is wanted.
    evidence_map : EvidenceMap or None
        None where only the U-Net's map is wanted.
    shape : (int, int)
        Rows and columns of the image.
    sources : tuple of str
        Which of `rules.SOURCES` are wanted.
    zone : TopZone
    truth : str or None
        Run-length code of the true mask; None where it is unknown.
    log_odds : float
        Of the classifier.
    """

    squares: Squares
    evidence_map: EvidenceMap | None
    shape: tuple[int, int]
    sources: tuple[str, ...]
    zone: TopZone
    truth: str | None
    log_odds: float


def draw_image(image: ImageInputs) -> dict[str, GreyMap]:
    """The maps of an image at its own size, by source."""
    return draw(image.squares, image.evidence_map, image.shape, image.sources)


def measure_image(image: ImageInputs) -> tuple[dict[str, GreyMap], dict[str, GateInputs]]:
    """The maps of an image, and the gate's inputs from each of them."""
    maps = draw_image(image)
    truth = None
    if image.truth is not None:
        truth = np.ascontiguousarray(rle.decode(image.truth, image.shape))
    zone = top_zone.paint(image.zone, image.shape)
    inputs = {
        source: masks.measure(grey, zone, truth, image.log_odds) for source, grey in maps.items()
    }
    return maps, inputs


def inputs_of(image: ImageInputs) -> dict[str, GateInputs]:
    """The gate's inputs of an image, by source."""
    return measure_image(image)[1]


def draw(
    squares: Squares,
    evidence_map: EvidenceMap | None,
    shape: tuple[int, int],
    sources: Sequence[str] = SOURCES,
) -> dict[str, GreyMap]:
    """The maps of one image at its own size.

    Parameters
    ----------
    squares : tuple of (size, size) arrays of float32
        The U-Net's map of each run; none where only the evidence map is wanted.
    evidence_map : EvidenceMap or None
        None where only the U-Net's map is wanted.
    shape : (int, int)
        Rows and columns of the image.
    sources : sequence of str
        Which of `rules.SOURCES` are wanted.

    Returns
    -------
    dict of (rows, columns) arrays of uint8
        By source.
    """
    drawn = {}
    if squares:
        drawn["unet"] = mean([masks.to_original(square, shape) for square in squares])
    if evidence_map is not None:
        one_lung = evidence_maps.of_one_lung(evidence_map)
        drawn["evidence"] = to_bytes(evidence_maps.paint(one_lung, shape))
    if "joint" in sources:
        drawn["joint"] = mean([drawn["unet"], drawn["evidence"]])
    return {source: drawn[source] for source in sources}


def log_odds(probability: pd.Series) -> NDArray[np.float64]:
    """Log-odds of the classifier's probabilities, kept within those of 1e-6 and 1 - 1e-6."""
    odds: NDArray[np.float64] = logit(np.clip(probability.to_numpy(float), 1e-6, 1 - 1e-6))
    return odds


def mean(maps: Sequence[GreyMap]) -> GreyMap:
    """The mean of maps of one size, half a level rounded up."""
    # 16 bits hold the sum of so many bytes.
    total = np.zeros(maps[0].shape, np.uint16 if len(maps) < 256 else np.uint32)
    for grey in maps:
        total += grey
    return ((total + len(maps) // 2) // len(maps)).astype(np.uint8)
