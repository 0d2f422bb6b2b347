"""A small trained run: noise for pixels, rims that decide, and hostile ids and tags."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from baseline.classifier import train
from baseline.explanation import shap_values
from baseline.learning import scores
from features.dataset import file_masks
from features.run.folder import RunFolder
from features.run.schemas import DATASET

NASTY = '"><script>alert(1)</script><img src="http://evil.example/x">'
SHOWN = 10
FEATURES = (
    "firstorder.right_rim.mean",
    "firstorder.left_rim.mean",
    "asymmetry.rim.firstorder_mean",
    "glcm.left_apex.contrast_d1",
    "glcm.right_apex.contrast_d1",
    "shape.image.width",
)
# Labelled and test images.
LABELLED, TEST = 100, 6


def make_run(folder: Path) -> RunFolder:
    """A trained run of 100 labelled and 6 test images: noise for pixels, rims that decide."""
    rng = np.random.default_rng(0)
    n = LABELLED + TEST
    features = pd.DataFrame(rng.normal(size=(n, len(FEATURES))), columns=list(FEATURES))
    features[FEATURES[2]] = (features[FEATURES[0]] - features[FEATURES[1]]).abs()
    positive = (features[FEATURES[2]] + 0.4 * rng.normal(size=n) > 1.6).to_numpy()
    for k in range(n):
        noise = rng.integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{k}.png")
    ids = [f"i{k:03d}<b>" for k in range(n)]
    masks = np.where(positive, "1000 40", "-1")
    is_test = np.arange(n) >= LABELLED
    run = RunFolder(folder / "run")
    run.create()
    run.dataset.write(_dataset(folder, ids, positive, masks, is_test))
    run.features.write(features.assign(id=ids)[["id", *FEATURES]])
    run.truth.write(pd.DataFrame({"id": ids, "mask": masks})[is_test])
    with pytest.MonkeyPatch.context() as patch:
        # Fifty resamples are enough: the intervals are not tested here.
        patch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=50))
        train.main(train.Settings(run=run.root, rounds=15, evidence=False))
    shap_values.main(shap_values.Settings(run=run.root))
    return run


def _dataset(
    folder: Path, ids: list[str], positive: np.ndarray, masks: np.ndarray, is_test: np.ndarray
) -> pd.DataFrame:
    numbers = np.arange(len(ids))
    return pd.DataFrame(
        {
            "id": ids,
            "path": [str(folder / f"{k}.png") for k in numbers],
            "split": np.where(is_test, "test", "train"),
            "mask": pd.array(np.where(is_test, None, masks), dtype="string"),
            "weak_mask": pd.array([None] * len(ids), dtype="string"),
            "patient": [f"p{k // 2}" for k in numbers],
            "age": np.where(numbers % 3 == 0, np.nan, 40.0),
            "sex": pd.array([NASTY if k % 2 else None for k in numbers], dtype="string"),
            "view": "PA",
            "spacing_mm": 0.14,
            "rows": 64,
            "columns": 64,
            **{name: pd.array([None] * len(ids), dtype="Int64") for name in file_masks.COLUMNS},
            "label": np.where(is_test, np.nan, positive),
            "weak": np.nan,
            "fold": pd.array(numbers // 2 % 2, dtype="Int64"),
        }
    )[list(DATASET.columns)].assign(fold=lambda rows: rows["fold"].mask(is_test))
