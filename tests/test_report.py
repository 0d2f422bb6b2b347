"""The report: which cases, what is painted where, and a page that is whole, offline and escaped."""

import base64
import dataclasses
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from noise_run import FEATURES, NASTY, SHOWN
from PIL import Image
from sklearn.metrics import roc_auc_score

from baseline import (
    card,
    cases,
    classifier,
    faithfulness,
    findings,
    gallery,
    gate,
    inputs,
    painting,
    plots,
    report,
    scores,
)
from baseline import (
    page as pages,
)
from baseline.attributions import Explanation
from baseline.reasons import label
from features import phantom_dicom, registry, rle
from features.files import UserError, write_json
from features.lungs import LungFields
from features.zones import NAMES as ZONE_NAMES
from features.zones import build


# --- choosing cases --------------------------------------------------------------------------
def rows(probabilities: list[float], truth: list[int]) -> pd.DataFrame:
    ids = [f"i{k}" for k in range(len(truth))]
    return pd.DataFrame({"id": ids, "probability": probabilities, "truth": truth})


def test_cases_are_the_clearest_of_each_group():
    table = rows([0.9, 0.8, 0.1, 0.2, 0.95, 0.05, 0.02, 0.49], [1, 1, 1, 1, 0, 0, 0, 0])
    found = cases.choose(table, 5)
    assert dict(zip(found["group"], found["id"], strict=True)) == {
        "true positive": "i0", "false negative": "i2", "false positive": "i4",
        "true negative": "i6", "near the threshold": "i7",
    }  # fmt: skip


def test_cases_do_not_hang_on_the_order_of_the_table_and_none_comes_twice():
    rng = np.random.default_rng(0)
    table = rows(list(np.round(rng.uniform(size=60), 1)), list(rng.integers(0, 2, 60)))
    first = cases.choose(table, 12)
    again = cases.choose(table.sample(frac=1, random_state=1), 12)
    pd.testing.assert_frame_equal(first, again)
    assert first["id"].is_unique and len(first) == 12
    assert len(cases.choose(table, 100)) == 60


def test_only_images_with_known_truth_are_candidates():
    oof = pd.DataFrame({"id": ["a", "b"], "label": [1.0, np.nan], "probability": [0.9, 0.9]})
    test = pd.DataFrame({"id": ["c", "d"], "label": [np.nan] * 2, "probability": [0.1, 0.2]})
    truth = pd.DataFrame({"id": ["c", "d"], "mask": ["-1", "0 5"]})
    assert list(cases.candidates(oof, test, None)["id"]) == ["a"]
    found = cases.candidates(oof, test, truth)
    assert dict(zip(found["id"], found["truth"], strict=True)) == {"a": 1, "c": 0, "d": 1}
    both = pd.concat((oof, pd.DataFrame({"id": ["e"], "label": [0.0], "probability": [0.1]})))
    assert list(cases.candidates(both, test, truth)["id"]) == ["a", "e"]


# --- painting --------------------------------------------------------------------------------
def polygons(path: str) -> list[np.ndarray]:
    """Points of SVG polygons that are written as a place and the steps from it."""
    found = []
    for part in path.strip("M").split("M"):
        numbers = np.array(re.findall(r"-?\d+", part.rstrip("z")), float)
        found.append(np.cumsum(numbers.reshape(-1, 2), axis=0))
    return found


def area(path: str) -> float:
    """Area within SVG polygons, by the shoelace formula."""
    total = 0.0
    for points in polygons(path):
        x, y = points.T
        total += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return total


def test_an_outline_encloses_the_mask_where_it_lies():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    found = painting.outline(mask)
    # Its corners are cut and its edges may leave the grid by the rounding: 100 pixels of perimeter.
    assert area(found) == pytest.approx(600, abs=100 * painting.ROUNDING)
    (points,) = polygons(found)
    np.testing.assert_allclose(points.min(axis=0), [20, 10])
    np.testing.assert_allclose(points.max(axis=0), [50, 30])
    assert painting.outline(np.zeros((5, 5), bool)) == ""


