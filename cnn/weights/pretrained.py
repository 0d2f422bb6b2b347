"""Where a training begins, and the network that ships with the program as a start for others.

That network has learned from phantoms alone, from the X-ray without the evidence map, so it knows
no patient. It is made by ``make start``: the commands draw the phantoms, train one fold on nine
tenths of them, and keep its weights beside this file (``python -m cnn.weights.pretrained --run RUN``), rounded
to half precision.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn.network.config import TrainConfig
from cnn.weights import tensors
from features.run import command
from features.run.files import UserError

SHIPPED = Path(__file__).with_name("start.safetensors")
# What a user says who wants no start at all.
NONE = "none"


@dataclass(frozen=True)
class Settings:
    """Keep a run's network as the start of others."""

    run: Path
    """Run folder whose network of fold 0 is to be kept."""
    out: Path = SHIPPED
    """File to write."""


def pretrained_for(asked: str | None, fold: int, config: TrainConfig) -> Path | None:
    """The weights from which the training of a fold begins; None for random ones.

    Parameters
    ----------
    asked : str, optional
        A file, in which "{fold}" stands for the fold; "none" for random weights.
    fold : int
    config : TrainConfig
        Says whether to begin from the shipped network if nothing was asked for.
    """
    if asked is None:
        return SHIPPED if config.shipped_start else None
    return None if asked == NONE else Path(asked.replace("{fold}", str(fold)))


def main(settings: Settings) -> None:
    """Write the weights of fold 0 in half precision, with what they have learned from."""
    path = settings.run / "cnn" / "fold0" / "weights.safetensors"
    if not path.exists():
        raise UserError(
            f"{path}: no such file; train it first (python -m cnn.training.train --run {settings.run} "
            "--only 0), or run `make start`."
        )
    arrays, info = tensors.load(path)
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    if not all(np.isfinite(array).all() for array in halves.values()):
        raise UserError(f"{path}: holds weights beyond half precision; train it again.")
    tensors.save(settings.out, halves, info)
    print(f"{settings.out}: {sum(array.size for array in halves.values())} weights")


if __name__ == "__main__":
    command.run(main)
