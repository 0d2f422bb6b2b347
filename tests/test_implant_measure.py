"""Cells of implants in a run's own images."""

import numpy as np
import pytest

from features.cells import table
from features.dataset import read
from features.implant.measure import Settings, folder_of, main
from features.phantom import write as phantoms
from features.run.files import UserError
from features.run.folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on phantoms, three of them without pneumothorax, and its measured implants."""
    folder = tmp_path_factory.mktemp("measured")
    settings = phantoms.Settings(out=folder / "set", train=5, test=1, seed=2, size=512)
    phantoms.write_dataset(settings, jobs=1)
    read.main(read.Settings(data=folder / "set", run=folder / "run", folds=2, jobs=1))
    main(Settings(run=folder / "run", count=5, jobs=1))
    return RunFolder(folder / "run")


def test_implants_lie_in_images_without_pneumothorax_of_a_fold(run: RunFolder):
    index, values = table.read(folder_of(run))
    names = index["id"].cat.categories
    assert len(names) == 5
    dataset = run.images().set_index("id")
    sources = [name.rpartition("-implant")[0] for name in names]
    assert (dataset.loc[sources, "label"] == 0).all()
    assert dataset.loc[sources, "fold"].notna().all()
    assert len(values[np.arange(len(index))]) == len(index)


def test_each_has_air_in_one_lung(run: RunFolder):
    index, _ = table.read(folder_of(run))
    assert index["weak_share"].isna().all()
    air = index.assign(air=index["share"] > 0.5).groupby(["id", "side"], observed=True)["air"].sum()
    by_side = air.unstack()
    assert (by_side.max(axis=1) > 0).all()
    assert (by_side.min(axis=1) == 0).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"count": 0}, "--count 0"), ({"weak_below": -1.0}, "--weak-below -1.0")],
)
def test_mistakes_are_one_sentence(wrong: dict, message: str, run: RunFolder):
    with pytest.raises(UserError, match=message):
        main(Settings(run=run.root, **wrong))
