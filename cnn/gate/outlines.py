"""The masks that the report shows: of each image whose truth is known, kept or not.

The report (`baseline.report`) may not import the network, so it reads the masks from a table
(`RunFolder.outlines`), one row an image:

id
    The image.
probability
    The classifier's probability by which the gate decided.
kept
    1 if the default policy's rule keeps the mask, else 0. The rule was chosen on all images
    with a mask, as for the submission, so this describes and does not score.
source
    The map that the mask was cut from: "unet", "evidence" or "joint".
level
    Probability at which this map was cut: the rule's share of its top score, or, where the default
    policy empties every mask, the share at which the masks are best without a gate.
dice
    Dice of the mask against the truth, kept or not.
mask
    Its run-length code, "-1" if empty.
"""

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baseline.gate import rules
from baseline.gate.results import GateMetrics
from baseline.gate.rules import MASK_SHARES, TOP, GateInputs, Rule
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
    share = shown_share(rule, metrics)
    codes = parallel.stream(
        partial(_code, mask_share=share),
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
        level=rules.cut_levels(_bytes(inputs[source].top[:, TOP]), share) / 255,
        dice=inputs[source].dice[:, share],
        mask=list(codes),
    )
    maps.runs[0].outlines.write(table)


def _code(image: ImageInputs, mask_share: int) -> str:
    """Run-length code of an image's mask from its one map, cut at a share of its top score."""
    (grey,) = draw_image(image).values()
    return rle.encode(masks.cut(grey, mask_share))


def _bytes(top: NDArray[np.float64]) -> NDArray[np.int64]:
    """Top scores in levels of 1/255, as the maps have them."""
    return np.rint(255 * top).astype(np.int64)


def shown_share(rule: Rule, metrics: GateMetrics) -> int:
    """Index into `MASK_SHARES` at which masks are shown: the default rule's, or the best one."""
    if rule.policy != "empty":
        return rule.mask_share
    best = metrics.mask_alone[rules.source(metrics.default)].at_share
    return int(np.abs(MASK_SHARES / 100 - best).argmin())
