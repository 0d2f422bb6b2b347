"""The folder layouts of the SIIM-ACR challenge, recognised by the files they hold.

Stage 1: ``dicom-images-train/<study>/<series>/<id>.dcm``, ``dicom-images-test/...`` and
``train-rle.csv``. Stage 2: one folder ``stage_2_images`` for train and test, ``stage_2_train.csv``
and ``stage_2_sample_submission.csv``. PNG files may stand in place of DICOM files in either.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from features.reading import images, rle
from features.run.files import UserError

ID, MASK = "ImageId", "EncodedPixels"


@dataclass(frozen=True)
class Layout:
    """Where a dataset folder keeps what.

    Parameters
    ----------
    name : str
        "stage 1" or "stage 2".
    train_csv : Path
        Annotations, one or several rows an image.
    sample_csv : Path or None
        Sample submission: the test ids in the order that Kaggle wants.
    train_images, test_images : Path
        Folders searched for images, at any depth; the same folder in stage 2.
    """

    name: str
    train_csv: Path
    sample_csv: Path | None
    train_images: Path
    test_images: Path


def find(folder: Path) -> Layout:
    """Find which layout a folder has.

    Raises
    ------
    UserError
        If the folder does not exist or has none of the known layouts.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the dataset's folder, as DATA=<folder>.")
    if (folder / "stage_2_train.csv").is_file():
        sample = folder / "stage_2_sample_submission.csv"
        images_folder = folder / "stage_2_images"
        if not sample.is_file():
            raise UserError(
                f"{sample}: no such file; stage 2 names its test images in it, so copy it here."
            )
        layout = Layout(
            "stage 2", folder / "stage_2_train.csv", _if_there(sample), images_folder, images_folder
        )
    elif (folder / "train-rle.csv").is_file():
        sample = folder / "sample_submission.csv"
        layout = Layout(
            "stage 1",
            folder / "train-rle.csv",
            _if_there(sample),
            folder / "dicom-images-train",
            folder / "dicom-images-test",
        )
    else:
        raise UserError(
            f"{folder}: neither stage_2_train.csv nor train-rle.csv is in it; a dataset folder has "
            "the layout of the SIIM-ACR challenge's stage 2 or stage 1."
        )
    if not layout.train_images.is_dir():
        raise UserError(
            f"{layout.train_images}: no such folder; the {layout.name} layout keeps its images "
            "there."
        )
    return layout


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def image_paths(folder: Path) -> dict[str, Path]:
    """Images below a folder by id, in the order of their ids.

    Raises
    ------
    UserError
        If two files have the same id.
    """
    paths: dict[str, Path] = {}
    for path in sorted(folder.rglob("*"), key=lambda path: (path.stem, path)):
        if not images.is_image(path):
            continue
        if path.stem in paths:
            raise UserError(
                f"{path}: id {path.stem!r} is also {paths[path.stem]}; an id names one image, so "
                "remove one of the two."
            )
        paths[path.stem] = path
    return paths


def read_csv(path: Path, *headers: tuple[str, str]) -> pd.DataFrame:
    """Read two columns of a csv as text, leniently about spaces around names and values.

    Parameters
    ----------
    path : Path
        A csv, compressed or not.
    headers : pairs of str
        Names of the columns; of several pairs the first that the file has.

    Raises
    ------
    UserError
        If the file is not a csv, its rows are longer than its header, or one of the columns is
        missing or there twice.
    """
    allowed = " or ".join(f"'{','.join(columns)}'" for columns in headers)
    rule = f"its header must be {allowed}"
    table = _read_texts(path, rule)
    names = list(table.columns)
    columns = next((pair for pair in headers if set(pair) <= set(names)), None)
    if columns is None:
        missing = [column for column in headers[0] if column not in names]
        raise UserError(f"{path}: no column {missing[0]!r}; {rule}, and it is '{','.join(names)}'.")
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise UserError(
            f"{path}: two columns {twice[0]!r}, spaces aside; {rule}, so remove the wrong one."
        )
    table = table[list(columns)]
    return table.apply(lambda column: column.str.strip())


def _read_texts(path: Path, rule: str) -> pd.DataFrame:
    """Read all columns of a csv as text; `rule` describes the required header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # Else the first value of rows that are longer than the header would be their index.
            table = pd.read_csv(
                path, dtype=str, skipinitialspace=True, keep_default_na=False, index_col=False
            )
    except pd.errors.ParserWarning:
        raise UserError(
            f"{path}: its rows hold more values than its header has names; remove the commas at "
            f"the ends of its lines, {rule}."
        ) from None
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; check its path, or make the stage that writes it."
        ) from None
    except (ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: not a readable csv file ({reason}).") from None
    table.columns = table.columns.str.strip()
    return table


def read_pairs(path: Path, *headers: tuple[str, str]) -> dict[str, str]:
    """Read a csv of one value an image, by id; see `read_csv`.

    Raises
    ------
    UserError
        If an id stands in it twice.
    """
    ids, values = (column for _, column in read_csv(path, *headers).items())
    if ids.duplicated().any():
        raise UserError(
            f"{path}: {ids[ids.duplicated()].iloc[0]} stands in it twice; an image has one row."
        )
    return dict(zip(ids, values, strict=True))


def read_annotations(path: Path, sizes: dict[str, tuple[int, int]]) -> dict[str, str]:
    """Read an annotation csv: the union of the rows of each image.

    Parameters
    ----------
    path : Path
        A csv with columns ImageId and EncodedPixels.
    sizes : dict
        Rows and columns of the images that could be read; other ids are left out.

    Returns
    -------
    dict
        Run-length code of each image, "-1" where it has no pneumothorax.

    Raises
    ------
    UserError
        If a code is malformed or leaves its image, or rows of one image contradict each other.
    """
    masks: dict[str, str] = {}
    for key, rows in read_csv(path, (ID, MASK)).groupby(ID, sort=False)[MASK]:
        image_id = str(key)
        if image_id not in sizes:
            continue
        codes = list(rows)
        if len(codes) > 1 and rle.EMPTY in codes and set(codes) != {rle.EMPTY}:
            raise UserError(
                f"{path}: image {image_id} has both a mask and '-1'; it is either positive or not, "
                "so remove the wrong row."
            )
        try:
            masks[image_id] = rle.union(codes, sizes[image_id])
        except UserError as error:
            raise UserError(f"{path}: image {image_id}: {error}") from None
    return masks
