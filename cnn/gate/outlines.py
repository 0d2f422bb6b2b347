"""The masks that the report shows: of each image whose truth is known, kept or not.

The report (`baseline.report`) may not import the network, so it reads the masks from a table
(`RunFolder.outlines`), one row an image:

id
    The image.
probability
    The classifier's probability by which the gate decided.
kept
    1 if the default policy's rule keeps the mask, else 0. The rule was chosen on all labelled
    images, as for the submission, so this describes and does not score.
source
    The map that the mask was cut from: "unet", "evidence" or "joint".
level
    Probability at which the map was cut: the rule's, or, where the default policy empties every
    mask, the level at which the masks are best without a gate.
dice
    Dice of the mask against the truth, kept or not.
mask
    Its run-length code, "-1" if empty.
"""

from functools import partial

import numpy as np
import pandas as pd

from baseline.gate import rules
from baseline.gate.results import GateMetrics
from baseline.gate.rules import MASK_LEVELS, GateInputs, Rule
from cnn.gate import masks
from cnn.gate.sources import ImageInputs, SourceMaps, draw_image
from features.reading import rle
from features.run import parallel


def write(
    maps: SourceMaps,
    rows: pd.DataFrame,
    inputs: dict[str, GateInputs],
    rule: Rule,
    metrics: GateMetrics,
    jobs: int = -1,
    scheduler: str | None = None,
) -> None:
    """Write the outlines into the first run of the maps.

    Parameters
    ----------
    maps : SourceMaps
    rows : DataFrame
        Images with known truth: id, probability, rows and columns.
    inputs : dict of str to GateInputs
        Of these images, by source.
    rule : Rule
        The default policy's rule.
    metrics : GateMetrics
    jobs, scheduler
        As for `parallel.stream`.
    """
    source = rules.source(metrics.default)
    level = cut_level(rule, metrics)
    codes = parallel.stream(
        partial(_code, level=level),
        maps.images(rows, (source,), to_measure=False),
        "outlining",
        jobs,
        scheduler,
        count=len(rows),
        least=parallel.FEW,
    )
    table = rows[["id", "probability"]].assign(
        kept=rules.keeps(rule, inputs[source]).astype(int),
        source=source,
        level=MASK_LEVELS[level] / 255,
        dice=inputs[source].dice[:, level],
        mask=list(codes),
    )
    maps.runs[0].outlines.write(table)


def _code(image: ImageInputs, level: int) -> str:
    """Run-length code of an image's mask from its one map, cut at a level."""
    (grey,) = draw_image(image).values()
    return rle.encode(masks.cut(grey, level))


def cut_level(rule: Rule, metrics: GateMetrics) -> int:
    """Index into `MASK_LEVELS` at which masks are shown: the default rule's, or the best one."""
    if rule.policy != "empty":
        return rule.mask_level
    best = metrics.mask_alone[rules.source(metrics.default)].at_probability
    return int(np.abs(MASK_LEVELS / 255 - best).argmin())
