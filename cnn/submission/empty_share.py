"""The share of empty masks in a submission, compared with the training set's."""

import numpy as np
from scipy.special import betaln, gammaln

# Probability of the interval of expected numbers of masks, outside which a warning is printed.
SURE = 0.999


def shares(masks: int, images: int, positives: int, labelled: int) -> str:
    """The share of empty masks beside the training set's, and a warning where they are far apart.

    They are far apart if the number of masks lies outside the interval that holds 999 of 1,000 sets
    of this size, drawn like the training set. That set's own share is uncertain too, which the
    interval allows for (beta-binomial, Jeffreys' prior).

    Parameters
    ----------
    masks, images : int
        Images with a mask and images of the submission.
    positives, labelled : int
        Images with a mask and annotated images of the training set.
    """
    text = (
        f"without a mask: {1 - masks / images:.1%} of {images} images, "
        f"{1 - positives / labelled:.1%} of the {labelled} training images"
    )
    low, high = _expected(images, positives, labelled)
    if low <= masks <= high:
        return text
    what = (
        "few masks may be what the gate is meant to keep, but check that none was lost"
        if masks < low
        else "each false mask costs a whole image, so check that masks that should be empty are"
    )
    return (
        f"{text}\nwarning: {masks} of the images have a mask, where {low} to {high} are to be "
        f"expected from the training set's share; {what}."
    )


def _expected(images: int, positives: int, labelled: int) -> tuple[int, int]:
    """Least and most masks among `images` that are still likely, given the training set."""
    a, b = positives + 0.5, labelled - positives + 0.5
    k = np.arange(images + 1)
    ways = gammaln(images + 1) - gammaln(k + 1) - gammaln(images - k + 1)
    below = np.cumsum(np.exp(ways + betaln(k + a, images - k + b) - betaln(a, b)))
    low, high = np.searchsorted(below, ((1 - SURE) / 2, (1 + SURE) / 2))
    return int(low), min(int(high), images)
