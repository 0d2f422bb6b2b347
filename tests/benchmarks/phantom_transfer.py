"""What phantoms alone teach: the whole toolkit learns from them and then reads real X-rays.

    .venv/bin/python tests/benchmarks/phantom_transfer.py mix PHANTOMS REAL OUT
    make baseline cnn DATA=OUT RUN=RUN FOLDS=3 TEACHERS=0 CNN_OPTIONS='--epochs 12 --init none'
    .venv/bin/python tests/benchmarks/phantom_transfer.py score RUN REAL

`mix` makes a dataset folder of links: PHANTOMS' training images to learn from, REAL's annotated
images, without their truth, as the test set. Both are folders as on Kaggle (stage 2). The pipeline
then does with them what it does with any dataset. `score` compares what it says of the test set
with REAL's annotations: the verdict's AUC, and the mean Dice of the U-Net's and of the handcrafted
masks on positives, without a gate, at three levels: 0.5; the one that is best for the phantoms, out
of fold; and the one that is best for these very images, which is an optimum of itself. The lung
finder alone has seen real X-rays, those of the Montgomery set.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.learning import predictions, scores
from cnn.gate import sources
from features.reading import layouts, rle
from features.run import files
from features.run.files import UserError

LEVELS = np.arange(0.02, 1, 0.02)
STEP = 2  # every so many-th pixel of the originals is compared, in both directions
MAPS = {"unet": "U-Net", "evidence": "handcrafted mask"}


def mix(phantoms: Path, real: Path, out: Path) -> None:
    """Write the folder of links; refuses one that exists.

    Raises
    ------
    UserError
        If OUT exists, a folder is no dataset, an image is missing, or both have one of a name.
    """
    if out.exists():
        raise UserError(f"{out}: exists and is not overwritten; choose another folder.")
    found = [layouts.find(folder) for folder in (phantoms, real)]
    taught, judged = (layouts.read_csv(one.train_csv, (layouts.ID, layouts.MASK)) for one in found)
    links: dict[str, Path] = {}
    for layout, table in zip(found, (taught, judged), strict=True):
        paths = layouts.image_paths(layout.train_images)
        for name in table[layouts.ID].unique():
            if name not in paths or name in links:
                what = "has no image" if name not in paths else "is in both folders"
                raise UserError(f"{layout.train_csv}: {name!r} {what}; mend the folder.")
            links[name] = paths[name]
    owners = [
        layouts.read_csv(folder / "patients.csv", (layouts.ID, "patient"))
        for folder in (phantoms, real)
        if (folder / "patients.csv").is_file()
    ]
    (out / "stage_2_images").mkdir(parents=True)
    for name, path in links.items():
        (out / "stage_2_images" / f"{name}{path.suffix}").symlink_to(path.resolve())
    files.write_csv(out / "stage_2_train.csv", taught)
    sample = judged[[layouts.ID]].drop_duplicates().assign(**{layouts.MASK: rle.EMPTY})
    files.write_csv(out / "stage_2_sample_submission.csv", sample)
    if owners:
        known = pd.concat(owners)
        files.write_csv(out / "patients.csv", known[known[layouts.ID].isin(links)])


def truth(run: Path, real: Path) -> pd.DataFrame:
    """The run's images with the masks to score them by, as run-length codes."""
    table = files.read_table(run / "dataset.parquet")
    sizes = {row.id: (row.rows, row.columns) for row in table.itertuples()}
    drawn = layouts.read_annotations(layouts.find(real).train_csv, sizes)
    test = table["split"] == "test"
    table = table.assign(mask=table["mask"].where(~test, table["id"].map(drawn)))
    if table["mask"].isna().any():
        odd = table["id"][table["mask"].isna()].iloc[0]
        raise UserError(f"{real}: no annotation of {odd!r}; give the folder that was mixed in.")
    return table


def dice(run: Path, rows: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Dice of each positive at each of `LEVELS`, (n, t), by the map that was cut at it."""
    found: dict[str, list[list[float]]] = {name: [] for name in MAPS}
    streamed = sources.stream([run], rows[["id", "rows", "columns"]])
    for code, maps in zip(rows["mask"], streamed, strict=True):
        mask = rle.decode(code, maps["unet"].shape)[::STEP, ::STEP]
        for name in MAPS:
            levels = maps[name][::STEP, ::STEP] / 255
            drawn = [levels >= level for level in LEVELS]
            common = [(one & mask).sum() for one in drawn]
            total = [max(one.sum() + mask.sum(), 1) for one in drawn]
            found[name].append([2 * a / b for a, b in zip(common, total, strict=True)])
    return {name: np.array(values) for name, values in found.items()}


def score(run: Path, real: Path) -> None:
    """Print AUC and Dice, each with the interval of a bootstrap over patients."""
    table = truth(run, real)
    ill = table["mask"] != rle.EMPTY
    test = table["split"] == "test"
    judged = predictions.read(run / "baseline" / "test.csv").set_index("id")["probability"]
    labels, chances = ill[test].to_numpy(float), judged.loc[table["id"][test]].to_numpy()
    patients = table["patient"][test].to_numpy(object)
    auc = scores.bootstrap(lambda rows: scores.auc(labels[rows], chances[rows]), patients)
    print(f"verdict, AUC on {len(labels)} real X-rays: {auc}")
    own, others = dice(run, table[ill & ~test]), dice(run, table[ill & test])
    patients = table["patient"][ill & test].to_numpy(object)
    for name, what in MAPS.items():
        chosen = {
            "0.5": int(np.abs(LEVELS - 0.5).argmin()),
            "best for phantoms": int(own[name].mean(axis=0).argmax()),
            "best for these": int(others[name].mean(axis=0).argmax()),
        }
        for why, level in chosen.items():
            theirs = scores.mean(others[name][:, level], patients)
            ours = own[name][:, level].mean()
            print(
                f"{what}, level {LEVELS[level]:.2f} ({why}): Dice on {len(patients)} real "
                f"positives {theirs}; on {len(own[name])} phantoms {ours:.3f}"
            )


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[2:]]
    try:
        if sys.argv[1:2] == ["mix"] and len(given) == 3:
            mix(*given)
        elif sys.argv[1:2] == ["score"] and len(given) == 2:
            score(*given)
        else:
            sys.exit(__doc__)
    except UserError as error:
        sys.exit(f"error: {error}")
