"""Re-releases of the challenge as pictures: images with mask pictures, or with run-length codes.

A folder of images and one of masks under equal names (``png_images`` and ``png_masks``, ``images``
and ``masks``, ...), or images and one csv with the columns ImageId and EncodedPixels. Test images
are those of a sample submission, of a folder of their own, or of a csv ``*test*.csv`` with the
column new_filename.
"""

from pathlib import Path

from features.dataset.layout import Layout, csv_files, has_columns, subfolders
from features.run.files import UserError
from features.storage import archive, kinds, storage

IMAGES = ("images", "png_images", "images_png", "train_images", "train_png", "train", "img", "imgs")
MASKS = ("masks", "png_masks", "masks_png", "train_masks", "train_mask", "mask")
TEST = ("test_images", "test_png", "test")
# Files of codes that are no annotations of the training images.
_OTHER_CODES = ("weak_masks", "stage_2_test_truth", "exact_masks", "submission")


def with_masks(folder: Path) -> Layout | None:
    """Images and mask pictures; None if one of the folders is not there.

    Raises
    ------
    UserError
        If there are several folders of images or of masks, or codes as well.
    """
    images, masks = subfolders(folder, IMAGES), subfolders(folder, MASKS)
    if not images or not masks:
        return None
    _require_one(folder, images, "folders of images")
    _require_one(folder, masks, "folders of masks")
    if codes := _codes(folder):
        _require_one(folder, [masks[0], codes[0]], "annotations")
    return Layout(
        "images and masks",
        folder,
        images[0],
        _test_folder(folder, images[0]),
        sample_csv=_sample(folder),
        masks=masks[0],
        test_list=_test_list(folder),
    )


def with_codes(folder: Path) -> Layout | None:
    """Images and run-length codes; None if one of them is not there.

    Raises
    ------
    UserError
        If there are several folders of images, or several csv files of codes.
    """
    codes = _codes(folder)
    if not codes:
        return None
    images = subfolders(folder, IMAGES)
    if not images and has_image(folder):
        images = [folder]
    if not images:
        return None
    _require_one(folder, images, "folders of images")
    _require_one(folder, codes, "csv files of annotations")
    return Layout(
        "images and run-length codes",
        folder,
        images[0],
        _test_folder(folder, images[0]),
        train_csv=codes[0],
        sample_csv=_sample(folder),
        test_list=_test_list(folder),
    )


def has_image(folder: Path) -> bool:
    """Whether an image lies anywhere below a folder."""
    return any(kinds.is_image(path) for path in storage.walk(folder, []))


def has_image_directly(folder: Path) -> bool:
    """Whether an image lies directly in a folder."""
    return any(
        kind == archive.FILE and kinds.is_image(path) for path, kind in storage.children(folder)
    )


def _require_one(folder: Path, found: list[Path], what: str) -> None:
    if len(found) > 1:
        names = " and ".join(path.name for path in found[:2])
        raise UserError(
            f"{folder}: {names} are both {what}, and only one can be meant; move the other out of "
            "the folder."
        )


def _codes(folder: Path) -> list[Path]:
    return [
        path
        for path in csv_files(folder)
        if not any(other in path.name for other in _OTHER_CODES)
        and has_columns(path, "ImageId", "EncodedPixels")
    ]


def _sample(folder: Path) -> Path | None:
    samples = [path for path in csv_files(folder) if "sample_submission" in path.name]
    if samples:
        _require_one(folder, samples, "sample submissions")
    return samples[0] if samples else None


def _test_folder(folder: Path, images: Path) -> Path:
    tests = subfolders(folder, TEST)
    if tests:
        _require_one(folder, tests, "folders of test images")
    return tests[0] if tests and images != folder else images


def _test_list(folder: Path) -> Path | None:
    lists = [
        path
        for path in csv_files(folder)
        if "test" in path.name and has_columns(path, "new_filename")
    ]
    if lists:
        _require_one(folder, lists, "lists of test images")
    return lists[0] if lists else None
