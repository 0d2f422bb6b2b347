"""What is missed, and of which kind it is: ``python -m tests.benchmarks.gap RUN RUN...``

The images with pneumothorax of runs on the same images (other SEEDs), in groups by size of the
lesion, height in the lung, lines that may be a drain, view and sex. For each group, out of fold and
as means over the runs: the share that the classifier calls at a probability of 50% and at the
specificity of 90% (of that run); Dice of the U-Net's and of the evidence map's mask, each at the
level that is best on the other folds; and the share of the U-Net's masks that miss, with a Dice
below 0.1. 95% intervals by bootstrap over patients. Groups are small, so their intervals are wide.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from baseline.evidence_map.training_data import mask_areas_of
from baseline.learning import scores
from cnn.gate import evaluate, scored_images
from cnn.gate.scoreboard import at_others_share
from cnn.gate.sources import SourceMaps
from features.cells import table as cell_table
from features.cells.measure import MEASURES
from features.families.table import read as read_features
from features.lungs.zones import SIDES
from features.reading import rle
from features.run import command, files
from features.run.folder import RunFolder

# Limits of the sizes, as shares of the image: 45% of the challenge's lesions lie below the first,
# 34% between them.
SIZES = (0.007, 0.02)
MISSED = 0.1
SPECIFICITY = 0.9
HEIGHT = [measure.name for measure in MEASURES].index("place.height")


@dataclass(frozen=True)
class Settings:
    """Cut the scores on images with pneumothorax by what these are."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Run folders that have come as far as the gate, of the same images."""


def of_run(run: RunFolder) -> pd.DataFrame:
    """What a run makes of each image with a known mask: one row an image, in order of the ids."""
    rows = scored_images.labelled(run).sort_values("id", ignore_index=True)
    oof = run.oof.read().set_index("id").loc[rows["id"]]
    probability, raw = oof["probability"].to_numpy(float), oof["raw"].to_numpy(float)
    ill = rows["label"].to_numpy(float) == 1
    inputs = evaluate.gate_inputs(SourceMaps((run,)), rows, run.root.name)
    folds = rows["fold"].to_numpy()[ill]
    dice = {name: at_others_share(inputs[name].dice[ill], folds) for name in ("unet", "evidence")}
    return pd.DataFrame(
        {
            "id": rows["id"][ill],
            "patient": rows["patient"][ill],
            "called at 50%": probability[ill] >= scores.POSITIVE_FROM,
            "called at 90% specificity": raw[ill] > np.quantile(raw[~ill], SPECIFICITY),
            "U-Net's Dice": dice["unet"],
            "evidence map's Dice": dice["evidence"],
            "U-Net misses": dice["unet"] < MISSED,
        }
    ).reset_index(drop=True)


def facts(run: RunFolder, ids: pd.Series) -> pd.DataFrame:
    """Size, height in the lung, lines, view and sex of some images with pneumothorax."""
    rows = run.images().set_index("id").loc[ids]
    area = [
        rle.decode(code, (height, width)).mean()
        for code, height, width in rows[["mask", "rows", "columns"]].itertuples(index=False)
    ]
    cells, values = cell_table.read(run)
    names = cells["id"].cat.categories
    cells = cells.assign(image=cells["id"].cat.codes.to_numpy())
    sides = pd.Series(mask_areas_of(cells, len(names), "share").argmax(axis=1), names)
    share, image = cells["share"].to_numpy(float), cells["image"].to_numpy()
    weight = np.bincount(image, share, len(names))
    heights = np.bincount(image, share * values[:][:, HEIGHT].astype(float), len(names))
    with np.errstate(invalid="ignore"):
        height = pd.Series(heights / weight, names).loc[ids]
    features = read_features(run).loc[ids]
    tubes = features[[f"confounders.{side}_whole.tubes" for side in SIDES]].to_numpy()
    return pd.DataFrame(
        {
            "area": area,
            "height": height.to_numpy(),
            "tubes": tubes[np.arange(len(ids)), sides.loc[ids]],
            "view": rows["view"].fillna("unknown").to_numpy(),
            "sex": rows["sex"].fillna("unknown").to_numpy(),
        }
    )


def groups(known: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """The groups by name, each as its members."""
    small, large = SIZES
    area, height = known["area"], known["height"]
    many = known["tubes"] > known["tubes"].median()
    result = {
        "all": np.ones(len(known), bool),
        f"size under {small:.1%} of the image": area < small,
        f"{small:.1%} to {large:.0%}": (area >= small) & (area < large),
        f"{large:.0%} and over": area >= large,
        "mean height in the upper third of the lung": height < 1 / 3,
        "in the middle third": (height >= 1 / 3) & (height < 2 / 3),
        "in the lower third": height >= 2 / 3,
        "outside the lungs that were seen": height.isna(),
        "more long lines in this lung than the median (drains)": many,
        "fewer": ~many,
    }
    for kind in ("view", "sex"):
        result |= {f"{kind}: {name}": known[kind] == name for name in sorted(known[kind].unique())}
    return {name: np.asarray(members) for name, members in result.items() if np.any(members)}


def main(settings: Settings) -> None:
    """Print the table."""
    runs = [RunFolder(path).check() for path in settings.runs]
    tables = [of_run(run) for run in runs]
    for run, table in zip(runs, tables, strict=True):
        if list(table["id"]) != list(tables[0]["id"]):
            raise files.UserError(f"{run.root}: is of other images than {runs[0].root}.")
    patients = tables[0]["patient"].to_numpy(object)
    columns = [name for name in tables[0] if name not in ("id", "patient")]
    mean = np.mean([table[columns].to_numpy(float) for table in tables], axis=0)
    print(f"| | images | {' | '.join(columns)} |")
    print("|---" * (len(columns) + 2) + "|")
    for name, members in groups(facts(runs[0], tables[0]["id"])).items():
        cells = [scores.mean(mean[members, c], patients[members]) for c in range(len(columns))]
        print(f"| {name} | {members.sum()} | {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    command.run(main, writes=False)
