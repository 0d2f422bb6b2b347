"""One small set of annotated images in every layout that a dataset may have."""

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from features.reading import rle
from tests.helpers.image_files import write_dicom

SIZE = 64


@dataclass(frozen=True)
class Images:
    """Pictures of noise by id, with the masks of the training images; the last two are for tests.

    Parameters
    ----------
    pixels : dict of str to (64, 64) array of uint8
    masks : dict of str to (64, 64) array of bool
    """

    pixels: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]

    @property
    def test(self) -> list[str]:
        """Ids of the test images."""
        return [name for name in self.pixels if name not in self.masks]

    def codes(self) -> pd.DataFrame:
        """The masks as run-length codes, as Kaggle has them."""
        rows = [(name, rle.encode(mask)) for name, mask in self.masks.items()]
        return pd.DataFrame(rows, columns=["ImageId", "EncodedPixels"])

    def sample(self) -> pd.DataFrame:
        """The sample submission."""
        return pd.DataFrame({"ImageId": self.test, "EncodedPixels": "-1"})


def images(count: int = 8) -> Images:
    """Images i0, i1 ...; of the training images every other one is positive."""
    draws = np.random.default_rng(5)
    pixels = {f"i{n}": draws.integers(0, 256, (SIZE, SIZE)).astype(np.uint8) for n in range(count)}
    masks = {}
    for number, name in enumerate(list(pixels)[:-2]):
        masks[name] = np.zeros((SIZE, SIZE), bool)
        masks[name][5 : 9 + number, 7 : 8 + number] = number % 2
    return Images(pixels, masks)


def png(folder: Path, pictures: dict[str, np.ndarray], ending: str = ".png") -> None:
    """Write pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}{ending}", format="PNG")


def stage_2(folder: Path, given: Images) -> Path:
    """The layout of stage 2, with DICOM files."""
    (folder / "stage_2_images").mkdir(parents=True)
    for name, pixels in given.pixels.items():
        write_dicom(folder / "stage_2_images" / f"{name}.dcm", pixels)
    given.codes().to_csv(folder / "stage_2_train.csv", index=False)
    given.sample().to_csv(folder / "stage_2_sample_submission.csv", index=False)
    return folder


def stage_1(folder: Path, given: Images) -> Path:
    """The layout of stage 1, with its spaces, and DICOM files."""
    for name, pixels in given.pixels.items():
        kind = "test" if name in given.test else "train"
        below = folder / f"dicom-images-{kind}" / f"1.2.{name}" / "3.4"
        below.mkdir(parents=True)
        write_dicom(below / f"{name}.dcm", pixels)
    lines = [f"{name}, {code}" for name, code in given.codes().itertuples(index=False)]
    text = "\n".join(["ImageId, EncodedPixels", *lines])
    (folder / "train-rle.csv").write_text(f"{text}\n")
    return folder


def masks(folder: Path, given: Images) -> Path:
    """A re-release with mask pictures, those of the test images too, and its list of them."""
    png(folder / "png_images", given.pixels)
    drawn = {name: mask.astype(np.uint8) * 255 for name, mask in given.masks.items()}
    drawn |= {name: np.full((SIZE, SIZE), 255, np.uint8) for name in given.test}
    png(folder / "png_masks", drawn)
    listed = pd.DataFrame({"new_filename": [f"{name}.png" for name in given.test], "ImageId": "x"})
    listed.to_csv(folder / "stage_1_test_images.csv", index=False)
    train = pd.DataFrame({"new_filename": [f"{name}.png" for name in given.masks], "ImageId": "x"})
    train.to_csv(folder / "stage_1_train_images.csv", index=False)
    return folder


def codes(folder: Path, given: Images) -> Path:
    """A re-release with run-length codes, and a folder of test images."""
    train = {name: given.pixels[name] for name in given.masks}
    png(folder / "train_png", train)
    png(folder / "test_png", {name: given.pixels[name] for name in given.test})
    table = given.codes()
    table["ImageId"] += ".png"
    table.rename(columns=str.lower).to_csv(folder / "masks_as_codes.csv", index=False, sep=";")
    return folder


def chest_xray14(folder: Path, given: Images) -> Path:
    """ChestX-ray14 in two parts, with its list of test images."""
    names = list(given.pixels)
    for number, part in enumerate((names[:3], names[3:])):
        pictures = {name: given.pixels[name] for name in part}
        png(folder / f"images_{number + 1:03d}" / "images", pictures)
    positive = [name for name, mask in given.masks.items() if mask.any()]
    rows = [
        {
            "Image Index": f"{name}.png",
            "Finding Labels": "Effusion|Pneumothorax" if name in positive else "Pleural_Thickening",
            "Patient ID": number // 2,
            "Patient Age": f"{40 + number:03d}Y",
            "Patient Gender": "F",
            "View Position": "AP" if number % 2 else "PA",
        }
        for number, name in enumerate([*names, "absent"])
    ]
    pd.DataFrame(rows).to_csv(folder / "Data_Entry_2017_v2020.csv", index=False)
    (folder / "test_list.txt").write_text("".join(f"{name}.png\n" for name in given.test))
    return folder


def packed(folder: Path, inside: str = "") -> Path:
    """The zip of a folder, which is removed; its content lies in a folder of the zip if given."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member in sorted(folder.rglob("*")):
            file.write(member, f"{inside}{member.relative_to(folder)}")
    shutil.rmtree(folder)
    return path
