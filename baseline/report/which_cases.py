"""Which X-rays the report shows: clear hits, the worst errors, and those near the threshold.

The choice follows from the predictions alone, so the same run always shows the same cases. Only
images whose truth is known are shown, each predicted by a model that has not seen it.
"""

import numpy as np
import pandas as pd

from baseline.learning.scores import POSITIVE_FROM

OUTCOMES = ("true positive", "false negative", "false positive", "true negative")
# Those of images with pneumothorax.
POSITIVE = OUTCOMES[:2]
ERRORS = OUTCOMES[1:3]
NEAR = "near the threshold"
# Groups of cases: the highest and lowest probabilities of each outcome, and those closest to 50%.
GROUPS = (*OUTCOMES, NEAR)


def outcome(probability: float, truth: float) -> str:
    """Name of a prediction's outcome, one of `OUTCOMES`."""
    positive = probability >= POSITIVE_FROM
    right = positive == (truth > 0.5)
    return f"{'true' if right else 'false'} {'positive' if positive else 'negative'}"


def choose(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose cases, one from each group of `GROUPS` in turn.

    Parameters
    ----------
    rows : DataFrame
        id, probability and truth.
    count : int
        Number of cases; fewer are returned if there are not so many images.

    Returns
    -------
    DataFrame
        The chosen rows with their `group`, in the order of `GROUPS`, the clearest first.
    """
    queues = _queues(rows)
    chosen: dict[int, str] = {}
    while len(chosen) < min(count, len(rows)):
        for group, queue in queues.items():
            while queue and queue[0] in chosen:
                queue.pop(0)
            if queue and len(chosen) < count:
                chosen[int(queue.pop(0))] = group
    picked = rows.iloc[list(chosen)].assign(group=list(chosen.values()))
    rank = picked["group"].map({group: number for number, group in enumerate(GROUPS)})
    return picked.iloc[np.argsort(rank.to_numpy(), kind="stable")].reset_index(drop=True)


def _queues(rows: pd.DataFrame) -> dict[str, list[int]]:
    """Row numbers of each group, the clearest first."""
    probability = rows["probability"].to_numpy()
    outcomes = np.array(
        [outcome(p, t) for p, t in zip(probability, rows["truth"], strict=True)], object
    )
    distance = np.abs(probability - POSITIVE_FROM)
    queues: dict[str, list[int]] = {}
    for group in GROUPS:
        near = group == NEAR
        members = np.arange(len(rows)) if near else np.flatnonzero(outcomes == group)
        # Equal probabilities are ordered by id, so that the choice does not depend on the order of
        # the table.
        keys = (rows["id"].to_numpy(str)[members], (distance if near else -distance)[members])
        queues[group] = list(members[np.lexsort(keys)])
    return queues
