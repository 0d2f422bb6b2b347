"""Where a training begins, and the pretrained network that ships with the program.

The shipped network has learned from phantoms alone, from the X-ray without the evidence map, so it
knows no patient. ``make pretrained`` makes it: it draws phantoms, trains one fold on nine tenths of
them, and keeps the weights beside this file (``python -m cnn.weights.pretrained --run RUN``),
rounded to half precision.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn.network.config import TrainConfig
from cnn.weights import tensors
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder

SHIPPED = Path(__file__).with_name("pretrained.safetensors")
# The value of --init for random weights.
NONE = "none"
ANOTHER_FILE = (
    "give the weights.safetensors of another run to --init, with {fold} in place of the fold's "
    "number if each fold has its own"
)
RESTORE = "restore the file, which ships with the program, or begin without it: --init none"


@dataclass(frozen=True)
class Settings:
    """Keep a run's network as the pretrained one that ships with the program."""

    run: Path
    """Run folder whose network of fold 0 is to be kept."""
    out: Path = SHIPPED
    """File to write."""


def pretrained_for(init: str | None, fold: int, config: TrainConfig) -> Path | None:
    """The weights from which the training of a fold begins; None for random ones.

    Parameters
    ----------
    init : str, optional
        A file, in which "{fold}" stands for the fold; "none" for random weights.
    fold : int
    config : TrainConfig
        Says whether to begin from the shipped network if `init` is missing.
    """
    if init is None:
        return SHIPPED if config.pretrained else None
    return None if init == NONE else Path(init.replace("{fold}", str(fold)))


def repair_of(path: Path) -> str:
    """What to do if a pretrained network cannot be used, for the sentence of the error."""
    return RESTORE if path == SHIPPED else ANOTHER_FILE


def main(settings: Settings) -> None:
    """Write the weights of fold 0 in half precision, with what they have learned from."""
    run = RunFolder(settings.run).check()
    path = run.unet_fold(0).weights
    if not path.exists():
        raise UserError(
            f"{path}: no such file; train it first (python -m cnn.training.train --run {run.root} "
            "--only 0), or run `make pretrained`."
        )
    arrays, info = tensors.load(path)
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    if not all(np.isfinite(array).all() for array in halves.values()):
        raise UserError(f"{path}: holds weights beyond half precision; train it again.")
    tensors.save(settings.out, halves, info)
    print(f"{settings.out}: {sum(array.size for array in halves.values())} weights")


if __name__ == "__main__":
    command.run(main)
