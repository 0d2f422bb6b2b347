"""What the report shows of the masks: each one drawn, where the truth is known, spoken or not.

The report lies upstream and knows no network, so the masks wait for it in a table,
RUN/cnn/outlines.csv, one row an image:

id
    The image.
probability
    The verdict's probability that the gate was asked with.
spoken
    1 if the default policy's rule speaks the mask, else 0. The rule was chosen on all labelled
    images, as for the submission, so this describes and does not score.
source
    The map that the mask was cut from: "unet", "evidence" or "joint".
level
    Probability at which the map was cut: the rule's, or, where the default policy is to speak
    none, the level at which the masks are best by themselves.
dice
    Dice of the mask against the truth, spoken or not.
mask
    Its run-length code, "-1" if empty.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from baseline.gate import rules
from baseline.gate.rules import LEVELS, Rule
from cnn.gate import masks
from cnn.gate.sources import weigh
from features.reading import rle
from features.run import command, files


def write(
    runs: Sequence[Path], rows: pd.DataFrame, rule: Rule, source: str, best_level: float
) -> None:
    """Write cnn/outlines.csv.

    Parameters
    ----------
    runs : sequence of Path
        Run folders with probability maps, as of `cnn.gate.sources.together`; the first is written to.
    rows : DataFrame
        Images with known truth: id, probability, rows, columns and mask (run-length code).
    rule : Rule
        The default policy's rule, which may be to keep silent.
    source : str
        Whose map the default policy cuts, of `cnn.gate.sources.SOURCES`.
    best_level : float
        Probability at which the masks are best by themselves.
    """
    level = rule.mask_level
    if rule.policy == "empty":
        level = int(np.abs(LEVELS / 255 - best_level).argmin())
    found = []
    images = zip(rows.to_dict("records"), weigh(runs, rows), strict=True)
    for row, (maps, evidence) in command.progress(images, "outlining", total=len(rows)):
        found.append(
            {
                "id": row["id"],
                "probability": row["probability"],
                "spoken": int(rules.keeps(rule, evidence[source])[0]),
                "source": source,
                "level": LEVELS[level] / 255,
                "dice": evidence[source].dice[0, level],
                "mask": rle.encode(masks.cut(maps[source], level)),
            }
        )
    files.write_csv(runs[0] / "cnn" / "outlines.csv", pd.DataFrame(found))
