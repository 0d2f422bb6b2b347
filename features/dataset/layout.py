"""Where a dataset folder keeps what, and how its parts are looked for."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from features.storage import archive, csv_text, storage

# Endings under which Kaggle and people keep a csv.
CSV = (".csv", ".csv.gz", ".csv.zip")


@dataclass(frozen=True)
class Layout:
    """Where a dataset folder keeps what.

    Parameters
    ----------
    name : str
        E.g. "stage 1".
    folder : Path
        The folder, or zip, in which patients.csv and other optional files lie.
    train_images, test_images : Path
        Folders searched for images, at any depth; the same folder where lists tell test from train.
    train_csv : Path or None
        Run-length annotations, one or several rows an image.
    sample_csv : Path or None
        Sample submission: the test ids in the order that Kaggle wants.
    masks : Path or None
        Folder of a mask picture for each annotated image.
    entries : Path or None
        ChestX-ray14's table of findings and patients.
    test_list : Path or None
        List of the test images: a text file of names, or a csv with the column new_filename.
    """

    name: str
    folder: Path
    train_images: Path
    test_images: Path
    train_csv: Path | None = None
    sample_csv: Path | None = None
    masks: Path | None = None
    entries: Path | None = None
    test_list: Path | None = None

    @property
    def is_unlabelled(self) -> bool:
        """Whether nothing is known of the images, so that they can only be predicted."""
        return self.train_csv is None and self.masks is None and self.entries is None

    @property
    def labels(self) -> Path:
        """The file or folder that says which images are positive; else the images' folder."""
        return self.train_csv or self.masks or self.entries or self.train_images

    def beside(self, name: str) -> Path:
        """Where an optional file of the dataset lies, or would lie; beside a zip before in it."""
        where = archive.split(self.folder)
        outside = where[0].parent / name if where else None
        return outside if outside and storage.is_file(outside) else self.folder / name


def csv_file(folder: Path, stem: str) -> Path | None:
    """A csv of a folder by its name without ending, compressed or not."""
    return next(
        (path for ending in CSV if storage.is_file(path := folder / f"{stem}{ending}")), None
    )


def csv_files(folder: Path) -> list[Path]:
    """All csv files directly in a folder."""
    return [
        path
        for path, kind in storage.children(folder)
        if kind == archive.FILE and path.name.lower().endswith(CSV)
    ]


def subfolder(folder: Path, name: str) -> Path | None:
    """A folder of a folder, or the zip of its name in its place."""
    if storage.is_folder(folder / name):
        return folder / name
    packed = folder / f"{name}.zip"
    return archive.root_of(packed) if archive.is_archive(packed) else None


def subfolders(folder: Path, names: Iterable[str]) -> list[Path]:
    """Those of some folders that are there."""
    return [found for name in names if (found := subfolder(folder, name))]


def has_columns(path: Path, *columns: str) -> bool:
    """Whether a csv's header has these columns, however they are spelled."""
    names = {csv_text.plain(name) for name in csv_text.header(path)}
    return names.issuperset(map(csv_text.plain, columns))
