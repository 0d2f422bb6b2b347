"""The ablation table: the columns of each variant, and that an informative family scores high."""

import numpy as np
import pandas as pd
import pytest

from baseline.classifier import ablation
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.datasets import dataset

NAMES = [
    "firstorder.right_rim.mean",
    "firstorder.left_rim.mean",
    "asymmetry.rim.firstorder_mean",
    "shape.image.width",
]


@pytest.fixture
def run(tmp_path):
    """200 images of 50 patients; the right rim alone decides."""
    run, rng = RunFolder(tmp_path), np.random.default_rng(0)
    run.create()
    table = pd.DataFrame(rng.normal(size=(200, 4)).astype(np.float32), columns=NAMES)
    label = (table[NAMES[0]] < 0).astype(float)
    ids = [f"i{k}" for k in range(200)]
    table.insert(0, "id", ids)
    run.features.write(table)
    patient = np.arange(200) // 4
    rows = dataset(ids, patient=[f"p{k}" for k in patient], label=label, fold=patient % 2)
    run.dataset.write(rows)
    return run


def test_variants_hold_a_family_with_its_asymmetries():
    columns = ablation.variants(pd.DataFrame(columns=NAMES))
    assert columns["firstorder alone"] == NAMES[:3]
    assert columns["all but firstorder"] == NAMES[3:] == columns["shape alone"]
    assert columns["all but asymmetry"] == [*NAMES[:2], NAMES[3]]
    assert columns["all families"] == NAMES


def test_the_informative_family_has_the_highest_auc(run, capsys):
    ablation.main(ablation.Settings(run.root, seeds=2, folds=3))
    table = run.ablation.read().set_index("variant")
    assert (table.loc["firstorder alone", ["auc_0", "auc_1"]] > 0.9).all()
    assert (table.loc["shape alone", ["auc_0", "auc_1"]] < 0.65).all()
    assert table.loc["all but firstorder", "auc_0"] == table.loc["shape alone", "auc_0"]
    assert "| firstorder alone | 3 | 1.0" in capsys.readouterr().out


def test_an_unknown_family_is_refused(run):
    with pytest.raises(UserError, match="families = wavelet"):
        ablation.main(ablation.Settings(run.root, families=("wavelet",)))
