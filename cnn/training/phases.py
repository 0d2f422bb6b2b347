"""The trainings of a fold one after the other, and the folds that they leave out."""

from dataclasses import replace
from typing import NamedTuple

from cnn.data.training_images import TrainingImages
from cnn.network.config import TrainConfig
from features.run.files import UserError


class Phase(NamedTuple):
    """One training of a fold."""

    config: TrainConfig
    """Its own settings."""
    is_first: bool
    """Whether it is the first training, on the X-ray alone, and not the final one."""


def phases(config: TrainConfig) -> list[Phase]:
    """The trainings of a fold, in their order.

    Parameters
    ----------
    config : TrainConfig
        The settings of the whole.
    """
    final = Phase(config, is_first=False)
    if not config.first_epochs:
        return [final]
    first = replace(
        config,
        unet=replace(config.unet, evidence=False),
        epochs=config.first_epochs,
        learning_rate=config.first_rate,
        # It runs to its end, but leaves out the fold that early stopping looks at later.
        patience=config.first_epochs if config.patience else 0,
    )
    return [Phase(first, is_first=True), final]


def left_out(fold: int, images: TrainingImages, config: TrainConfig) -> tuple[int, ...]:
    """Folds not to learn from: the one that is scored, then one for early stopping to look at.

    Raises
    ------
    UserError
        If there are too few folds for both, or the second has no image with a known lesion.
    """
    if not config.patience:
        return (fold,)
    if images.fold_count < 3:
        raise UserError(
            f"--patience: early stopping takes a fold of its own, and of {images.fold_count} folds "
            "none is left to learn from; make three or more, or leave it out."
        )
    stopping_fold = (fold + 1) % images.fold_count
    if not (images.known & images.positive & (images.folds == stopping_fold)).any():
        raise UserError(
            f"--patience: early stopping of fold {fold} looks at fold {stopping_fold}, where no "
            "image has a known lesion, so no epoch would be better than another; make fewer folds, "
            "or leave it out."
        )
    return fold, stopping_fold
