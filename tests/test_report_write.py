"""The report's page: whole, offline, escaped, and true to the run."""

import base64
import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from baseline.evaluation import faithfulness
from baseline.explanation import trained_run
from baseline.explanation.attributions import Explanation
from baseline.gate import rules
from baseline.learning import predictions, scores
from baseline.report import case_view, rendering, result_tables, which_cases, write
from baseline.report import model_card
from features.families import registry
from features.reading import rle
from features.run.files import UserError
from tests.helpers.noise_run import FEATURES, NASTY, SHOWN
from tests.helpers.page_reader import Page, polygons


# --- the page --------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def run(noise_run: Path) -> Path:
    return noise_run


@pytest.fixture(scope="module")
def shown(noise_report: dict[str, Any]) -> dict[str, Any]:
    return noise_report


@pytest.fixture(scope="module")
def page(shown: dict[str, Any]) -> Page:
    return Page(rendering.render("report.html", shown))


def test_the_page_asks_nothing_of_any_network(page):
    for _, attributes in page.found:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert page.every("script") == [{}] and not page.every("link") and not page.every("iframe")
    policy = str(next(a for a in page.every("meta") if "http-equiv" in a)["content"])
    assert policy.startswith("default-src 'none'; img-src data:;")
    # Only the script of ours may run: the policy names it by its hash.
    script = (rendering.TEMPLATES / "page.js").read_bytes()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def rate(name: str, right: int, images: int, value: dict | None = None) -> dict:
    """A rate of one class, with its interval where there are enough."""
    return {"name": name, "right": right, "images": images} | ({"rate": value} if value else {})


def judged(verdict: float, low: float, of: str = "") -> dict:
    """Scrutiny in which tubes reach an AUC of 0.6, with an interval from `low`."""
    half = {"value": 0.5, "low": 0.4, "high": 0.6}
    return {
        "judged": of,
        "shortcuts": [
            {"name": "the verdict", "auc": {"value": verdict, "low": 0.7, "high": 1.0}},
            {"name": "age alone", "auc": half},
            {"name": "tubes alone", "auc": {"value": 0.6, "low": low, "high": 0.7}},
            {"name": "permuted labels", "auc": {"value": 0.65, "low": 0.6, "high": 0.7}},
        ],
        "subgroups": [
            {"kind": "view", "name": "AP", "positives": 2, "negatives": 1}
            | {"rates": [rate("sensitivity", 1, 2), rate("specificity", 1, 1)]},
            {"kind": "sex", "name": "<i>F</i>", "positives": 25, "negatives": 30, "auc": half}
            | {"rates": [rate("sensitivity", 14, 25, half), rate("specificity", 29, 30, half)]},
        ],
        "at_half": [],
        "operating_points": [
            {"meant": "specificity", "level": 0.8, "sensitivity": half, "specificity": half}
        ],
        "triage": {"alpha": 0.1}
        | dict.fromkeys(
            ("positives_ruled_out", "negatives_ruled_in", "ruled_out", "referred", "ruled_in"), half
        ),
    }


def test_the_strongest_shortcut_is_weighed_against_the_verdict():
    found = result_tables.questions(judged(0.9, 0.52))
    # 0.1 above guessing beside 0.4; permuted labels are no shortcut, though they rank higher here.
    assert found["strongest"]["name"] == "tubes alone"
    assert found["share"] == pytest.approx(0.25)
    assert result_tables.questions(judged(0.9, 0.49))["share"] is None
    assert result_tables.questions(None) is None


def test_the_main_measure_of_a_shortcut_is_told_with_its_direction():
    names = (
        "confounders.image.lines",
        "confounders.left_whole.tubes",
        "glcm.left_apex.contrast_d1",
    )
    rng = np.random.default_rng(0)
    own = pd.DataFrame(rng.normal(size=(50, 3)), columns=list(names))
    values = own.to_numpy() * [-0.3, 0.1, 5.0]
    ids = np.arange(50).astype(str).astype(object)
    asked = SimpleNamespace(explanation=Explanation(ids, names, np.zeros(50), values), own=own)
    assert result_tables.main_measure(asked, "tubes and leads alone") == {
        "what": "share of the image outside the lungs on long bright lines",
        "where": "image as a whole",
        "direction": "against",
    }
    assert result_tables.main_measure(asked, "number of the patient group's images alone") is None
    unused = Explanation(ids, names, np.zeros(50), values * [0, 0, 1])
    asked = SimpleNamespace(explanation=unused, own=own)
    assert result_tables.main_measure(asked, "tubes and leads alone") is None


