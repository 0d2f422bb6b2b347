"""A run with probability maps that are flat or have one square, and evidence of nothing.

The means of such maps can be computed by hand. There is no classifier to explain: tests replace
`top_zone.read`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from features.run.folder import RunFolder
from features.run.schemas import EVIDENCE_MAP
from tests.helpers.datasets import dataset

SHAPE = (16, 12)
# Two labelled images and two test images.
FOLDS: dict[str, int | None] = {"a": 0, "b": 1, "t": None, "u": None}


def make_run(
    folder: Path,
    maps: dict[str, np.ndarray],
    folds: dict[str, int | None],
    shape: tuple[int, int] = SHAPE,
    masks: Sequence[str] | None = None,
) -> RunFolder:
    """A run with these maps of its U-Net.

    Parameters
    ----------
    folder : Path
    maps : dict of str to (size, size) array of uint8
        Map by image id, in their order.
    folds : dict of str to int or None
        Fold of each image of the dataset; those of no fold are test images.
    shape : (int, int)
        Rows and columns of all images.
    masks : sequence of str, optional
        Run-length codes of the images of a fold, which come first; all empty unless given.
    """
    run = RunFolder(folder)
    run.create()
    index = pd.DataFrame({"id": list(maps), "fold": [folds.get(name) for name in maps]})
    run.maps.write(index.assign(part=0, row=np.arange(len(maps))))
    np.savez_compressed(run.map_part(0), maps=np.stack(list(maps.values())), ids=list(maps))
    labelled = [fold is not None for fold in folds.values()]
    codes = iter(["-1"] * sum(labelled) if masks is None else masks)
    run.dataset.write(
        dataset(
            list(folds),
            split=np.where(labelled, "train", "test"),
            mask=[next(codes) if known else None for known in labelled],
            label=np.where(labelled, 0.0, np.nan),
            fold=list(folds.values()),
            rows=shape[0],
            columns=shape[1],
        )
    )
    cells = [(name, 0, 0, 0.0, 0.0, 0) for name in folds]
    run.evidence_map.write(pd.DataFrame(cells, columns=list(EVIDENCE_MAP.columns)))
    return run


def flat(size: int, **levels: int) -> dict[str, np.ndarray]:
    """Maps of one grey level each, by image id."""
    return {name: np.full((size, size), level, np.uint8) for name, level in levels.items()}


def predictions(
    ids: Sequence[str], kind: str, folds: Sequence[int | None], **columns: object
) -> pd.DataFrame:
    """Rows of a table of predictions, all of probability 0.5 unless given."""
    table = pd.DataFrame({"id": list(ids), "patient": list(ids)})
    table["split"] = "train" if kind == "oof" else "test"
    table["fold"] = pd.array(list(folds), "Int64")
    table = table.assign(label=np.nan, weak=np.nan, raw=0.0, probability=0.5, kind=kind)
    return table.assign(**columns)


def make_pair(folder: Path) -> tuple[RunFolder, RunFolder]:
    """Two runs, the second with a smaller network and its images in another order.

    The mean of their levels is 128 on the test image t, where the gate of the tests cuts, and 13
    on u. A third test image, q, is quarantined.
    """
    first = make_run(folder / "first", flat(8, a=0, b=3, t=26, u=26), FOLDS)
    shuffled = {name: FOLDS[name] for name in ("t", "b", "u", "a")}
    second = make_run(folder / "second", flat(4, t=230, a=5, u=0, b=4), shuffled)
    write_sample(first, ["u", "q", "t"])
    first.quarantine.write(pd.DataFrame({"id": ["q"], "path": "q.dcm", "reason": "truncated"}))
    first.test.write(predictions(["t", "u"], "deployed", [None, None]))
    return first, second


def write_sample(run: RunFolder, ids: list[str]) -> None:
    """The sample submission."""
    run.sample.write(pd.DataFrame({"ImageId": ids, "EncodedPixels": "-1"}))
