"""Which X-rays to outline next: those of which the model is most in doubt come first.

The doubt is the entropy of the probability times the mean entropy of the map's pixels: where either
is settled, a reader's outline would teach little. Uncertainty sampling is the simplest form of
active learning (Lewis and Gale, SIGIR 1994). What an outline teaches was not measured; that the
ungated masks of doubtful X-rays are wrong more often was (``tests.benchmarks.shipped_model``).
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnn.gate.masks import ENTROPY
from cnn.study.predictor import Examination
from features.dataset import layouts
from features.dataset.layouts import ID, MASK
from features.run import files
from features.run.files import UserError
from features.storage.names import image_id


@dataclass(frozen=True)
class Ranked:
    """An X-ray to outline.

    Parameters
    ----------
    doubt : float
        0 to 1, in bits squared.
    probability : float
        Of pneumothorax.
    id, file, headline : str
        As in `Answer`.
    """

    doubt: float
    probability: float
    id: str
    file: str
    headline: str


def doubt(examination: Examination) -> float:
    """How much the model is in doubt about an X-ray, 0 to 1."""
    p = float(np.clip(examination.answer.probability, 1e-9, 1 - 1e-9))
    of_probability = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return float(of_probability * ENTROPY[examination.grey].mean())


def ranked(examination: Examination) -> Ranked | None:
    """An X-ray's place in the list; None for one that may be no chest X-ray."""
    answer = examination.answer
    if answer.quality.flagged:
        return None
    return Ranked(doubt(examination), answer.probability, answer.id, answer.file, answer.headline)


def outlined(path: Path) -> frozenset[str]:
    """Ids that a csv of annotations has already.

    Raises
    ------
    UserError
        If the file is missing or is no csv of annotations.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; give a csv of annotations.")
    return frozenset(layouts.read_csv(path, (ID, MASK))[ID].map(image_id))


def write(images: Sequence[Ranked], path: Path) -> None:
    """Write the list as a csv, the most doubtful first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([ID, "doubt", "probability", "file"])
    for image in in_order(images):
        writer.writerow([image.id, f"{image.doubt:.6f}", f"{image.probability:.4f}", image.file])
    files.write_text(path, text.getvalue())


def in_order(images: Sequence[Ranked]) -> list[Ranked]:
    """The most doubtful first; of equals in the order of their ids."""
    return sorted(images, key=lambda image: (-image.doubt, image.id))
