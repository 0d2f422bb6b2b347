"""The plan of a phantom dataset: ids, patients, splits and diagnoses, before any image is drawn."""

from dataclasses import dataclass

import numpy as np

from features.phantom.streams import child


@dataclass(frozen=True)
class PlannedImage:
    """One image to draw: its number in the dataset, its patient's number, its id and diagnosis."""

    index: int
    patient: int
    image_id: str
    split: str
    pneumothorax: bool


def planned_images(train: int, test: int, positives: float, seed: int) -> list[PlannedImage]:
    """Name every image, assign it to a patient (1 to 3 images, one split), choose the diagnosis.

    Parameters
    ----------
    train, test : int
        Number of images in each split.
    positives : float
        Share of images with a pneumothorax in each split, 0..1.
    seed : int
        Seed of the dataset.
    """
    rng = np.random.default_rng(child(seed, 0))
    names = _names(train + test, rng)
    labels = np.random.default_rng(child(seed, 4))
    images: list[PlannedImage] = []
    patient = -1
    for split, count in (("train", train), ("test", test)):
        begin, end = len(images), len(images) + count
        ill = labels.permutation(count) < round(positives * count)
        while len(images) < end:
            patient += 1
            images_of_patient = int(rng.choice([1, 2, 3], p=[0.8, 0.14, 0.06]))
            for _ in range(min(images_of_patient, end - len(images))):
                index = len(images)
                label = bool(ill[index - begin])
                images.append(PlannedImage(index, patient, names[index], split, label))
    return images


def _names(count: int, rng: np.random.Generator) -> list[str]:
    """Random image ids, each once."""
    names: dict[str, None] = {}  # a set that keeps its order
    while len(names) < count:
        names[f"ID_{int(rng.integers(16**9)):09x}"] = None
    return list(names)
