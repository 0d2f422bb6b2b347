"""How far a black or white border moves the probability: ``borders.py <run> <images>...``.

Each X-ray is read, given borders of several widths, and predicted by the models of the run that
have not seen it; the bordered copies are PNG files in a temporary folder. Printed is the change of
the probability against the same X-ray without a border: median, 90% quantile and largest over the
images, and how often it crosses 50%.
"""

import tempfile
from itertools import product
from pathlib import Path

import numpy as np
from arguments import arguments_or_help
from numpy.typing import NDArray
from PIL import Image

from baseline.explanation import one_study, trained_run
from baseline.explanation.trained_run import TrainedRun
from features.reading import images
from features.run.folder import RunFolder

# Width of the border, as a share of the X-ray's side, above, below, left and right.
BORDERS = {
    "left and right, 2% each": (0, 0, 0.02, 0.02),
    "left and right, 10% each": (0, 0, 0.1, 0.1),
    "left and right, 30% each": (0, 0, 0.3, 0.3),
    "above and below, 10% each": (0.1, 0.1, 0, 0),
    "all around, 10%": (0.1, 0.1, 0.1, 0.1),
    "right alone, 25%": (0, 0, 0, 0.25),
}
LEVELS = {"black": 0, "white": 255}


def probability(pixels: NDArray[np.uint8], path: Path, trained: TrainedRun) -> float:
    """The probability of a picture, stored under a name by which the run knows its fold."""
    Image.fromarray(pixels).save(path, compress_level=1)
    return one_study.explain(path, trained).case.probability()


def bordered(pixels: NDArray[np.uint8], shares: tuple[float, ...], level: int) -> NDArray[np.uint8]:
    """The picture with a border of one level around it."""
    above, below, left, right = (round(share * max(pixels.shape)) for share in shares)
    return np.pad(pixels, ((above, below), (left, right)), constant_values=level)


def main(run: RunFolder, paths: list[Path]) -> None:
    """Print a table of the changes, a row a border and a level."""
    trained = trained_run.read(run.check())
    trained.check_models()
    kinds = list(product(BORDERS, LEVELS))
    probabilities = np.empty((len(paths), len(kinds) + 1))
    with tempfile.TemporaryDirectory() as folder:
        for row, path in enumerate(paths):
            study, content = images.read(path)
            pixels = np.rint(255 * content).astype(np.uint8)
            copy_path = Path(folder) / f"{study.id}.png"
            copies = [pixels]
            copies += [bordered(pixels, BORDERS[kind], LEVELS[level]) for kind, level in kinds]
            probabilities[row] = [probability(copy, copy_path, trained) for copy in copies]
    plain, changed = probabilities[:, :1], probabilities[:, 1:]
    moved = np.abs(changed - plain)
    crossed = (changed > 0.5) != (plain > 0.5)
    print("| border | median change | 90% of changes below | largest | crosses 50% |")
    print("|---|---|---|---|---|")
    for column, (kind, level) in enumerate(kinds):
        middle, most = np.quantile(moved[:, column], (0.5, 0.9))
        print(
            f"| {kind}, {level} | {middle:.3f} | {most:.3f} | {moved[:, column].max():.3f} "
            f"| {crossed[:, column].sum()} of {len(paths)} |"
        )


if __name__ == "__main__":
    folder, *files = map(Path, arguments_or_help(__doc__, 2))
    main(RunFolder(folder), files)
