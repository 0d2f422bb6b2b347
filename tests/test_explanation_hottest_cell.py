"""The hottest cell: explained by numbers that add up, in words that can be rebuilt from them."""

import re

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from baseline.evidence_map.models import EvidenceModel
from baseline.explanation import attributions, hottest_cell, overlays
from features.cells.measure import MEASURES, Cells
from features.families import signs
from features.lungs.zones import NAMES

M = len(MEASURES)
LINE = [measure.name for measure in MEASURES].index("line_fine.near")


def booster(seed: int) -> lgb.Booster:
    """Air is where lines along the wall are strong."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(600, M)).astype(np.float32)
    target = (values[:, LINE] > 0.5).astype(float)
    settings = {"objective": "cross_entropy", "verbosity": -1, "num_leaves": 4, "seed": seed}
    return lgb.train(settings, lgb.Dataset(values, target), 20)


@pytest.fixture(scope="module")
def models() -> list[EvidenceModel]:
    cells = [booster(seed) for seed in (0, 1)]
    return [EvidenceModel(cell_model, cell_model) for cell_model in cells]


@pytest.fixture
def cells() -> Cells:
    values = np.random.default_rng(2).normal(size=(50, M)).astype(np.float32)
    values[7, LINE] = 4.0
    zones = np.full(50, NAMES.index("left_base_core"), np.int8)
    zones[7] = NAMES.index("right_apex_rim")
    place = np.arange(50, dtype=np.int16)
    return Cells(place, place, np.zeros(50, np.int8), zones, values)


def test_the_cell_is_explained_by_the_mean_over_the_models(models, cells):
    probability = np.linspace(0.1, 0.2, 50)
    probability[7] = 0.6
    hottest = hottest_cell.find(models, cells, probability)
    assert hottest.zone == "right_apex_rim"
    assert int(hottest.shap.argmax()) == LINE
    raw = [model.cells.predict(cells.values[7:8], raw_score=True)[0] for model in models]
    base = [attributions.values_of(model.cells, frame(model, cells))[0] for model in models]
    np.testing.assert_allclose(hottest.shap.sum(), np.mean(raw) - np.mean(base), atol=1e-6)


def frame(model: EvidenceModel, cells: Cells) -> pd.DataFrame:
    return pd.DataFrame(cells.values[7:8], columns=model.cells.feature_name())


def test_the_sentence_can_be_rebuilt_from_the_numbers(models, cells):
    probability = np.full(50, 0.1)
    probability[7] = 0.6
    hottest = hottest_cell.find(models, cells, probability)
    text = hottest_cell.sentence(hottest).text
    assert "rim of the apex of the right lung" in text
    assert "the probability that air lies there is 60%." in text
    # These values add to the log-odds of air if the lung has collapsed, not to the probability.
    about = [m.name.startswith(("line", "inwards")) for m in MEASURES]
    lines = f"lines along the chest wall ({hottest.shap[about].sum():+.2f})"
    assert f"If this lung has collapsed, that comes from {lines}" in text
    said = [float(value) for value in re.findall(r"\(([+][0-9.]+)\)", text)]
    assert said == sorted(said, reverse=True)


def test_every_measure_of_a_cell_has_a_topic():
    topics = dict(zip((m.name for m in MEASURES), hottest_cell.TOPIC_OF, strict=True))
    assert topics["grey.cell"] == "the density of the lungs"
    assert topics["ridge_wide.peak"] == topics["detail_fine.outwards"] == "lung markings"
    assert topics["place.depth"] == "where it lies"
    subjects = {sign.subject for sign in signs.SIGNS}
    assert {topic for topic in topics.values() if topic != "where it lies"} <= subjects


def test_a_cold_map_is_called_cold(models, cells):
    probability = np.full(50, 0.05)
    probability[7] = 0.099
    reason = hottest_cell.sentence(hottest_cell.find(models, cells, probability))
    assert reason.text == "The evidence map is cold: nowhere is air as likely as 10%."
    probability[7] = 0.1
    assert "hottest" in hottest_cell.sentence(hottest_cell.find(models, cells, probability)).text


def test_an_image_without_cells_has_no_hottest_one(models, cells):
    none = Cells(*(part[:0] for part in vars(cells).values()))
    assert hottest_cell.find(models, none, np.zeros(0)) is None


def test_contours_enclose_what_reaches_their_level():
    values = np.zeros((20, 20), np.float32)
    values[4:12, 4:12] = 0.22
    values[6:8, 6:8] = 0.35
    contours = overlays.contours(values)
    assert [contour.level for contour in contours] == [0.1, 0.2, 0.3]
    assert contours[0].path == overlays.outline(values > 0)
    assert not overlays.contours(np.zeros((5, 5), np.float32))
