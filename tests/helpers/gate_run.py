"""A gate's evidence by chance, and what cnn.gate.evaluate would write of it for the report."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from baseline.gate import choose
from baseline.gate import rules as gate
from baseline.gate.rules import MASK_LEVELS, RANKS, GateInputs
from baseline.learning import predictions
from cnn.gate import report_figures

FOLDS = 4


def by_chance(positive: np.ndarray, log_odds: np.ndarray, seed: int) -> GateInputs:
    """Maps that know a little: their areas shrink from level to level, some to nothing."""
    rng = np.random.default_rng(seed)
    n = len(positive)
    heat = rng.random(n) * np.where(positive == 1, 1.0, 0.7)
    area = np.clip(0.05 * (heat[:, None] - MASK_LEVELS / 300) * rng.random((n, 1)), 0, 1)
    inside = np.where(positive[:, None] == 1, 0.8 * rng.random((n, len(MASK_LEVELS))), 0.0)
    dice = np.where(area > 0, inside, (positive == 0)[:, None].astype(float))
    # The brightest pixels are brighter than many, and maps in between are in doubt.
    top = heat[:, None] ** (1 + np.arange(len(RANKS)))
    entropy, agreement = heat * (1 - heat), heat * rng.random(n)
    return GateInputs(log_odds, top, area, entropy, agreement, dice, positive)


def measured(
    rows: pd.DataFrame, positive: np.ndarray, default: str = "joint", seed: int = 0
) -> tuple[dict[str, Any], dict[str, gate.Rule], dict[str, GateInputs]]:
    """Economics of images by chance, with the rules and the evidence that they are of.

    Parameters
    ----------
    rows : DataFrame
        id and probability.
    positive : (n,) array of 0 and 1
    default : str
        The policy that is taken for the default.
    seed : int
    """
    odds = logit(np.clip(rows["probability"].to_numpy(float), 1e-6, 1 - 1e-6))
    sources = ("unet", "evidence", "joint")
    evidence = {name: by_chance(positive, odds, seed + k) for k, name in enumerate(sources)}
    folds = np.arange(len(rows)) % FOLDS
    rules, board = {}, {}
    for policy in gate.POLICIES:
        own = evidence[gate.source(policy)]
        rules[policy] = choose.choose(policy, own)
        mean = float(choose.nested(policy, own, folds).mean())
        board[policy] = {"dice": {"value": mean, "low": mean - 0.05, "high": mean + 0.04}}
    alone = {name: {"at_probability": float(MASK_LEVELS[3] / 255)} for name in sources}
    metrics = {"default": default, "out_of_fold": board, "mask_alone": alone}
    return report_figures.measure(rows, evidence, rules, metrics), rules, evidence


def of_run(run: Path, default: str = "joint") -> dict[str, Any]:
    """Economics of a run's labelled images, their maps by chance."""
    oof = predictions.read(run / "baseline" / "oof.csv")
    return measured(oof, oof["label"].to_numpy(float), default)[0]
