"""What a fold's training went through, epoch by epoch: its best end, its breakdown, its summary."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cnn.batches import Labelled
from cnn.profiles import TrainConfig
from features.files import UserError

History = list[dict[str, Any]]


def best_epoch(history: History, config: TrainConfig) -> int:
    """The epoch whose weights count: the last, or by early stopping the first of highest Dice."""
    if not config.patience:
        return int(history[-1]["epoch"])
    return int(max(history, key=lambda row: row["stop_dice"] or 0.0)["epoch"])


def check_loss(loss: float, history: History, folder: Path, saved: int) -> None:
    """Stop where the loss is no longer a number, or three times that of the first epoch.

    Parameters
    ----------
    loss : float
        Mean of the epoch that has just ended.
    history : History
        Of the epochs before it.
    folder : Path
        The fold's, for the sentence.
    saved : int
        Epoch of the last checkpoint; 0 without any.

    Raises
    ------
    UserError
        With what is kept and how to go on.
    """
    epoch = len(history)
    limit = 3 * history[1]["loss"] if len(history) > 1 else np.inf
    if not np.isfinite(loss) or loss > limit:
        kept = f"the checkpoint after epoch {saved} is kept" if saved else "nothing was saved"
        raise UserError(
            f"{folder.name}: the loss of epoch {epoch} is {loss:.3g}, so training has broken "
            f"down ({kept}); choose another --seed or a lower learning rate."
        )


def summary(folder: Path, data: Labelled) -> str:
    """Dice at 0.5 over all positives, each out of fold: before the first step and at the end."""
    counts, ends = [], []
    for fold in range(data.fold_count):
        curves = pd.read_csv(folder / f"fold{fold}" / "curves.csv")
        positives = int((data.positive & data.known & (data.folds == fold)).sum())
        if positives:
            counts.append(positives)
            ends.append(curves["val_dice"].iloc[[0, -1]])
    before, after = np.average(ends, axis=0, weights=counts)
    return (
        f"Dice at a level of 0.5 on the {sum(counts)} positives, out of fold: {before:.3f} before "
        f"the first step of the final training, {after:.3f} after the last epoch"
    )
