"""Pictures that are unlike all others: blank, inverted, or turned."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baseline.audit import pictures
from baseline.audit.findings import Finding, Item, count
from baseline.audit_facts.facts import Facts

Floats = NDArray[np.float64]

# A picture with less contrast or fewer levels than this shows nothing.
LOWEST_CONTRAST, FEWEST_LEVELS = 0.02, 4
# Correlation with the typical picture below which one is inverted, and by how much a turned copy
# must correlate better; the fewest pictures that make a typical one.
INVERTED, TURNED, FEWEST = -0.35, 0.5, 20
TURNS = {1: "a quarter turn to the left", 2: "upside down", 3: "a quarter turn to the right"}
SHOWN = 8
GRID = 32


def odd_pictures(facts: Facts) -> Finding:
    """Pictures that are blank, inverted or turned, by their likeness to the typical one."""
    items: list[Item] = []
    for place, text in sorted(reasons(facts).items()):
        shots = (pictures.thumbnail(facts, place),) if len(items) < SHOWN else ()
        items.append(Item(facts.ids[place], text, (facts.ids[place],), shots))
    return Finding(
        "blank, inverted or turned pictures",
        "fail" if items else "pass",
        f"{count(len(items), 'picture')} blank, or like the others only once inverted or turned.",
        "The quality gate flags such images where it has run (see below); without it they are "
        "measured and judged like any other.",
        "Mend the file (tag PhotometricInterpretation for an inverted one), or leave it out.",
        tuple(items),
    )


def reasons(facts: Facts) -> dict[int, str]:
    """What is odd about each odd picture, by its place in the table."""
    contrast = facts.pictures["contrast"].to_numpy(float)
    levels = facts.pictures["grey levels"].to_numpy(float)
    blank = (contrast < LOWEST_CONTRAST) | (levels < FEWEST_LEVELS)
    found = {int(place): "nothing is to be seen on it" for place in np.flatnonzero(blank)}
    rest = np.flatnonzero(~blank)
    if len(rest) < FEWEST:
        return found
    small = np.stack([standard(facts.thumbnails[place]) for place in rest])
    typical = standard(np.median(small, axis=0))
    likeness = (small * typical).mean(axis=(1, 2))
    for place, picture, upright in zip(rest, small, likeness, strict=True):
        if upright < INVERTED:
            found[int(place)] = f"inverted: correlation {upright:.2f} with the typical picture"
            continue
        turned = {k: float((np.rot90(picture, -k) * typical).mean()) for k in TURNS}
        best = max(turned, key=lambda k: turned[k])
        if turned[best] > upright + TURNED:
            found[int(place)] = (
                f"{TURNS[best]}: correlation {turned[best]:.2f} with the typical picture once "
                f"turned back, {upright:.2f} as it is"
            )
    return found


def standard(picture: NDArray[np.generic]) -> Floats:
    """A picture on a small grid with mean 0 and deviation 1."""
    step = picture.shape[0] // GRID
    smooth = ndimage.uniform_filter(picture.astype(np.float64), step)[
        step // 2 :: step, step // 2 :: step
    ]
    return (smooth - smooth.mean()) / max(float(smooth.std()), 1e-6)
