"""Gate inputs by chance, and the figures of them that cnn.gate.evaluate would write."""

import numpy as np
import pandas as pd
from scipy.special import logit

from baseline.gate import choose, rules
from baseline.gate.figures import GateFigures
from baseline.gate.results import GateMetrics, MaskScores, PolicyScores, Scoreboard
from baseline.gate.rules import MASK_SHARES, RANKS, SOURCES, TOP, TOP_LEVELS, GateInputs, Rule
from baseline.learning.scores import Estimate
from cnn.gate import report_figures
from features.run.folder import RunFolder

FOLDS = 4


def inputs_by_chance(positive: np.ndarray, log_odds: np.ndarray, seed: int) -> GateInputs:
    """Maps a little better than chance: areas shrink from level to level, some to nothing."""
    rng = np.random.default_rng(seed)
    n = len(positive)
    brightness = rng.random(n) * np.where(positive == 1, 1.0, 0.7)
    area = np.clip(0.05 * (brightness[:, None] - TOP_LEVELS / 300) * rng.random((n, 1)), 0, 1)
    # The brightest pixels are brighter than many, and maps in between are in doubt.
    top = np.maximum(brightness[:, None] - 0.1, 0) ** (1 + np.arange(len(RANKS)))
    inside = np.where(positive[:, None] == 1, 0.8 * rng.random((n, len(MASK_SHARES))), 0.0)
    dice = np.where(top[:, [TOP]] > 0, inside, (positive == 0)[:, None].astype(float))
    entropy, agreement = brightness * (1 - brightness), brightness * rng.random(n)
    return GateInputs(log_odds, top, area, entropy, agreement, dice, positive)


def metrics_by_chance(
    positive: np.ndarray, inputs: dict[str, GateInputs], default: str
) -> GateMetrics:
    """Nested scores of all policies, with intervals of a fixed width."""
    folds = np.arange(len(positive)) % FOLDS
    policies = {}
    for policy in rules.POLICIES:
        mean = float(choose.nested(policy, inputs[rules.source(policy)], folds).mean())
        policies[policy] = PolicyScores(Estimate(mean, mean - 0.05, mean + 0.04), None, None)
    n = len(positive)
    board = Scoreboard(n, int(positive.sum()), n, 0, policies, None)
    half = Estimate(0.5, 0.4, 0.6)
    alone = {name: MaskScores(half, half, MASK_SHARES[3] / 100, half) for name in SOURCES}
    return GateMetrics(default, (), alone, board, None)


def figures_by_chance(
    rows: pd.DataFrame, positive: np.ndarray, default: str = "joint", seed: int = 0
) -> tuple[GateFigures, dict[str, Rule], dict[str, GateInputs]]:
    """Figures of images by chance, with the rules and the inputs that they are of.

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
    inputs = {
        name: inputs_by_chance(positive, odds, seed + number) for number, name in enumerate(SOURCES)
    }
    chosen = {
        policy: choose.choose(policy, inputs[rules.source(policy)]) for policy in rules.POLICIES
    }
    metrics = metrics_by_chance(positive, inputs, default)
    return report_figures.measure(rows, inputs, chosen, metrics), chosen, inputs


def figures_of_run(run: RunFolder, default: str = "joint") -> GateFigures:
    """Figures of a run's labelled images, their maps by chance."""
    oof = run.oof.read()
    return figures_by_chance(oof, oof["label"].to_numpy(float), default)[0]
