"""A picture read where its lungs lie: in the frame around both, along the borders beside them.

The frame is that of the lung finder (`features.lungs.frames.pair_frame`), without its slope, so
that it turns with nothing and a mirrored picture gives mirrored values.
"""

import numpy as np
from numpy.typing import NDArray

from features.lungs.frames import (
    Pose,
    area_resize,
    grid_points,
    local_contrast,
    look_up,
    moments,
    pair_frame,
)
from features.pixels.sampling import precise_gaussian

Lungs = list[NDArray[np.float32]]  # right and left: shares of each pixel of the picture
GRID = 16  # points a side of the frame
FINE = 48  # points a side of the frame from which the heart's side is read
WIDE = 6.0  # of those points: standard deviation of the neighbourhood that an edge stands out from
REACH = 2.1  # half the lines along the borders, in standard deviations of the lungs' area
# Places of the lines along the borders, as shares of the picture from its edge.
ALONG_ROWS, ALONG_COLUMNS = (0.01, 0.04, 0.08, 0.13, 0.19), (0.01, 0.06, 0.13)
ROW_POINTS, COLUMN_POINTS = 16, 12
BORDERS = 2 * (len(ALONG_ROWS) * ROW_POINTS + len(ALONG_COLUMNS) * COLUMN_POINTS)
COUNT = BORDERS + GRID**2 + 5  # with the pose
ASYMMETRY = GRID * GRID // 2


def pose_of(lungs: Lungs) -> Pose:
    """Pose of both lungs together, each counted alike; its slope is 0."""
    points = grid_points(np.eye(2, 3), (lungs[0].shape[0], lungs[0].shape[1]))
    weights = sum(lung / max(float(lung.sum()), 1e-6) for lung in lungs)
    if not np.any(weights):
        weights = np.ones(lungs[0].shape)
    pose = moments(points, np.asarray(weights, np.float64), "y")
    pose[4] = 0
    return pose


def places(ranked: NDArray[np.float32], pose: Pose) -> NDArray[np.float64]:
    """What lies at the picture's borders beside the lungs, what around the lungs, and their pose.

    Parameters
    ----------
    ranked : (h, w) array of float32
        A picture in ranks.
    pose : (5,) array
        See `pose_of`.

    Returns
    -------
    (COUNT,) array
        Of the frame's points those outside the picture are 0.
    """
    lines = _beside(precise_gaussian(ranked, 0.7, "edge"), pose)
    points = grid_points(pair_frame(pose), (GRID, GRID))
    inside = (np.abs(points) <= 1).all(axis=0)
    around = look_up(precise_gaussian(ranked, 1.0, "edge"), points) * inside
    return np.concatenate([lines, around.ravel(), pose])


def _beside(smooth: NDArray[np.floating], pose: Pose) -> NDArray[np.floating]:
    """Values along lines near the lower and upper, then the right and left border."""
    lines = []
    width, height = np.exp(pose[2:4]) * REACH
    across = ((np.arange(ROW_POINTS) + 0.5) / ROW_POINTS * 2 - 1) * width + pose[0]
    for share in ALONG_ROWS:
        for end in (1, -1):
            lines.append(np.stack([across, np.full(ROW_POINTS, end * (1 - 2 * share))]))
    down = ((np.arange(COLUMN_POINTS) + 0.5) / COLUMN_POINTS * 2 - 1) * height + pose[1]
    for share in ALONG_COLUMNS:
        for end in (1, -1):
            lines.append(np.stack([np.full(COLUMN_POINTS, end * (1 - 2 * share)), down]))
    return look_up(smooth, np.concatenate(lines, axis=1)[:, None])[0]


def asymmetry(ranked: NDArray[np.float32], pose: Pose) -> NDArray[np.float64]:
    """How far what stands out at the left of the frame differs from the same place at the right.

    Parameters
    ----------
    ranked, pose
        As of `places`.

    Returns
    -------
    (ASYMMETRY,) array
        By row and column of the frame's left half; a mirrored picture gives the negative.
    """
    fine = look_up(ranked, grid_points(pair_frame(pose), (FINE, FINE)))
    outstanding = area_resize(local_contrast(fine, WIDE).astype(np.float32), (GRID, GRID))
    return (outstanding - outstanding[:, ::-1])[:, : GRID // 2].astype(np.float64).ravel()
