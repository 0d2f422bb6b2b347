"""Masks of one fold's network of several runs, scored at the X-rays' own size.

``python tests/benchmarks/network_masks.py RUN [RUN ...]``. The runs are of one dataset in the same
folds (a run trained by ``--only 0`` will do); the networks see the X-ray alone. Printed for each is
the Dice of the positives of fold 0, at a level of 0.5 and at the level that is best for them, and
for the runs after the first how it differs from the first's, image by image.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from baseline.gate.rules import MASK_SHARES
from baseline.learning import scores
from cnn.data import training_images
from cnn.data.batches import chunks, padded
from cnn.gate import masks
from cnn.network.unet import outline
from cnn.prediction.networks import probabilities
from cnn.weights import tensors
from cnn.weights.network_kind import network_of
from features.reading import rle
from features.run import command
from features.run.folder import RunFolder

BATCH = 8
HALF = list(MASK_SHARES).index(50)


def overlaps(run: RunFolder) -> tuple[NDArray[np.float64], NDArray[np.object_]]:
    """Dice of each positive of fold 0 at each of `MASK_SHARES`, and its patient."""
    path = run.unet_fold(0).weights
    arrays, info = tensors.load(path)
    unet, flip = network_of(info, path, "train again")
    if unet.evidence:
        sys.exit(f"error: {path}: sees the evidence map; train with --no-evidence to compare here.")
    params = tensors.restore(outline(unet), arrays, path)
    data = training_images.read(run, unet.size)
    rows = np.flatnonzero((data.folds == 0) & data.known & data.positive)
    table = data.table.iloc[rows]
    maps = np.concatenate(
        [
            np.asarray(probabilities(params, padded(data.inputs(rows[part]), BATCH), unet, flip))
            for part in chunks(len(rows), BATCH)
        ]
    )
    dice = []
    columns = zip(table["mask"], table["rows"], table["columns"], strict=True)
    images = zip(maps[: len(rows)], columns, strict=True)
    for drawn, (code, *shape) in command.progress(images, str(run.root), len(rows)):
        truth = rle.decode(code, tuple(shape))
        zone = np.zeros(truth.shape, bool)
        dice.append(masks.measure(masks.to_original(drawn, truth.shape), zone, truth, 0.0).dice[0])
    return np.array(dice), table["patient"].to_numpy(object)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    first = None
    for folder in options.runs:
        dice, patients = overlaps(RunFolder(folder).check())
        best = int(dice.mean(axis=0).argmax())
        first = dice if first is None else first
        for what, share in (
            ("at half of its top score", HALF),
            (f"at its best share, {MASK_SHARES[best]}%", best),
        ):
            line = f"{folder}: Dice on {len(dice)} positives {what}: "
            line += str(scores.mean(dice[:, share], patients))
            if dice is not first:
                least = HALF if share == HALF else int(first.mean(axis=0).argmax())
                gap = scores.mean(dice[:, share] - first[:, least], patients)
                line += f", less {options.runs[0]}'s {gap}"
            print(line)


if __name__ == "__main__":
    main()
