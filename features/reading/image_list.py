"""The image files of a dataset folder, and what each of them is for."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.reading import layouts
from features.reading.layouts import ID, MASK, Layout
from features.run.files import UserError


@dataclass(frozen=True)
class ImageList:
    """Images by id, and the ids that the csv files name.

    Parameters
    ----------
    paths : dict of str to Path
        The file of each image.
    annotated : Series of str
        Ids of the training images that have annotations.
    test : Series of str
        Ids of the test images, in the order of the sample submission.
    """

    paths: dict[str, Path]
    annotated: pd.Series
    test: pd.Series

    def split(self) -> dict[str, str]:
        """ "train" or "test" by id; an image of neither kind is not in it."""
        return dict.fromkeys(self.annotated, "train") | dict.fromkeys(self.test, "test")


def read(layout: Layout) -> ImageList:
    """List the images of a dataset folder.

    Raises
    ------
    UserError
        If there is no image, two images have the same id, a csv names an image that is not there,
        or an image is both for training and for testing.
    """
    paths = _paths(layout)
    annotated = layouts.read_csv(layout.train_csv, (ID, MASK))[ID].drop_duplicates()
    require_images(annotated, paths, layout.train_csv)
    test = _test_ids(layout, paths)
    common = set(annotated) & set(test)
    if common:
        raise UserError(
            f"{layout.train_csv}: {min(common)} is a test image of the sample submission too; an "
            "image is either for training or for testing, so remove one of its rows."
        )
    return ImageList(paths, annotated, test)


def require_images(ids: Iterable[str], paths: dict[str, Path], csv: Path) -> None:
    """Check that every id of a csv has an image.

    Raises
    ------
    UserError
        If one has none.
    """
    missing = [name for name in ids if name not in paths]
    if missing:
        raise UserError(
            f"{csv}: {missing[0]} has no image file ({len(missing)} such ids); every id needs an "
            "image, so put the file into the image folder or remove the row."
        )


def _paths(layout: Layout) -> dict[str, Path]:
    paths = layouts.image_paths(layout.train_images)
    if layout.test_images != layout.train_images and layout.test_images.is_dir():
        test_paths = layouts.image_paths(layout.test_images)
        if common := set(paths) & set(test_paths):
            raise UserError(
                f"{test_paths[min(common)]}: id {min(common)!r} is also {paths[min(common)]}; an "
                "image is either for training or for testing, so remove one of the two."
            )
        paths |= test_paths
    if not paths:
        raise UserError(
            f"{layout.train_images}: no image in it; a dataset has files ending in .dcm or .png."
        )
    return paths


def _test_ids(layout: Layout, paths: dict[str, Path]) -> pd.Series:
    if layout.sample_csv is None:
        below = [key for key, path in paths.items() if layout.test_images in path.parents]
        return pd.Series(below if layout.test_images != layout.train_images else [], dtype=str)
    test = layouts.read_csv(layout.sample_csv, (ID, MASK))[ID]
    require_images(test, paths, layout.sample_csv)
    if test.duplicated().any():
        raise UserError(
            f"{layout.sample_csv}: {test[test.duplicated()].iloc[0]} stands in it twice; an image "
            "has one row."
        )
    return test
