"""The report: which cases, what is painted where, and a page that is whole, offline and escaped."""

import json
import re
import shutil
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from baseline import cases, faithfulness, gallery, inputs, painting, plots, report, scores, train
from features import registry
from features.files import UserError
from features.lungs import LungFields
from features.zones import NAMES as ZONE_NAMES
from features.zones import build

NASTY = '"><script>alert(1)</script><img src="http://evil.example/x">'
SHOWN = 10
FEATURES = (
    "firstorder.right_rim.mean",
    "firstorder.left_rim.mean",
    "asymmetry.rim.firstorder_mean",
    "glcm.left_apex.contrast_d1",
    "glcm.right_apex.contrast_d1",
    "shape.image.width",
)


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
def area(path: str) -> float:
    """Area within SVG polygons, by the shoelace formula."""
    total = 0.0
    for part in path.strip("M").split("M"):
        points = np.array([p.split() for p in part.rstrip("Z").split("L")], float)
        x, y = points.T
        total += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return total


def test_an_outline_encloses_the_mask_where_it_lies():
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    found = painting.outline(mask)
    # Its corners are cut and its edges may leave the grid by the rounding: 100 pixels of perimeter.
    assert area(found) == pytest.approx(600, abs=100 * painting.ROUNDING)
    points = np.array(re.findall(r"([\d.]+) ([\d.]+)", found), float)
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


def make_run(folder: Path) -> Path:
    """A trained run of 40 labelled and 6 test images: noise for pixels, rims that decide."""
    rng = np.random.default_rng(0)
    n, labelled = 46, 40
    table = pd.DataFrame(rng.normal(size=(n, len(FEATURES))), columns=list(FEATURES))
    table[FEATURES[2]] = (table[FEATURES[0]] - table[FEATURES[1]]).abs()
    positive = (table[FEATURES[2]] + 0.4 * rng.normal(size=n) > 1.0).to_numpy()
    ids = [f"i{k:02d}" for k in range(n)]
    ids[0] = NASTY
    for k in range(n):
        noise = rng.integers(0, 256, (64, 64), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{k}.png")
    test = np.arange(n) >= labelled
    masks = np.where(positive, "1000 40", "-1")
    dataset = pd.DataFrame(
        {
            "id": ids,
            "path": [str(folder / f"{k}.png") for k in range(n)],
            "split": np.where(test, "test", "train"),
            "mask": pd.array(np.where(test, None, masks), dtype="string"),
            "patient": [f"p{k // 2}" for k in range(n)],
            "age": np.where(np.arange(n) % 3 == 0, np.nan, 40.0),
            "sex": pd.array(["<b>M</b>" if k % 2 else None for k in range(n)], dtype="string"),
            "view": pd.array(["PA"] * n, dtype="string"),
            "spacing_mm": 0.14,
            "rows": 64,
            "columns": 64,
            "label": np.where(test, np.nan, positive),
            "weak": np.nan,
            "fold": np.where(test, -1, np.arange(n) // 2 % 2),
        }
    )
    run = folder / "run"
    run.mkdir()
    dataset.to_parquet(run / "dataset.parquet")
    table.astype(np.float32).assign(id=ids).to_parquet(run / "features.parquet")
    truth = pd.DataFrame({"id": ids, "mask": masks})[test]
    truth.to_parquet(run / "truth.parquet")
    with pytest.MonkeyPatch.context() as patch:
        # Fifty resamples will do: the intervals are not what is tested here.
        patch.setattr(scores, "bootstrap", partial(scores.bootstrap, replicates=50))
        train.main(train.Settings(run=run, rounds=15))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    report.main(report.Settings(run=run, cases=SHOWN, jobs=1))
    return Page((run / "report" / "index.html").read_text(encoding="utf-8"))


def test_the_page_asks_nothing_of_any_network(page):
    for _, attributes in page.found:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:image/", "#")), value
    assert not page.every("script") and not page.every("link") and not page.every("iframe")
    policy = next(a for a in page.every("meta") if "http-equiv" in a)
    assert policy["content"].startswith("default-src 'none'; img-src data:;")


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
            {"kind": "view", "name": "AP", "positives": 2, "negatives": 1},
            {"kind": "sex", "name": "<i>F</i>", "positives": 20, "negatives": 30, "auc": half},
        ],
        "operating_points": [{"level": 0.8, "sensitivity": half, "specificity": half}],
        "triage": {"alpha": 0.1}
        | dict.fromkeys(
            ("positives_ruled_out", "negatives_ruled_in", "ruled_out", "referred", "ruled_in"), half
        ),
    }


def test_the_strongest_shortcut_is_weighed_against_the_verdict():
    found = report.questions(judged(0.9, 0.52))
    # 0.1 above guessing beside 0.4; permuted labels are no shortcut, though they rank higher here.
    assert found["strongest"]["name"] == "tubes alone"
    assert found["share"] == pytest.approx(0.25)
    assert report.questions(judged(0.9, 0.49))["share"] is None
    assert report.questions(None) is None


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


def test_values_from_files_are_escaped(page):
    assert NASTY in page.text and "sex <b>M</b>" in page.text
    assert not any("evil" in str(attributes.values()) for _, attributes in page.found)


def test_every_case_has_its_section_pictures_and_sentences(page):
    articles = [a for a in page.every("article") if a.get("class") == "case"]
    assert [a["id"] for a in articles] == [f"case-{k}" for k in range(1, SHOWN + 1)]
    links = [a["href"] for a in page.every("a") if str(a["href"]).startswith("#case-")]
    assert links == [f"#case-{k}" for k in range(1, SHOWN + 1)]
    assert page.text.count("The probability of pneumothorax is") == SHOWN
    assert len(page.every("image")) == len(page.every("use")) == SHOWN
    # Every picture says in words what it shows.
    assert all(a.get("alt") for a in page.every("img"))
    assert all(a.get("aria-label") and a.get("role") == "img" for a in page.every("svg"))
    identifiers = [a["id"] for _, a in page.found if "id" in a]
    assert len(identifiers) == len(set(identifiers))


def test_the_page_says_what_it_is_and_how_good(page, run):
    assert page.text.count("For research and education; not a medical device") >= 2
    metrics = json.loads((run / "baseline" / "metrics.json").read_text())
    for key in ("out_of_fold", "test"):
        assert f"{metrics[key]['auc']['value']:.3f}" in page.text
    confusion = report.confusion(inputs.read_inputs(run))
    assert sum(confusion.values()) == 40
    found, missed = confusion["true positive"], confusion["false negative"]
    assert re.search(rf"it finds {found}\s+of\s+{found + missed} pneumothoraces", page.text)


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


def test_several_processes_draw_the_same_report(run, monkeypatch):
    read = inputs.read_inputs(run)
    alone = report.render(report.context(report.Settings(run, 2, 1), read))
    monkeypatch.setattr(report, "FEWEST_PARALLEL", 2)
    assert report.render(report.context(report.Settings(run, 2, 2), read)) == alone


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
    with pytest.raises(UserError, match=r"prediction of i03 is not\s+that of the saved models"):
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
