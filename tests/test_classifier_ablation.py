"""The ablation table: which columns each line holds, and that it tells a family that knows."""

import numpy as np
import pandas as pd
import pytest

from baseline.classifier import ablation
from features.run import files
from features.run.files import UserError

NAMES = [
    "firstorder.right_rim.mean",
    "firstorder.left_rim.mean",
    "asymmetry.rim.firstorder_mean",
    "shape.image.width",
]


@pytest.fixture
def run(tmp_path):
    """200 images of 50 patients; the right rim alone decides."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(200, 4)).astype(np.float32), columns=NAMES)
    label = (table[NAMES[0]] < 0).astype(float)
    ids = [f"i{k}" for k in range(200)]
    table.insert(0, "id", ids)
    files.write_table(tmp_path / "features.parquet", table)
    dataset = pd.DataFrame(
        {
            "id": ids,
            "patient": [f"p{k // 4}" for k in range(200)],
            "split": "train",
            "label": label,
            "weak": np.nan,
            "fold": [k // 4 % 2 for k in range(200)],
        }
    )
    files.write_table(tmp_path / "dataset.parquet", dataset)
    return tmp_path


def test_lines_hold_a_family_with_its_asymmetries():
    lines = ablation.variants(pd.DataFrame(columns=NAMES))
    assert lines["firstorder alone"] == NAMES[:3]
    assert lines["all but firstorder"] == NAMES[3:] == lines["shape alone"]
    assert lines["all but asymmetry"] == [*NAMES[:2], NAMES[3]]
    assert lines["all families"] == NAMES


def test_the_family_that_knows_is_found(run, capsys):
    ablation.main(ablation.Settings(run, seeds=2, folds=3))
    table = pd.read_csv(run / "ablation.csv").set_index("line")
    assert (table.loc["firstorder alone", ["auc_0", "auc_1"]] > 0.9).all()
    assert (table.loc["shape alone", ["auc_0", "auc_1"]] < 0.65).all()
    assert table.loc["all but firstorder", "auc_0"] == table.loc["shape alone", "auc_0"]
    assert "| firstorder alone | 3 | 1.0" in capsys.readouterr().out


def test_an_unknown_family_is_refused(run):
    with pytest.raises(UserError, match="families = wavelet"):
        ablation.main(ablation.Settings(run, families=("wavelet",)))
