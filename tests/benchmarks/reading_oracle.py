"""Compare what we read of DICOM files with an independent reader, dcm2pnm of Debian's dcmtk.

``python tests/benchmarks/reading_oracle.py <folder>...`` prints a table: the rank correlation of
all pixels that both can read, and how many only one can. With ``--any-kind``
files of other body parts and modalities are compared too. Ranks, since both scale grey levels by
their own rules. Lossy JPEG, RLE and uncompressed files only: Debian's dcm2pnm reads no JPEG 2000.
"""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from arguments import arguments_or_help
from PIL import Image
from scipy.stats import rankdata

from features.reading import dicom_image, images
from features.storage.unreadable import UnreadableImage

GOOD = 0.98
MOST = 200_000  # pixels that are ranked


def theirs(path: Path) -> np.ndarray | None:
    """The picture of the first frame, 16 bits; None where dcm2pnm refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "a.pnm"
        for options in (["+Wl", "1"], ["+Wm"]):  # a VOI table, or else the whole range
            command = ["dcm2pnm", "--write-16-bit-pnm", *options, str(path), str(out)]
            done = subprocess.run(command, capture_output=True, check=False, timeout=60)
            if done.returncode == 0 and out.exists():
                with Image.open(out) as image:
                    array = np.asarray(image).astype(np.int64)
                return array[..., 1] if array.ndim == 3 else array
    return None


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation over evenly spread pixels."""
    step = max(first.size // MOST, 1)
    ranks = [rankdata(array.ravel()[::step]) for array in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def main(folders: list[str]) -> None:
    """Print the table, the worst first."""
    if "--any-kind" in folders:  # their pixels count, whatever they show
        folders.remove("--any-kind")
        for module, check in (
            (dicom_image, "check_kind"),
            (dicom_image, "check_size"),
            (images, "check_picture"),
        ):
            setattr(module, check, lambda *_: None)
    rows, ours_only, refused = [], 0, []
    for folder in folders:
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            try:
                study, pixels = images.read(path)
            except UnreadableImage as error:
                refused.append(str(error).removeprefix(f"{path}: "))
                continue
            other = theirs(path)
            if other is None:
                ours_only += 1
            elif other.shape != pixels.shape:
                rows.append((np.nan, path.name, f"{other.shape} there, {pixels.shape} here"))
            else:
                view = study.view or ""
                rows.append((rank_correlation(pixels, other), path.name, view))
    for value, name, remark in sorted(rows, key=lambda row: (not np.isnan(row[0]), row[0])):
        print(f"{value:8.4f}  {name}  {remark}{'' if value >= GOOD else '  <-- explain'}")
    good = sum(value >= GOOD for value, *_ in rows)
    print(f"{good} of {len(rows)} read by both agree (at least {GOOD}); {ours_only} by us alone;")
    print(f"{len(refused)} refused by us, none of them with a traceback")


if __name__ == "__main__":
    main(arguments_or_help(__doc__ or ""))
