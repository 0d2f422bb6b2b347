"""The gate's section of the report: curves, tables of deletions, disagreements."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import trained_run
from baseline.gate import rules
from baseline.gate.figures import Curve, Disagreement, DisputedCase, GateFigures, read_figures
from baseline.gate.mask_trust import MaskTrust
from baseline.gate.results import Gate
from baseline.gate.rules import MASK_SHARES, Rule
from baseline.learning.scores import Estimate
from baseline.report import gate_curves, gate_section, rendering, write
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.gate_run import figures_by_chance, figures_of_run
from tests.helpers.noise_run import NASTY, SHOWN
from tests.helpers.page_reader import Page

N = 90


@pytest.fixture(scope="module")
def by_chance() -> tuple[GateFigures, dict[str, Rule]]:
    rng = np.random.default_rng(5)
    positive = (rng.random(N) < 0.4).astype(float)
    probability = 1 / (1 + np.exp(-rng.normal(1.6 * positive - 0.9, 1)))
    rows = pd.DataFrame({"id": [f"i{k:02d}" for k in range(N)], "probability": probability})
    figures, chosen, _ = figures_by_chance(rows, positive)
    return figures, chosen


# --- curves ----------------------------------------------------------------------------------
def height(path: str, x: float) -> float | None:
    """Where a path of level steps lies at `x`, None where it is cut off."""
    place, level = 0.0, 0.0
    for kind, first, second in re.findall(r"([MHV])([\d.]+)(?: ([\d.]+))?", path):
        if kind == "M":
            place, level = float(first), float(second)
        elif kind == "V":
            level = float(first)
        else:
            if place < x < float(first):
                return level
            place = float(first)
    return None


def test_the_drawn_curve_is_the_curve():
    scale = gate_curves.Scale(0.5, 1.0)
    path = gate_curves.steps([(100, 0.4), (150, 0.75), (200, 0.3), (250, 0.6), (286, 1.0)], scale)
    assert height(path, 70) is None and height(path, 180) is None
    top, bottom = gate_curves.TOP, gate_curves.BOTTOM
    assert height(path, 120) == pytest.approx((top + bottom) / 2)
    assert height(path, 240) == pytest.approx(bottom - 0.2 * (bottom - top))
    assert height(path, 280) == pytest.approx(top)
    # It leaves the frame and comes back at its lower edge, not through the empty space.
    assert f"V{bottom}" in path and f"M200 {bottom}" in path


def test_panels_show_the_numbers_of_the_file(by_chance):
    figures, _ = by_chance
    shown = gate_section.shown(figures, {})
    scale = gate_curves.common_scale(figures)
    assert [panel.policy for panel in shown["panels"]] == list(rules.POLICIES[1:])
    for panel, curve in zip(shown["panels"], figures.curves[1:], strict=True):
        assert panel.y == scale.place(curve.dice) > gate_curves.TOP
        assert panel.high < panel.nested < panel.low < gate_curves.BOTTOM
        assert gate_curves.LEFT < panel.x < gate_curves.RIGHT
        # The dot lies at the end of the step of its threshold.
        assert f"V{panel.y:g}H{panel.x:g}" in panel.path
        # Beyond the last threshold all masks are empty.
        assert panel.path.endswith(f"V{shown['all_empty_place']:g}H{gate_curves.RIGHT}")
        places = [tick.place for tick in panel.ticks]
        assert places and all(gate_curves.LEFT <= p <= gate_curves.RIGHT for p in places)
        assert len(places) < 3 or np.diff(places).min() >= gate_curves.LABEL_DISTANCE
    ticks = [float(tick.text) for tick in shown["ticks"]]
    assert 3 <= len(ticks) <= 6 and ticks == sorted(ticks)
    for tick in shown["ticks"]:
        assert tick.place == scale.place(float(tick.text))


def test_no_smallest_area_lies_left_of_the_smallest():
    curve = Curve(
        policy="unet",
        threshold=0.0,
        dice=0.5,
        kept=3,
        nested=Estimate(0.6, 0.5, 0.7),
        points=((0.0, 0.5), (0.001, 0.6), (0.01, 0.7)),
    )
    scale = gate_curves.Scale(0.4, 0.8)
    places = [
        gate_curves.panel(replace(curve, threshold=threshold), 0.5, scale).x
        for threshold in (0.0, 0.001, 0.01)
    ]
    assert places[0] < places[1] - 5 < places[2] - 10


def test_thresholds_in_words():
    words = gate_curves.in_words
    assert words("unet", 0.0) == "any area" and words("unet", 0.002) == "0.2% of the image"
    assert words("expected", 0.0) == "a gain of 1" and words("gated", 0.0) == "50%"
    assert words("fused", np.log(1 / 249)) == "0.4%" and words("fused", np.log(249)) == "99.6%"


def test_a_narrow_axis_is_labelled_at_its_ends():
    axis = gate_curves.span([np.log(0.29 / 0.71), np.log(0.31 / 0.69)])
    assert [tick.text for tick in gate_curves.ticks("gated", axis)] == ["29%", "31%"]
    assert [tick.text for tick in gate_curves.ticks("gated", gate_curves.span([0.5]))] == ["62%"]


# --- tables ----------------------------------------------------------------------------------
def test_the_chosen_rows_are_marked(by_chance):
    figures, chosen = by_chance
    shown = gate_section.shown(figures, {})
    _, by_rule = shown["area_tables"]
    assert by_rule.chosen == chosen["joint"].least_area
    assert figures.mask_share == MASK_SHARES[chosen["joint"].mask_share] / 100
    # Without a gate no area was chosen.
    assert [t.chosen for t in gate_section.area_tables(replace(figures, by_rule=None))] == [None]


# --- on the page -----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def run(noise_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The noise run with a gate."""
    copy = RunFolder(Path(shutil.copytree(noise_run.root, tmp_path_factory.mktemp("gate") / "run")))
    files.write_record(copy.gate_figures, figures_of_run(copy))
    return copy


