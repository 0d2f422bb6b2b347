"""A small trained run: noise for pixels, rims that decide, and hostile ids and tags."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from baseline.classifier import train
from baseline.learning import scores

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


def make_run(folder: Path) -> Path:
    """A trained run of 100 labelled and 6 test images: noise for pixels, rims that decide."""
    rng = np.random.default_rng(0)
    n, labelled = 106, 100
    table = pd.DataFrame(rng.normal(size=(n, len(FEATURES))), columns=list(FEATURES))
    table[FEATURES[2]] = (table[FEATURES[0]] - table[FEATURES[1]]).abs()
    positive = (table[FEATURES[2]] + 0.4 * rng.normal(size=n) > 1.6).to_numpy()
    ids = [f"i{k:03d}<b>" for k in range(n)]
    for k in range(n):
        noise = rng.integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{k}.png")
    test = np.arange(n) >= labelled
    masks = np.where(positive, "1000 40", "-1")
    dataset = pd.DataFrame(
        {
            "id": ids,
            "path": [str(folder / f"{k}.png") for k in range(n)],
            "split": np.where(test, "test", "train"),
            "mask": pd.array(np.where(test, None, masks), dtype="string"),
            "patient": [f"p{k // 2}" for k in range(n)],
            "age": np.where(np.arange(n) % 3 == 0, np.nan, 40.0),
            "sex": pd.array([NASTY if k % 2 else None for k in range(n)], dtype="string"),
            "view": pd.array(["PA"] * n, dtype="string"),
            "spacing_mm": 0.14,
            "rows": 64,
            "columns": 64,
            "label": np.where(test, np.nan, positive),
            "weak": np.nan,
            "fold": np.where(test, -1, np.arange(n) // 2 % 2),
        }
    )
    run = folder / "run"
    run.mkdir()
    dataset.to_parquet(run / "dataset.parquet")
    table.astype(np.float32).assign(id=ids).to_parquet(run / "features.parquet")
    truth = pd.DataFrame({"id": ids, "mask": masks})[test]
    truth.to_parquet(run / "truth.parquet")
    with pytest.MonkeyPatch.context() as patch:
        # Fifty resamples will do: the intervals are not what is tested here.
        patch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=50))
        train.main(train.Settings(run=run, rounds=15, evidence=False))
    return run
