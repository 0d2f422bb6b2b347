"""What snapping to the evidence map is worth: ``python -m tests.benchmarks.outline_snapping RUN``.

The true outlines of a run's images are shaken as by a hasty hand: smooth random moves whose
standard deviation is a share of the picture. The Dice with the true mask before and after snapping
says whether the map, which has not seen the image, mends them. Intervals by bootstrap over
patients.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from scipy import ndimage
from skimage import draw, measure

from baseline.evidence_map import maps
from baseline.learning import scores
from cnn.page import snapping
from features.lungs.prepared import working_shape
from features.reading import rle, square_pixels
from features.run import command
from features.run.folder import RunFolder

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

# Of the hand's moves, as shares of the picture's longer side.
HANDS = (0.0, 0.006, 0.012, 0.02)
# Points of the line over which a move is smoothed.
SMOOTH = 15
# Shorter outlines are specks.
FEWEST = 30


@dataclass(frozen=True)
class Settings:
    """Shake true outlines, and snap them."""

    run: tyro.conf.Positional[Path]
    """Run folder with an evidence map."""
    seed: int = 0
    """Seed of the hand."""


def shaken(truth: Mask, hand: float, rng: np.random.Generator) -> list[Points]:
    """Outlines of a mask, as shares of the picture, drawn by an unsteady hand."""
    size = np.array(truth.shape[::-1])
    lines = []
    for contour in measure.find_contours(np.pad(truth.astype(float), 1), 0.5):
        if len(contour) < FEWEST:
            continue
        line = contour[:-1, ::-1] - 0.5
        moves = ndimage.gaussian_filter1d(
            rng.standard_normal(line.shape), SMOOTH, axis=0, mode="wrap"
        )
        lines.append((line + hand * size.max() * moves / moves.std()) / size)
    return lines


def filled(lines: list[Points], shape: tuple[int, int]) -> Mask:
    """All that lies inside a line."""
    mask = np.zeros(shape, bool)
    for line in lines:
        mask |= draw.polygon2mask(shape, line[:, ::-1] * np.array(shape) - 0.5)
    return mask


def main(settings: Settings) -> None:
    """Print the Dice of each hand before and after, and the difference."""
    run = RunFolder(settings.run).check()
    images = run.images()
    ill = images[images["mask"].notna() & (images["mask"] != rle.EMPTY) & (images["label"] == 1)]
    evidence = maps.read(run)
    cases = []
    for image in ill.to_dict("records"):
        shape = working_shape((image["rows"], image["columns"]))
        mask = square_pixels.resample_mask(
            rle.decode(image["mask"], (image["rows"], image["columns"])), shape
        )
        cases.append((mask, maps.paint(evidence.get(image["id"], maps.EMPTY), shape)))
    patients = ill["patient"].to_numpy()
    print(f"{len(cases)} images with a true outline, seed {settings.seed}")
    for hand in HANDS:
        rng = np.random.default_rng(settings.seed)
        values = []
        for mask, painted in cases:
            lines = shaken(mask, hand, rng)
            snapped = [snapping.snap(line, painted) for line in lines]
            values.append(
                [scores.dice(filled(kind, mask.shape), mask) for kind in (lines, snapped)]
            )
        before, after = np.array(values).T
        print(
            f"moves of {hand:.1%}: Dice as drawn {before.mean():.3f}, snapped {after.mean():.3f}, "
            f"difference {scores.mean(after - before, patients)}"
        )


if __name__ == "__main__":
    command.run(main, writes=False)