@pytest.fixture(scope="module")
def page(run: RunFolder, noise_report: dict[str, Any]) -> Page:
    values = write.gate_results(trained_run.read(run), noise_report["cases"])
    return Page(rendering.render("report.html", noise_report | values))


def rendered(report: dict[str, Any], figures: GateFigures) -> str:
    """The report with these figures of the gate."""
    gallery = {case.drawn.id: (case.number, case.drawn.anchor) for case in report["cases"]}
    values = {"gate": gate_section.shown(figures, gallery), "gate_state": "fresh"}
    return rendering.render("report.html", report | values)


def test_a_run_without_a_gate_has_no_such_section(noise_run, noise_report):
    assert gate_section.read(trained_run.read(noise_run)) == (None, "")
    text = rendering.render("report.html", noise_report)
    assert 'href="#gate"' not in text and 'id="gate"' not in text


def test_the_section_shows_curves_deletions_and_cases(run, page):
    figures = read_figures(run)
    assert figures == figures_of_run(run)
    assert {"href": "#gate"} in page.every("a")
    labels = [a["aria-label"] for a in page.every("svg") if "0 0 340" in str(a.get("viewbox"))]
    assert len(labels) == len(rules.POLICIES) - 1
    for label, curve in zip(labels, figures.curves[1:], strict=True):
        assert f"of {curve.policy} against" in label and f"{curve.dice:.3f}" in label
        assert f"Nested score {curve.nested.value:.3f} [" in label
    assert f"score is {figures.all_empty:.3f} on the 100 labelled images" in page.text
    for counts in (figures.emptied, figures.added):
        assert f"{counts.images} of 100 images: {counts.lesions} with and" in page.text
    row = figures.by_mask[-1]
    assert f"{row.lost} of {row.lesions}" in page.text


def test_it_says_what_kept_masks_may_be_trusted_for(run, noise_report, tmp_path):
    copy = RunFolder(Path(shutil.copytree(run.root, tmp_path / "run")))
    trust = MaskTrust(0.8, (0.0,) * (1 + len(rules.SIGNALS)), 0.3, 41, Estimate(0.78, 0.66, 0.9))
    files.write_record(copy.gate, Gate("empty", (), {"empty": Rule("empty")}, trust))
    values = write.gate_results(trained_run.read(copy), noise_report["cases"])
    text = Page(rendering.render("report.html", noise_report | values)).text
    assert "80% of such masks should reach" in text
    assert "a share of 0.780 [0.660, 0.900] of the masks reach theirs" in text


def test_cases_of_the_gallery_are_linked_and_ids_are_escaped(run, noise_report):
    last = noise_report["cases"][SHOWN - 1].drawn
    cases = [
        DisputedCase(id=name, probability=0.4, positive=False, dice=0.0, change=1.0)
        for name in (last.id, NASTY)
    ]
    emptied = Disagreement(images=2, lesions=0, healthy=2, change=2.0, cases=tuple(cases))
    text = rendered(noise_report, replace(figures_of_run(run), emptied=emptied))
    page = Page(text)
    section = text[text.index('id="gate"') : text.index('id="cases"')]
    assert f'<a href="#{last.anchor}">Case {SHOWN}</a>' in section
    assert NASTY not in text and NASTY in page.text
    assert not any("evil" in str(attributes.values()) for _, attributes in page.tags)


@pytest.mark.parametrize("default", ["empty", "unet", "expected"])
def test_the_section_holds_for_every_default(run, noise_report, default):
    figures = figures_of_run(run, default)
    # A policy may have chosen to empty every mask: it has no threshold then.
    without = replace(figures.curves[-1], points=(), threshold=None)
    figures = replace(figures, curves=(*figures.curves[:-1], without))
    page = Page(rendered(noise_report, figures))
    assert "Its rule empties every mask" in page.text
    assert ("By the rule of" in page.text) == (default != "empty")
    assert ("the area above its top level" in page.text) == (default != "empty")
    is_best = "the best of those that use the classifier" in page.text
    assert is_best == (default in ("empty", "unet"))


def test_figures_of_another_classifier_are_not_shown(run, noise_report, tmp_path):
    copy = RunFolder(Path(shutil.copytree(run.root, tmp_path / "run")))
    trained = trained_run.read(copy)
    figures, state = gate_section.read(trained)
    assert state == "fresh"
    for change in ({"images": 99}, {"mean_log_odds": figures.mean_log_odds + 0.01}):
        files.write_record(copy.gate_figures, replace(figures, **change))
        assert gate_section.read(trained) == (None, "stale")
    values = write.gate_results(trained, noise_report["cases"])
    text = rendering.render("report.html", noise_report | values)
    assert "make gate report" in text and 'id="gate"' in text
    content = files.read_json(copy.gate_figures)
    content.pop("by_mask")
    for other in (content, []):
        files.write_json(copy.gate_figures, other)
        with pytest.raises(UserError, match=r"gate_figures\.json: not as this version writes it"):
            gate_section.read(trained)
