"""Labels that the classifier doubts, and what the quality gate says of the images.

Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021), the rule of the package cleanlab:
an image's label is suspicious if the out-of-fold probability of the other class reaches that
class's own mean among the images labelled so. A few lines do it for two classes.
"""

import numpy as np
from numpy.typing import NDArray

from baseline.audit import pictures
from baseline.audit.findings import Finding, Item, count
from baseline.audit_facts.facts import Facts

SHOWN = 6


def confident_errors(
    labels: NDArray[np.float64], probabilities: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which labels confident learning counts as errors.

    Parameters
    ----------
    labels : (n,) array of 0 and 1
        Both classes present.
    probabilities : (n,) array in [0, 1]
        Of class 1, out of fold.

    Returns
    -------
    (n,) array of bool
    """
    positive = labels == 1
    of_class = np.stack([1 - probabilities, probabilities])
    threshold = np.array([of_class[0, ~positive].mean(), of_class[1, positive].mean()])
    confident = of_class >= threshold[:, None]
    # Where both classes are reached the likelier one counts.
    predicted = np.where(confident.all(axis=0), of_class.argmax(axis=0), confident.argmax(axis=0))
    return np.asarray(confident.any(axis=0) & (predicted != labels))


def suspicious_labels(facts: Facts) -> Finding:
    """Labels that the classifier's out-of-fold probabilities contradict."""
    name = "suspicious labels"
    pipeline = "Nothing: every label is taken as true."
    user = (
        "Read these images again, the first ones first. (Of the challenge's positives a panel of "
        "radiologists overruled 32%.) Do not drop them by this list alone: hard images are on it "
        "too."
    )
    rows = None if facts.oof is None else facts.oof[facts.oof["kind"] == "oof"]
    rows = None if rows is None else rows[rows["label"].notna() & rows["id"].isin(facts.ids)]
    if rows is None or rows["label"].nunique() < 2:
        return Finding(
            name, "not applicable", "No classifier has been trained in this run yet: "
            "make classifier, then make audit again.", pipeline, user,
        )  # fmt: skip
    labels, probabilities = rows["label"].to_numpy(float), rows["probability"].to_numpy(float)
    wrong = np.flatnonzero(confident_errors(labels, probabilities))
    gap = np.abs(labels - probabilities)
    place_of = {key: place for place, key in enumerate(facts.ids)}
    items: list[Item] = []
    for number in wrong[np.argsort(-gap[wrong], kind="stable")]:
        key = str(rows["id"].iloc[number])
        text = f"labelled {labels[number]:.0f}; probability out of fold {probabilities[number]:.0%}"
        place = place_of[key]
        mask = pictures.masked if labels[number] == 1 else pictures.thumbnail
        shots = (mask(facts, place),) if len(items) < SHOWN else ()
        items.append(Item(key, text, (key,), shots))
    return Finding(
        name,
        "fail" if items else "pass",
        f"{count(len(items), 'label')} of {len(labels):,}: confident learning counts so many as "
        "errors.",
        pipeline,
        user,
        tuple(items),
    )


def quality_flags(facts: Facts) -> Finding:
    """Images that the quality gate has flagged."""
    name = "flags of the quality gate"
    pipeline = (
        "A flagged image is never ruled out: triage refers it. Its row stays in the submission."
    )
    user = "Look at the images; leave out what is no frontal chest X-ray."
    if facts.quality is None:
        return Finding(
            name, "not applicable", "The quality gate has not run on this dataset.", pipeline, user
        )
    table = facts.quality[facts.quality["id"].isin(facts.ids)]
    flagged = table[table["flagged"] == 1]
    flagged = flagged.sort_values("probability", ascending=False, kind="stable")
    place_of = {key: place for place, key in enumerate(facts.ids)}
    items = [
        Item(
            str(row.id),
            str(row.words),
            (str(row.id),),
            (pictures.thumbnail(facts, place_of[str(row.id)]),) if number < SHOWN else (),
        )
        for number, row in enumerate(flagged.itertuples())
    ]
    return Finding(
        name,
        "fail" if items else "pass",
        f"{count(len(items), 'image')} of {len(table):,} flagged.",
        pipeline,
        user,
        tuple(items),
    )
