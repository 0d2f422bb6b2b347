"""How often the quality gate flags chest X-rays, their spoilt copies, and what is none.

Every X-ray of `<siim-mini>` is looked at as it is, and a seeded sample of 200 also mirrored,
inverted, turned, cut by a third at each side (as it comes, and stretched to the old shape),
blanked, and replaced by noise or a page of text, drawn by another seed than the gate has learned
from. JSRT and Montgomery are looked at whole. The other folders are searched for DICOMs and PNGs;
those that index.csv or their tags call a chest must pass, the others be flagged or refused. The
limit of the gate was chosen by the rule that is printed first: from every second image of
`<siim-mini>`, so the figures of the other half are apart.

    .venv/bin/python tests/benchmarks/quality_gate.py <siim-mini> <lung-masks> [<radiographs> ...]

With `--only N`, N images of each set.
"""

import sys
import time
import warnings
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
from arguments import arguments_or_help
from numpy.typing import NDArray

from features.lungs.fields import segment
from features.lungs.frames import area_resize
from features.lungs.prepared import MARGIN, grow, working_size
from features.quality import gate, measures
from features.quality.copies import copies
from features.reading import images
from features.reading.study import Study
from features.reading.unreadable import UnreadableImage
from features.run import parallel
from tests.helpers.quality_pictures import blank, noise, text_page

SAMPLE, SEED = 200, 7
# Share of every second X-ray that the rule lets be flagged.
LET_BE_FLAGGED = 1 / 200

Seen = list[tuple[str, gate.Quality, float]]  # kind of copy, quality, log-odds without the limit


def look(kind: str, pixels: NDArray[np.float32]) -> tuple[str, gate.Quality, float]:
    """The quality on a picture, and its log-odds without the limit."""
    image = working_size(np.ascontiguousarray(pixels, np.float32))
    lungs = grow(segment(image), MARGIN * max(image.shape))
    quality = gate.examine(Study("", Path(), *image.shape), image, lungs)
    small = area_resize(image, (measures.FRAME, measures.FRAME))
    model = gate.load()
    values = measures.measure(small, lungs, image.shape[0] / image.shape[1])
    return kind, quality, float(gate.log_odds(model.kinds, gate.scores_of(model, values)))


def look_at(path: Path, spoilt: bool) -> Seen:
    """The qualities on an X-ray, and on its copies."""
    image = working_size(images.read(path)[1])
    if not spoilt:
        return [look("good", image)]
    seen: Seen = []
    for kind, copy in copies(image):
        seen.append(look(kind, copy))
        if kind.startswith("cut"):
            seen.append(look(f"{kind}, stretched", _stretched(copy, image.shape)))
    number = int.from_bytes(path.stem.encode()[-4:], "big")
    for kind, draw in (("blank", blank), ("noise", noise), ("text", text_page)):
        seen.append(look(kind, draw(number, image.shape[0])))
    return seen


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
    """Print a row of the table."""
    flagged = sum(quality.flagged for quality in seen)
    kinds: dict[str, int] = defaultdict(int)
    for quality in seen:
        kinds[quality.kind] += 1
    most = ", ".join(
        f"{count} {kind}" for kind, count in sorted(kinds.items(), key=lambda item: -item[1])[:4]
    )
    print(f"| {name} | {flagged} of {len(seen)} | {flagged / len(seen):.1%} | {wanted} | {most} |")


def report_siim(folder: Path, only: int) -> None:
    """Rows of siim-mini as it is, and of its copies."""
    paths = chosen(sorted((folder / "stage_2_images").glob("*.dcm")), only)
    seen = [part[0] for part in parallel.stream(partial(look_at, spoilt=False), paths, "siim")]
    odds = np.array([value for _, _, value in seen])
    rule = np.quantile(odds[::2], 1 - LET_BE_FLAGGED)
    print(f"limit of the rule: {rule:.2f}, in use: {gate.LIMIT}\n")
    print("| images | flagged | share | wanted | called |\n|---|---|---|---|---|")
    for name, part in (("all", seen), ("half of the limit", seen[::2]), ("other half", seen[1::2])):
        row(f"siim-mini, {name}", [quality for _, quality, _ in part], "at most 1%")
    work = partial(look_at, spoilt=True)
    by_kind = defaultdict(list)
    for part in parallel.stream(work, chosen(paths, min(SAMPLE, only)), "copies"):
        for kind, quality, _ in part:
            by_kind[kind].append(quality)
    plain = []
    for kind, qualities in by_kind.items():
        wanted = "at most 1%" if kind in gate.NOTED else "at least 90%"
        row(f"siim-mini, {kind}", qualities, wanted)
        if kind not in gate.NOTED and "stretched" not in kind:
            plain += qualities
    row("siim-mini, all copies but stretched ones", plain, "at least 95%")


def report_lungs(folder: Path, only: int) -> None:
    """Rows of the sets of lung masks."""
    for name in ("JSRT", "Montgomery"):
        paths = chosen(sorted((folder / name / "images").glob("*.png")), only)
        seen = [part[0] for part in parallel.stream(partial(look_at, spoilt=False), paths, name)]
        row(name, [quality for _, quality, _ in seen], "at most 2%")


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
        lungs = grow(segment(image), MARGIN * max(image.shape))
        quality = gate.examine(study, pixels, lungs)
        print(
            f"- {path.name}: {'FLAGGED' if quality.flagged else 'passed'} "
            f"({quality.probability:.1%}) {quality.kind}: {quality.words}"
        )


def report_time(folder: Path) -> None:
    """Milliseconds of the gate beside those of the lungs, on one core."""
    image = working_size(images.read(sorted((folder / "stage_2_images").glob("*.dcm"))[0])[1])
    full = np.kron(image, np.ones((2, 2), np.float32))
    study = Study("", Path(), *full.shape)
    lungs = grow(segment(image), MARGIN * max(image.shape))
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
    for folder in others:
        report_others(folder)
    print()
    report_time(siim)


if __name__ == "__main__":
    main()
