"""The hottest spot of an evidence map, and which textures make it suspicious: SHAP on one cell.

The verdict's own reasons may name the evidence map; here is what the map itself goes by. Like
everything else, it is asked of the judge that saw neither the image nor its patient.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.evidence_map import maps, models
from baseline.evidence_map.maps import EvidenceMap
from baseline.evidence_map.models import EvidenceModel
from baseline.explanation import attributions
from baseline.explanation.overlays import HEAT_LEVELS
from baseline.explanation.sentences import Reason, percent, place, signed
from features.cells import table
from features.cells.measure import MEASURES, Cells
from features.lungs.zones import NAMES

# Textures that are named, and the measures that are none, since they only say where a cell lies.
NAMED = 2
PLACES = [number for number, m in enumerate(MEASURES) if m.name.startswith("place.")]


@dataclass(frozen=True)
class Spot:
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
    lower, higher : (m,) arrays in [0, 1]
        Shares of the image's other cells whose value is lower and higher.
    """

    zone: str
    probability: float
    shap: NDArray[np.float64]
    lower: NDArray[np.float64]
    higher: NDArray[np.float64]


def find(
    asked: list[EvidenceModel], cells: Cells, probability: NDArray[np.floating]
) -> Spot | None:
    """Find the hottest cell and what makes it so.

    Parameters
    ----------
    asked : list of Judge
        Those that judge the image; the mean over them is explained.
    cells : Cells
    probability : (n,) array
        Of each cell, as the same judges say.

    Returns
    -------
    Spot or None
        None for an image without cells.
    """
    if not len(probability):
        return None
    hottest = int(np.argmax(probability))
    values = cells.values[hottest : hottest + 1]
    shap = np.mean(
        [
            attributions.values_of(
                judge.cells, pd.DataFrame(values, columns=judge.cells.feature_name())
            )[1][0]
            for judge in asked
        ],
        axis=0,
    )
    others = max(len(probability) - 1, 1)
    lower, higher = (
        way(cells.values, values).sum(axis=0) / others for way in (np.less, np.greater)
    )
    return Spot(NAMES[cells.zones[hottest]], float(probability[hottest]), shap, lower, higher)


def sentence(spot: Spot) -> Reason:
    """What the spot is suspicious for, in words; of a cold map, that it is cold."""
    name = f"evidence.{spot.zone}.most"
    if spot.probability < HEAT_LEVELS[0]:
        text = f"The evidence map is cold: nowhere is air as likely as {percent(HEAT_LEVELS[0])}."
        return Reason(text, name, float(spot.shap.sum()))
    textures = [int(k) for k in np.argsort(-spot.shap, kind="stable") if k not in PLACES]
    named = [k for k in textures[:NAMED] if spot.shap[k] > 0]
    told = [
        f"{MEASURES[k].text} ({_standing(spot.lower[k], spot.higher[k])}, "
        f"{signed(float(spot.shap[k]))})"
        for k in named
    ]
    text = (
        f"The evidence map is hottest in {place(spot.zone)}: the probability that air lies there "
        f"is {percent(spot.probability)}. If this lung has collapsed, where the spot lies adds "
        f"{signed(float(spot.shap[PLACES].sum()))} to the log-odds of air there"
    )
    most = f", and the textures that add most are {'; and '.join(told)}" if told else ""
    return Reason(f"{text}{most}.", name, float(spot.shap.sum()))


def _standing(lower: float, higher: float) -> str:
    word, share = ("higher", lower) if lower >= higher else ("lower", higher)
    if not share:
        return "as in all of the image's cells"
    return f"{word} than in {'all' if share == 1 else f'{int(100 * share)}%'} of the image's cells"


def read(run: Path, folds: dict[str, int]) -> dict[str, tuple[EvidenceMap, Reason | None]]:
    """Maps of some images of a run, and the sentence on the hottest spot of each.

    Parameters
    ----------
    run : Path
    folds : dict of str to int
        The images, and the fold whose judge each has.

    Raises
    ------
    UserError
        If the evidence or the cells are missing.
    """
    index, values = table.read(run)
    heats = maps.read(run)
    bench = {fold: models.load(run, fold) for fold in set(folds.values())}
    places = index.groupby("id", observed=True, sort=False).indices
    found: dict[str, tuple[EvidenceMap, Reason | None]] = {}
    for name, fold in folds.items():
        one = heats.get(name, maps.EMPTY)
        at = places.get(name, np.zeros(0, np.intp))
        rows = index.iloc[at]
        cells = Cells(
            rows["row"].to_numpy(),
            rows["column"].to_numpy(),
            rows["side"].to_numpy(),
            rows["zone"].to_numpy(),
            np.asarray(values[at], np.float32),
        )
        spot = find([bench[fold]], cells, one.probability)
        found[name] = one, None if spot is None else sentence(spot)
    return found
