"""The report's page: whole, offline, escaped, and true to the run."""

import base64
import dataclasses
import hashlib
import re
from typing import Any

import numpy as np
import pytest

from baseline.explanation import trained_run
from baseline.explanation.case import make_cases
from baseline.learning import metrics
from baseline.report import case_view, rendering, result_tables
from features.families import registry
from tests.helpers.noise_run import FEATURES, NASTY, SHOWN
from tests.helpers.page_reader import Page


@pytest.fixture(scope="module")
def page(noise_report: dict[str, Any]) -> Page:
    return Page(rendering.render("report.html", noise_report))


def test_the_page_asks_nothing_of_any_network(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert page.every("script") == [{}] and not page.every("link") and not page.every("iframe")
    policy = str(next(a for a in page.every("meta") if "http-equiv" in a)["content"])
    assert policy.startswith("default-src 'none'; img-src data:;")
    # Only the project's script may run: the policy names it by its hash.
    script = (rendering.TEMPLATES / "page.js").read_bytes()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def test_values_from_files_are_escaped(page, noise_report):
    assert NASTY in page.text
    assert all(case.drawn.id in page.text for case in noise_report["cases"])
    assert not any("evil" in str(attributes.values()) for _, attributes in page.tags)


def test_every_case_has_its_section_pictures_and_sentences(page):
    articles = [a for a in page.every("article") if a.get("class") == "case"]
    failures = len([a for a in page.every("article") if a.get("class") == "failure"])
    assert [a["data-number"] for a in articles] == [str(k) for k in range(1, SHOWN + 1)]
    assert page.text.count("The probability of pneumothorax is") == SHOWN + failures
    # Each X-ray is in the file once, and used by all pictures of its case.
    assert len(page.every("image")) == SHOWN
    assert len(page.every("use")) == 2 * SHOWN + failures
    # Every picture is described in words.
    assert all(a.get("alt") for a in page.every("img"))
    pictures = [a for a in page.every("svg") if a.get("aria-hidden") != "true"]
    assert all(a.get("aria-label") and a.get("role") == "img" for a in pictures)
    assert len(pictures) == 2 * SHOWN + failures
    identifiers = [a["id"] for _, a in page.tags if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    # Every link leads to something.
    assert {str(a["href"])[1:] for a in page.every("a")} <= set(identifiers)
    assert {str(a["href"])[1:] for a in page.every("use")} <= set(identifiers)


def test_a_case_keeps_its_link_whatever_else_is_shown(page, noise_report):
    identifiers = [a["id"] for a in page.every("article") if a.get("class") == "case"]
    assert identifiers == [case_view.anchor(case.drawn.id) for case in noise_report["cases"]]
    assert re.fullmatch(r"case-[0-9a-f]{10}", case_view.anchor(NASTY))


def test_one_study_has_a_page_of_its_own(noise_report):
    unknown = dataclasses.replace(noise_report["cases"][0], truth=None, fold=None)
    values = {"case": unknown, "notes": [], "folds": 2}
    values["full_colour"] = noise_report["full_colour"]
    page = Page(rendering.render("study.html", values))
    assert "truth unknown" in page.text
    assert "predicted by the mean of all 2 fold models" in page.text
    assert len(page.every("image")) == 1 and len(page.every("use")) == 2


def test_the_page_says_what_it_is_and_how_good(page, noise_run):
    assert page.text.count("For research and education; not a medical device") >= 2
    scores = metrics.read(noise_run)
    for part in (scores.out_of_fold, scores.test):
        assert f"{part.auc.value:.3f}" in page.text
    trained = trained_run.read(noise_run)
    confusion = result_tables.confusion(trained)
    assert sum(confusion.values()) == 100
    found, missed = confusion["true positive"], confusion["false negative"]
    rates = result_tables.rates(trained)
    assert rates.sensitivity.share.value == pytest.approx(found / (found + missed))
    false_alarms, cleared = confusion["false positive"], confusion["true negative"]
    share = rates.specificity.share
    assert share.value == pytest.approx(cleared / (false_alarms + cleared))
    low, high = (f"{100 * (1 - end):.0f}%" for end in (share.high, share.low))
    assert f"95% interval {low} to {high}" in page.text
    assert re.search(rf"finds {found}\s+of\s+{found + missed} pneumothoraces", page.text)
    slope = scores.out_of_fold.calibration_slope.value
    assert f"calibration slope {slope:.2f}" in page.text


def test_probabilities_of_the_sentences_are_those_of_the_predictions(noise_run):
    trained = trained_run.read(noise_run)
    cases = make_cases(trained, list(range(len(trained.predicted))))
    np.testing.assert_allclose(
        [case.probability() for case in cases], trained.predicted["probability"], atol=1e-6
    )
    # An out-of-fold image is ranked among the images of the other fold alone.
    predicted = trained.predicted
    values = trained.held_out[FEATURES[0]].to_numpy()
    others = values[(predicted["fold"] == 1 - predicted["fold"][0]).fillna(False).to_numpy(bool)]
    assert cases[0].percentiles[0] == pytest.approx(100 * (others < values[0]).mean())


def test_measures_are_listed_with_their_registered_sentences(page):
    for name in FEATURES[:3]:
        assert registry.describe(name).text in page.text
