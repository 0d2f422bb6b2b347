"""The U-Net's outlines for the report: cut where the rule cuts, spoken where the rule speaks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from baseline.explanation import top_zone
from baseline.gate import rules
from baseline.gate.rules import MASK_LEVELS, Rule
from cnn.gate import outlines
from features.reading import rle

SIZE = 8


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Maps of two images: a bright square of 2x2 in a dim one of 4x4, and one that is dark.

    The evidence map knows nothing, and there is no verdict to explain.
    """
    monkeypatch.setattr(top_zone, "read", lambda run: {})
    bright = np.zeros((SIZE, SIZE), np.uint8)
    bright[2:6, 2:6] = 110
    bright[3:5, 3:5] = 240
    folder = tmp_path / "cnn" / "maps"
    folder.mkdir(parents=True)
    np.savez_compressed(folder / "part-0000.npz", maps=np.stack((bright, np.zeros_like(bright))))
    index = pd.DataFrame({"id": ["NA", "b"], "fold": 0, "part": 0, "row": [0, 1]})
    index.to_csv(folder / "index.csv", index=False)
    (tmp_path / "evidence").mkdir()
    cell = {"judge": 0, "row": 0, "column": 0, "probability": np.float32(0), "lung": np.float32(0)}
    evidence = pd.DataFrame([{"id": name, **cell} for name in ("NA", "b")])
    evidence.to_parquet(tmp_path / "evidence" / "map.parquet")
    return tmp_path


def written(run: Path, rule: Rule, best: float = 0.5) -> pd.DataFrame:
    truth = np.zeros((SIZE, SIZE), bool)
    truth[2:6, 2:6] = True
    rows = pd.DataFrame(
        {
            "id": ["NA", "b"],
            "probability": [0.7, 0.9],
            "rows": SIZE,
            "columns": SIZE,
            "mask": [rle.encode(truth), rle.EMPTY],
        }
    )
    outlines.write((run,), rows, rule, rules.source(rule.policy), best)
    path = run / "cnn" / "outlines.csv"
    return pd.read_csv(path, dtype={"mask": str}, keep_default_na=False)


def test_the_mask_is_cut_at_the_rules_level(run):
    low = list(MASK_LEVELS).index(102)
    found = written(run, Rule("unet", mask_level=low, top_level=low))
    assert list(found["id"]) == ["NA", "b"] and list(found["probability"]) == [0.7, 0.9]
    assert rle.decode(found["mask"][0], (SIZE, SIZE)).sum() == 16
    assert list(found["source"]) == ["unet"] * 2
    assert list(found["dice"]) == [1.0, 1.0] and list(found["spoken"]) == [1, 0]
    high = list(MASK_LEVELS).index(230)
    found = written(run, Rule("unet", mask_level=high, top_level=high))
    assert rle.decode(found["mask"][0], (SIZE, SIZE)).sum() == 4
    # 4 of 4 pixels within 16: 2 * 4 / (4 + 16).
    assert found["dice"][0] == pytest.approx(0.4)
    assert found["mask"][1] == rle.EMPTY


def test_the_verdict_may_hold_a_mask_back(run):
    speaks = Rule("gated", cutoff=float(np.log(0.69 / 0.31)))
    silent = Rule("gated", cutoff=float(np.log(0.71 / 0.29)))
    assert list(written(run, speaks)["spoken"]) == [1, 0]
    assert list(written(run, silent)["spoken"]) == [0, 0]


def test_silence_is_outlined_at_the_masks_own_best_level(run):
    found = written(run, Rule("empty"), best=0.4)
    assert list(found["spoken"]) == [0, 0]
    assert found["level"][0] == pytest.approx(102 / 255)
    assert rle.decode(found["mask"][0], (SIZE, SIZE)).sum() == 16
