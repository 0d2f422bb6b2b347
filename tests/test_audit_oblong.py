"""Annotations of a file with oblong pixels are on its own grid, and the audit reads them there."""

from pathlib import Path

import numpy as np
import pytest

from baseline.audit import check_lesions, write
from baseline.audit.planted_copy import PlantedCopy
from baseline.audit_facts import facts
from features.dataset import read
from features.phantom import write as phantom
from features.reading import images, rle
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.image_files import write_dicom


@pytest.fixture(scope="module")
def oblong(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A phantom dataset in which one positive image has every other row only, and its run."""
    folder = tmp_path_factory.mktemp("oblong")
    data = folder / "data"
    phantom.write_dataset(
        phantom.Settings(data, train=14, test=4, positives=0.5, size=160, seed=3), jobs=1
    )
    csv = data / "stage_2_train.csv"
    lines = csv.read_text().splitlines()
    name = next(line.split(",")[0] for line in lines[1:] if not line.endswith("-1"))
    path = next(data.rglob(f"{name}.dcm"))
    _, pixels = images.read(path)
    write_dicom(path, np.rint(255 * pixels[::2]).astype(np.uint8), PixelSpacing=[0.4, 0.2])
    # Columns 10 to 13 and 12 to 15 of all 80 rows: half of each is shared, Dice 0.5.
    rows = [f"{name},{10 * 80} {4 * 80}", f"{name},{12 * 80} {4 * 80}"]
    csv.write_text("\n".join([line for line in lines if not line.startswith(name)] + rows) + "\n")
    read.main(read.Settings(data, folder / "run", folds=2, jobs=1))
    return data, folder / "run", name


def test_two_readers_of_an_oblong_file_agree_as_on_its_own_grid(oblong):
    data, run, name = oblong
    gathered = facts.read(RunFolder(run), data, 0, 1)
    row = gathered.table.set_index("id").loc[name]
    assert (row["rows"], row["stored_rows"], row["stored_columns"]) == (160, 80, 160)
    finding = check_lesions.readers(gathered)
    shared = [item for item in finding.items if item.ids == (name,)]
    assert not shared  # 0.5 is no low Dice
    codes = gathered.annotations[name]
    masks = [rle.decode(code, (80, 160)) for code in codes]
    assert [mask[:, 10:16].all(axis=0).tolist() for mask in masks] == [
        [True] * 4 + [False] * 2,
        [False] * 2 + [True] * 4,
    ]
    alone = facts.read_annotations(None, gathered.table)[name]
    assert (rle.decode(alone[0], (80, 160)) == masks[0] | masks[1]).all()


def test_a_malformed_annotation_is_named_and_not_passed_over(oblong, tmp_path):
    data, run, name = oblong
    table = RunFolder(run).dataset.read()
    csv = data / "stage_2_train.csv"
    whole = csv.read_text()
    try:
        for code, rule in (("5 3 1", "3 numbers are no list of pairs"), ("12800 9", "beyond")):
            csv.write_text(f"{whole}{name},{code}\n")
            with pytest.raises(UserError, match=rf"stage_2_train.csv: image {name}: .*{rule}"):
                facts.read_annotations(data, table)
            with pytest.raises(UserError, match=name):
                write.audit(write.Settings(run, data, jobs=1))
    finally:
        csv.write_text(whole)


def test_faults_are_planted_on_the_grid_of_the_file(oblong, tmp_path):
    data, run, name = oblong
    table = RunFolder(run).dataset.read()
    annotations = facts.read_annotations(data, table)
    copy = PlantedCopy.of(tmp_path / "clean", table, annotations)
    copy.rewrite(name, change=lambda pixels: 1 - pixels)
    own, quarantine = copy.read(1)
    assert quarantine.empty
    mask = own.set_index("id")["mask"]
    assert mask[name] == table.set_index("id")["mask"][name]
