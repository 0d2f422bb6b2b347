"""A training epoch by epoch: its scores, which epoch is kept, breakdown, curves and summary."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import numpy as np
import pandas as pd
from jaxtyping import PyTree
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cnn.data.training_images import TrainingImages
from cnn.network.config import TrainConfig
from features.run.files import UserError, atomic
from features.run.folder import RunFolder

# Most images on which an epoch is scored for the curves: a large fold takes longer than the epoch.
MOST_SCORED = 200
# The curves that are drawn; "val" is the fold that is scored, "stop" the one early stopping uses.
LOSSES = {"loss": "loss in training", "val_bce": "cross-entropy on the fold left out"}
SCORES = {
    "val_dice": "Dice of positives at 0.5, fold left out",
    "val_score": "challenge's score at its best level, fold left out",
    "stop_score": "the same, fold that early stopping looks at",
}


@dataclass(frozen=True)
class Scores:
    """How well weights do on a fold; None where it has no image to score.

    Parameters
    ----------
    bce : float or None
        Cross-entropy in nats a pixel, mean over all images.
    soft_dice : float or None
        Mean over the images with a lesion.
    dice : float or None
        The same of masks cut at a probability of 0.5.
    score : float or None
        The challenge's score at the network's size: mean Dice of all images, where an empty mask on
        an image without lesion counts 1, at the best cut.
    """

    bce: float | None
    soft_dice: float | None
    dice: float | None
    score: float | None


@dataclass(frozen=True)
class Epoch:
    """Loss and scores of an epoch.

    Parameters
    ----------
    epoch : int
        Its number; 0 before the first step.
    loss : float or None
        Mean over its batches; None before the first step.
    val : Scores
        On the fold that is scored.
    stop : Scores or None
        On the fold that early stopping looks at.
    """

    epoch: int
    loss: float | None
    val: Scores
    stop: Scores | None


def as_table(history: Sequence[Epoch]) -> pd.DataFrame:
    """One row an epoch, as `NetworkFolder.history` has it."""
    rows = []
    for epoch in history:
        row = {"epoch": epoch.epoch, "loss": epoch.loss}
        for name, scores in (("val", epoch.val), ("stop", epoch.stop)):
            if scores is not None:
                row |= {f"{name}_{what}": value for what, value in asdict(scores).items()}
        rows.append(row)
    return pd.DataFrame(rows)


def kept_epoch(table: pd.DataFrame, config: TrainConfig) -> int:
    """The epoch whose weights are kept: the last, or with early stopping the best.

    Parameters
    ----------
    table : DataFrame
        Of `as_table`. Of several epochs with the highest score, the first is kept.
    config : TrainConfig
    """
    if not config.patience:
        return len(table) - 1
    return int(table["stop_score"].to_numpy(float).argmax())


def check_epoch(
    loss: float,
    weights: PyTree,
    history: Sequence[Epoch],
    what: str,
    saved: int,
    config: TrainConfig,
) -> None:
    """Stop where loss or weights are no longer numbers, or the loss three times the first epoch's.

    The loss alone is not enough: it is that of the weights before each step, not after the last.

    Parameters
    ----------
    loss : float
        Mean of the epoch that has just ended.
    weights : pytree of arrays
        Weights and their moving average at its end.
    history : sequence of Epoch
        The epochs before it.
    what : str
        Name of the training, for the error.
    saved : int
        Epoch of the last checkpoint; 0 without any.
    config : TrainConfig

    Raises
    ------
    UserError
        With what is kept and how to go on.
    """
    epoch = len(history)
    first_loss = history[1].loss if len(history) > 1 else None
    limit = np.inf if first_loss is None else 3 * first_loss
    all_numbers = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights))
    if all_numbers and np.isfinite(loss) and loss <= limit:
        return
    kept = f"the checkpoint after epoch {saved} is kept" if saved else "nothing was saved"
    repair = "--precision float32, or another --seed" if config.bfloat16 else "another --seed"
    raise UserError(
        f"{what}: the loss of epoch {epoch} is {loss:.3g}"
        f"{'' if all_numbers else ' and some weights are no numbers any more'}, so training has "
        f"broken down ({kept}); train anew with {repair} (and --overwrite, or another --run)."
    )


def draw(path: Path, history: Sequence[Epoch]) -> None:
    """Draw the curves as PNG: losses above, below Dice and score on the folds left out.

    Parameters
    ----------
    path : Path
        The picture.
    history : sequence of Epoch
        All epochs; a missing score leaves a gap.
    """
    figure = Figure((6, 5), dpi=120, layout="constrained")
    curves = as_table(history).astype(float).set_index("epoch")
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


def scored_rows(images: TrainingImages, fold: int, most: int | None = None) -> NDArray[np.intp]:
    """Positions of the images of a fold that weights are scored on, `most` at most."""
    rows = np.flatnonzero((images.folds == fold) & images.known)
    every = 1 if most is None else max(-(-len(rows) // most), 1)
    return rows[::every]


def summary(
    run: RunFolder, folds: Iterable[int], images: TrainingImages, config: TrainConfig
) -> str:
    """Dice at 0.5 over the positives of some folds, out of fold: before the first step, at the end.

    Those are meant on which epochs are scored. The end is the epoch whose weights are kept.
    """
    counts, dice = [], []
    for fold in folds:
        history = run.unet_fold(fold).history
        if not history.exists():  # of a fold that was finished before, and deleted since
            continue
        curves = history.read()
        positives = int(images.positive[scored_rows(images, fold, MOST_SCORED)].sum())
        if positives:
            counts.append(positives)
            dice.append(curves["val_dice"].iloc[[0, kept_epoch(curves, config)]])
    if not counts:
        return "No image of these folds has a lesion to score the network on."
    before, after = np.average(dice, axis=0, weights=counts)
    end = "in the epochs that early stopping keeps" if config.patience else "after the last epoch"
    return (
        f"Dice at a level of 0.5 on the {sum(counts)} positives, out of fold: {before:.3f} before "
        f"the first step of the final training, {after:.3f} {end}"
    )
