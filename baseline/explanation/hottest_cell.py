"""The hottest cell of an evidence map, and what makes it suspicious: SHAP on one cell.

The classifier's reasons may name the evidence map; this module explains the map itself. As
everywhere, the explained model has seen neither the image nor its patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import maps
from baseline.evidence_map.maps import EvidenceMap
from baseline.evidence_map.models import EvidenceModel
from baseline.explanation import attributions
from baseline.explanation.overlays import CONTOUR_LEVELS
from baseline.explanation.sentences import Reason
from baseline.explanation.trained_run import TrainedRun
from baseline.explanation.wording import percent, place, signed
from baseline.learning.estimator import feature_names
from features.cells import table
from features.cells.measure import MEASURES, Cells
from features.lungs.zones import NAMES

# What the maps of `features.cells.measure` are about, by the first part of their names, in the
# words of `features.families.signs`.
LINES, MARKINGS, DENSITY, WHERE = (
    "lines along the chest wall",
    "lung markings",
    "the density of the lungs",
    "where it lies",
)
TOPICS = {
    "line": LINES,
    "inwards": LINES,
    "relief": MARKINGS,
    "detail": MARKINGS,
    "edge": MARKINGS,
    "ridge": MARKINGS,
    "furrow": MARKINGS,
    "grey": DENSITY,
    "place": WHERE,
}
TOPIC_OF = tuple(TOPICS[measure.name.split(".")[0].split("_")[0]] for measure in MEASURES)


@dataclass(frozen=True)
class HottestCell:
    """The cell of an image in which air is most likely.

    Parameters
    ----------
    zone : str
        The finest zone that it lies in.
    probability : float
        Probability that the air of a pneumothorax lies there: that of air there if this lung has
        collapsed, times the lung's own.
    shap : (m,) array
        Contributions of the cell's measures, in log-odds of "here, if this lung has collapsed".
    """

    zone: str
    probability: float
    shap: NDArray[np.float64]


def find(
    models: Sequence[EvidenceModel], cells: Cells, probability: NDArray[np.floating]
) -> HottestCell | None:
    """Find the hottest cell and what makes it so.

    Parameters
    ----------
    models : list of EvidenceModel
        Those that predict the image; the mean over them is explained.
    cells : Cells
    probability : (n,) array
        Of each cell, by the same models.

    Returns
    -------
    HottestCell or None
        None for an image without cells.
    """
    if not len(probability):
        return None
    hottest = int(np.argmax(probability))
    values = cells.values[hottest : hottest + 1]
    shap = np.mean(
        [
            attributions.values_of(
                model.cells, pd.DataFrame(values, columns=feature_names(model.cells))
            )[1][0]
            for model in models
        ],
        axis=0,
    )
    return HottestCell(NAMES[cells.zones[hottest]], float(probability[hottest]), shap)


def sentence(cell: HottestCell) -> Reason:
    """What makes the cell suspicious, in words; or that no cell of the map is suspicious."""
    name = f"evidence.{cell.zone}.most"
    if cell.probability < CONTOUR_LEVELS[0]:
        least = percent(CONTOUR_LEVELS[0])
        text = f"The evidence map is cold: nowhere is air as likely as {least}."
        return Reason(text, name, float(cell.shap.sum()))
    topics = np.array(TOPIC_OF)
    sums = {topic: float(cell.shap[topics == topic].sum()) for topic in dict.fromkeys(TOPIC_OF)}
    adding = sorted((topic for topic in sums if sums[topic] > 0), key=lambda topic: -sums[topic])
    words = [f"{topic} ({signed(sums[topic])})" for topic in adding]
    text = (
        f"The evidence map is hottest in {place(cell.zone)}: the probability that air lies there "
        f"is {percent(cell.probability)}."
    )
    if words:
        listed = ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]
        text += f" If this lung has collapsed, that comes from {listed}."
    return Reason(text, name, float(cell.shap.sum()))


def read(
    trained: TrainedRun, folds: Mapping[str, int]
) -> dict[str, tuple[EvidenceMap, Reason | None]]:
    """Maps of some images of a run, and the sentence on the hottest cell of each.

    Parameters
    ----------
    trained : TrainedRun
    folds : dict of str to int
        The images, and the fold that each belongs to.

    Raises
    ------
    UserError
        If the evidence or the cells are missing.
    """
    index, values = table.read(trained.run)
    evidence_maps = maps.read(trained.run)
    places = index.groupby("id", observed=True, sort=False).indices
    results: dict[str, tuple[EvidenceMap, Reason | None]] = {}
    for name, fold in folds.items():
        evidence_map = evidence_maps.get(name, maps.EMPTY)
        positions = places.get(name, np.zeros(0, np.intp))
        rows = index.iloc[positions]
        cells = Cells(
            rows["row"].to_numpy(),
            rows["column"].to_numpy(),
            rows["side"].to_numpy(),
            rows["zone"].to_numpy(),
            values[np.asarray(positions)].astype(np.float32),
        )
        hottest = find([trained.evidence_models[fold]], cells, evidence_map.probability)
        results[name] = evidence_map, None if hottest is None else sentence(hottest)
    return results
