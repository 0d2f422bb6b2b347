"""How often the quality gate flags chest X-rays, their spoilt copies, and what is none.

The patients of `<siim-mini>` (patients.csv) are parted in two halves by a hash of their key. Both
limits of the gate follow by a rule from the first half, which is printed first; the second half
tells how often chests are flagged, and of it a seeded sample of 200 is also looked at mirrored,
inverted, turned, cut by a third at each side (as it comes, and stretched to the old shape),
blanked, and replaced by noise or a page of text, drawn by another seed than the gate has learned
from. A third that is cut off at the bottom often holds no lung, so there is a row of those cuts
that take more than 3% of the lungs as they were found in the whole picture.

JSRT and Montgomery are looked at whole, and the phantoms of `make demo`. The other folders are
searched for DICOMs and PNGs; those that index.csv or their tags call a chest must pass, the others
be flagged or refused.

    .venv/bin/python tests/benchmarks/quality_gate.py <siim-mini> <lung-masks> [<radiographs> ...]

With `--only N`, N images of each set; the limits by the rule need them all.
"""

import hashlib
import sys
import time
import warnings
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from arguments import arguments_or_help
from numpy.typing import NDArray

from features.dataset import patients
from features.lungs.fields import LungFields, segment
from features.lungs.prepared import MARGIN, grow, working_size
from features.phantom import write
from features.phantom.plan import PlannedImage
from features.quality import gate
from features.quality.copies import CUT, copies, cut_at
from features.reading import images
from features.reading.study import Study
from features.run import parallel
from features.storage.unreadable import UnreadableImage
from tests.helpers.quality_pictures import blank, noise, text_page

SAMPLE, SEED = 200, 7
# Shares of the first half that the rules let be flagged, and noted as mirrored.
LET_BE_FLAGGED, LET_BE_NOTED = 1 / 200, 1 / 100
# A cut at the bottom that takes more than this share of the lungs has a row of its own.
LOST = 0.03
BOTTOM = "cut at the bottom"


@dataclass(frozen=True)
class Seen:
    """What the gate says of a picture, and its log-odds without the limits."""

    kind: str  # of copy
    quality: gate.Quality
    odds: float
    heart: float


def look(kind: str, pixels: NDArray[np.float32]) -> Seen:
    """The quality on a picture, and its log-odds without the limits."""
    image = working_size(np.ascontiguousarray(pixels, np.float32))
    lungs = found(image)
    quality = gate.examine(Study("", Path(), *image.shape), image, lungs)
    model = gate.load()
    scores, heart = gate.judged(model, gate.measured(image, lungs))
    return Seen(kind, quality, float(gate.log_odds(model.kinds, scores)), float(heart))


def found(image: NDArray[np.float32]) -> LungFields:
    """The lungs of an image at the working size."""
    return grow(segment(image), MARGIN * max(image.shape))


def look_at(path: Path) -> Seen:
    """The quality on an X-ray."""
    return look(gate.GOOD, working_size(images.read(path)[1]))


def look_at_copies(path: Path) -> list[Seen]:
    """The qualities on an X-ray's copies."""
    image = working_size(images.read(path)[1])
    lungs = found(image)
    both = lungs.right | lungs.left
    lost = 1 - cut_at(BOTTOM, both, CUT).sum() / both.sum()
    seen = []
    for kind, copy in copies(image):
        seen.append(look(kind, copy))
        if kind.startswith("cut"):
            seen.append(look(f"{kind}, stretched", _stretched(copy, image.shape)))
        if kind == BOTTOM and lost > LOST:
            seen += [replace(part, kind=f"{part.kind}, lungs lost") for part in seen[-2:]]
    number = int.from_bytes(path.stem.encode()[-4:], "big")
    for kind, draw in (("blank", blank), ("noise", noise), ("text", text_page)):
        seen.append(look(kind, draw(number, image.shape[0])))
    return seen


def halves(folder: Path) -> tuple[list[Path], list[Path]]:
    """The X-rays of siim-mini in two halves without a common patient."""
    keys = patients.read(folder / "patients.csv")
    parts: tuple[list[Path], list[Path]] = ([], [])
    for path in sorted((folder / "stage_2_images").glob("*.dcm")):
        key = keys.get(path.stem, path.stem)
        parts[int(hashlib.sha256(key.encode()).hexdigest(), 16) % 2].append(path)
    return parts


def _stretched(picture: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    rows, columns = (
        np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(int)
        for new, old in zip(shape, picture.shape, strict=True)
    )
    return picture[np.ix_(rows, columns)]


def chosen(paths: list[Path], count: int) -> list[Path]:
    """A seeded sample in its order."""
    rng = np.random.default_rng(SEED)
    return [paths[k] for k in np.sort(rng.permutation(len(paths))[:count])]


def row(name: str, seen: list[gate.Quality], wanted: str) -> None:
    """Print a row of the table: how many are flagged, or noted as mirrored."""
    counted = [quality.flagged for quality in seen]
    if name.endswith("noted"):
        counted = [quality.kind == gate.MIRRORED for quality in seen]
    kinds: dict[str, int] = defaultdict(int)
    for quality in seen:
        kinds[quality.kind] += 1
    most = ", ".join(
        f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1])[:4]
    )
    share = sum(counted) / len(seen)
    print(f"| {name} | {sum(counted)} of {len(seen)} | {share:.1%} | {wanted} | {most} |")