def test_hard_questions_are_answered_where_they_were_asked(run, page, tmp_path):
    assert "make scrutiny report" in page.text
    run = shutil.copytree(run, tmp_path / "run")
    oof = predictions.read(run / "baseline" / "oof.csv")
    asked = judged(0.9, 0.52, trained_run.fingerprint(oof))
    path = run / "baseline" / "scrutiny.json"
    path.write_text(json.dumps(asked))
    write.main(write.Settings(run=run, cases=1, jobs=1))
    found = Page((run / "report" / "index.html").read_text(encoding="utf-8"))
    assert "make scrutiny report" not in found.text
    assert "“tubes alone” goes furthest, with an AUC of 0.600 [0.520, 0.700]" in found.text
    assert "too few to judge" in found.text and "sex: <i>F</i>" in found.text
    # Whom the errors strike: counts, and intervals where there are enough.
    assert "14 of 25 (50%, 95% interval 40% to 60%)" in found.text
    assert "1 of 2 (too few to judge)" in found.text
    # Triage leads with what it would miss.
    assert re.search(r"What would ruling out miss\?\s+50% of pneumothoraces", found.text)
    assert "threshold chosen today" in found.text and "80% specificity" in found.text
    path.write_text(json.dumps({k: v for k, v in asked.items() if k != "at_half"}))
    with pytest.raises(UserError, match="not as this version writes it; run `make scrutiny`"):
        write.main(write.Settings(run=run, cases=1, jobs=1))
    # Of the same order, and so of the same AUC, but not the same.
    other = oof.assign(probability=oof["probability"] / 2)
    path.write_text(json.dumps(asked | {"judged": trained_run.fingerprint(other)}))
    with pytest.raises(UserError, match="judged other predictions"):
        write.main(write.Settings(run=run, cases=1, jobs=1))


def test_the_report_says_how_faithful_its_reasons_are(run, page, tmp_path):
    assert "make faithfulness report" in page.text
    run = shutil.copytree(run, tmp_path / "run")
    faithfulness.main(faithfulness.Settings(run=run, jobs=1))
    write.main(write.Settings(run=run, cases=1, jobs=1))
    found = Page((run / "report" / "index.html").read_text(encoding="utf-8"))
    assert "make faithfulness report" not in found.text
    stored = json.loads((run / "baseline" / "faithfulness.json").read_text())
    place = scores.Estimate(**stored["stability"]["place"])
    assert f"with a rank correlation of {place}" in found.text


def test_values_from_files_are_escaped(page, shown):
    assert NASTY in page.text and all(case["id"] in page.text for case in shown["cases"])
    assert not any("evil" in str(attributes.values()) for _, attributes in page.found)


def test_every_case_has_its_section_pictures_and_sentences(page):
    articles = [a for a in page.every("article") if a.get("class") == "case"]
    failures = len([a for a in page.every("article") if a.get("class") == "failure"])
    assert [a["data-number"] for a in articles] == [str(k) for k in range(1, SHOWN + 1)]
    assert page.text.count("The probability of pneumothorax is") == SHOWN + failures
    # Each X-ray is in the file once, and used by all pictures of its case.
    assert len(page.every("image")) == SHOWN
    assert len(page.every("use")) == 2 * SHOWN + failures
    # Every picture says in words what it shows.
    assert all(a.get("alt") for a in page.every("img"))
    pictures = [a for a in page.every("svg") if a.get("aria-hidden") != "true"]
    assert all(a.get("aria-label") and a.get("role") == "img" for a in pictures)
    assert len(pictures) == 2 * SHOWN + failures
    identifiers = [a["id"] for _, a in page.found if "id" in a]
    assert len(identifiers) == len(set(identifiers))
    # Every link leads to something.
    assert {str(a["href"])[1:] for a in page.every("a")} <= set(identifiers)
    assert {str(a["href"])[1:] for a in page.every("use")} <= set(identifiers)


