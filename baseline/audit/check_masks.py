"""Do the masks belong to their pictures? Whole-image, misplaced, mirrored, transposed, copied.

Whether a mask fits is learned from the dataset itself: a logistic regression tells the masks as
drawn from their broken copies (mirrored, transposed, another image's), out of fold by patient. A
mask is suspicious where its mirrored or transposed copy fits clearly better. It is learned twice:
the second time without the masks that did not fit at first, which taught the opposite. Most masks
must be right for that: if all are mirrored nothing looks odd, except the pictures.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.linear_model import LogisticRegression

from baseline.audit import pictures, predictors
from baseline.audit.check_lesions import positives
from baseline.audit.findings import Finding, Item, Picture, count
from baseline.audit_facts.facts import Facts
from baseline.audit_facts.mask_facts import AREA, OUTSIDE, VARIANTS
from features.reading import rle

Floats = NDArray[np.float64]

# A mask above this share of the image is no pneumothorax (siim-mini's largest has 14%).
LARGEST = 0.4
# A mask with more than this share of it outside both lungs lies elsewhere (siim-mini's worst: 68%).
OUTSIDE_SHARE = 0.8
# How much better the mirrored and the transposed copy must fit, in log-odds, and the fewest masks
# to learn that from. A right mask that is wider than high fits transposed sooner than mirrored.
CLEARLY, FEWEST = np.array([2.0, 2.5]), 12
SHOWN = 6
# A mask this small may be the same by chance.
SMALL_CODE = 4
PIPELINE = (
    "Nothing: every mask is taken as true. The evidence map and the U-Net learn from it, and the "
    "Dice is measured on it."
)


def place_and_size(facts: Facts) -> Finding:
    """Masks that cover most of the image, or that lie outside the lungs."""
    name = "masks in the lungs"
    if not facts.fits:
        return _without_masks(name)
    items = []
    for place in positives(facts):
        fit = facts.fits.get(facts.ids[place])
        if fit is None or np.isnan(fit[0]).any():
            continue
        area, outside = float(np.exp(fit[0, AREA])), float(fit[0, OUTSIDE])
        if area > LARGEST:
            items.append((area + 1, place, f"the mask covers {area:.0%} of the image"))
        elif outside > OUTSIDE_SHARE:
            items.append((outside, place, f"{outside:.0%} of the mask lies outside the lungs"))
    return Finding(
        name,
        "fail" if items else "pass",
        f"Of {len(facts.fits):,} masks, {len(items)} cover more than {LARGEST:.0%} of the image, "
        f"or lie outside the lungs by more than {OUTSIDE_SHARE:.0%} of their area.",
        PIPELINE,
        "Look at the pictures. A mask over the whole image is often an inverted one; one beside "
        "the lungs belongs to another image, another size, or another order of pixels.",
        _shown(facts, items),
    )


def turned(facts: Facts) -> Finding:
    """Masks whose mirrored or transposed copy fits the picture clearly better."""
    name = "masks the right way round"
    places = [place for place in positives(facts) if _usable(facts, place)]
    if len(places) < FEWEST:
        return Finding(
            name,
            "not applicable",
            f"Fewer than {FEWEST} masks: too few to learn what a fitting mask looks like.",
            PIPELINE,
            "Look at the pictures with masks above.",
        )
    fits = np.stack([facts.fits[facts.ids[place]] for place in places])
    patients = facts.table["patient"].iloc[places].to_numpy(object)
    first = gains_of_copies(fits, patients, np.ones(len(fits), bool))
    fitting = np.asarray((first < 0).all(axis=1))
    gains = gains_of_copies(fits, patients, fitting) if fitting.sum() >= FEWEST else first
    items = []
    for place, gain in zip(places, gains, strict=True):
        if (gain > CLEARLY).any():
            how = VARIANTS[1 + int((gain - CLEARLY).argmax())]
            text = f"the mask fits better {how} (odds times {np.exp(min(gain.max(), 9)):.0f})"
            items.append((float(gain.max()), place, text))
    right = float((gains[:, 0] < 0).mean())
    return Finding(
        name,
        "fail" if items else "pass",
        f"Of {len(places):,} masks, {len(items)} would fit the picture clearly better mirrored or "
        f"transposed; {right:.0%} fit better as drawn than mirrored.",
        PIPELINE,
        "Look at the pictures: the right side of the patient is at the left. A transposed mask "
        "comes from run lengths that were counted along rows; the challenge counts down columns.",
        _shown(facts, items),
    )


def gains_of_copies(
    fits: Floats, patients: NDArray[np.object_], teaching: NDArray[np.bool_]
) -> Floats:
    """How much better the mirrored and the transposed copy of each mask fit, out of fold.

    Parameters
    ----------
    fits : (n, variants, measures) array
        Without NaN.
    patients : (n,) array of str
    teaching : (n,) array of bool
        Masks to learn from; a fold learns from those of the other patients.

    Returns
    -------
    (n, 2) array
        In log-odds of being a mask as drawn.
    """
    groups = np.unique(patients.astype(str), return_inverse=True)[1]
    fold = groups % min(predictors.FOLDS, int(groups.max()) + 1)
    odds = np.empty(fits.shape[:2])
    truth = np.zeros(fits.shape[:2])
    truth[:, 0] = 1
    middle, spread = fits.mean(axis=(0, 1)), fits.std(axis=(0, 1)) + 1e-6
    scaled = np.clip((fits - middle) / spread, -4, 4)
    for number in np.unique(fold):
        rest, held = (fold != number) & teaching, fold == number
        # One mask as drawn stands against three broken ones.
        model = LogisticRegression(C=0.5, class_weight="balanced", max_iter=1000)
        model.fit(scaled[rest].reshape(-1, fits.shape[2]), truth[rest].ravel())
        # (held, variants, measures) to (held * variants, measures) and back
        raw = model.decision_function(scaled[held].reshape(-1, fits.shape[2]))
        odds[held] = raw.reshape(-1, len(VARIANTS))
    return odds[:, 1:3] - odds[:, :1]


def _usable(facts: Facts, place: int) -> bool:
    fit = facts.fits.get(facts.ids[place])
    if fit is None or np.isnan(fit).any():
        return False
    # A turned mask may well lie outside the lungs: then both checks name it.
    return bool(np.exp(fit[0, AREA]) <= LARGEST)


def _exposures(facts: Facts) -> dict[str, int]:
    """The same number for all ids whose pictures show one exposure."""
    first, second = [p.first for p in facts.pairs], [p.second for p in facts.pairs]
    count = len(facts.ids)
    linked = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return dict(zip(facts.ids, connected_components(linked)[1].tolist(), strict=True))


def copied(facts: Facts) -> Finding:
    """Equal annotations under several ids."""
    owners: dict[str, set[str]] = defaultdict(set)
    for key, codes in facts.annotations.items():
        for code in codes:
            if code.strip() != rle.EMPTY and code.count(" ") >= 2 * SMALL_CODE:
                owners[" ".join(code.split())].add(key)
    exposures = _exposures(facts)
    items: list[Item] = []
    place_of = {facts.ids[place]: place for place in positives(facts)}
    for ids in owners.values():
        keys = tuple(sorted(ids))
        # Copies of one picture may well share their mask.
        if len({exposures[key] for key in keys}) < 2:
            continue
        shown = [place_of[name] for name in keys if name in place_of][:2]
        shots = tuple(pictures.masked(facts, place) for place in shown)
        text = f"{len(keys)} images have this annotation, pixel for pixel"
        items.append(Item(" = ".join(keys), text, keys, shots if len(items) < SHOWN else ()))
    return Finding(
        "masks of one image only",
        "fail" if items else "pass",
        f"{count(len(items), 'outline')} under the names of several different images.",
        PIPELINE,
        "No reader draws the same outline twice: one of the rows has the wrong ImageId. Masks that "
        "were exchanged without being copied cannot be found here.",
        tuple(items),
    )


def _shown(facts: Facts, found: list[tuple[float, int, str]]) -> tuple[Item, ...]:
    items = []
    for number, (_, place, text) in enumerate(sorted(found, key=lambda row: (-row[0], row[1]))):
        shots: tuple[Picture, ...] = (pictures.masked(facts, place),) if number < SHOWN else ()
        items.append(Item(facts.ids[place], text, (facts.ids[place],), shots))
    return tuple(items)


def _without_masks(name: str) -> Finding:
    return Finding(
        name, "not applicable", "No image has a mask.", PIPELINE, "Add masks if you have them."
    )
