"""Masks on real X-rays by a U-Net that has seen phantoms alone.

    .venv/bin/python tests/benchmarks/phantom_transfer.py PHANTOMS REAL [LUNGS]

PHANTOMS is a run with a U-Net trained with ``--no-evidence``; of REAL, dataset.parquet is read.
Printed is the mean Dice of the real positives at the network's size, for the mean map of all folds'
networks: at a level of 0.5, and at the level that is best for these very images; then the same
within the lung fields, a few pixels wider. With LUNGS, a model file of
``features.lungs_fit --phantoms``, nothing has learned from a real X-ray.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baseline import scores
from cnn import predict
from cnn.devices import split_processor
from cnn.geometry import read_pair, to_square
from features import files, images, lungs, lungs_cascade

LEVELS = np.arange(0.02, 1, 0.02)
WIDER = 2  # pixels of the network's square

Masks = NDArray[np.bool_]


def lung_fields(path: Path, size: int, model: lungs_cascade.LungModel) -> Masks:
    """Both lungs of a square X-ray, and what lies close to them."""
    found = lungs.segment_with(model, images.read(path)[1])
    square = to_square((found.right | found.left).astype(np.float32), size) > 0.5
    return np.asarray(ndimage.binary_dilation(square, iterations=WIDER))


def dice(maps: NDArray[np.float64], masks: Masks) -> NDArray[np.float64]:
    """Dice of each image at each of `LEVELS`, (n, t)."""
    drawn = maps[:, None] >= LEVELS[:, None, None]
    common = (drawn & masks[:, None]).sum((2, 3))
    return 2 * common / np.maximum(drawn.sum((2, 3)) + masks.sum((1, 2))[:, None], 1)


def main(phantoms: Path, real: Path, model: lungs_cascade.LungModel) -> None:
    """Predict, score, print."""
    split_processor()
    taught = files.read_table(phantoms / "dataset.parquet")
    networks = predict.load_networks(phantoms, int(taught["fold"].max()) + 1)
    size = networks.config.size
    table = files.read_table(real / "dataset.parquet")
    table = table[table["label"] == 1]
    pairs = [read_pair((row.path, row.mask, size)) for row in table.itertuples()]
    seen, masks = (np.stack(part) for part in zip(*pairs, strict=True))
    masks = masks > 127
    maps = predict.predict_part(networks, seen, np.full(len(seen), -1)) / 255
    fields = np.stack([lung_fields(Path(path), size, model) for path in table["path"]])
    patients = table["patient"].to_numpy(object)
    for where, shown in (("whole image", maps), ("within the lungs", maps * fields)):
        found = dice(shown, masks)
        best = int(found.mean(axis=0).argmax())
        for level in (int(np.abs(LEVELS - 0.5).argmin()), best):
            own = found[:, level]
            estimate = scores.bootstrap(lambda rows, own=own: float(own[rows].mean()), patients)
            print(f"{where}, level {LEVELS[level]:.2f}: Dice on {len(own)} positives {estimate}")


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    chosen = Path(sys.argv[3]) if len(sys.argv) == 4 else lungs_cascade.MODEL
    main(Path(sys.argv[1]), Path(sys.argv[2]), lungs_cascade.load(chosen))
