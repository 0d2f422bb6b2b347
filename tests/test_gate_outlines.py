"""The outlines for the report: cut where the rule cuts, kept where the rule keeps them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import top_zone
from baseline.gate import rules
from baseline.gate.results import GateMetrics
from baseline.gate.rules import MASK_SHARES, Rule
from cnn.gate import evaluate, outlines, scored_images
from cnn.gate.sources import SourceMaps
from features.reading import rle
from features.run.folder import RunFolder
from tests.helpers.gate_run import inputs_by_chance, metrics_by_chance
from tests.helpers.map_run import make_run, predictions

SIZE = 8


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """Maps of two images: a bright square of 2x2 in a dim one of 4x4, and one that is dark."""
    monkeypatch.setattr(top_zone, "read", lambda run: {})
    bright = np.zeros((SIZE, SIZE), np.uint8)
    bright[2:6, 2:6] = 110
    bright[3:5, 3:5] = 240
    truth = np.zeros((SIZE, SIZE), bool)
    truth[2:6, 2:6] = True
    maps = {"NA": bright, "b": np.zeros_like(bright)}
    run = make_run(tmp_path, maps, {"NA": 0, "b": 1}, (SIZE, SIZE), [rle.encode(truth), "-1"])
    run.oof.write(predictions(["NA", "b"], "oof", [0, 1], probability=[0.7, 0.9]))
    return run


def metrics(default: str, best: float = 0.5) -> GateMetrics:
    """Scores of which the default and the best share of the masks matter here."""
    positive = np.arange(40) % 4 == 0.0
    inputs = inputs_by_chance(positive.astype(float), np.zeros(40), 0)
    scored = metrics_by_chance(
        positive.astype(float), dict.fromkeys(rules.SOURCES, inputs), default
    )
    alone = {name: replace(values, at_share=best) for name, values in scored.mask_alone.items()}
    return replace(scored, mask_alone=alone)


def share_of(percent: int) -> int:
    """Index of a share."""
    return list(MASK_SHARES).index(percent)


def written(run: RunFolder, rule: Rule, best: float = 0.5) -> pd.DataFrame:
    """The outlines by a rule."""
    maps, rows = SourceMaps((run,)), scored_images.labelled(run)
    inputs = evaluate.gate_inputs(maps, rows, "scoring maps")
    outlines.write(maps, rows, inputs, rule, metrics(rule.policy, best))
    return run.outlines.read()


def test_the_mask_is_cut_at_the_rules_share_of_the_top_score(run):
    table = written(run, Rule("unet", share_of(40)))
    assert list(table["id"]) == ["NA", "b"] and list(table["probability"]) == [0.7, 0.9]
    assert rle.decode(table["mask"][0], (SIZE, SIZE)).sum() == 16
    assert list(table["source"]) == ["unet"] * 2
    # The top score is 240; a dark map is cut at the lowest level there is.
    assert list(table["level"]) == [96 / 255, 1 / 255]
    assert list(table["dice"]) == [1.0, 1.0] and list(table["kept"]) == [1, 0]
    table = written(run, Rule("unet", share_of(90)))
    assert rle.decode(table["mask"][0], (SIZE, SIZE)).sum() == 4
    # 4 of 4 pixels within 16: 2 * 4 / (4 + 16).
    assert table["dice"][0] == pytest.approx(0.4)
    assert table["mask"][1] == rle.EMPTY


def test_the_classifier_may_empty_a_mask(run):
    low = Rule("gated", cutoff=float(np.log(0.69 / 0.31)))
    high = Rule("gated", cutoff=float(np.log(0.71 / 0.29)))
    assert list(written(run, low)["kept"]) == [1, 0]
    assert list(written(run, high)["kept"]) == [0, 0]


def test_masks_of_another_source_are_cut_from_its_map(run):
    # The evidence is dark everywhere, so that the mean of both maps is half the U-Net's.
    weights = (0.0,) * 8
    table = written(run, Rule("joint", share_of(40), cutoff=-99.0, weights=weights))
    assert rle.decode(table["mask"][0], (SIZE, SIZE)).sum() == 16
    assert list(table["source"]) == ["joint"] * 2 and table["level"][0] == 48 / 255
    assert (
        written(run, Rule("handcrafted", 0, cutoff=-99.0, weights=weights))["mask"] == "-1"
    ).all()


def test_all_empty_is_outlined_at_the_masks_own_best_share(run):
    table = written(run, Rule("empty"), best=0.4)
    assert list(table["kept"]) == [0, 0]
    assert table["level"][0] == pytest.approx(96 / 255)
    assert rle.decode(table["mask"][0], (SIZE, SIZE)).sum() == 16
