"""Which X-rays the report shows: the clearest hits, the worst errors, and what lies on the fence.

The choice follows from the predictions alone, so the same run always shows the same cases. Only
images whose truth is known and that no model of theirs has seen are shown.
"""

from typing import Any

import numpy as np
import pandas as pd

# An image is called positive where a pneumothorax is more likely than not.
THRESHOLD = 0.5

OUTCOMES = ("true positive", "false negative", "false positive", "true negative")
# Those of images with pneumothorax.
POSITIVE = OUTCOMES[:2]
ERRORS = OUTCOMES[1:3]
GROUPS = {
    "true positive": "Clear hits: pneumothorax, and the model is surest of it",
    "false negative": "Worst misses: pneumothorax, and the model is surest that there is none",
    "false positive": "Worst false alarms: none, and the model is surest of a pneumothorax",
    "true negative": "Clear negatives: none, and the model is surest of that",
    "near the threshold": "On the fence: the probability is closest to 50%",
}


def outcome(probability: float, truth: float) -> str:
    """Name of the verdict's outcome, one of `OUTCOMES`."""
    positive = probability >= THRESHOLD
    right = positive == (truth > 0.5)
    return f"{'true' if right else 'false'} {'positive' if positive else 'negative'}"


def choose(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Choose cases, turn and turn about from each group of `GROUPS`.

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
    probability = rows["probability"].to_numpy()
    outcomes = np.array(
        [outcome(p, t) for p, t in zip(probability, rows["truth"], strict=True)], object
    )
    sure = -np.abs(probability - THRESHOLD)
    queues: dict[str, list[int]] = {}
    for group in GROUPS:
        near = group == "near the threshold"
        members = np.arange(len(rows)) if near else np.flatnonzero(outcomes == group)
        # Equal probabilities are ordered by id, so that the choice does not hang on the table's.
        keys = (rows["id"].to_numpy(str)[members], (-sure if near else sure)[members])
        queues[group] = list(members[np.lexsort(keys)])
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


def worst(cases: list[dict[str, Any]], kind: str, count: int) -> list[dict[str, Any]]:
    """The worst errors of a kind among some cases, the surest first.

    Parameters
    ----------
    cases : list of dict
        With `probability` and `outcome`.
    kind : str
        One of `ERRORS`.
    count : int
        At most so many.
    """
    found = [case for case in cases if case["outcome"] == kind]
    return sorted(found, key=lambda case: -abs(case["probability"] - THRESHOLD))[:count]
