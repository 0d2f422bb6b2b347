"""1,000 images whose true score is known, for tests of the evaluation."""

import numpy as np
import pandas as pd
from scipy.special import expit


def scored_rows() -> pd.DataFrame:
    """1,000 images of 500 patients; a true score, and an age that is independent of it."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 1000).astype(float)
    patient = np.arange(1000) // 2
    raw = label + rng.normal(size=1000)
    return pd.DataFrame(
        {
            "id": [f"i{k}" for k in range(1000)],
            "patient": [f"p{k}" for k in patient],
            "fold": patient % 5,
            "label": label,
            "target": label,
            "raw": raw,
            "probability": expit(raw - 0.5),
            "sex": pd.array(np.where(patient % 2, "F", None), dtype="string"),
            "view": pd.array(["PA"] * 995 + ["AP"] * 5, dtype="string"),
            "age": rng.uniform(20, 80, 1000),
            "flagged": False,
            "area": label * rng.uniform(0.001, 0.1, 1000),
        }
    )
