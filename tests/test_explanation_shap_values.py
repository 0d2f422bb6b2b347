"""SHAP values of a run: they add up to its predictions, and others are refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from baseline.explanation import attributions, shap_values, trained_run
from baseline.learning.calibrate import Calibration
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder


def test_values_and_places_add_up_to_the_probabilities(noise_run):
    predicted = trained_run.read(noise_run).predicted
    for table in (noise_run.shap, noise_run.shap_by_place):
        content = table.read().set_index("id")
        assert list(content.index) == list(predicted["id"])
        total = content.to_numpy().sum(axis=1)
        np.testing.assert_allclose(expit(total), predicted["probability"], atol=1e-6)


def test_what_is_read_is_what_the_models_give(noise_run):
    trained = trained_run.read(noise_run)
    explanation = shap_values.explain_run(trained)
    np.testing.assert_array_equal(trained.explanation.values, explanation.values)
    np.testing.assert_array_equal(trained.explanation.base, explanation.base)
    places = attributions.by_place(explanation, trained.right)
    pd.testing.assert_frame_equal(trained.by_place, places, check_names=False)


@pytest.mark.parametrize("name", ["shap", "shap_by_place"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[1:], "it is of other images"),
        (lambda t: t.assign(base=t["base"] + 0.1), "do not add up to its prediction"),
        (lambda t: t.assign(base=np.nan), "do not add up to its prediction"),
    ],
)
def test_values_of_other_predictions_are_refused(copied_noise_run, name, change, message):
    table = getattr(copied_noise_run, name)
    table.write(change(table.read()))
    trained = trained_run.read(copied_noise_run)
    with pytest.raises(UserError, match=message):
        _ = trained.explanation if name == "shap" else trained.by_place


def _shift(run: RunFolder, name: str) -> None:
    """Change the log-odds of one image, and its probability with them."""
    table = getattr(run, name)
    rows = table.read()
    scale = trained_run.read(run).calibrations[None if name == "test" else int(rows["fold"][0])]
    rows.loc[0, "raw"] += 0.01
    rows.loc[0, "probability"] = expit(scale.slope * rows["raw"][0] + scale.intercept)
    table.write(rows)


def test_predictions_of_other_models_are_refused_before_anything_is_written(copied_noise_run):
    run = copied_noise_run
    before = run.shap.path.read_bytes()
    _shift(run, "test")
    with pytest.raises(UserError, match="is not that of the saved models; run `make classifier`"):
        shap_values.main(shap_values.Settings(run.root))
    assert run.shap.path.read_bytes() == before


def test_probabilities_of_another_calibration_are_refused(copied_noise_run):
    run = copied_noise_run
    scale = files.read_record(run.calibration, Calibration)
    files.write_record(run.calibration, Calibration(scale.slope + 0.1, scale.intercept))
    with pytest.raises(UserError, match="is not that of its log-odds; run `make classifier` again"):
        trained_run.read(run)
