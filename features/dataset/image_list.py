"""The image files of a dataset folder, and what each of them is for."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from features.dataset import layout_nih, layouts, mask_pictures
from features.dataset.layout import Layout
from features.dataset.layout_nih import Entry
from features.dataset.layouts import ID, MASK
from features.reading import rle
from features.run.files import UserError
from features.storage import csv_text, listing, storage
from features.storage.names import image_id, shown


@dataclass(frozen=True)
class ImageList:
    """Images by id, and what the dataset's lists say of them.

    Parameters
    ----------
    paths : dict of str to Path
        The file of each image: training images by id, test images in the sample's order, then the
        others by id.
    annotated : Series of str
        Ids of the training images that have annotations.
    sample : Series of str
        The test images in the order of the sample submission, and as it writes them.
    masks : dict of str to Path
        The mask picture of each image, where the annotations are pictures.
    entries : dict of str to Entry
        What a table of findings says, by id.
    notes : list of str
        What was left out, a sentence each.
    """

    paths: dict[str, Path]
    annotated: pd.Series
    sample: pd.Series
    masks: dict[str, Path] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def test(self) -> pd.Series:
        """Ids of the test images in that order."""
        return self.sample.map(image_id)

    def split(self) -> dict[str, str]:
        """ "train" or "test" by id; an image of neither kind is not in it."""
        return dict.fromkeys(self.annotated, "train") | dict.fromkeys(self.test, "test")

    def codes(
        self, layout: Layout, sizes: dict[str, tuple[int, int]], jobs: int = -1
    ) -> dict[str, str]:
        """Run-length code of each annotated image whose size is known, "-1" for an empty one.

        Raises
        ------
        UserError
            If an annotation cannot be read or does not fit its image.
        """
        if layout.train_csv:
            return layouts.read_annotations(layout.train_csv, sizes)
        if self.masks:
            wanted = {name: self.masks[name] for name in self.annotated}
            return mask_pictures.read_codes(wanted, sizes, jobs)
        positive = set(self.positive())
        negative = (name for name in self.annotated if name in sizes and name not in positive)
        return dict.fromkeys(negative, rle.EMPTY)

    def positive(self) -> list[str]:
        """Training images that a table of findings calls positive, without any outline."""
        return [
            name
            for name in self.annotated
            if name in self.entries and self.entries[name].is_positive
        ]


def read(layout: Layout) -> ImageList:
    """List the images of a dataset folder.

    Raises
    ------
    UserError
        If there is no image, two images have the same id, a csv names an image that is not there,
        or an image is both for training and for testing.
    """
    notes: list[str] = []
    codes, sample = _column(layout.train_csv), _column(layout.sample_csv)
    entries = layout_nih.read_entries(layout.entries) if layout.entries else {}
    paths = _paths(layout, {image_id(name) for name in (*codes, *sample, *entries)}, notes)
    test = _test_names(layout, paths, sample)
    test_ids = dict.fromkeys(test.map(image_id))
    masks: dict[str, Path] = {}
    if layout.masks:
        masks = mask_pictures.by_image(listing.image_paths(layout.masks, (), notes), paths)
        require_images(masks, paths, layout.masks)
        # A re-release has the masks of its test images too.
        annotated = pd.Series([name for name in masks if name not in test_ids], dtype=str)
    elif layout.train_csv:
        annotated = codes.map(image_id).drop_duplicates()
        require_images(annotated, paths, layout.train_csv)
        if common := set(annotated) & test_ids.keys():
            raise UserError(
                f"{layout.train_csv}: {shown(min(common))} is a test image of the sample "
                "submission too; an image is either for training or for testing, so remove one of "
                "its rows."
            )
    else:
        known = [name for name in paths if name in entries and name not in test_ids]
        annotated = pd.Series(known, dtype=str)
        if absent := len(entries.keys() - paths.keys()):
            notes.append(f"{layout.entries}: {absent} of its {len(entries)} images are not here")
    ordered = dict.fromkeys([*sorted(annotated), *test_ids, *sorted(paths)])
    return ImageList(
        {name: paths[name] for name in ordered}, annotated, test, masks, entries, notes
    )


def require_images(ids: Iterable[str], paths: Collection[str], csv: Path) -> None:
    """Check that every id of a csv has an image.

    Raises
    ------
    UserError
        If one has none.
    """
    missing = [name for name in ids if image_id(name) not in paths]
    if missing:
        raise UserError(
            f"{csv}: {shown(missing[0])} has no image file ({len(missing)} such ids); every id "
            "needs an image, so put the file into the image folder or remove the row."
        )


def _column(path: Path | None) -> pd.Series:
    """The ids of a csv as it writes them; none where there is no csv."""
    return layouts.read_csv(path, (ID, MASK))[ID] if path else pd.Series([], dtype=str)


def _paths(layout: Layout, named: Collection[str], notes: list[str]) -> dict[str, Path]:
    paths = listing.image_paths(layout.train_images, named, notes)
    if layout.test_images != layout.train_images and storage.is_folder(layout.test_images):
        test_paths = listing.image_paths(layout.test_images, named, notes)
        if common := set(paths) & set(test_paths):
            raise UserError(
                f"{test_paths[min(common)]}: id {shown(repr(min(common)))} is also "
                f"{paths[min(common)]}; an image is either for training or for testing, so remove "
                "one of the two."
            )
        paths |= test_paths
    if not paths:
        raise UserError(
            f"{layout.train_images}: no image in it; a dataset has DICOM, PNG, JPEG or TIFF files."
        )
    return paths


def _test_names(layout: Layout, paths: dict[str, Path], sample: pd.Series) -> pd.Series:
    """The test images as the sample submission writes them, or else their ids."""
    if layout.sample_csv is not None:
        ids = sample.map(image_id)
        require_images(ids, paths, layout.sample_csv)
        if ids.duplicated().any():
            raise UserError(
                f"{layout.sample_csv}: {shown(ids[ids.duplicated()].iloc[0])} stands in it twice; "
                "an image has one row."
            )
        return sample
    if layout.test_list is not None:
        listed = _listed(layout.test_list)
        below = [name for name in paths if name in listed]
    elif layout.is_unlabelled:
        below = list(paths)
    elif layout.test_images != layout.train_images:
        below = [name for name, path in paths.items() if layout.test_images in path.parents]
    else:
        below = []
    return pd.Series(below, dtype=str)


def _listed(path: Path) -> set[str]:
    """Ids in a list of test images: lines of a text file, or a column of a csv."""
    if path.suffix == ".txt":
        return {image_id(line.strip()) for line in csv_text.read_text(path).splitlines()}
    table = csv_text.read(path, "its header must have the name new_filename")
    column = next(name for name in table.columns if csv_text.plain(name) == "newfilename")
    return {image_id(name.strip()) for name in table[column]}