def test_regions_cover_the_lungs_and_add_up_the_zones_they_lie_in():
    right, left = np.zeros((2, 200, 200), bool)
    right[20:180, 20:80] = True
    left[20:180, 120:180] = True
    zones = build(LungFields(right, left, 1.0))
    evidence = pd.Series(dict.fromkeys((*ZONE_NAMES, "image"), 0.0))
    evidence["left_whole"], evidence["left_apex"], evidence["left_rim"] = 1.0, 2.0, 4.0
    found = painting.regions(zones, evidence)
    assert sum(area(region.path) for region in found) == pytest.approx(2 * 160 * 60, rel=0.03)
    by_zones = {region.zones: region.evidence for region in found}
    assert by_zones["left_whole", "left_apex", "left_rim", "left_apex_rim"] == 7.0
    assert by_zones["left_whole", "left_base", "left_core", "left_base_core"] == 1.0
    assert by_zones["right_whole", "right_apex", "right_rim", "right_apex_rim"] == 0.0


def test_shrinking_keeps_the_place_of_a_mask():
    mask = np.zeros((1024, 1024), bool)
    mask[512:, :256] = True
    small = painting.shrink(mask, (4, 8))
    assert small[2:, :2].all() and small.sum() == 4


# --- waterfall and figures -------------------------------------------------------------------
def test_a_waterfall_ends_at_the_score_and_drops_nothing():
    steps = [("a", "", "", 0.5), ("b", "", "", -1.0), ("c", "", "", 0.1), ("d", "", "", -0.2)]
    bars = gallery.waterfall(-0.3, steps, 2, "others")
    assert [bar.what for bar in bars[1:-1]] == ["b", "a", "all 2 other others"]
    assert [bar.kind for bar in bars] == ["total", "against", "for", "against", "total"]
    assert bars[-1].value == pytest.approx(-0.3 + sum(step[3] for step in steps))
    assert bars[0].value + sum(bar.value for bar in bars[1:-1]) == pytest.approx(bars[-1].value)
    assert all(bar.left >= 0 and bar.left + bar.width <= 100 for bar in bars)
    # Each bar begins where the one before it ended: "b" goes left from the base value's bar.
    assert bars[1].left + bars[1].width == pytest.approx(bars[0].left, abs=0.02)


def test_reliability_bins_by_hand():
    labels = np.array([0.0, 0, 1, 1])
    found = plots.reliability_bins(labels, np.array([0.1, 0.3, 0.6, 0.8]), 2)
    np.testing.assert_allclose(found[:, :2], [[0.2, 0], [0.7, 1]])
    # Wilson's interval of 0 out of 2 reaches to z^2 / (n + z^2).
    z2 = plots.Z95**2
    np.testing.assert_allclose(found[0, 2:], [0, z2 / (2 + z2)], atol=1e-12)


def test_a_beeswarm_puts_its_dots_where_the_axis_says_and_keeps_its_labels_whole():
    names = ("confounders.right_whole.wall_dark", "glcm.left_apex.contrast_d1")
    values = np.array([[-1.0, 0.1], [1.0, 0.2]])
    swarm = plots.beeswarm(
        Explanation(np.array(["a", "b"], object), names, np.zeros(2), values), values
    )
    assert [(row.what, row.where) for row in swarm.rows] == [
        (label(name), registry.zone_in_words(registry.describe(name).zone)) for name in names
    ]
    ticks = {tick.text: tick.place for tick in swarm.ticks}
    assert list(ticks) == ["−0.5", "0", "+0.5"]
    png = base64.b64decode(swarm.rows[0].uri.partition(",")[2])
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    # What is coloured is a dot; line and background are grey.
    coloured = np.flatnonzero((np.ptp(pixels, axis=2) > 60).any(axis=0))
    groups = np.split(coloured, np.flatnonzero(np.diff(coloured) > 1) + 1)
    centres = [100 * group.mean() / pixels.shape[1] for group in groups]
    step = ticks["+0.5"] - ticks["0"]
    expected = [ticks["0"] - 2 * step, ticks["0"] + 2 * step]
    np.testing.assert_allclose(centres, expected, atol=0.5)