def test_a_case_keeps_its_link_whatever_else_is_shown(page, shown):
    found = [a["id"] for a in page.every("article") if a.get("class") == "case"]
    assert found == [case_view.anchor(case["id"]) for case in shown["cases"]]
    assert re.fullmatch(r"case-[0-9a-f]{10}", case_view.anchor(NASTY))


def test_the_worst_failures_come_first():
    drawn = [
        {"probability": p, "outcome": which_cases.outcome(p, t)}
        for p, t in ((0.4, 1), (0.1, 1), (0.9, 1), (0.3, 1), (0.6, 0), (0.2, 0))
    ]
    missed = which_cases.worst(drawn, "false negative", 2)
    assert [case["probability"] for case in missed] == [0.1, 0.3]
    assert [case["probability"] for case in which_cases.worst(drawn, "false positive", 2)] == [0.6]


def test_failures_say_whom_they_strike(run):
    found = trained_run.read_inputs(run)
    truth = found.predicted["label"].to_numpy()
    # Every second image is judged wrongly.
    wrong = np.arange(len(truth)) % 2 == 1
    judged = found.predicted.assign(probability=np.abs(truth - wrong))
    found = dataclasses.replace(found, predicted=judged)
    sizes = write.areas(found.dataset)
    profile = {line["name"]: line for line in model_card.profile(found, sizes)}
    labelled = truth[:100]
    assert profile["false negative"]["images"] == (labelled[1::2] == 1).sum()
    assert profile["true positive"]["images"] == (labelled[::2] == 1).sum()
    # All masks are 40 of 64 x 64 pixels; only images of odd numbers tell the sex.
    assert profile["false negative"]["area"] == pytest.approx(40 / 64**2)
    assert profile["true negative"]["area"] is None
    assert profile["false positive"]["sex"] == f"{NASTY} {(labelled[1::2] == 0).sum()}"


def test_outlines_of_images_that_are_no_longer_judged_are_stale(run):
    oof = predictions.read(run / "baseline" / "oof.csv")
    table, state = outlined(run, 0.0)
    assert state == "fresh" and len(table) == len(oof)
    table, state = outlined(run, 0.0, renamed="gone")
    assert state == "stale"


def outlined(
    run: Path, shift: float, policy: str = "joint", renamed: str = ""
) -> tuple[pd.DataFrame | None, str]:
    """Read back a U-Net's outlines, a square on every image, asked with other probabilities."""
    oof = pd.read_csv(run / "baseline" / "oof.csv", dtype={"id": str})
    square = np.zeros((64, 64), bool)
    square[10:30, 20:40] = True
    table = oof[["id"]].assign(
        probability=oof["probability"] + shift,
        spoken=1,
        source="joint",
        level=0.4,
        dice=0.25,
        mask=rle.encode(square),
    )
    table.loc[3, "id"] = renamed or table.loc[3, "id"]
    (run / "cnn").mkdir(exist_ok=True)
    table.to_csv(run / "cnn" / "outlines.csv", index=False)
    (run / "gate.json").write_text(json.dumps({"default": policy}))
    found = write.read_outlines(run, oof)
    (run / "cnn" / "outlines.csv").unlink()
    (run / "gate.json").unlink()
    return found


