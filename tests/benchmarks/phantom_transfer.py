"""What phantoms alone are worth: the whole toolkit is trained on them and tested on real X-rays.

    .venv/bin/python tests/benchmarks/phantom_transfer.py mix PHANTOMS REAL OUT
    make classifier cnn DATA=OUT RUN=RUN FOLDS=3 AUXILIARY=0 CNN_OPTIONS='--epochs 12 --init none'
    .venv/bin/python tests/benchmarks/phantom_transfer.py score RUN REAL

`mix` makes a dataset folder of links: PHANTOMS' training images to learn from, REAL's annotated
images, without their truth, as the test set. Both are folders as on Kaggle (stage 2). The pipeline
then does with them what it does with any dataset. `score` compares its predictions of the test set
with REAL's annotations: the classifier's AUC, and the mean Dice of the U-Net's and of the
handcrafted masks on positives, without a gate, at three levels: 0.5; the one that is best for the
phantoms, out of fold; and the one that is best for these very images, which is an optimum of
itself. The lung finder alone has learned from real X-rays, those of the Montgomery set.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from arguments import arguments_or_help
from numpy.typing import NDArray

from baseline.learning import scores
from cnn.gate.sources import SourceMaps
from features.dataset import file_masks, layouts
from features.reading import rle
from features.run import files
from features.run.files import UserError
from features.run.folder import RunFolder
from features.storage import listing

CUTS = np.arange(0.02, 1, 0.02)
STEP = 2  # every so many-th pixel of the originals is compared, in both directions
MASKS_OF = {"unet": "U-Net", "evidence": "handcrafted mask"}

Overlaps = dict[str, NDArray[np.float64]]


def mix(phantoms: Path, real: Path, out: Path) -> None:
    """Write the folder of links; refuses one that exists.

    Raises
    ------
    UserError
        If OUT exists, a folder is no dataset, an image is missing, or both have one of a name.
    """
    if out.exists():
        raise UserError(f"{out}: exists and is not overwritten; choose another folder.")
    datasets = [layouts.find(folder) for folder in (phantoms, real)]
    training, test = (
        layouts.read_csv(layout.labels, (layouts.ID, layouts.MASK)) for layout in datasets
    )
    links: dict[str, Path] = {}
    for layout, table in zip(datasets, (training, test), strict=True):
        paths = listing.image_paths(layout.train_images)
        for name in table[layouts.ID].unique():
            if name not in paths or name in links:
                what = "has no image" if name not in paths else "is in both folders"
                raise UserError(f"{layout.train_csv}: {name!r} {what}; mend the folder.")
            links[name] = paths[name]
    patients = [
        layouts.read_csv(folder / "patients.csv", (layouts.ID, "patient"))
        for folder in (phantoms, real)
        if (folder / "patients.csv").is_file()
    ]
    (out / "stage_2_images").mkdir(parents=True)
    for name, path in links.items():
        (out / "stage_2_images" / f"{name}{path.suffix}").symlink_to(path.resolve())
    files.write_csv(out / "stage_2_train.csv", training)
    sample = test[[layouts.ID]].drop_duplicates().assign(**{layouts.MASK: rle.EMPTY})
    files.write_csv(out / "stage_2_sample_submission.csv", sample)
    if patients:
        known = pd.concat(patients)
        files.write_csv(out / "patients.csv", known[known[layouts.ID].isin(links)])


def truth(run: RunFolder, real: Path) -> pd.DataFrame:
    """The run's images with the masks to score them by, as run-length codes."""
    table = run.dataset.read()
    annotated = file_masks.read(layouts.find(real).labels, file_masks.placements(table))
    test = table["split"] == "test"
    table = table.assign(mask=table["mask"].where(~test, table["id"].map(annotated)))
    if table["mask"].isna().any():
        odd = table["id"][table["mask"].isna()].iloc[0]
        raise UserError(f"{real}: no annotation of {odd!r}; give the folder that was mixed in.")
    return table


def overlaps(run: RunFolder, rows: pd.DataFrame) -> Overlaps:
    """Dice of each positive at each of `CUTS`, (n, t), by the map that was cut at it."""
    result: dict[str, list[list[float]]] = {source: [] for source in MASKS_OF}
    streamed = SourceMaps((run,)).stream(rows[["id", "rows", "columns"]], tuple(MASKS_OF))
    for code, maps in zip(rows["mask"], streamed, strict=True):
        mask = rle.decode(code, maps["unet"].shape)[::STEP, ::STEP]
        for source in MASKS_OF:
            probability = maps[source][::STEP, ::STEP] / 255
            drawn = [probability >= cut for cut in CUTS]
            common = [(cut_mask & mask).sum() for cut_mask in drawn]
            total = [max(cut_mask.sum() + mask.sum(), 1) for cut_mask in drawn]
            result[source].append([2 * a / b for a, b in zip(common, total, strict=True)])
    return {source: np.array(values) for source, values in result.items()}


def score(run: RunFolder, real: Path) -> None:
    """Print AUC and Dice, each with the interval of a bootstrap over patients."""
    table = truth(run.check(), real)
    positive = table["mask"] != rle.EMPTY
    test = table["split"] == "test"
    predicted = run.test.read().set_index("id")["probability"]
    labels = positive[test].to_numpy(float)
    probabilities = predicted.loc[table["id"][test]].to_numpy()
    patients = table["patient"][test].to_numpy(object)
    auc = scores.bootstrap(lambda rows: scores.auc(labels[rows], probabilities[rows]), patients)
    print(f"verdict, AUC on {len(labels)} real X-rays: {auc}")
    of_phantoms = overlaps(run, table[positive & ~test])
    of_real = overlaps(run, table[positive & test])
    patients = table["patient"][positive & test].to_numpy(object)
    for source, what in MASKS_OF.items():
        chosen = {
            "0.5": int(np.abs(CUTS - 0.5).argmin()),
            "best for phantoms": int(of_phantoms[source].mean(axis=0).argmax()),
            "best for these": int(of_real[source].mean(axis=0).argmax()),
        }
        for why, cut in chosen.items():
            on_real = scores.mean(of_real[source][:, cut], patients)
            on_phantoms = of_phantoms[source][:, cut].mean()
            print(
                f"{what}, level {CUTS[cut]:.2f} ({why}): Dice on {len(patients)} real "
                f"positives {on_real}; on {len(of_phantoms[source])} phantoms {on_phantoms:.3f}"
            )


if __name__ == "__main__":
    what, *words = arguments_or_help(__doc__ or "", 3)
    folders = [Path(word) for word in words]
    try:
        if what == "mix" and len(folders) == 3:
            mix(*folders)
        elif what == "score" and len(folders) == 2:
            score(RunFolder(folders[0]), folders[1])
        else:
            sys.exit(__doc__)
    except UserError as error:
        sys.exit(f"error: {error}")
