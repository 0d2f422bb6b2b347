"""The gallery of the report: cases, their predicted masks, and the worst errors."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import trained_run
from baseline.gate import rules
from baseline.gate.results import Gate
from baseline.gate.rules import Rule
from baseline.report import gallery, rendering, result_tables
from baseline.report.case_view import ShownCase
from features.reading import rle
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.page_reader import Page, polygons


@pytest.fixture
def run(copied_noise_run: RunFolder) -> RunFolder:
    return copied_noise_run


def first_cases(report: dict[str, Any], count: int) -> pd.DataFrame:
    """The first cases as `which_cases.choose` gives them."""
    return pd.DataFrame(
        [
            {
                "id": case.drawn.id,
                "probability": case.probability,
                "truth": case.truth,
                "fold": case.fold,
            }
            for case in report["cases"][:count]
        ]
    )


def write_masks(run: RunFolder, shift: float, policy: str = "joint", renamed: str = "") -> None:
    """Masks of the gate, a square on every image, decided with other probabilities."""
    oof = run.oof.read()
    square = np.zeros((64, 64), bool)
    square[10:30, 20:40] = True
    table = oof[["id"]].assign(
        probability=oof["probability"] + shift,
        kept=1,
        source="joint",
        level=0.4,
        dice=0.25,
        mask=rle.encode(square),
    )
    table.loc[3, "id"] = renamed or table.loc[3, "id"]
    run.outlines.write(table)
    files.write_record(run.gate, Gate(policy, (), {policy: rule_of(policy)}))


def rule_of(policy: str) -> Rule:
    """A rule that `cnn.gate.evaluate` could have written."""
    weights = (0.0,) * (1 + len(rules.SIGNALS))
    return Rule(
        policy,
        cutoff=None if policy in ("empty", "unet") else 0.0,
        weights=weights if policy in rules.FUSED else (),
        dice_weights=weights if policy == "expected" else (),
    )


def test_masks_of_images_that_are_no_longer_predicted_are_stale(run):
    write_masks(run, 0.0)
    masks, state = gallery.read_predicted_masks(trained_run.read(run))
    assert state == "fresh" and len(masks) == len(run.oof.read())
    write_masks(run, 0.0, renamed="gone")
    assert gallery.read_predicted_masks(trained_run.read(run))[1] == "stale"


def test_predicted_masks_are_drawn_and_the_gate_is_quoted_only_while_it_holds(run, noise_report):
    trained = trained_run.read(run)
    assert "has no predicted masks yet" in Page(rendering.render("report.html", noise_report)).text
    assert gallery.read_predicted_masks(trained) == ({}, "")
    for shift, state, quoted in ((0.0, "fresh", 1), (0.01, "stale", 0)):
        write_masks(run, shift)
        masks, read_state = gallery.read_predicted_masks(trained)
        assert read_state == state
        cases = gallery.draw_cases(trained, first_cases(noise_report, 1), masks, 1)
        # The X-ray of 64 pixels is drawn at 512.
        (points,) = polygons(cases[0].drawn.picture.predicted)
        np.testing.assert_allclose(points.min(axis=0), [160, 80], atol=1)
        np.testing.assert_allclose(points.max(axis=0), [320, 240], atol=1)
        values = noise_report | {"cases": cases, "masks_state": state}
        text = Page(rendering.render("report.html", values)).text
        assert text.count("the gate keeps the mask by U-Net and evidence map") == quoted
        assert ("make gate report" in text) == (state == "stale")


def test_a_rule_that_does_not_use_the_classifier_is_not_called_the_gate(run):
    words = {}
    for policy in rules.POLICIES:
        write_masks(run, 0.0, policy)
        masks, _ = gallery.read_predicted_masks(trained_run.read(run))
        words[policy] = next(iter(masks.values())).rule
    assert [policy for policy, rule in words.items() if rule == "the gate"] == [
        "gated", "fused", "handcrafted", "joint", "expected"
    ]  # fmt: skip
    assert words["unet"] == "the rule unet, which does not use the classifier,"


@pytest.mark.parametrize("odd", ["no source", "nothing", "no number"])
def test_masks_of_another_version_are_refused(run, odd):
    write_masks(run, 0.0)
    table = pd.read_csv(run.outlines.path, dtype=str)
    table = table.drop(columns="source") if odd == "no source" else table
    table = table.assign(level="half") if odd == "no number" else table
    run.outlines.path.write_text("" if odd == "nothing" else table.to_csv(index=False))
    with pytest.raises(UserError, match=r"outlines\.csv: not a table of this version"):
        gallery.read_predicted_masks(trained_run.read(run))


@pytest.mark.parametrize("content", ["{}", "[]"])
def test_a_gate_of_another_version_is_refused(run, content):
    write_masks(run, 0.0)
    run.gate.write_text(content)
    with pytest.raises(UserError, match=r"gate\.json: not as this version writes it"):
        gallery.read_predicted_masks(trained_run.read(run))


def test_several_processes_draw_the_same_cases(noise_run, noise_report, monkeypatch):
    monkeypatch.setattr(gallery, "FEWEST_PARALLEL", 2)
    chosen = first_cases(noise_report, 2)
    cases = gallery.draw_cases(trained_run.read(noise_run), chosen, {}, 2)
    assert [case.drawn for case in cases] == [case.drawn for case in noise_report["cases"][:2]]


def test_a_positive_without_a_mask_is_shown_as_that(copied_noise_run, noise_report):
    """As of datasets that have labels alone."""
    dataset = copied_noise_run.dataset
    rows = dataset.read()
    dataset.write(rows.assign(mask=rows["mask"].where(rows["label"] == 0)))
    trained = trained_run.read(copied_noise_run)
    chosen = first_cases(noise_report, 6)
    cases = gallery.draw_cases(trained, chosen, {}, 1)
    ill = [case for case in cases if case.truth == 1]
    assert ill and all(case.area is None and not case.drawn.picture.truth for case in ill)
    assert all(case.area == 0 for case in cases if case.truth == 0)
    values = {"case": ill[0], "notes": [], "folds": 2, "full_colour": 1.0}
    page = rendering.render("study.html", values)
    assert "Pneumothorax by the true label; where is unknown" in page
    profiles = result_tables.outcome_profiles(trained, gallery.areas(trained.dataset))
    assert all(profile.area is None for profile in profiles)


def test_the_worst_failures_come_first():
    drawn = SimpleNamespace()
    cases = [
        ShownCase(drawn, probability, truth, 0.0, 0)
        for probability, truth in ((0.4, 1), (0.1, 1), (0.9, 1), (0.3, 1), (0.6, 0), (0.2, 0))
    ]
    misses = gallery.worst(cases, "false negative", 2)
    assert [case.probability for case in misses] == [0.1, 0.3]
    assert [case.probability for case in gallery.worst(cases, "false positive", 2)] == [0.6]


def test_an_image_of_unknown_truth_has_no_outcome():
    assert ShownCase(SimpleNamespace(), 0.7, None, 0.0, None).outcome is None
    assert ShownCase(SimpleNamespace(), 0.5, 1.0, 0.0, None).outcome == "true positive"
