"""AUC within images of one origin: ``python -m tests.benchmarks.within_source RUN``.

Some datasets are put together from files of several origins, and where the origins differ in how
many are ill, a classifier may learn the origin. Origins are told apart by what wrote the JPEG in
each DICOM: its tables, and whether it has the header of JFIF. Printed is the AUC of the origin
alone, and that of the out-of-fold predictions among the truly labelled images of each origin.
"""

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import tyro
from PIL import Image

from baseline.learning import scores
from features.run import command
from features.run.folder import RunFolder


@dataclass(frozen=True)
class Settings:
    """Score a run within images of one origin."""

    run: tyro.conf.Positional[Path]
    """Run folder with a trained classifier, on DICOMs."""


def origin(path: str) -> str:
    """What wrote the JPEG of a DICOM, in words."""
    frame = pydicom.encaps.get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    image = Image.open(io.BytesIO(frame), formats=["JPEG"])
    tables = hashlib.sha256(repr(sorted(image.quantization.items())).encode()).hexdigest()[:6]
    return f"tables {tables}, {'with' if 'jfif' in image.info else 'without'} JFIF"


def main(settings: Settings) -> None:
    """Print a table."""
    run = RunFolder(settings.run).check()
    rows = run.oof.read().dropna(subset=["label"]).reset_index(drop=True)
    paths = run.images().set_index("id")["path"].loc[rows["id"]]
    rows["origin"] = [origin(path) for path in command.progress(list(paths), "reading")]
    shares = rows.groupby("origin")["label"].transform("mean")
    print("| images | with pneumothorax | AUC |\n|---|---|---|")
    _show("origin alone", rows.assign(raw=shares))
    _show("all", rows)
    for name, part in rows.groupby("origin"):
        _show(str(name), part)


def _show(name: str, part: pd.DataFrame) -> None:
    labels, raw = part["label"].to_numpy(float), part["raw"].to_numpy(float)
    auc = scores.bootstrap(
        lambda rows: scores.auc(labels[rows], raw[rows]), part["patient"].to_numpy(object)
    )
    print(f"| {name}: {len(part)} | {int(np.sum(labels))} | {auc} |")


if __name__ == "__main__":
    command.run(main, writes=False)