def test_outlines_of_the_unet_are_drawn_and_the_gate_is_quoted_only_while_it_holds(
    run, page, shown
):
    assert "The gate has drawn no masks" in page.text
    assert write.read_outlines(run, trained_run.read_inputs(run).predicted) == (None, "")
    for shift, state, spoken in ((0.0, "fresh", 1), (0.01, "stale", 0)):
        table, found = outlined(run, shift)
        assert found == state
        rows = pd.DataFrame(shown["cases"][:1])[["id", "probability", "truth", "kind", "fold"]]
        drawn = write.draw_cases(trained_run.read_inputs(run), rows, table, {}, 1)
        # The X-ray of 64 pixels is drawn at 512.
        (points,) = polygons(drawn[0]["drawn"].picture.unet)
        np.testing.assert_allclose(points.min(axis=0), [160, 80], atol=1)
        np.testing.assert_allclose(points.max(axis=0), [320, 240], atol=1)
        values = shown | {"cases": drawn, "outlines": found}
        text = Page(rendering.render("report.html", values)).text
        assert text.count("the gate speaks the mask by U-Net and evidence map") == spoken
        assert ("make gate report" in text) == (state == "stale")


def test_a_rule_that_does_not_ask_the_verdict_is_not_called_the_gate(run):
    told = {policy: outlined(run, 0.0, policy)[0]["rule"].iloc[0] for policy in rules.POLICIES}
    assert [policy for policy, words in told.items() if words == "the gate"] == [
        "gated", "fused", "handcrafted", "joint", "expected"
    ]  # fmt: skip
    assert told["unet"] == "the rule unet, which does not ask the verdict,"


def test_one_study_has_a_page_of_its_own(shown):
    unknown = shown["cases"][0] | {"truth": None, "outcome": None, "kind": "deployed"}
    text = rendering.render(
        "study.html", {"case": unknown, "notes": [], "scale": shown["scale"], "folds": 2}
    )
    one = Page(text)
    assert "truth unknown" in one.text and "judged by all 2 fold models" in one.text
    assert len(one.every("image")) == 1 and len(one.every("use")) == 2


def test_the_page_says_what_it_is_and_how_good(page, run):
    assert page.text.count("For research and education; not a medical device") >= 2
    metrics = json.loads((run / "baseline" / "metrics.json").read_text())
    for key in ("out_of_fold", "test"):
        assert f"{metrics[key]['auc']['value']:.3f}" in page.text
    confusion = result_tables.confusion(trained_run.read_inputs(run))
    assert sum(confusion.values()) == 100
    found, missed = confusion["true positive"], confusion["false negative"]
    rates = result_tables.rates(trained_run.read_inputs(run))
    assert rates["sensitivity"]["rate"].value == pytest.approx(found / (found + missed))
    false, cleared = confusion["false positive"], confusion["true negative"]
    assert rates["specificity"]["rate"].value == pytest.approx(cleared / (false + cleared))
    low, high = (
        f"{100 * (1 - getattr(rates['specificity']['rate'], k)):.0f}%" for k in ("high", "low")
    )
    assert f"95% interval {low} to {high}" in page.text
    assert re.search(rf"it finds {found}\s+of\s+{found + missed} pneumothoraces", page.text)
    slope = metrics["out_of_fold"]["calibration_slope"]["value"]
    assert f"calibration slope {slope:.2f}" in page.text


def test_probabilities_of_the_sentences_are_those_of_the_predictions(run):
    found = trained_run.read_inputs(run)
    everyone = trained_run.make_cases(found, list(range(len(found.predicted))))
    np.testing.assert_allclose(
        [case.probability() for case in everyone], found.predicted["probability"], atol=1e-6
    )
    # An out-of-fold image is ranked among the images of the other fold alone.
    features, folds = found.table[FEATURES[0]].to_numpy(), found.predicted["fold"].to_numpy()
    others = features[folds == 1 - folds[0]]
    assert everyone[0].percentiles[0] == pytest.approx(100 * (others < features[0]).mean())


def test_measures_are_listed_with_their_registered_sentences(page):
    for name in FEATURES[:3]:
        assert registry.describe(name).text in page.text


def test_several_processes_draw_the_same_cases(run, shown, monkeypatch):
    rows = pd.DataFrame(shown["cases"][:2])[["id", "probability", "truth", "kind", "fold"]]
    monkeypatch.setattr(write, "FEWEST_PARALLEL", 2)
    both = write.draw_cases(trained_run.read_inputs(run), rows, None, {}, 2)
    assert [case["drawn"] for case in both] == [case["drawn"] for case in shown["cases"][:2]]


# --- mistakes --------------------------------------------------------------------------------
