"""Where the lesions lie, how large they are, and how well several readers of one image agree."""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from baseline.audit import pictures
from baseline.audit.findings import Finding, Item, Picture, Table, count
from baseline.audit_facts import lung_boxes
from baseline.audit_facts.facts import Facts
from baseline.learning import scores
from features.dataset import file_masks
from features.reading import rle

# The heat map: pixels a side, and the margin around the lungs as a share of their box.
SIDE, MARGIN = 192, 0.12
# Pictures with masks that are shown.
SHOWN = 8
# Readers who agree less than this about one image may not mean the same thing.
LOW_DICE = 0.3
# Limits of the sizes, as shares of the image.
SIZES = (0.0, 0.007, 0.02, 0.05, np.inf)


def lesions(facts: Facts) -> Finding:
    """Size and place of the lesions: a heat map over the mean X-ray, in lung coordinates."""
    places = positives(facts)
    if not places:
        return _not_applicable("size and place of lesions")
    table = facts.table.iloc[places]
    areas = np.array([rle.area(str(code)) for code in table["mask"]])
    shares = areas / (table["rows"] * table["columns"]).to_numpy(float)
    return Finding(
        "size and place of lesions",
        "pass",
        f"{count(len(places), 'image')} with a mask; the median mask takes "
        f"{np.median(shares):.1%} of the image, the smallest {shares.min():.2%}, the largest "
        f"{shares.max():.1%}.",
        "Masks train the evidence map and the U-Net; the challenge's Dice weighs each image alike, "
        "so small lesions count as much as large ones.",
        "Look at the heat map: most pneumothoraces lie along the chest wall and at the apex. A map "
        "that is spread over the whole image means that masks and images do not belong together.",
        tables=(_sizes(shares),),
        pictures=(heat_map(facts, places), *_from_small_to_large(facts, places, shares)),
    )


def _sizes(shares: NDArray[np.float64]) -> Table:
    rows = tuple(
        (
            f"{low:.1%} to {high:.1%}" if high < 1 else f"above {low:.1%}",
            f"{((shares >= low) & (shares < high)).sum():,}",
        )
        for low, high in pairwise(SIZES)
    )
    return Table("Area of the mask, share of the image", ("area", "images"), rows)


def _from_small_to_large(
    facts: Facts, places: list[int], shares: NDArray[np.float64]
) -> Iterator[Picture]:
    """Masks of all sizes, the smallest first."""
    order = np.argsort(shares)
    for number in np.linspace(0, len(places) - 1, min(SHOWN, len(places))).astype(int):
        place, share = places[order[number]], shares[order[number]]
        yield pictures.masked(facts, place, f"{share:.2%}: {facts.ids[place]}")


def _not_applicable(name: str) -> Finding:
    return Finding(
        name,
        "not applicable",
        "No image has a mask.",
        "Without masks only the classifier can be trained.",
        "Add the annotation csv if you have masks.",
    )


def positives(facts: Facts) -> list[int]:
    """Places of the images with a mask."""
    mask = facts.table["mask"]
    return [int(place) for place in np.flatnonzero(mask.notna() & (mask != rle.EMPTY))]


def in_lung_box(facts: Facts, place: int, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A thumbnail's part around the lungs, (SIDE, SIDE)."""
    top, bottom, left, right = facts.lungs[place] * picture.shape[0]
    down, across = MARGIN * (bottom - top), MARGIN * (right - left)
    # (left, upper, right, lower); what lies outside the image is black.
    box = (left - across, top - down, right + across, bottom + down)
    stretched = Image.fromarray(picture).transform(
        (SIDE, SIDE), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR
    )
    return np.asarray(stretched, np.float64)


def heat_map(facts: Facts, places: list[int]) -> Picture:
    """Share of the masks that cover each place, over the mean X-ray."""
    chosen = [n for n in lung_boxes.averaged(facts.table) if not np.isnan(facts.lungs[n]).any()]
    mean = np.mean([in_lung_box(facts, int(n), facts.thumbnails[n]) for n in chosen], axis=0)
    low, high = np.percentile(mean, (1, 99))
    ground = np.clip(np.rint(255 * (mean - low) / max(high - low, 1)), 0, 255).astype(np.uint8)
    covered = np.zeros((SIDE, SIDE))
    for place in places:
        mask = pictures.small_mask(facts, place, str(facts.table["mask"].iloc[place]))
        covered += in_lung_box(facts, place, np.uint8(255) * mask.astype(np.uint8)) / 255
    covered /= len(places)
    return Picture(
        pictures.uri(pictures.heat(ground, covered)),
        f"Where the masks of {count(len(places), 'image')} lie, over the mean X-ray; all lungs are "
        "stretched to one size, the patient's right is at the left. Brightest: in "
        f"{covered.max():.0%} of the masks.",
    )


def readers(facts: Facts) -> Finding:
    """Number of annotations an image, and how far those of one image overlap."""
    places = positives(facts)
    name = "agreement of readers"
    if not places:
        return _not_applicable(name)
    numbers, values, items = [], [], []
    places_in_files = file_masks.placements(facts.table)
    for place in places:
        key = facts.ids[place]
        codes = [code for code in facts.annotations.get(key, []) if code != rle.EMPTY]
        numbers.append(max(len(codes), 1))
        if len(codes) > 1:
            values.append(mean_dice(codes, places_in_files[key].file))
            if values[-1] < LOW_DICE:
                text = f"{len(codes)} annotations with a mean Dice of {values[-1]:.2f}"
                items.append((values[-1], place, Item(key, text, (key,))))
    items.sort(key=lambda row: row[:2])
    several = len(values)
    agree = f"; their mean Dice is {np.mean(values):.2f}" if values else ""
    return Finding(
        name,
        "pass",
        f"{count(several, 'positive image')} with several annotations{agree}.",
        "The mask is the union of an image's annotations, as in the challenge.",
        "Annotations of one image that hardly overlap are often two lesions, drawn one by one; "
        "else two readers who do not agree. The list names those with a Dice below "
        f"{LOW_DICE:g}.",
        tuple(item for _, _, item in items),
        (_how_many(numbers),),
        tuple(pictures.masked(facts, place, item.text) for _, place, item in items[:4]),
    )


def _how_many(numbers: list[int]) -> Table:
    rows = tuple((str(n), f"{images:,}") for n, images in enumerate(np.bincount(numbers)) if images)
    return Table("Annotations of a positive image", ("annotations", "images"), rows)


def mean_dice(codes: list[str], size: tuple[int, int]) -> float:
    """Mean Dice of all pairs of an image's annotations.

    Parameters
    ----------
    codes : list of str
        Two or more, none of them empty.
    size : (int, int)
        Rows and columns of the file.
    """
    masks = [rle.decode(code, size) for code in codes]
    return float(np.mean([scores.dice(one, other) for one, other in combinations(masks, 2)]))
