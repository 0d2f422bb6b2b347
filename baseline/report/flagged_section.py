"""What the report shows of the quality gate: images that may be no frontal chest X-rays."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from baseline.explanation import overlays
from baseline.explanation.trained_run import TrainedRun
from features.lungs.frames import area_resize
from features.lungs.prepared import working_size
from features.quality.gate import GOOD
from features.reading import images
from features.storage.unreadable import UnreadableImage

# Pictures that are shown, the surest first, and their longest side in pixels.
SHOWN, SIDE = 12, 256


@dataclass(frozen=True)
class FlaggedImage:
    """A flagged image as the template shows it.

    Parameters
    ----------
    id : str
    words : str
        What was found.
    probability : float
        That it is no frontal chest X-ray, upright and whole.
    uri : str
        JPEG data URI; "" where the file cannot be read any more.
    """

    id: str
    words: str
    probability: float
    uri: str


def flagged(trained: TrainedRun) -> dict[str, Any] | None:
    """Counts of the gate's verdicts, and the flagged images; None where no gate looked.

    Parameters
    ----------
    trained : TrainedRun
    """
    if not trained.run.quality.exists():
        return None
    table = trained.run.quality.read()
    rows = table[table["flagged"] == 1]
    noted = table[(table["flagged"] == 0) & (table["kind"] != GOOD)]
    surest = rows.sort_values("probability", ascending=False, kind="stable").head(SHOWN)
    paths = trained.dataset["path"].reindex(surest["id"])
    return {
        "images": len(table),
        "count": len(rows),
        "aside": int(rows["aside"].sum()),
        "kinds": _counts(rows),
        "noted": _counts(noted),
        "shown": [
            FlaggedImage(row["id"], row["words"], row["probability"], _picture(path))
            for row, path in zip(surest.to_dict("records"), paths, strict=True)
        ],
    }


def _counts(rows: pd.DataFrame) -> list[tuple[str, int]]:
    """Kinds and their counts, the most frequent first."""
    counts = rows["kind"].value_counts(sort=False).sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    return [(str(kind), int(count)) for kind, count in counts.items()]


def _picture(path: object) -> str:
    try:
        small = working_size(images.read(str(path))[1])
    except UnreadableImage:
        return ""
    rows, columns = (max(side * SIDE // max(small.shape), 1) for side in small.shape)
    return overlays.jpeg(area_resize(small, (rows, columns)))
