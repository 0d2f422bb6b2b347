"""What is said of a mask, by hand: area, side, zones, and the line that opens an answer."""

from pathlib import Path

import numpy as np
import pytest

from cnn.study.answer import MaskAnswer
from cnn.study.mask_answer import headline, mask_answer
from features.lungs.fields import LungFields
from features.lungs.prepared import Prepared, assemble
from features.reading import rle
from features.reading.placement import Placement
from features.reading.study import Study

SIDE = 512


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    """Two lungs that are rectangles of 200 x 100 pixels."""
    right, left = np.zeros((2, SIDE, SIDE), bool)
    right[100:300, 100:200] = True
    left[100:300, 300:400] = True
    return assemble(np.zeros((SIDE, SIDE), np.float32), LungFields(right, left, 1.0))


def study(**values) -> Study:
    return Study("a", Path("a.dcm"), 1024, 1024, **values)


def test_area_side_and_zones(prepared):
    mask = np.zeros((1024, 1024), bool)
    mask[200:260, 600:800] = True  # the upper 30 rows of the left lung at the working size
    said = mask_answer(mask, study(spacing_mm=0.35), prepared, "unet", "unet")
    assert said.kept and said.side == "left"
    assert said.area == pytest.approx(60 * 200 / 1024**2)
    assert said.area_cm2 == pytest.approx(60 * 200 * 0.035**2)
    assert said.share_of_lung == pytest.approx(30 / 200)
    assert {zone.partition("_")[0] for zone in said.zones} == {"left"}
    assert said.zones[0].startswith("left_apex")
    assert rle.decode(said.code, (1024, 1024)).sum() == mask.sum()


@pytest.mark.parametrize(("spacing", "known"), [(None, False), (0.143, False), (0.24, True)])
def test_an_area_is_given_only_where_a_chest_fits_on_the_picture(prepared, spacing, known):
    """SIIM-ACR's files have 0.143 mm, of originals that were two to three times as large."""
    mask = np.ones((1024, 1024), bool)
    said = mask_answer(mask, study(spacing_mm=spacing), prepared, "unet", "unet")
    assert (said.area_cm2 is not None) == known


def test_an_empty_mask(prepared):
    said = mask_answer(np.zeros((1024, 1024), bool), study(), prepared, "unet", "unet")
    assert said == MaskAnswer("-1", False, "unet", "unet", 0.0, None, "", 0.0, ())


def test_the_code_is_on_the_grid_of_the_file(prepared):
    place = Placement((1224, 1024), (1224, 1024), (200, 0), (1024, 1024))
    mask = np.zeros((1024, 1024), bool)
    mask[300, 300] = True
    said = mask_answer(mask, study(placement=place), prepared, "unet", "unet")
    assert np.argwhere(rle.decode(said.code, (1224, 1024))).tolist() == [[500, 300]]


def test_a_small_picture_has_its_mask_on_the_lungs_too(prepared):
    mask = np.zeros((256, 256), bool)
    mask[50:65, 50:100] = True
    small = Study("a", Path("a.png"), 256, 256)
    said = mask_answer(mask, small, prepared, "unet", "unet")
    assert said.side == "right" and said.share_of_lung == pytest.approx(30 / 200)


@pytest.mark.parametrize("triage", [None, "rule in (stated error rate 10% of each class)"])
def test_headlines_are_short(triage):
    for zones in ((), ("left_upper_rim",), ("right_whole",)):
        said = MaskAnswer("0 1", True, "unet", "unet", 0.1, None, "left", 0.1, zones)
        line = headline(0.873, triage, said)
        assert line.startswith("Pneumothorax 87%") and len(line.split()) <= 20
        assert ("rule in" in line) == (triage is not None) and "error rate" not in line
    none = MaskAnswer("-1", False, "unet", "unet", 0.0, None, "", 0.0, ())
    assert headline(0.004, None, none) == "Pneumothorax below 1%; no mask."
