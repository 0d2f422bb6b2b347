"""The gate's files: read back as they were written, and refused in a sentence if damaged."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from baseline.gate import choose, results, rules
from baseline.gate.figures import read_figures
from baseline.gate.results import Gate
from baseline.gate.rules import Rule
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from tests.helpers.gate_run import figures_by_chance, inputs_by_chance, metrics_by_chance


@pytest.fixture(scope="module")
def gate() -> Gate:
    """A rule of each policy, on images by chance."""
    rng = np.random.default_rng(1)
    positive = (rng.random(60) < 0.4).astype(float)
    inputs = inputs_by_chance(positive, rng.normal(positive, 1.0), 0)
    chosen = {policy: choose.choose(policy, inputs) for policy in rules.POLICIES}
    return Gate("fused", ("/some/run",), chosen)


def test_a_gate_is_read_back(gate, tmp_path):
    run = RunFolder(tmp_path)
    full = Rule("expected", 3, 4, 0.002, 0.0, tuple(range(8)), tuple(np.arange(8) / 7))
    # A policy that finds nothing to gain has the rule of all-empty.
    for expected in (full, Rule("empty")):
        written = replace(gate, rules=gate.rules | {"expected": expected})
        files.write_record(run.gate, written)
        assert results.read_gate(run) == written


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"mask_share": 99}, "mask_share = 99 is none of the numbers 0 to 7"),
        ({"top_level": -1}, "top_level = -1 is none of the numbers 0 to 9"),
        ({"mask_share": 2.5}, r"Expected `int`, got `float`.*mask_share"),
        ({"mask_share": True}, r"Expected `int`, got `bool`.*mask_share"),
        ({"policy": "loud"}, "policy 'loud' is none of empty"),
        ({"policy": "joint"}, "the rule of fused is one of joint"),
        ({"least_area": 2}, "least_area = 2.0 is no share"),
        ({"cutoff": float("nan")}, "not finite"),
        ({"cutoff": "high"}, r"Expected `float \| null`, got `str`"),
        ({"weights": [0, 1, 0, 0]}, "weights of fused are those of another version"),
        ({"weights": None}, "Expected `array`, got `null`"),
        ({"dice_weights": [0.0] * 8}, "weights of fused are those of another version"),
    ],
)
def test_a_rule_with_wrong_values_is_a_sentence(gate, tmp_path, change, problem):
    run = RunFolder(tmp_path)
    content = json.loads(json.dumps(asdict(gate)))
    content["rules"]["fused"] |= change
    run.gate.write_text(json.dumps(content))
    with pytest.raises(UserError, match=rf"gate\.json: .*{problem}.*; delete it and run .*again"):
        results.read_gate(run)


@pytest.mark.parametrize(
    "change",
    [
        {"default": "loud"},
        {"default": ["unet"]},
        {"default": None},
        {"also": [7]},
        {"also": None},
        {"rules": []},
        {"rules": {}},
        {"rules": {"unet": {}}},
    ],
)
def test_a_gate_that_is_none_is_a_sentence(gate, tmp_path, change):
    run = RunFolder(tmp_path)
    for content in (json.loads(json.dumps(asdict(gate))) | change, [], 7):
        run.gate.write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"gate\.json: .*; delete it and run .*again"):
            results.read_gate(run)


def test_a_gate_without_a_field_is_a_sentence(gate, tmp_path):
    run = RunFolder(tmp_path)
    for name in ("default", "also", "rules"):
        content = json.loads(json.dumps(asdict(gate)))
        del content[name]
        run.gate.write_text(json.dumps(content))
        with pytest.raises(UserError, match=rf"gate\.json: .*missing.*`{name}`.*; delete it"):
            results.read_gate(run)


def test_scores_are_read_back_or_refused(gate, tmp_path):
    run = RunFolder(tmp_path)
    positive = np.arange(40) % 4 == 0.0
    inputs = {
        source: inputs_by_chance(positive.astype(float), np.zeros(40), number)
        for number, source in enumerate(rules.SOURCES)
    }
    metrics = metrics_by_chance(positive.astype(float), inputs, "joint")
    files.write_record(run.metrics, metrics)
    assert results.read_metrics(run) == metrics
    whole = json.loads(run.metrics.read_text())
    fewer = json.loads(run.metrics.read_text())
    del fewer["out_of_fold"]["policies"]["unet"]
    damaged = json.loads(run.metrics.read_text())
    damaged["out_of_fold"]["policies"]["unet"]["positives"] = 0.5
    without = [{key: whole[key] for key in whole if key != name} for name in whole]
    other = [whole | {"default": "loud"}, whole | {"mask_alone": {}}]
    for content in ({}, [], 7, fewer, damaged, *without, *other):
        files.write_json(run.metrics, content)
        with pytest.raises(UserError, match=r"metrics\.json: .*; delete it and run .*again"):
            results.read_metrics(run)


def test_damaged_figures_are_refused(tmp_path):
    run = RunFolder(tmp_path)
    positive = np.arange(40) % 4 == 0.0
    rows = pd.DataFrame({"id": [f"i{n}" for n in range(40)], "probability": 0.5})
    figures = figures_by_chance(rows, positive.astype(float))[0]
    files.write_record(run.gate_figures, figures)
    assert read_figures(run) == figures
    whole = json.loads(run.gate_figures.read_text())
    for content in ([], whole | {"curves": [{}]}, {k: whole[k] for k in whole if k != "by_mask"}):
        files.write_json(run.gate_figures, content)
        with pytest.raises(UserError, match=r"gate_figures\.json: .*; delete it and run make"):
            read_figures(run)
