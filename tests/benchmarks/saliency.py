"""How well maps find the air, pixel by pixel: ``python -m tests.benchmarks.saliency RUN``.

For each image with pneumothorax, and out of fold, the average precision (area under the curve of
precision and recall over pixels) with which a map ranks the pixels of the true mask first: of the
reasons painted on the lungs (SHAP values by zone), of the evidence map and of the U-Net's map.
Pixels outside the lungs come last in the first two. Chance is the mask's share of the picture.
Means over images with 95% intervals by bootstrap over patients, at the working size. It is the
measure by which Arun et al. (Radiology: Artificial Intelligence 3, 2021) scored saliency methods
on images of the same challenge: 0.024 to 0.224, and 0.404 for a U-Net.

With ``--reasons-of OTHER`` the reasons and the evidence map are another run's of the same images,
such as one that learned permuted labels: the randomisation test of Adebayo et al. (NeurIPS 2018).
They must then fall to chance, and be no more like the true ones than chance.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import average_precision_score

from baseline.evidence_map import maps
from baseline.explanation import trained_run
from baseline.learning import scores
from cnn.gate.sources import SourceMaps
from features.lungs.frames import area_resize
from features.lungs.prepared import prepare
from features.lungs.zones import NAMES, Zones
from features.reading import images, rle, square_pixels
from features.run import command
from features.run.folder import RunFolder

Map = NDArray[np.floating]


@dataclass(frozen=True)
class Settings:
    """Score maps pixel by pixel against the true masks."""

    run: tyro.conf.Positional[Path]
    """Run folder that has come as far as its maps (make cnn)."""
    reasons_of: Path | None = None
    """Another run, whose reasons and evidence map are scored."""


def painted(by_place: pd.Series, zones: Zones) -> Map:
    """SHAP values as they are painted: of each pixel's zones, summed; minus infinity elsewhere."""
    inside = (zones.labels >= 0).all(axis=0)
    values = np.full(inside.shape, -np.inf)
    values[inside] = by_place[list(NAMES)].to_numpy(float)[zones.labels[:, inside]].sum(axis=0)
    return values


def precision(truth: NDArray[np.bool_], values: Map) -> float:
    """Average precision of a map's ranking of the pixels."""
    return float(average_precision_score(truth.ravel(), np.nan_to_num(values, neginf=-1e9).ravel()))


def likeness(one: Map, other: Map) -> float:
    """Rank correlation of two maps; 0 where one is the same everywhere."""
    if min(np.ptp(one), np.ptp(other)) == 0:
        return 0.0
    return float(stats.spearmanr(one, other)[0])


def rows(run: RunFolder, of_reasons: RunFolder) -> Iterator[dict[str, float]]:
    """Scores of each image with a mask of a lesion."""
    trained, explained = trained_run.read(run), trained_run.read(of_reasons)
    oof = trained.oof.merge(run.images()[["id", "mask", "rows", "columns", "path"]], on="id")
    ill = oof[oof["mask"].notna() & (oof["mask"] != rle.EMPTY) & (oof["label"] == 1)]
    evidence = maps.read(of_reasons)
    streamed = SourceMaps((run,)).stream(ill, ("unet",))
    progress = command.progress(
        zip(ill.to_dict("records"), streamed, strict=True), "scoring", len(ill)
    )
    for image, grey in progress:
        prepared = prepare(images.read(image["path"])[1])
        shape = prepared.scene.shape
        truth = square_pixels.resample_mask(
            rle.decode(image["mask"], (image["rows"], image["columns"])), shape
        )
        reasons = painted(explained.by_place.loc[image["id"]], prepared.zones)
        of_run = painted(trained.by_place.loc[image["id"]], prepared.zones)
        inside = np.isfinite(of_run)
        yield {
            "patient": image["patient"],
            "painted reasons": precision(truth, reasons),
            "evidence map": precision(truth, maps.paint(evidence[image["id"]], shape)),
            "U-Net": precision(truth, area_resize(grey["unet"].astype(np.float32), shape)),
            "chance": float(truth.mean()),
            "chance inside the lungs": precision(truth, np.where(inside, 0.0, -np.inf)),
            "like the run's own": likeness(reasons[inside], of_run[inside]),
        }


def main(settings: Settings) -> None:
    """Print a table."""
    run = RunFolder(settings.run).check()
    other = run if settings.reasons_of is None else RunFolder(settings.reasons_of).check()
    table = pd.DataFrame(rows(run, other))
    patients = table.pop("patient").to_numpy(object)
    if other is run:
        table = table.drop(columns="like the run's own")
    print(f"average precision, mean over {len(table)} images with pneumothorax:")
    for name in table:
        print(f"| {name} | {scores.mean(table[name].to_numpy(), patients)} |")


if __name__ == "__main__":
    command.run(main, writes=False)
