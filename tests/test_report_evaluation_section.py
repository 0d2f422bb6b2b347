"""What the report shows of shortcut checks, subgroups, triage and faithfulness."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from baseline.evaluation import faithfulness, results
from baseline.evaluation.results import (
    OperatingPoint,
    Rate,
    Rates,
    Shortcut,
    Shortcuts,
    Subgroup,
    Triage,
)
from baseline.explanation.attributions import Explanation
from baseline.explanation.trained_run import fingerprint
from baseline.learning.scores import Estimate
from baseline.report import evaluation_section, rendering, write
from baseline.report.evaluation_section import MainMeasure
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.page_reader import Page

HALF = Estimate(0.5, 0.4, 0.6)


def checks_of(classifier: float, low: float, predictions: str = "") -> Shortcuts:
    """Shortcut checks in which tubes reach an AUC of 0.6, with an interval from `low`."""
    few = Rates(Rate(2, 1, None), Rate(1, 1, None))
    enough = Rates(Rate(25, 14, HALF), Rate(30, 29, HALF))
    return Shortcuts(
        predictions=predictions,
        classifier=Estimate(classifier, 0.7, 1.0),
        shortcuts=[
            Shortcut("age alone", HALF),
            Shortcut("tubes alone", Estimate(0.6, low, 0.7)),
        ],
        permuted=Estimate(0.65, 0.6, 0.7),
        at_half=enough,
        subgroups=[
            Subgroup("view", "AP", 2, 1, None, few),
            Subgroup("sex", "<i>F</i>", 25, 30, HALF, enough),
            Subgroup("lesion", "small", 25, 30, HALF, replace(enough, specificity=None)),
        ],
        operating_points=[OperatingPoint("specificity", 0.8, HALF, HALF)],
        triage=Triage(0.1, *[HALF] * 5),
    )


def written(run: RunFolder) -> Page:
    """The report of a run, made now."""
    write.main(write.Settings(run=run.root, cases=1, jobs=1))
    return Page(run.report.read_text(encoding="utf-8"))


def test_the_strongest_shortcut_is_compared_with_the_classifier():
    checks = checks_of(0.9, 0.52)
    # 0.1 above guessing beside 0.4; permuted labels are no shortcut, though their AUC is higher.
    assert evaluation_section.strongest(checks).name == "tubes alone"
    assert evaluation_section.share_of_lead(checks) == pytest.approx(0.25)
    assert evaluation_section.share_of_lead(checks_of(0.9, 0.49)) is None
    assert evaluation_section.share_of_lead(checks_of(0.5, 0.52)) is None
    assert evaluation_section.shortcuts(None, SimpleNamespace()) is None


def test_the_main_measure_of_a_shortcut_has_its_direction():
    names = (
        "confounders.image.lines",
        "confounders.left_whole.tubes",
        "glcm.left_apex.contrast_d1",
    )
    rng = np.random.default_rng(0)
    features = pd.DataFrame(rng.normal(size=(50, 3)), columns=list(names))
    values = features.to_numpy() * [-0.3, 0.1, 5.0]
    ids = np.arange(50).astype(str).astype(object)
    explanation = Explanation(ids, names, np.zeros(50), values)
    trained = SimpleNamespace(explanation=explanation, held_out=features)
    assert evaluation_section.main_measure(trained, "tubes and leads alone") == MainMeasure(
        what="share of the image outside the lungs on long bright lines",
        where="image as a whole",
        direction="against",
    )
    patients = "number of the patient group's images alone"
    assert evaluation_section.main_measure(trained, patients) is None
    unused = Explanation(ids, names, np.zeros(50), values * [0, 0, 1])
    trained = SimpleNamespace(explanation=unused, held_out=features)
    assert evaluation_section.main_measure(trained, "tubes and leads alone") is None


def test_an_auc_beyond_its_bar_is_drawn_at_the_end():
    whisker = evaluation_section.whisker("x", Estimate(0.65, 0.1, 1.0))
    assert (whisker.left, whisker.width, whisker.point) == (0.0, 100.0, 50.0)
    assert evaluation_section.whisker("x", None, "note").estimate is None


def test_shortcut_checks_are_shown_where_they_were_made(copied_noise_run, noise_report):
    missing = "make shortcuts report"
    assert missing in Page(rendering.render("report.html", noise_report)).text
    oof = copied_noise_run.oof.read()
    checks = checks_of(0.9, 0.52, fingerprint(oof))
    files.write_record(copied_noise_run.shortcuts, checks)
    page = written(copied_noise_run)
    assert missing not in page.text
    assert "“tubes alone” has the highest AUC, 0.600 [0.520, 0.700]" in page.text
    assert "would have 25% of this classifier’s lead" in page.text
    assert "too few images" in page.text and "sex: <i>F</i>" in page.text
    # Who is affected by errors: counts, and intervals where there are enough images.
    assert "14 of 25 (50%, 95% interval 40% to 60%)" in page.text
    assert "1 of 2 (too few images)" in page.text
    # Triage begins with what it would miss.
    assert re.search(r"What would ruling out miss\?\s+50% of pneumothoraces", page.text)
    assert "as it would be in practice" in page.text and "80% specificity" in page.text
    content = files.read_json(copied_noise_run.shortcuts)
    content.pop("at_half")
    files.write_json(copied_noise_run.shortcuts, content)
    with pytest.raises(UserError, match="not as this version writes it"):
        written(copied_noise_run)
    # Of the same order, and so of the same AUC, but other predictions.
    other = oof.assign(probability=oof["probability"] / 2)
    files.write_record(copied_noise_run.shortcuts, replace(checks, predictions=fingerprint(other)))
    with pytest.raises(UserError, match="results of other predictions; run `make shortcuts`"):
        written(copied_noise_run)


def test_the_report_shows_how_faithful_its_reasons_are(copied_noise_run, noise_report):
    missing = "make faithfulness report"
    assert missing in Page(rendering.render("report.html", noise_report)).text
    faithfulness.main(faithfulness.Settings(run=copied_noise_run.root, jobs=1))
    page = written(copied_noise_run)
    assert missing not in page.text
    stored = results.read_faithfulness(copied_noise_run, copied_noise_run.oof.read())
    assert f"with a rank correlation of {stored.stability.place}" in page.text
