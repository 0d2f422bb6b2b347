"""What the quality gate looks at: a thumbnail, edges, how the lungs fit, what lies beside them.

Ranks do not change under any rising tone curve, so exposure and display hardly matter.
"""

import numpy as np
from numpy.typing import NDArray

from features.lungs.fields import LungFields, cropped, in_levels
from features.lungs.frames import area_resize, body_box
from features.pixels.sampling import precise_gaussian, ranks
from features.quality import edges, lung_frame

SIDE = 64  # of the picture in ranks
THUMBNAIL = 16  # pixels a side
DETAIL = 8  # squares a side in which fine detail is averaged
FRAME = 128  # side of the picture in which blank borders are sought
FIT = 18  # numbers that say how the lungs fit
SIGNS = 45  # numbers that say how the lungs were found
PICTURE = THUMBNAIL**2 + DETAIL**2  # numbers of the picture itself, which come first
SHAPE = PICTURE + 1  # place of the picture's shape
LUNGS = PICTURE + FIT + SIGNS  # end of the numbers that say how the lungs fit and were found
CLASSIFIED = LUNGS + edges.COUNT + lung_frame.COUNT  # numbers that tell the kinds apart
COUNT = CLASSIFIED + lung_frame.ASYMMETRY  # the last tell the heart's side


def measure(small: NDArray[np.float32], fields: LungFields, ratio: float) -> NDArray[np.float64]:
    """The measures of a picture.

    Parameters
    ----------
    small : (128, 128) array of float32
        The picture, resized; air dark.
    fields : LungFields
        Its lungs, in a picture of any size.
    ratio : float
        Height of the picture before it was resized, divided by its width.

    Returns
    -------
    (COUNT,) array
        Thumbnail and detail in ranks from -1 to 1, how the lungs lie, and how they were found;
        edges, what lies around the lungs, and how far the sides differ.
    """
    box = body_box(small)
    body = in_levels(area_resize(cropped(small, box), (SIDE, SIDE)))
    ranked = ranks(body.ravel(), np.ones(body.size, bool)).reshape(body.shape)
    thumbnail = area_resize(ranked, (THUMBNAIL, THUMBNAIL))
    fine = np.abs(ranked - precise_gaussian(ranked, 1.0, "edge"))
    detail = np.sqrt(area_resize(fine, (DETAIL, DETAIL)))
    lungs = [_inside(lung, box) for lung in (fields.right, fields.left)]
    shape = np.log(ratio * (box[1] - box[0]) / (box[3] - box[2]))
    trust = [2 * fields.quality - 1, 3 * float(np.clip(shape, -0.7, 0.7))]
    signs = np.array(fields.signs) if fields.signs else np.zeros(SIGNS)
    pose = lung_frame.pose_of(lungs)
    return np.concatenate(
        [
            thumbnail.ravel(),
            3 * detail.ravel(),
            trust,
            _fit(ranked, lungs),
            signs,
            edges.directions(ranked),
            lung_frame.places(ranked, pose),
            lung_frame.asymmetry(ranked, pose),
        ]
    )


def _fit(ranked: NDArray[np.float32], lungs: lung_frame.Lungs) -> NDArray[np.float64]:
    """How the lungs lie in the body, and how much darker than the rest they are."""
    both = lungs[0] + lungs[1]
    numbers: list[float] = []
    for lung in lungs:
        rows, columns = lung.mean(axis=1), lung.mean(axis=0)
        area = max(float(lung.mean()), 1e-4)
        numbers += [
            8 * area,
            *(2 * _spread(rows)),
            *(2 * _spread(columns)),
            float((lung * ranked).mean()) / area,
        ]
    around = 1 - both
    inside = float((both * ranked).mean()) / max(float(both.mean()), 1e-4)
    outside = float((around * ranked).mean()) / max(float(around.mean()), 1e-4)
    middle = ranked[SIDE // 4 : 3 * SIDE // 4, 3 * SIDE // 8 : 5 * SIDE // 8]
    numbers += [
        2 * (inside - outside),
        float(((both - 0.5) * ranked).std()),
        float(middle.mean()) - inside,
        float(np.abs(ranked - ranked[:, ::-1]).mean()),
    ]
    return np.array(numbers)


def _inside(lung: NDArray[np.bool_], box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    return area_resize(cropped(lung.astype(np.float32), box), (SIDE, SIDE))


def _spread(profile: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean and standard deviation of a profile's place, 0 to 1."""
    at = (np.arange(len(profile)) + 0.5) / len(profile)
    total = max(float(profile.sum()), 1e-6)
    mean = float(profile @ at) / total
    return np.array([mean - 0.5, np.sqrt(float(profile @ (at - mean) ** 2) / total)])
