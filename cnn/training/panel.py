"""A picture of what a network draws: some X-rays with the true and the predicted outline."""

from pathlib import Path

import jax
import numpy as np
from jaxtyping import PyTree
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion

from cnn.data.training_images import TrainingImages
from cnn.network.unet import UNetConfig, apply
from features.run.files import atomic

COUNT = 8
# Truth yellow, the network's mask cyan, as in the report; white where both outlines lie.
TRUE, PREDICTED = (255, 255, 0), (0, 255, 255)


def outlined(
    image: NDArray[np.uint8], true: NDArray[np.bool_], predicted: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """An X-ray of (h, w) with the outlines of two masks, as (h, w, 3) bytes."""
    picture = np.repeat(image[..., None], 3, axis=-1)
    edges = [mask & ~binary_erosion(mask) for mask in (true, predicted)]
    picture[edges[0] | edges[1]] = 0
    for edge, colour in zip(edges, (TRUE, PREDICTED), strict=True):
        picture[edge] |= np.array(colour, np.uint8)
    return picture


def write(
    path: Path, params: PyTree, images: TrainingImages, fold: int, config: UNetConfig
) -> None:
    """Write the first positives of a fold, filled up with its negatives, side by side as PNG."""
    rows = np.flatnonzero((images.folds == fold) & images.known)
    rows = rows[np.argsort(~images.positive[rows], kind="stable")][:COUNT]
    if not rows.size:
        return
    inputs = images.inputs(rows, config.evidence) / np.float32(255)
    predicted = np.asarray(jax.jit(apply, static_argnums=2)(params, inputs, config)) > 0
    pictures = [
        outlined(images.images[row], images.masks[row] > 127, mask)
        for row, mask in zip(rows, predicted, strict=True)
    ]
    with atomic(path) as temporary:
        Image.fromarray(np.concatenate(pictures, axis=1)).save(temporary, "PNG")
