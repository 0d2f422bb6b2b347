"""What a fold's training went through, epoch by epoch: best end, breakdown, picture, summary."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import PyTree
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cnn.data.batches import TrainingImages
from cnn.network.config import TrainConfig
from features.run.files import UserError, atomic

History = list[dict[str, Any]]
# What is drawn of it; "val" is the fold that is scored, "stop" the one early stopping looks at.
LOSSES = {"loss": "loss in training", "val_bce": "cross-entropy on the fold left out"}
SCORES = {
    "val_dice": "Dice of positives at 0.5, fold left out",
    "val_score": "challenge's score at its best level, fold left out",
    "stop_score": "the same, fold that early stopping looks at",
}


def best_epoch(history: History, config: TrainConfig) -> int:
    """The epoch whose weights count: the last, or by early stopping the first of highest score."""
    if not config.patience:
        return int(history[-1]["epoch"])
    return int(max(history, key=lambda row: row["stop_score"])["epoch"])


def check_epoch(
    loss: float, held: PyTree, history: History, what: str, saved: int, config: TrainConfig
) -> None:
    """Stop where loss or weights are no longer numbers, or the loss three times the first epoch's.

    The loss alone does not tell: it is that of the weights before each step, not after the last.

    Parameters
    ----------
    loss : float
        Mean of the epoch that has just ended.
    held : pytree of arrays
        Weights and their moving average at its end.
    history : History
        Of the epochs before it.
    what : str
        The training, for the sentence.
    saved : int
        Epoch of the last checkpoint; 0 without any.
    config : TrainConfig

    Raises
    ------
    UserError
        With what is kept and how to go on.
    """
    epoch = len(history)
    limit = 3 * history[1]["loss"] if len(history) > 1 else np.inf
    whole = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(held))
    if whole and np.isfinite(loss) and loss <= limit:
        return
    kept = f"the checkpoint after epoch {saved} is kept" if saved else "nothing was saved"
    repair = "--precision float32, or another --seed" if config.bfloat16 else "another --seed"
    raise UserError(
        f"{what}: the loss of epoch {epoch} is {loss:.3g}"
        f"{'' if whole else ' and some weights are no numbers any more'}, so training has broken "
        f"down ({kept}); train anew with {repair} (and --overwrite, or another --run)."
    )


def draw(path: Path, history: History) -> None:
    """Draw the curves as PNG: losses above, below Dice and score on the folds left out.

    Parameters
    ----------
    path : Path
        The picture.
    history : History
        Of all epochs; what could not be judged leaves a gap.
    """
    figure = Figure((6, 5), dpi=120, layout="constrained")
    curves = pd.DataFrame(history).astype(float).set_index("epoch")
    panels = zip(figure.subplots(2, sharex=True), (LOSSES, SCORES), strict=True)
    for axes, names in panels:
        for name, label in names.items():
            if name in curves:
                axes.plot(curves[name], marker=".", label=label)
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png")


def summary(folder: Path, folds: Iterable[int], data: TrainingImages, config: TrainConfig) -> str:
    """Dice at 0.5 over all positives of some folds, out of fold: before the first step, at the end.

    The end is the epoch whose weights are kept.
    """
    counts, ends = [], []
    for fold in folds:
        path = folder / f"fold{fold}" / "curves.csv"
        if not path.exists():  # of a fold that was finished before, and deleted since
            continue
        curves = pd.read_csv(path)
        positives = int((data.positive & data.known & (data.folds == fold)).sum())
        if positives:
            counts.append(positives)
            kept = best_epoch([dict(row) for _, row in curves.iterrows()], config)
            ends.append(curves["val_dice"].iloc[[0, kept]])
    if not counts:
        return "No image of these folds has a lesion to score the network on."
    before, after = np.average(ends, axis=0, weights=counts)
    end = "in the epochs that early stopping keeps" if config.patience else "after the last epoch"
    return (
        f"Dice at a level of 0.5 on the {sum(counts)} positives, out of fold: {before:.3f} before "
        f"the first step of the final training, {after:.3f} {end}"
    )