def report_siim(folder: Path, only: int) -> None:
    """Rows of siim-mini as it is, and of its copies."""
    first, second = (
        list(parallel.stream(look_at, chosen(part, only), "siim")) for part in halves(folder)
    )
    limit = np.quantile([part.odds for part in first], 1 - LET_BE_FLAGGED)
    heart = np.quantile([part.heart for part in first], 1 - LET_BE_NOTED)
    print(f"limits of the rules: {limit:.2f}, {heart:.2f}; ", end="")
    print(f"in use: {gate.LIMIT}, {gate.HEART_LIMIT}\n")
    print("| images | counted | share | wanted | called |\n|---|---|---|---|---|")
    for name, part in (
        ("all", first + second),
        ("half of the limits", first),
        ("other half", second),
    ):
        qualities = [seen.quality for seen in part]
        row(f"siim-mini, {name}", qualities, "at most 1%")
        row(f"siim-mini, {name}, noted", qualities, "at most 1%")
    report_copies(chosen(halves(folder)[1], min(SAMPLE, only)))


def report_copies(paths: list[Path]) -> None:
    """Rows of the copies of some X-rays."""
    by_kind = defaultdict(list)
    for part in parallel.stream(look_at_copies, paths, "copies"):
        for seen in part:
            by_kind[seen.kind].append(seen.quality)
    plain = []
    for kind, qualities in by_kind.items():
        fine = kind in (gate.GOOD, gate.MIRRORED)
        row(f"other half, {kind}", qualities, "at most 1%" if fine else "at least 90%")
        if not fine and not kind.endswith(("stretched", "lost")):
            plain += qualities
    row("other half, mirrored, noted", by_kind[gate.MIRRORED], "")
    row("other half, all copies but stretched ones", plain, "at least 95%")


def report_lungs(folder: Path, only: int) -> None:
    """Rows of the sets of lung masks."""
    for name in ("JSRT", "Montgomery"):
        paths = chosen(sorted((folder / name / "images").glob("*.png")), only)
        seen = [part.quality for part in parallel.stream(look_at, paths, name)]
        row(name, seen, "at most 2%")
        row(f"{name}, noted", seen, "")


def report_phantoms(only: int) -> None:
    """A row of the phantoms that `make demo` draws."""
    demo = write.Settings(out=Path(), train=180, test=60, seed=0)
    work = partial(look_at_phantom, demo)
    seen = parallel.stream(work, write.plan(demo)[:only], "phantoms")
    row("phantoms of make demo", [part.quality for part in seen], "")


def look_at_phantom(demo: write.Settings, planned: PlannedImage) -> Seen:
    """The quality on a phantom."""
    pixels = write.draw_image(demo, planned).pixels
    return look(gate.GOOD, working_size(pixels.astype(np.float32) / 255))


def report_others(folder: Path) -> None:
    """Each file of a folder in a line."""
    print(f"\n{folder}\n")
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix not in {"", ".dcm", ".png"}:
            continue
        try:
            study, pixels = images.read(path)
        except UnreadableImage as error:
            if "Rows (0028,0010)" not in str(error):  # no image at all
                print(f"- {path.name}: refused: {str(error).removeprefix(str(path))[2:90]}")
            continue
        image = working_size(pixels)
        quality = gate.examine(study, pixels, found(image))
        print(
            f"- {path.name}: {'FLAGGED' if quality.flagged else 'passed'} "
            f"({quality.probability:.1%}) {quality.kind}: {quality.words}"
        )


def report_time(folder: Path) -> None:
    """Milliseconds of the gate beside those of the lungs, on one core."""
    image = working_size(images.read(sorted((folder / "stage_2_images").glob("*.dcm"))[0])[1])
    full = np.kron(image, np.ones((2, 2), np.float32))
    study = Study("", Path(), *full.shape)
    lungs = found(image)
    for name, function in (
        ("lungs", lambda: segment(image)),
        ("gate", lambda: gate.examine(study, full, lungs)),
    ):
        times = []
        for _ in range(30):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        print(f"{name}: {1000 * np.median(times):.1f} ms an image (median of 30)")


def main() -> None:
    """Print the table."""
    arguments = arguments_or_help(__doc__, 2)
    only = sys.maxsize
    if "--only" in arguments:
        place = arguments.index("--only")
        only = int(arguments[place + 1])
        del arguments[place : place + 2]
    siim, lungs, *others = map(Path, arguments)
    warnings.simplefilter("ignore")
    report_siim(siim, only)
    report_lungs(lungs, only)
    report_phantoms(only)
    for folder in others:
        report_others(folder)
    print()
    report_time(siim)


if __name__ == "__main__":
    main()
