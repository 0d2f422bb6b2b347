"""Check a submission file: ``python -m cnn.submission.check FILE --sample SAMPLE``.

It prints what is wrong with the file, image by image, and scores it if the truth is known. It ends
with status 0 if nothing is wrong for certain, else with 2.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from baseline.learning import scores
from cnn.submission.code_faults import BLANKS
from cnn.submission.empty_share import shares
from cnn.submission.examine import Sizes, examine, read_sample, sizes_of
from cnn.submission.suspicions import suspicions
from features.dataset import layouts
from features.dataset.layouts import ID, MASK
from features.reading import rle
from features.run import command
from features.run.files import UserError
from features.run.folder import RunFolder
from features.storage.names import image_id

# The longest side of an image; a mask of that size still fits in memory.
LONGEST_SIDE = 16384


@dataclass(frozen=True)
class Settings:
    """Check a submission file against a sample submission, and score it if the truth is known."""

    file: tyro.conf.Positional[Path]
    """Submission to check."""
    sample: Path
    """Sample submission: its ids in its order."""
    truth: Path | None = None
    """Annotations of the test images, to score the submission by."""
    train: Path | None = None
    """Annotations of the training images, to compare the share of empty masks with."""
    run: Path | None = None
    """Run folder whose dataset.parquet has rows and columns of its images."""
    side: int = 1024
    """Rows and columns of all other images."""


def main(settings: Settings) -> None:
    """Print what is wrong with a submission, or that nothing is, and its Dice.

    Raises
    ------
    UserError
        If anything is wrong for certain.
    """
    file = settings.file
    table = layouts.read_csv(file, (ID, MASK))
    table[ID] = table[ID].map(image_id)
    if read_sample(settings.sample).empty:
        raise UserError(
            f"{settings.sample}: no id in it; give the sample submission of these images."
        )
    if table.empty:
        raise UserError(f"{file}: no row in it; each id of {settings.sample} needs one.")
    sizes = _sizes(settings, table[ID])
    masks = int((~table[MASK].str.lower().isin({*BLANKS, rle.EMPTY})).sum())
    if settings.train is not None:
        print(shares(masks, len(table), *_annotated(settings.train)))
    problems = examine(file, settings.sample, sizes)
    if problems:
        raise UserError(*problems)
    empty = 1 - masks / len(table)
    truth = {} if settings.truth is None else _truth(table, settings.truth, sizes)
    doubts = suspicions(
        table[MASK].tolist(),
        [truth.get(name) for name in table[ID]],
        [sizes[name] for name in table[ID]],
    )
    found = f"{len(doubts)} things look wrong" if len(doubts) > 1 else "one thing looks wrong"
    print(
        f"{file}: {len(table)} images, {empty:.1%} of them without a mask; "
        f"{found if doubts else 'nothing wrong'}"
    )
    for doubt in doubts:
        print(f"warning: {doubt}")
    if settings.truth is not None:
        values = dice_by_image(table, settings.truth, sizes)
        # Without patients, each image counts as its own.
        mean = scores.mean(values, np.arange(len(values)).astype(object))
        print(f"mean Dice of {len(values)} images with known truth: {mean}")


def _annotated(path: Path) -> tuple[int, int]:
    """Images with a mask, and all images, of an annotation csv."""
    table = layouts.read_csv(path, (ID, MASK))
    if table.empty:
        raise UserError(f"{path}: no annotation in it; give the training set's, or leave it out.")
    for name, code in zip(table[ID], table[MASK], strict=True):
        try:
            rle.runs(code)
        except UserError as error:
            raise UserError(f"{path}: image {name}: {error}") from None
    positive = (table[MASK] != rle.EMPTY).groupby(table[ID]).any()
    return int(positive.sum()), len(positive)


def _sizes(settings: Settings, ids: pd.Series) -> Sizes:
    """Rows and columns of the images: the run's if it is given, else the settings' side.

    Raises
    ------
    UserError
        If the side is no size of an image, or there is no such run.
    """
    side = settings.side
    if not 1 <= side <= LONGEST_SIDE:
        raise UserError(f"side = {side}: an image has 1 to {LONGEST_SIDE} rows; give its own.")
    sizes = dict.fromkeys(ids.tolist(), (side, side))
    return sizes if settings.run is None else sizes | sizes_of(RunFolder(settings.run).check())


def _truth(table: pd.DataFrame, path: Path, sizes: Sizes) -> dict[str, str]:
    """The true code of each image of a submission that an annotation csv has.

    Raises
    ------
    UserError
        If it has none of them.
    """
    truth = layouts.read_annotations(path, {name: sizes[name] for name in table[ID]})
    found = {name: truth[name] for name in table[ID] if name in truth}
    if not found:
        raise UserError(f"{path}: none of the submission's images is in it; give the test set's.")
    return found


def dice_by_image(table: pd.DataFrame, path: Path, sizes: Sizes) -> NDArray[np.float64]:
    """Dice of the images of a submission whose truth stands in an annotation csv.

    Raises
    ------
    UserError
        If the csv has none of these images.
    """
    truth = _truth(table, path, sizes)
    values = [
        scores.dice(rle.decode(code, sizes[name]), rle.decode(truth[name], sizes[name]))
        for name, code in zip(table[ID], table[MASK], strict=True)
        if name in truth
    ]
    return np.array(values)


if __name__ == "__main__":
    command.run(main, writes=False)
