"""Implants teach the evidence map, and each belongs to the fold of its source."""

from pathlib import Path

import numpy as np
import pytest

from baseline.evidence_map import fit
from baseline.evidence_map.implants import STEP, read_implants, source_of
from baseline.evidence_map.training_data import TrainingData, read_training_data
from features.run.files import UserError
from tests.helpers.evidence_run import CELLS, make_run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read_training_data(make_run(tmp_path_factory.mktemp("run"), images=30))


def implants(folder: Path, shifted: tuple[int, ...] = (), name: str = "i") -> Path:
    """An implant in each of the 30 images; every other one with air, as of `make_run`.

    The measures of those in the images of these numbers are shifted.
    """
    run = make_run(folder, images=30, name=name)
    cells = run.cells.read()
    index = cells.assign(id=cells["id"].cat.rename_categories(lambda name: f"{name}-implant"))
    index.attrs["measures"] = cells.attrs["measures"]
    run.cells.write(index)
    values = np.fromfile(run.cell_values, np.float16).reshape(30, -1)
    values[list(shifted)] += 1
    values.tofile(run.cell_values)
    return folder


def test_an_implant_is_called_by_its_source():
    assert source_of("ID_1-implant") == source_of("ID_1-implant12") == "ID_1"
    assert source_of("1.2.3-implant-implant2") == "1.2.3-implant"


def test_only_implants_in_training_images_are_read(data: TrainingData, tmp_path: Path):
    folder = implants(tmp_path)
    training = np.arange(30) < 10
    some = read_implants(folder, data, training)
    # The right lungs of the five with air, one cell of so many.
    assert some.images == 5
    assert len(some.shares) == -(-5 * CELLS // 2 // STEP)
    assert read_implants(folder, data, np.zeros(30, bool)).images == 0


def test_no_model_learns_from_implants_in_a_fold_that_it_leaves_out(
    data: TrainingData, tmp_path: Path
):
    fold = data.rows["fold"].to_numpy(int)
    ill = (data.rows["label"] == 1).to_numpy()
    numbers = [tuple(np.flatnonzero((fold == k) & ill)) for k in (0, 1)]
    folders = [implants(tmp_path / str(k), shifted) for k, shifted in enumerate([(), *numbers])]
    plain, left_out, seen = (
        fit.fit_model(data, (0,), fit.SourceWeights(), 0, implants=folder).cells.model_to_string()
        for folder in folders
    )
    assert left_out == plain
    assert seen != plain


def test_implants_of_another_run_are_refused(data: TrainingData, tmp_path: Path):
    with pytest.raises(UserError, match="other00-implant is no implant in an image of this run"):
        read_implants(implants(tmp_path, name="other"), data, np.ones(30, bool))
