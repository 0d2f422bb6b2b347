"""Kinds of faults that are met in real datasets, and how to plant each in a copy of one.

A fault is planted in a few images (`Kind.plant` hands back which), or in a whole class or set; then
it is found if the check names what was planted, and did not name it before.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from baseline.audit import (
    check_counts,
    check_duplicates,
    check_masks,
    check_people,
    check_pictures,
    check_shift,
    check_shortcuts,
    predictors,
)
from baseline.audit.checks import Check
from baseline.audit.planted_copy import PlantedCopy
from baseline.audit_facts.picture_facts import CORNERS
from features.reading import rle

Pixels = NDArray[np.float32]
# Images of each fault that is one image's.
PLANTED = 3
# A letter P, for the corner of a picture.
LETTER = ("####.", "#...#", "#...#", "####.", "#....", "#....", "#....")


@dataclass(frozen=True)
class Ground:
    """Where to plant: the clean copy, the ids by label in a random order, and sizes of images.

    `positive` has large lesions first, since of a sliver nobody could say which way round it is.
    """

    copy: PlantedCopy
    positive: list[str]
    negative: list[str]
    sizes: dict[str, tuple[int, int]]

    @property
    def train(self) -> list[str]:
        """Labelled images, first a negative one, then a positive one, and so on."""
        pairs = zip(self.negative, self.positive, strict=False)
        return [key for pair in pairs for key in pair]


# The ids that one finding must name, or the subjects of which it must name one.
Units = list[set[str]]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Parameters
    ----------
    name : str
    check : callable
        The check that must find it.
    plant : callable
        Plants it in the copy of a `Ground`, and hands back the ids of each fault.
    subjects : frozenset of str
        For a fault of a whole class or set: the facts, of which the check must name one.
    """

    name: str
    check: Check
    plant: Callable[[Ground], Units]
    subjects: frozenset[str] = frozenset()


def _exact(ground: Ground) -> Units:
    return [_copy(ground, key, "copy") for key in ground.train[:PLANTED]]


def _copy(ground: Ground, key: str, word: str, test: bool = False) -> set[str]:
    name = f"{word}-of-{key}"
    ground.copy.add(key, name)
    if test:
        ground.copy.test.append(name)
    else:
        ground.copy.annotate(name, ground.copy.codes(key))
    return {key, name}


def _near(ground: Ground) -> Units:
    units = []
    for key in ground.train[:PLANTED]:
        units.append(_copy(ground, key, "crop"))
        # A crop changes the size of the picture, so the mask no longer fits: it is left empty or
        # is the original's, which the check of duplicates does not look at.
        ground.copy.rewrite(f"crop-of-{key}", change=_cropped, quality=60)
    return units


def _cropped(pixels: Pixels) -> Pixels:
    """2% less on two sides, at the old size."""
    rows, columns = pixels.shape
    cut = pixels[round(0.02 * rows) :, : columns - round(0.02 * columns)]
    zoomed = ndimage.zoom(cut, (rows / cut.shape[0], columns / cut.shape[1]), order=1)
    return np.asarray(zoomed[:rows, :columns], np.float32)


def _other_label(ground: Ground) -> Units:
    units = []
    for key, donor in zip(ground.negative[:PLANTED], ground.positive, strict=False):
        units.append(_copy(ground, key, "copy"))
        ground.copy.annotate(f"copy-of-{key}", _fitting(ground, donor, key))
    return units


def _fitting(ground: Ground, donor: str, key: str) -> list[str]:
    """The annotations of one image on the grid of another."""
    return [
        rle.encode(_at(rle.decode(code, ground.sizes[donor]), ground.sizes[key]))
        for code in ground.copy.codes(donor)
    ]


def _at(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    if mask.shape == size:
        return mask
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, mask.shape, strict=True))
    return mask[np.ix_(rows, columns)]


def _across(ground: Ground) -> Units:
    return [_copy(ground, key, "test", test=True) for key in ground.train[:PLANTED]]


def _patient(ground: Ground) -> Units:
    units = []
    for key, other in list(zip(ground.train, ground.copy.test, strict=False))[:PLANTED]:
        ground.copy.patients.update(dict.fromkeys((key, other), f"planted {key}"))
        units.append({key, other})
    return units


def _age(ground: Ground) -> Units:
    for key, age in zip(ground.train[:PLANTED], ("413", "148", "999Y"), strict=True):
        ground.copy.rewrite(key, tags={"PatientAge": age})
    return [{key} for key in ground.train[:PLANTED]]


def _sex(ground: Ground) -> Units:
    units = []
    for first, second in zip(ground.train[::2], ground.train[1::2], strict=False):
        for key, sex in ((first, "F"), (second, "M")):
            ground.copy.rewrite(key, tags={"PatientSex": sex})
            ground.copy.patients[key] = f"planted {first}"
        units.append({first, second})
        if len(units) == PLANTED:
            break
    return units


def _foreign(ground: Ground) -> Units:
    units = []
    for key, donor in zip(ground.positive[:PLANTED], ground.positive[::-1], strict=False):
        ground.copy.annotate(key, _fitting(ground, donor, key))
        units.append({key, donor})
    return units


def _remasked(ground: Ground, change: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]) -> Units:
    for key in ground.positive[:PLANTED]:
        size = ground.sizes[key]
        masks = [rle.decode(code, size) for code in ground.copy.codes(key)]
        ground.copy.annotate(key, [rle.encode(_at(change(mask), size)) for mask in masks])
    return [{key} for key in ground.positive[:PLANTED]]


