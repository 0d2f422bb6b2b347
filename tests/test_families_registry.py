"""The contract of the families, the names and sentences of features, and their table."""

import numpy as np
import pandas as pd
import pytest

from features.families import registry, table
from features.lungs import zones
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers import box_lungs
from tests.helpers.box_lungs import STUDY, prepared


@pytest.fixture
def noise() -> np.ndarray:
    return box_lungs.noise()


def test_every_feature_is_named_explained_and_finite(noise):
    row = registry.measure(prepared(noise), STUDY, registry.FAMILIES)
    for name, result in row.items():
        assert np.isfinite(result), name
        feature = registry.describe(name)
        assert feature.text.endswith(".") and f"{feature.family}.{feature.zone}" in name


def test_asymmetry_is_the_difference_of_mirrored_zones(noise):
    row = registry.measure(prepared(noise), STUDY)
    assert row["asymmetry.apex_rim.glcm_contrast_d1"] == pytest.approx(
        abs(row["glcm.right_apex_rim.contrast_d1"] - row["glcm.left_apex_rim.contrast_d1"])
    )


def test_zones_in_words():
    assert registry.zone_in_words("left_upper_rim") == "rim of the upper zone of the left lung"
    assert registry.zone_in_words("apex_core") == "right and left core of the apex compared"
    assert registry.zone_in_words("right_whole") == "right lung as a whole"
    assert registry.zone_in_words("image") == "image as a whole"


def test_unknown_family():
    with pytest.raises(UserError, match="families = wavelet"):
        registry.check(("glcm", "wavelet"))
    with pytest.raises(UserError, match="families = asymmetry: it compares what other families"):
        registry.check(("asymmetry",))


@pytest.mark.parametrize(
    "name", ["glcm.nonsense.contrast_d1", "shape.left_apex.area", "glcm.image.contrast_d1"]
)
def test_a_measure_that_is_taken_nowhere_is_not_described(name):
    with pytest.raises(KeyError):
        registry.describe(name)


def test_a_table_of_another_version_is_refused(tmp_path):
    run = RunFolder(tmp_path)
    run.features.write(pd.DataFrame({"id": ["a"], "old.zone.thing": [1.0]}))
    with pytest.raises(UserError, match=r"not a table of this version.*old\.zone\.thing.*unknown"):
        table.read(run)


@pytest.mark.parametrize("name", list(registry.MEASURED))
def test_a_family_measures_what_it_names(noise, name):
    family, image = registry.MEASURED[name], prepared(noise)
    assert family.name == name
    assert bool(family.zone_names) == (family.measure_zones is not None)
    assert bool(family.image_names) == (family.measure_image is not None)
    if family.measure_zones:
        shape = 2 * len(family.zones), len(family.measures)
        assert family.measure_zones(image).shape == shape
        assert set(family.zones) <= set(zones.ZONES)
    if family.measure_image:
        assert len(family.measure_image(image, STUDY)) == len(family.image_measures)
