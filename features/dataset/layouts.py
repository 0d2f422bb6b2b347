"""Which layout a dataset folder has, and the csv files that all layouts have in common.

Layouts are recognised by the files they hold: those of the SIIM-ACR challenge (`layout_siim`), its
re-releases as pictures (`layout_png`), ChestX-ray14 (`layout_nih`), and a plain folder of images,
which can only be predicted. Any of them may lie in a zip, which is read in place.
"""

from pathlib import Path

import pandas as pd

from features.dataset import layout_nih, layout_png, layout_siim
from features.dataset.layout import Layout, csv_file, csv_files
from features.reading import rle
from features.run.files import UserError
from features.storage import archive, csv_text, storage
from features.storage.names import image_id, is_utf8, shown

ID, MASK = "ImageId", "EncodedPixels"


def find(folder: Path) -> Layout:
    """Find which layout a folder, or a zip, has.

    Raises
    ------
    UserError
        If there is no such folder, it has none of the known layouts or two of them, or a zip cannot
        be used.
    """
    if not is_utf8(folder.absolute()):
        raise UserError(
            f"{shown(folder)}: the folder's name is not UTF-8, which tables and pages need; rename "
            "it or link to it."
        )
    if archive.is_archive(folder):
        return _in_zip(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give the dataset's folder, as DATA=<folder>.")
    found = _recognised(folder)
    if found is None:
        packed = [path for path in sorted(folder.glob("*.zip")) if archive.is_archive(path)]
        found = _in_zip(packed[0]) if len(packed) == 1 else None
    return found or _plain(folder)


def _recognised(folder: Path) -> Layout | None:
    """The one annotated layout that a folder has; None if it has none.

    Raises
    ------
    UserError
        If it has two.
    """
    recognisers = (layout_siim.stage_2, layout_siim.stage_1, layout_nih.find, layout_png.with_masks)
    found = [layout for recognise in recognisers if (layout := recognise(folder))]
    if len(found) > 1:
        one, other = found[:2]
        raise UserError(
            f"{folder}: has the layout of {one.name} ({one.labels.name}) and that of {other.name} "
            f"({other.labels.name}), and only one can be meant; move the other's files out of it."
        )
    return found[0] if found else layout_png.with_codes(folder)


def _in_zip(path: Path) -> Layout:
    """The layout of a zip's content, which may lie in one folder within it."""
    root = archive.root_of(path)
    while True:
        if found := _recognised(root):
            return found
        entries = list(storage.children(root))
        if (
            len(entries) != 1
            or entries[0][1] != archive.FOLDER
            or layout_png.has_image_directly(entries[0][0])
        ):
            return _plain(root)
        root = entries[0][0]


def _plain(folder: Path) -> Layout:
    """A plain folder of images.

    Raises
    ------
    UserError
        If it holds none, or the csv files of an annotated layout without its images.
    """
    for stem, images, name in (
        ("stage_2_train", "stage_2_images", "stage 2"),
        ("train-rle", "dicom-images-train", "stage 1"),
    ):
        if csv_file(folder, stem):
            raise UserError(
                f"{folder / images}: no such folder; the {name} layout keeps its images there."
            )
    sample = next((path.name for path in csv_files(folder) if "submission" in path.name), None)
    if sample is None and layout_png.has_image(folder):
        return Layout("a plain folder of images", folder, folder, folder)
    reason = f", but {sample} is" if sample else ", and no image"
    raise UserError(
        f"{folder}: neither stage_2_train.csv nor train-rle.csv is in it{reason}; give a folder or "
        "zip as Kaggle has it, images with masks/ or with a csv 'ImageId,EncodedPixels', "
        "ChestX-ray14 with its Data_Entry_2017.csv, or images alone."
    )


def read_csv(path: Path, *headers: tuple[str, str]) -> pd.DataFrame:
    """Read two columns of a csv as text, leniently about its form and how names are spelled.

    See `csv_text` for the forms; ids are left as they are written, see `names.image_id`.

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
    table = csv_text.read(path, rule)
    there = ",".join(table.columns)
    table.columns = [csv_text.plain(name) for name in table.columns]
    names = list(table.columns)
    wanted = [[csv_text.plain(column) for column in columns] for columns in headers]
    choice = next((number for number, pair in enumerate(wanted) if set(pair) <= set(names)), None)
    if choice is None:
        missing = [column for column in headers[0] if csv_text.plain(column) not in names]
        raise UserError(
            f"{path}: no column {missing[0]!r}; {rule}, and it is {shown(repr(there))}."
        )
    twice = [number for number, column in enumerate(wanted[choice]) if names.count(column) > 1]
    if twice:
        raise UserError(
            f"{path}: two columns {headers[choice][twice[0]]!r}, spaces and case aside; {rule}, so "
            "remove the wrong one."
        )
    table = table[wanted[choice]].set_axis(list(headers[choice]), axis=1)
    return table.apply(lambda column: column.str.strip())


def read_pairs(path: Path, *headers: tuple[str, str]) -> dict[str, str]:
    """Read a csv of one value an image, by id; see `read_csv`.

    Raises
    ------
    UserError
        If an id stands in it twice.
    """
    ids, values = (column for _, column in read_csv(path, *headers).items())
    ids = ids.map(image_id)
    if ids.duplicated().any():
        twice = shown(ids[ids.duplicated()].iloc[0])
        raise UserError(f"{path}: {twice} stands in it twice; an image has one row.")
    return dict(zip(ids, values, strict=True))


def read_rows(path: Path, sizes: dict[str, tuple[int, int]]) -> dict[str, list[str]]:
    """Read an annotation csv: all codes of each image, of ids without an image too.

    Parameters
    ----------
    path : Path
        A csv with columns ImageId and EncodedPixels.
    sizes : dict
        Rows and columns of the files that could be read, by id; their codes must fit.

    Raises
    ------
    UserError
        If a code is malformed or leaves its image, or rows of one image contradict each other.
    """
    table = read_csv(path, (ID, MASK))
    rows = {
        str(key): list(part)
        for key, part in table.groupby(table[ID].map(image_id), sort=False)[MASK]
    }
    for name, codes in rows.items():
        if name not in sizes:
            continue
        if len(codes) > 1 and rle.EMPTY in codes and set(codes) != {rle.EMPTY}:
            raise UserError(
                f"{path}: image {shown(name)} has both a mask and '-1'; it is either positive or "
                "not, so remove the wrong row."
            )
        try:
            for code in codes:
                rle.runs_inside(code, sizes[name])
        except UserError as error:
            raise UserError(f"{path}: image {shown(name)}: {error}") from None
    return rows


def read_annotations(path: Path, sizes: dict[str, tuple[int, int]]) -> dict[str, str]:
    """Read an annotation csv: the union of the rows of each image; other ids are left out.

    See `read_rows`.

    Returns
    -------
    dict
        Run-length code of each image, "-1" where it has no pneumothorax.
    """
    rows = read_rows(path, sizes)
    return {name: rle.union(codes, sizes[name]) for name, codes in rows.items() if name in sizes}