def _below(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A box at the lower edge, below the lungs."""
    box = np.zeros_like(mask)
    rows, columns = mask.shape
    box[round(0.95 * rows) :, round(0.4 * columns) : round(0.6 * columns)] = True
    return box


def _unlabelled(ground: Ground) -> Units:
    for key in ground.train[:PLANTED]:
        ground.copy.annotate(key, [])
    return [{key} for key in ground.train[:PLANTED]]


def _lost(ground: Ground) -> Units:
    for key in ground.train[:1]:
        del ground.copy.images[key]
    return [{key} for key in ground.train[:1]]


def _repainted(ground: Ground, change: Callable[[Pixels], Pixels]) -> Units:
    for key in ground.train[:PLANTED]:
        ground.copy.rewrite(key, change=change)
    return [{key} for key in ground.train[:PLANTED]]


def _letter(pixels: Pixels) -> Pixels:
    """A bright P in the upper left corner, 5% of the picture high."""
    marked = pixels.copy()
    dot = max(round(0.05 * pixels.shape[0] / len(LETTER)), 1)
    letter = np.array([[sign == "#" for sign in line] for line in LETTER])
    bright = np.kron(letter, np.ones((dot, dot), bool))
    start = round(0.03 * min(pixels.shape))
    part = marked[start : start + bright.shape[0], start : start + bright.shape[1]]
    part[...] = np.where(bright, 1.0, 0.0)
    return marked


def _framed(pixels: Pixels) -> Pixels:
    """A black border of 6% on two sides."""
    framed = pixels.copy()
    width = round(0.06 * pixels.shape[1])
    framed[:, :width] = framed[:, -width:] = 0
    return framed


def _on_positives(ground: Ground, **changes: object) -> Units:
    for key in ground.positive:
        ground.copy.rewrite(key, **changes)
    return []


def _compressed(ground: Ground) -> Units:
    """All labelled images are written anew, since only the quality is to differ."""
    for keys, quality in ((ground.positive, 70), (ground.negative, 88)):
        for key in keys:
            ground.copy.rewrite(key, change=np.copy, quality=quality)
    return []


def _compressed_twice(ground: Ground) -> Units:
    """All labelled images are written anew with the same tables, the positive ones twice."""
    for key in (*ground.negative, *ground.positive, *ground.positive):
        ground.copy.rewrite(key, change=np.copy, quality=88)
    return []


def _device(ground: Ground) -> Units:
    for keys, maker in ((ground.copy.test, "Maker B"), (ground.train, "Maker A")):
        for key in keys:
            tags = {"Manufacturer": maker, "ManufacturerModelName": f"Model of {maker}"}
            ground.copy.rewrite(key, tags=tags)
    return []


_MASKS = check_masks.place_and_size
_ODD = check_pictures.odd_pictures
_LABEL = check_shortcuts.shortcuts
_SIGNS = frozenset({"burnt-in signs", *(f"burnt-in signs, {corner}" for corner in CORNERS)})

KINDS = (
    Kind("exact duplicate", check_duplicates.duplicates, _exact),
    Kind("near duplicate, cropped and compressed", check_duplicates.duplicates, _near),
    Kind("duplicate with the other label", check_duplicates.other_label, _other_label),
    Kind("duplicate in training and test set", check_duplicates.across_sets, _across),
    Kind("patient in both sets", check_people.both_sets, _patient),
    Kind("impossible age", check_people.ages, _age),
    Kind("wrong sex of a patient", check_people.one_person, _sex),
    Kind("mask of another image", check_masks.copied, _foreign),
    Kind("mask mirrored", check_masks.turned, lambda g: _remasked(g, lambda m: m[:, ::-1])),
    Kind("mask row-major", check_masks.turned, lambda g: _remasked(g, lambda m: m.T)),
    Kind("mask outside the lungs", _MASKS, lambda g: _remasked(g, _below)),
    Kind("mask of the whole image", _MASKS, lambda g: _remasked(g, np.ones_like)),
    Kind("unlabelled image", check_counts.unlabelled, _unlabelled),
    Kind("annotation without an image", check_counts.without_image, _lost),
    Kind("inverted image", _ODD, lambda g: _repainted(g, lambda p: 1 - p)),
    Kind("image upside down", _ODD, lambda g: _repainted(g, lambda p: p[::-1, ::-1])),
    Kind("blank image", check_counts.unreadable, lambda g: _repainted(g, np.zeros_like)),
    Kind("burnt-in P on positives", _LABEL, lambda g: _on_positives(g, change=_letter), _SIGNS),
    Kind(
        "positives of another JPEG quality",
        _LABEL,
        _compressed,
        frozenset({"JPEG quality", "JPEG tables"}),
    ),
    Kind(
        "positives compressed twice, with the same tables",
        _LABEL,
        _compressed_twice,
        frozenset({predictors.EARLIER}),
    ),
    Kind(
        "positives of another bit depth",
        _LABEL,
        lambda g: _on_positives(g, bits=12),
        frozenset({"bit depth (tag)", "number of grey levels"}),
    ),
    Kind(
        "borders on positives",
        _LABEL,
        lambda g: _on_positives(g, change=_framed),
        frozenset({"borders"}),
    ),
    Kind(
        "test set of another device",
        check_shift.shift,
        _device,
        frozenset({"manufacturer", "device model"}),
    ),
)
