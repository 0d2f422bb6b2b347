"""The layouts of the SIIM-ACR challenge on Kaggle.

Stage 1: ``dicom-images-train/<study>/<series>/<id>.dcm``, ``dicom-images-test/...`` and
``train-rle.csv``. Stage 2: one folder ``stage_2_images`` for train and test, ``stage_2_train.csv``
and ``stage_2_sample_submission.csv``. Pictures may stand in place of DICOM files in either, and
``stage_2_images.zip`` in place of the folder.
"""

from pathlib import Path

from features.dataset.layout import Layout, csv_file, subfolder
from features.run.files import UserError


def stage_2(folder: Path) -> Layout | None:
    """The layout of stage 2; None if the annotations or the folder of images are not there.

    Raises
    ------
    UserError
        If they are, but no sample submission.
    """
    annotations = csv_file(folder, "stage_2_train")
    images = subfolder(folder, "stage_2_images")
    if annotations is None or images is None:
        return None
    sample = csv_file(folder, "stage_2_sample_submission")
    if sample is None:
        raise UserError(
            f"{folder / 'stage_2_sample_submission.csv'}: no such file; stage 2 names its test "
            "images in it, so copy it here."
        )
    return Layout("stage 2", folder, images, images, annotations, sample)


def stage_1(folder: Path) -> Layout | None:
    """The layout of stage 1; None if the annotations or the folder of images are not there."""
    annotations = csv_file(folder, "train-rle")
    train = subfolder(folder, "dicom-images-train")
    if annotations is None or train is None:
        return None
    test = subfolder(folder, "dicom-images-test") or folder / "dicom-images-test"
    return Layout(
        "stage 1", folder, train, test, annotations, csv_file(folder, "sample_submission")
    )
