"""What implants teach: where the air lies in real X-rays, by cells learned from implants alone.

The run folder holds dataset.parquet and cells/, as `make measure` writes them, and the images can
still be read. The evidence map's booster of cells learns, in folds that share no patient, from the
cells of implants in images without pneumothorax (true or weak negatives, never of the fold's
patients), and of the same lungs as they were; or from the true masks of the other folds; or from
both; and as a control from true masks and the lungs without their implants. It is scored on the
images with true labels: AUC and average precision of cells within the collapsed lungs, the mean
over the positives, and the AUC of images by the mean of their ten highest cells.

    .venv/bin/python tests/benchmarks/implant_transfer.py <run> [implants, default 200] [seed]
"""

from pathlib import Path

import numpy as np
from arguments import arguments_or_help
from implant_cells import ImageCells, implanted, real
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from baseline.evidence_map.fit import fit_cells
from baseline.evidence_map.training_data import LabelledCells
from baseline.learning import scores
from features.dataset import folds
from features.implant.sources import without_pneumothorax
from features.run.folder import RunFolder

FOLDS = 3
WEAK_BELOW = 0.1
STEP = 4  # of so many cells of an implant one is learned from: neighbours are much alike
HIGHEST = 10  # cells by whose mean an image is judged
# Weight of an implant's cell where real ones, of weight 1, are learned from too.
WEIGHT = 0.2


def collapsed(image: ImageCells) -> NDArray[np.bool_]:
    """The cells of the lungs that hold at least a tenth of the air."""
    area = np.bincount(image.sides, np.nan_to_num(image.shares), 2)
    return area[image.sides] >= 0.1 * area.sum()


def labelled(images: list[ImageCells], step: int = 1, whole: bool = False) -> LabelledCells:
    """Cells of the lungs with air or, where `whole`, of all lungs."""
    values, shares = [], []
    for image in images:
        rows = np.flatnonzero(whole | collapsed(image))[::step]
        values.append(image.values[rows])
        shares.append(np.nan_to_num(image.shares[rows]))
    return LabelledCells(np.concatenate(values), np.concatenate(shares).astype(float), len(images))


def cell_scores(
    images: list[ImageCells], predicted: list[NDArray[np.float64]]
) -> tuple[scores.Estimate, scores.Estimate]:
    """AUC and average precision of cells, the mean over the positives."""
    single = []
    for image, probability in zip(images, predicted, strict=True):
        lung = collapsed(image)
        air, p = image.air[lung], probability[lung]
        if 0 < air.sum() < len(air):
            single.append((roc_auc_score(air, p), average_precision_score(air, p), image.patient))
    auc, precision, patients = (np.array(column) for column in zip(*single, strict=True))
    groups = patients.astype(object)
    return (
        scores.bootstrap(lambda rows: float(auc[rows].mean()), groups),
        scores.bootstrap(lambda rows: float(precision[rows].mean()), groups),
    )


def main(run: RunFolder, count: int = 200, seed: int = 0) -> None:
    """Learn, score and print."""
    dataset = run.check().dataset.read()
    true = dataset[dataset["label"].notna()]
    labels, patients = true["label"].to_numpy(int), true["patient"].to_numpy(object)
    fold = folds.assign(labels, patients, FOLDS, seed)
    images = real(run, true, "share")
    negatives = without_pneumothorax(dataset, WEAK_BELOW)
    drawn = implanted(negatives, count, seed)
    by_id = {of_image.id: of_image for of_image in drawn}
    sources = real(run, negatives[negatives["id"].isin(by_id)], "share")
    predicted: dict[str, dict[int, NDArray[np.float64]]] = {}
    for k in range(FOLDS):
        held_out = set(patients[fold == k])
        implants = labelled([one for one in drawn if one.patient not in held_out], STEP)
        healthy = labelled([one for one in sources if one.patient not in held_out], STEP, True)
        masks = labelled([images[i] for i in np.flatnonzero((fold != k) & (labels == 1))])
        weighted = {
            "implants alone": [(implants, 1.0), (healthy, 1.0)],
            "true masks": [(masks, 1.0)],
            "true masks and healthy lungs": [(masks, 1.0), (healthy, WEIGHT)],
            "all three": [(masks, 1.0), (implants, WEIGHT), (healthy, WEIGHT)],
        }
        for kind, material in weighted.items():
            booster = fit_cells(material, seed)
            for i in np.flatnonzero(fold == k):
                predicted.setdefault(kind, {})[i] = np.asarray(
                    booster.predict(images[i].values), float
                )
    print("| learned from | AUC of cells | average precision of cells | AUC of images |")
    print("|---|---|---|---|")
    positive = np.flatnonzero(labels == 1)
    for kind, of_kind in predicted.items():
        auc, precision = cell_scores([images[i] for i in positive], [of_kind[i] for i in positive])
        top = np.array([np.sort(of_kind[i])[-HIGHEST:].mean() for i in range(len(images))])
        of_images = scores.bootstrap(
            lambda rows, top=top: scores.auc(labels[rows].astype(float), top[rows]), patients
        )
        print(f"| {kind} | {auc} | {precision} | {of_images} |", flush=True)


if __name__ == "__main__":
    words = arguments_or_help(__doc__)
    main(RunFolder(Path(words[0])), *map(int, words[1:]))
