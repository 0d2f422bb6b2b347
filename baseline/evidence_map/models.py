"""An evidence model predicts which lung has collapsed, and where in a collapsed lung the air lies.

It is made of two boosters. The first reads the feature table lung by lung (the lung's measures, and
their differences to the other lung's) and predicts how likely this lung has collapsed. The second
reads the cells and predicts where the air is if the lung has collapsed. Their product is a map:
P(air here) = P(this lung) P(here | this lung).
"""

from dataclasses import dataclass
from functools import cached_property

import lightgbm as lgb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from baseline.evidence_map.maps import EvidenceMap
from baseline.evidence_map.training_data import Floats, TrainingData
from baseline.learning import estimator
from features import trees
from features.cells.measure import MEASURES, Cells
from features.run import digests, files
from features.run.folder import RunFolder

# Images whose features lung by lung are in memory.
IMAGES_AT_ONCE = 512


@dataclass(frozen=True)
class EvidenceModel:
    """Predicts which lung has collapsed, and where in a collapsed lung the air is."""

    lungs: lgb.Booster
    cells: lgb.Booster

    def predict_lungs(self, features: pd.DataFrame) -> Floats:
        """Probability that each lung of `by_lung` has collapsed, (n, 2)."""
        raw = np.asarray(self.lungs.predict(features.to_numpy(np.float32), raw_score=True), float)
        return expit(raw).reshape(2, -1).T

    def predict_cells(self, values: NDArray[np.floating]) -> Floats:
        """Probability of air in each cell of a collapsed lung, (n,)."""
        return expit(trees.predict(self._cell_trees, np.asarray(values, np.float32)))

    @cached_property
    def _cell_trees(self) -> trees.Trees:
        """The trees of `cells` in a form that predicts a thousand cells twenty times as fast."""
        return trees.parse(self.cells.model_to_string())


def save(run: RunFolder, models: list[EvidenceModel]) -> None:
    """Write the models of all folds, in place of any that were there."""
    for path in (run.lung_model, run.cell_model):
        for former in path(0).parent.glob(path(0).name.replace("0", "*")):
            former.unlink()
    texts = {
        path: booster.model_to_string()
        for fold, model in enumerate(models)
        for path, booster in (
            (run.lung_model(fold), model.lungs),
            (run.cell_model(fold), model.cells),
        )
    }
    for file, text in texts.items():
        files.write_text(file, text)
    digests.write(list(texts))


def load(run: RunFolder, fold: int) -> EvidenceModel:
    """Read the model that saw none of a fold's images.

    Raises
    ------
    UserError
        If it is missing, is not the one that was written, or needs other measures.
    """
    paths = run.lung_model(fold), run.cell_model(fold)
    model = EvidenceModel(*(estimator.load(path, "evidence classifier") for path in paths))
    if model.cells.num_feature() != len(MEASURES):
        raise files.UserError(
            f"{run.cell_model(fold)}: it needs {model.cells.num_feature()} measures of a cell, and "
            f"this version takes {len(MEASURES)}; run `make evidence` and `make classifier` again."
        )
    return model


def predict(model: EvidenceModel, features: pd.DataFrame, cells: Cells) -> tuple[Floats, Floats]:
    """Predict one image.

    Parameters
    ----------
    model : EvidenceModel
    features : (2, k) DataFrame
        Of `by_lung`.
    cells : Cells
        Their values in half precision, as a run keeps them.

    Returns
    -------
    lungs : (2,) array in [0, 1]
        Probability that the right and the left lung has collapsed.
    probability : (n,) array in [0, 1]
        Probability of air in each cell.
    """
    lungs = model.predict_lungs(features)[0]
    return lungs, model.predict_cells(cells.values) * lungs[cells.sides]


def draw(model: EvidenceModel, features: pd.DataFrame, cells: Cells) -> EvidenceMap:
    """The evidence map of one image by `predict`, in single precision as a run keeps it."""
    lungs, probability = predict(model, features, cells)
    return EvidenceMap(
        cells.rows,
        cells.columns,
        probability.astype(np.float32),
        lungs[cells.sides].astype(np.float32),
    )


def predict_many(
    model: EvidenceModel, data: TrainingData, images: NDArray[np.intp]
) -> tuple[Floats, list[Floats]]:
    """Predict some images of a run.

    Parameters
    ----------
    model : EvidenceModel
    data : TrainingData
    images : (k,) array of int
        Numbers of rows of `data`.

    Returns
    -------
    lungs : (k, 2) array in [0, 1]
        Probability that the right and the left lung has collapsed.
    probability : list of (n,) arrays in [0, 1]
        Probability of air in each cell, one array an image.
    """
    starts = range(0, max(len(images), 1), IMAGES_AT_ONCE)
    lungs = np.concatenate(
        [
            model.predict_lungs(data.lungs_of(images[start : start + IMAGES_AT_ONCE]))
            for start in starts
        ]
    )
    sides = data.cells["side"].to_numpy()
    places = [data.cells_of(image) for image in images]
    return lungs, [
        model.predict_cells(data.values[place]) * lungs_of_image[sides[place]]
        for place, lungs_of_image in zip(places, lungs, strict=True)
    ]
