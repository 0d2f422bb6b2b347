"""What each policy earns, and what the masks are worth without any gate, as records."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.gate.results import MaskScores, PolicyScores, Scoreboard
from baseline.gate.rules import MASK_SHARES, TOP, GateInputs
from baseline.learning import scores

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def scoreboard(
    earned: dict[str, Floats],
    rows: pd.DataFrame,
    positive: Flags,
    left_out: int = 0,
    chosen_inside: Floats | None = None,
) -> Scoreboard:
    """Scores of all policies with their intervals over patients.

    Parameters
    ----------
    earned : dict of str to (n,) array in [0, 1]
        Dice of each image, by policy.
    rows : (n, ...) DataFrame
        patient of each image.
    positive : (n,) array of bool
        Whether there is a pneumothorax.
    left_out : int
        Images that could not be scored.
    chosen_inside : (n,) array in [0, 1], optional
        Dice where the policy too is chosen on other images.
    """
    patients = rows["patient"].to_numpy(object)
    return Scoreboard(
        images=len(rows),
        positives=int(positive.sum()),
        patients=int(rows["patient"].nunique()),
        left_out=left_out,
        policies={
            policy: _policy_scores(values, positive, patients) for policy, values in earned.items()
        },
        chosen_inside=None
        if chosen_inside is None
        else _policy_scores(chosen_inside, positive, patients),
    )


def _policy_scores(values: Floats, positive: Flags, patients: NDArray[np.object_]) -> PolicyScores:
    return PolicyScores(
        dice=scores.mean(values, patients),
        positives=_mean_of(values, positive, patients),
        negatives=_mean_of(values, ~positive, patients),
    )


def _mean_of(values: Floats, part: Flags, patients: NDArray[np.object_]) -> scores.Estimate | None:
    return scores.mean(values[part], patients[part]) if part.any() else None


def mask_scores(
    inputs: GateInputs, folds: NDArray[np.integer], patients: NDArray[np.object_]
) -> MaskScores:
    """The masks without any gate: Dice over the positives at one share, and AUC of the top score.

    The Dice at the share that is best for these very images is a little too high. For the nested
    Dice, each image has the share that is best for the other folds.

    Parameters
    ----------
    inputs : GateInputs
        Of n images with known truth.
    folds : (n,) array of int
    patients : (n,) array of str
    """
    positive = inputs.positive == 1
    dice = inputs.dice[positive]
    best = int(dice.mean(axis=0).argmax())
    return MaskScores(
        dice_on_positives=scores.mean(dice[:, best], patients[positive]),
        dice_nested=scores.mean(at_others_share(dice, folds[positive]), patients[positive]),
        at_share=float(MASK_SHARES[best] / 100),
        top_score_auc=scores.auc_estimate(inputs.positive, inputs.top[:, TOP], patients),
    )


def at_others_share(dice: Floats, folds: NDArray[np.integer]) -> Floats:
    """Dice of each image at the share with the highest mean over the images of other folds.

    Parameters
    ----------
    dice : (n, shares) array
    folds : (n,) array of int

    Returns
    -------
    (n,) array
    """
    result = np.empty(len(dice))
    for fold in np.unique(folds):
        held_out = folds == fold
        # Where all positives are in one fold, the share is chosen on themselves.
        others = dice[~held_out] if (~held_out).any() else dice
        result[held_out] = dice[held_out, int(others.mean(axis=0).argmax())]
    return result
