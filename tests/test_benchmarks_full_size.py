"""The dataset folder of the command that measures all stages at full size."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.dataset import read
from features.run.folder import RunFolder
from tests.helpers.image_files import write_png


@pytest.fixture
def full_size(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(Path(__file__).parent / "benchmarks")
    return importlib.import_module("full_size")


@pytest.mark.parametrize("images", [10, 2000])
def test_the_shares_are_the_challenges_and_all_x_rays_take_turns(full_size, images):
    positive = pd.Series([True, False, False, True, False])
    chosen = full_size.draw_rows(positive, images)
    counts = np.bincount(chosen, minlength=5)
    assert counts.sum() == images
    assert abs(counts[0] - counts[3]) <= 1 and np.ptp(counts[[1, 2, 4]]) <= 1
    if images > 1000:
        assert (counts[0] + counts[3]) / images == pytest.approx(2669 / 12047, abs=0.03)


def test_the_dataset_is_read_with_its_patients(full_size, tmp_path, monkeypatch):
    pictures = [write_png(tmp_path / f"{seed}.png", seed, size=64) for seed in range(2)]
    source = pd.DataFrame({"path": pictures, "EncodedPixels": ["0 9", "-1"]})
    data, run = tmp_path / "data", RunFolder(tmp_path / "run")
    full_size.lay_out(data, source, 30)
    read.main(read.Settings(data, run.root, folds=2, jobs=1))
    table = run.dataset.read()
    assert table["split"].value_counts().to_dict() == {"train": 24, "test": 6}
    assert table["patient"].nunique() == 10 and table["patient"].value_counts().max() == 3
    assert set(table["mask"].dropna()) == {"0 9", "-1"}
    assert table.groupby("patient")["fold"].nunique().max() == 1
