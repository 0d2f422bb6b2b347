"""Three phantoms to try the page with, drawn when the service starts."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from features.phantom.dicom import to_dicom
from features.phantom.radiograph import Phantom, phantom

THUMBNAIL = 320


@dataclass(frozen=True)
class Sample:
    """A phantom.

    Parameters
    ----------
    name, title : str
        Its file's name, and what it shows.
    content : bytes
        The DICOM file.
    thumbnail : bytes
        A small JPEG.
    truth : (rows, columns) array of bool
        Where the air lies.
    """

    name: str
    title: str
    content: bytes
    thumbnail: bytes
    truth: NDArray[np.bool_]


# Seed, whether there is a pneumothorax, and the title; chosen for being different to look at.
CHOSEN = (
    (32, True, "pneumothorax on the right"),
    (36, True, "pneumothorax on the left, lying"),
    (31, False, "no pneumothorax"),
)
DIFFICULTY = 0.1


def draw() -> tuple[Sample, ...]:
    """Draw the phantoms; the same ones each time."""
    return tuple(
        _sample(phantom(seed, pneumothorax=air, difficulty=DIFFICULTY), number, title)
        for number, (seed, air, title) in enumerate(CHOSEN, 1)
    )


def _sample(image: Phantom, number: int, title: str) -> Sample:
    file, thumbnail = io.BytesIO(), io.BytesIO()
    to_dicom(image, f"ID_{number:08x}").save_as(file, enforce_file_format=True)
    small = Image.fromarray(image.pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    small.save(thumbnail, "JPEG", quality=80)
    name = f"phantom-{number}.dcm"
    return Sample(name, title, file.getvalue(), thumbnail.getvalue(), image.mask)