# --- the page --------------------------------------------------------------------------------
class Page(HTMLParser):
    """What the tests ask of the page: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def run(noise_run: Path) -> Path:
    return noise_run


@pytest.fixture(scope="module")
def shown(noise_report: dict[str, Any]) -> dict[str, Any]:
    return noise_report


@pytest.fixture(scope="module")
def page(shown: dict[str, Any]) -> Page:
    return Page(pages.render("report.html", shown))


def test_the_page_asks_nothing_of_any_network(page):
    for _, attributes in page.found:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert page.every("script") == [{}] and not page.every("link") and not page.every("iframe")
    policy = str(next(a for a in page.every("meta") if "http-equiv" in a)["content"])
    assert policy.startswith("default-src 'none'; img-src data:;")
    # Only the script of ours may run: the policy names it by its hash.
    script = (pages.TEMPLATES / "page.js").read_bytes()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy


def rate(name: str, right: int, images: int, value: dict | None = None) -> dict:
    """A rate of one class, with its interval where there are enough."""
    return {"name": name, "right": right, "images": images} | ({"rate": value} if value else {})


def judged(verdict: float, low: float) -> dict:
    """Scrutiny in which tubes reach an AUC of 0.6, with an interval from `low`."""
    half = {"value": 0.5, "low": 0.4, "high": 0.6}
    return {
        "judged_auc": verdict,
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
        "operating_points": [{"level": 0.8, "sensitivity": half, "specificity": half}],
        "triage": {"alpha": 0.1}
        | dict.fromkeys(
            ("positives_ruled_out", "negatives_ruled_in", "ruled_out", "referred", "ruled_in"), half
        ),
    }


def test_the_strongest_shortcut_is_weighed_against_the_verdict():
    found = findings.questions(judged(0.9, 0.52))
    # 0.1 above guessing beside 0.4; permuted labels are no shortcut, though they rank higher here.
    assert found["strongest"]["name"] == "tubes alone"
    assert found["share"] == pytest.approx(0.25)
    assert findings.questions(judged(0.9, 0.49))["share"] is None
    assert findings.questions(None) is None


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
    assert findings.main_measure(asked, "tubes and leads alone") == {
        "what": "share of the image outside the lungs on long bright lines",
        "where": "image as a whole",
        "direction": "against",
    }
    assert findings.main_measure(asked, "number of the patient group's images alone") is None
    unused = Explanation(ids, names, np.zeros(50), values * [0, 0, 1])
    asked = SimpleNamespace(explanation=unused, own=own)
    assert findings.main_measure(asked, "tubes and leads alone") is None


def test_hard_questions_are_answered_where_they_were_asked(run, page, tmp_path):
    assert "make scrutiny report" in page.text
    run = shutil.copytree(run, tmp_path / "run")
    oof = pd.read_csv(run / "baseline" / "oof.csv").dropna(subset=["label"])
    auc = roc_auc_score(oof["label"], oof["raw"])
    path = run / "baseline" / "scrutiny.json"
    path.write_text(json.dumps(judged(auc, 0.52)))
    report.main(report.Settings(run=run, cases=1, jobs=1))
    found = Page((run / "report" / "index.html").read_text(encoding="utf-8"))
    assert "make scrutiny report" not in found.text
    assert "“tubes alone” goes furthest, with an AUC of 0.600 [0.520, 0.700]" in found.text
    assert "too few to judge" in found.text and "sex: <i>F</i>" in found.text
    # Whom the errors strike: counts, and intervals where there are enough.
    assert "14 of 25 (50%, 95% interval 40% to 60%)" in found.text
    assert "1 of 2 (too few to judge)" in found.text
    # Triage leads with what it would miss.
    assert re.search(r"What would ruling out miss\?\s+50% of pneumothoraces", found.text)
    path.write_text(json.dumps({k: v for k, v in judged(auc, 0.52).items() if k != "at_half"}))
    with pytest.raises(UserError, match="not as this version writes it; run `make scrutiny`"):
        report.main(report.Settings(run=run, cases=1, jobs=1))
    path.write_text(json.dumps(judged(auc - 0.01, 0.52)))
    with pytest.raises(UserError, match="judged other predictions"):
        report.main(report.Settings(run=run, cases=1, jobs=1))


def test_the_report_says_how_faithful_its_reasons_are(run, page, tmp_path):
    assert "make faithfulness report" in page.text
    run = shutil.copytree(run, tmp_path / "run")
    faithfulness.main(faithfulness.Settings(run=run, jobs=1))
    report.main(report.Settings(run=run, cases=1, jobs=1))
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
    assert found == [gallery.anchor(case["id"]) for case in shown["cases"]]
    assert re.fullmatch(r"case-[0-9a-f]{10}", gallery.anchor(NASTY))


def test_the_worst_failures_come_first():
    drawn = [
        {"probability": p, "outcome": cases.outcome(p, t)}
        for p, t in ((0.4, 1), (0.1, 1), (0.9, 1), (0.3, 1), (0.6, 0), (0.2, 0))
    ]
    missed = cases.worst(drawn, "false negative", 2)
    assert [case["probability"] for case in missed] == [0.1, 0.3]
    assert [case["probability"] for case in cases.worst(drawn, "false positive", 2)] == [0.6]


def test_failures_say_whom_they_strike(run):
    found = inputs.read_inputs(run)
    truth = found.predicted["label"].to_numpy()
    # Every second image is judged wrongly.
    wrong = np.arange(len(truth)) % 2 == 1
    judged = found.predicted.assign(probability=np.abs(truth - wrong))
    found = dataclasses.replace(found, predicted=judged)
    sizes = report.areas(found, report.true_masks(found))
    profile = {line["name"]: line for line in card.profile(found, sizes)}
    labelled = truth[:100]
    assert profile["false negative"]["images"] == (labelled[1::2] == 1).sum()
    assert profile["true positive"]["images"] == (labelled[::2] == 1).sum()
    # All masks are 40 of 64 x 64 pixels; only images of odd numbers tell the sex.
    assert profile["false negative"]["area"] == pytest.approx(40 / 64**2)
    assert profile["true negative"]["area"] is None
    assert profile["false positive"]["sex"] == f"{NASTY} {(labelled[1::2] == 0).sum()}"


def outlined(run: Path, shift: float, policy: str = "joint") -> tuple[pd.DataFrame | None, str]:
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
    (run / "cnn").mkdir(exist_ok=True)
    table.to_csv(run / "cnn" / "outlines.csv", index=False)
    (run / "gate.json").write_text(json.dumps({"default": policy}))
    found = report.read_outlines(run, oof)
    (run / "cnn" / "outlines.csv").unlink()
    (run / "gate.json").unlink()
    return found


def test_outlines_of_the_unet_are_drawn_and_the_gate_is_quoted_only_while_it_holds(
    run, page, shown
):
    assert "The gate has drawn no masks" in page.text
    assert report.read_outlines(run, inputs.read_inputs(run).predicted) == (None, "")
    for shift, state, spoken in ((0.0, "fresh", 1), (0.01, "stale", 0)):
        table, found = outlined(run, shift)
        assert found == state
        rows = pd.DataFrame(shown["cases"][:1])[["id", "probability", "truth", "kind", "fold"]]
        drawn = report.draw_cases(inputs.read_inputs(run), rows, table, {}, 1)
        # The X-ray of 64 pixels is drawn at 512.
        (points,) = polygons(drawn[0]["drawn"].picture.unet)
        np.testing.assert_allclose(points.min(axis=0), [160, 80], atol=1)
        np.testing.assert_allclose(points.max(axis=0), [320, 240], atol=1)
        values = shown | {"cases": drawn, "outlines": found}
        text = Page(pages.render("report.html", values)).text
        assert text.count("the gate speaks the mask by U-Net and evidence map") == spoken
        assert ("make gate report" in text) == (state == "stale")


def test_a_rule_that_does_not_ask_the_verdict_is_not_called_the_gate(run):
    told = {policy: outlined(run, 0.0, policy)[0]["rule"].iloc[0] for policy in gate.POLICIES}
    assert [policy for policy, words in told.items() if words == "the gate"] == [
        "gated", "fused", "handcrafted", "joint", "expected"
    ]  # fmt: skip
    assert told["unet"] == "the rule unet, which does not ask the verdict,"


# --- model card and checklists ---------------------------------------------------------------
def test_checklists_hold_every_item_once_and_fill_what_the_run_knows(run):
    values = card.facts(run, inputs.read_inputs(run))
    claim, tripod = card.checklists(values, set())
    assert [item.number for item in claim["items"]] == [str(k) for k in range(1, 45)]
    numbers = [item.number for item in tripod["items"]]
    assert len(numbers) == len(set(numbers)) == 52
    assert {re.sub("[a-z]", "", number) for number in numbers} == {str(k) for k in range(1, 28)}
    by_number = {item.number: item for item in claim["items"]}
    assert by_number["20"].filled and not by_number["44"].filled
    assert str(values["auc"]) in by_number["32"].text
    # What was not asked is open, and says which command asks it.
    assert not by_number["30"].filled and by_number["30"].text == "make scrutiny report"
    asked = {item.number: item for item in card.checklists(values, {"questions"})[0]["items"]}
    assert asked["30"].filled and asked["30"].see == "questions"
    # The toolkit's defaults were chosen while looking at scores, and that is said.
    choices = (by_number["26"], {item.number: item for item in tripod["items"]}["9a"])
    assert all(not item.filled and "147 SIIM images" in item.text for item in choices)


def test_the_facts_are_those_of_the_run(run):
    found = inputs.read_inputs(run)
    values = card.facts(run, found)
    assert (values["images"], values["known"], values["deployed"]) == (106, 100, 6)
    assert values["groups"] == 53 and values["folds"] == 2
    assert values["phantoms"] == 0
    boosters = [classifier.load(run / "baseline" / f"fold{k}.txt") for k in (0, 1)]
    assert values["trees"] == sum(booster.num_trees() for booster in boosters) > 0
    assert values["age_unknown"] == 36 and values["views"] == "PA 106"
    training, test = card.partitions(found.dataset, found.truth)
    assert training["positive"] + training["negative"] == 100
    assert test["positive"] + test["negative"] == 6
    assert training["age"] == "40 (40 to 40)"


def test_phantoms_that_taught_the_map_are_told(run, tmp_path):
    found = inputs.read_inputs(run)
    assert card.facts(run, found)["teachers"] == 0
    shutil.copytree(run / "baseline", tmp_path / "baseline")
    write_json(tmp_path / "evidence" / "settings.json", {"phantoms": 270})
    names = [*found.explanation.names, "evidence.right_apex.mean"]
    hearing = dataclasses.replace(
        found, explanation=dataclasses.replace(found.explanation, names=names)
    )
    values = card.facts(tmp_path, hearing)
    said = "evidence map learned where air lies from 270 phantoms too"
    assert any(said in sentence for sentence in card.limitations(values, None))
    for checklist, number in zip(card.checklists(values, set()), ("25", "12c"), strict=True):
        (item,) = (item for item in checklist["items"] if item.number == number)
        assert "learned from 270 phantoms too" in item.text


def test_phantoms_are_told_by_their_tag(tmp_path):
    exposure = SimpleNamespace(pose="supine")
    pixels = np.zeros((64, 64), np.uint8)
    drawn = SimpleNamespace(
        view="AP", sex="F", age=50, exposure=exposure, pixels=pixels, spacing_mm=0.2
    )
    path = tmp_path / "ID_00000001.dcm"
    phantom_dicom.dicom(drawn, path.stem).save_as(path)
    assert phantom_dicom.is_phantom(path)
    of_a_person = phantom_dicom.dicom(drawn, path.stem)
    of_a_person.PatientName = "Doe^Jane"
    of_a_person.save_as(path)
    assert not phantom_dicom.is_phantom(path)
    (tmp_path / "a.png").write_bytes(b"no DICOM")
    assert not phantom_dicom.is_phantom(tmp_path / "a.png")
    assert not phantom_dicom.is_phantom(tmp_path / "gone.dcm")


@pytest.mark.parametrize(
    ("phantoms", "banner", "limit"),
    [
        (0, None, "All images come from one dataset"),
        (6, "6 of 106 images of this run are phantoms", "6 of 106 images are synthetic"),
        (106, "Phantoms: all 106 images of this run are synthetic", "All images are synthetic"),
    ],
)
def test_a_report_of_phantoms_says_so(shown, phantoms, banner, limit):
    facts = shown["facts"] | {"phantoms": phantoms}
    limits = card.limitations(facts, None)
    assert any(sentence.startswith(limit) for sentence in limits)
    text = pages.render("report.html", shown | {"facts": facts, "limitations": limits})
    found = Page(text)
    banners = [a for a in found.every("p") if "synthetic" in (a.get("class") or "")]
    assert len(banners) == (banner is not None)
    assert banner is None or banner in found.text
    assert limit in found.text


def test_weak_labels_are_said_to_teach_and_not_to_be_scored(shown, page):
    assert "teach and are never scored" not in page.text
    weak = shown | {"facts": shown["facts"] | {"weak": 1100}}
    assert "teach and are never scored" in Page(pages.render("report.html", weak)).text


def test_one_study_has_a_page_of_its_own(shown):
    unknown = shown["cases"][0] | {"truth": None, "outcome": None, "kind": "deployed"}
    text = pages.render(
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
    confusion = findings.confusion(inputs.read_inputs(run))
    assert sum(confusion.values()) == 100
    found, missed = confusion["true positive"], confusion["false negative"]
    rates = findings.rates(inputs.read_inputs(run))
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
    found = inputs.read_inputs(run)
    everyone = inputs.make_cases(found, list(range(len(found.predicted))))
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
    monkeypatch.setattr(report, "FEWEST_PARALLEL", 2)
    both = report.draw_cases(inputs.read_inputs(run), rows, None, {}, 2)
    assert [case["drawn"] for case in both] == [case["drawn"] for case in shown["cases"][:2]]


# --- mistakes --------------------------------------------------------------------------------
def test_a_missing_run_or_stage_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such run folder"):
        report.main(report.Settings(run=tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"dataset\.parquet: no such file"):
        report.main(report.Settings(run=tmp_path))
    with pytest.raises(UserError, match="at least one case"):
        report.main(report.Settings(run=tmp_path, cases=0))


def test_predictions_of_other_models_are_refused(run, tmp_path):
    run = shutil.copytree(run, tmp_path / "run")
    path = run / "baseline" / "oof.csv"
    whole = path.read_text()
    table = pd.read_csv(path)
    table.loc[3, "raw"] += 5
    table.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"prediction of i003<b> is not\s+that of the saved models"):
        inputs.read_inputs(run)
    table.drop(columns="kind").to_csv(path, index=False)
    with pytest.raises(UserError, match="column 'kind' is missing"):
        inputs.read_inputs(run)
    path.write_text(whole)
    (run / "baseline" / "fold1.txt").unlink()
    with pytest.raises(UserError, match=r"fold1\.txt"):
        inputs.read_inputs(run)
    path.unlink()
    with pytest.raises(UserError, match=r"oof\.csv: no such file"):
        inputs.read_inputs(run)
