"""How real implants are: a classifier tells them from real pneumothoraces by what lies in the air.

The run folder holds dataset.parquet and cells/, as `make measure` writes them, and the images can
still be read. One row an image: the mean of each cell measure over the cells that the mask covers,
less its mean over the other lung's, since X-rays differ more than lungs of one X-ray do. Without
the measures of place, because where air lies is a choice of the distribution. Compared are real
pneumothoraces by true masks with implants in images without one by true labels, and those by weak
masks with implants in weak negatives. Printed are the AUC, out of folds that share no patient, with
its interval, the measures used most, and Kolmogorov distances. Beside it as a control the same for
the lung that has no air, which the implant has not changed: patients with a pneumothorax differ
from others (they have drains and lie in bed), so an AUC that is not greater says nothing against
implants.

    .venv/bin/python tests/benchmarks/implant_realism.py <run> [implants, default 200] [seed]
"""

from pathlib import Path

import numpy as np
import pandas as pd
from arguments import arguments_or_help
from implant_cells import ImageCells, implanted, real
from phantom_realism import NEAR, discrimination, distances

from features.cells.table import NAMES
from features.implant.sources import without_pneumothorax
from features.run.folder import RunFolder

WEAK_BELOW = 0.1
FEWEST = 4  # cells in the air, or in the other lung, of an image that takes part
SHOWN = 12

PLACE = [name.startswith("place.") for name in NAMES]


def summary(images: list[ImageCells], of_air: bool) -> pd.DataFrame:
    """One row an image: measures of its air less those of the other lung; or the other lung's."""
    rows, patients = [], []
    for image in images:
        if image.air.sum() < FEWEST:
            continue
        side = np.bincount(image.sides[image.air]).argmax()
        other = (image.sides != side) & ~image.air
        if other.sum() < FEWEST:
            continue
        mean = image.values[other].mean(axis=0)
        rows.append(image.values[image.air].mean(axis=0) - mean if of_air else mean)
        patients.append(image.patient)
    table = pd.DataFrame(np.array(rows), columns=NAMES).loc[:, ~np.array(PLACE)]
    return table.set_index(pd.Index(patients, name="patient"))


def compare(what: str, drawn: list[ImageCells], taken: list[ImageCells]) -> None:
    """Print how well implants and real ones are told apart."""
    for of_air, part in ((True, "in the air"), (False, "in the other lung, unchanged")):
        ours, theirs = (summary(images, of_air) for images in (drawn, taken))
        patients = np.concatenate([ours.index, theirs.index]).astype(object)
        auc, gain = discrimination(ours, theirs, patients)
        distance = distances(ours, theirs)
        near = (distance["distance"] < NEAR).mean()
        print(
            f"\n{what}, {part}: {len(ours)} implants, {len(theirs)} real: AUC {auc}; Kolmogorov "
            f"distance of {len(distance)} measures: median {distance['distance'].median():.3f}, "
            f"{near:.0%} below {NEAR}"
        )
        if of_air:
            print("| used most | share of gain | distance | median implant | median real |")
            print("|---|---|---|---|---|")
            for name in gain.nlargest(SHOWN).index:
                row = distance.loc[name]
                print(
                    f"| {name} | {gain[name]:.3f} | {row['distance']:.2f} | {row['phantoms']:.3f} "
                    f"| {row['real']:.3f} |"
                )


def main(run: RunFolder, count: int = 200, seed: int = 0) -> None:
    """Measure and print."""
    dataset = run.check().dataset.read()
    positive, negative = (dataset[dataset["label"] == value] for value in (1, 0))
    compare("true masks", implanted(negative, count, seed), real(run, positive, "share"))
    weak = dataset[dataset["label"].isna() & (dataset["weak_mask"].fillna("-1") != "-1")]
    weak_negative = without_pneumothorax(dataset[dataset["label"].isna()], WEAK_BELOW)
    compare("weak masks", implanted(weak_negative, count, seed), real(run, weak, "weak_share"))


if __name__ == "__main__":
    words = arguments_or_help(__doc__)
    main(RunFolder(Path(words[0])), *map(int, words[1:]))
