"""Black and white borders are cut when a file is read, and masks come back to the file's grid."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from features.dataset import file_masks
from features.reading import borders, images, rle
from features.reading.placement import Placement
from features.reading.study import Study
from tests.helpers import datasets
from tests.helpers.image_files import write_dicom

WHOLE = (slice(0, 100), slice(0, 100))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Noise of all grey levels but black and white, (80, 100)."""
    return np.random.default_rng(1).integers(20, 236, (80, 100)).astype(np.uint8)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_borders_are_found(level):
    image = np.full((120, 100), level, np.float32)
    image[20:110, 10:100] = np.random.default_rng(1).uniform(0.1, 0.9, (90, 90))
    assert borders.picture_in(image) == (slice(20, 110), slice(10, 100))


def test_a_border_of_two_levels_and_one_that_another_crosses_are_found():
    image = np.random.default_rng(0).uniform(0.1, 0.9, (100, 100)).astype(np.float32)
    image[:, :10], image[:, 90:] = 0, 1
    image[:8] = 1  # crosses the black border at the left
    assert borders.picture_in(image) == (slice(8, 100), slice(10, 90))


def test_narrow_borders_and_dark_images_are_left():
    image = np.random.default_rng(0).random((100, 100), np.float32)
    assert borders.picture_in(image) == WHOLE
    image[:3] = 0
    assert borders.picture_in(image) == WHOLE
    image[:80] = 0
    assert borders.picture_in(image) == WHOLE


@pytest.mark.parametrize("seed", range(20))
def test_the_quick_look_never_misses_a_border(seed):
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.1, 0.9, (rng.integers(60, 140), rng.integers(60, 140)))
    before = image.shape
    widths = rng.integers(0, 30, 4)
    image = np.pad(image, widths.reshape(2, 2), constant_values=float(rng.integers(2)))
    rows, columns = borders.picture_in(image)
    for cut, axis in ((rows, 0), (columns, 1)):
        first, last = widths[2 * axis : 2 * axis + 2]
        narrow = borders.NARROW * image.shape[axis]
        assert cut.start == (first if first > narrow else 0)
        end = image.shape[axis] - cut.stop
        assert end == (last if last > narrow else 0)
        assert cut.stop - cut.start >= before[axis]


@pytest.mark.parametrize("suffix", ["png", "dcm"])
@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_in_a_border_reads_as_by_itself(tmp_path, picture, suffix, level):
    def write(name, pixels):
        path = tmp_path / f"{name}.{suffix}"
        if suffix == "dcm":
            return write_dicom(path, pixels)
        Image.fromarray(pixels).save(path)
        return path

    study, plain = images.read(write("plain", picture))
    assert study.placement is None
    framed = np.pad(picture, ((12, 0), (30, 9)), constant_values=level)
    study, pixels = images.read(write("framed", framed))
    np.testing.assert_array_equal(pixels, plain)
    assert (study.rows, study.columns) == (80, 100)
    assert study.placement == Placement((92, 139), (92, 139), (12, 30), (80, 100))


def test_masks_go_to_the_file_and_back():
    rng = np.random.default_rng(0)
    for place in (
        Placement((92, 139), (92, 139), (12, 30), (80, 100)),
        Placement((46, 139), (92, 139), (12, 30), (80, 100)),  # oblong pixels too
    ):
        mask = np.repeat(rng.random((40, 100)) < 0.3, 2, axis=0)
        there = place.to_file(mask)
        assert there.shape == place.file
        np.testing.assert_array_equal(place.to_picture(there), mask)
        assert file_masks.encode(mask, place) == rle.encode(there)
        assert not there[:, :30].any() and not there[:, 130:].any()


def test_a_placement_comes_back_from_the_dataset(tmp_path):
    plain = Study("a", tmp_path, 64, 64)
    place = Placement((46, 139), (92, 139), (12, 30), (80, 100))
    framed = replace(plain, id="b", rows=80, columns=100, placement=place)
    rows = [file_masks.to_row(study) for study in (plain, framed)]
    table = datasets.dataset(["a", "b"], rows=[64, 80], columns=[64, 100]).assign(
        **{name: [row[name] for row in rows] for name in file_masks.COLUMNS}
    )
    assert file_masks.placements(table) == {"a": plain.place, "b": place}
