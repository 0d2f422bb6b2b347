"""The contract of a feature family: what it measures where, and the functions that measure it.

Each family's module defines one `FAMILY`; `features.families.registry` lists them. A feature is
named ``family.zone.measure``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.lungs.prepared import Prepared
from features.lungs.zones import SIDES, ZONES
from features.reading.study import Study

# (zones of both lungs, measures), right lung first.
ZoneFunction = Callable[[Prepared], NDArray[np.float64]]
# A number for each measure of the image as a whole.
ImageFunction = Callable[[Prepared, Study], tuple[float, ...]]


@dataclass(frozen=True)
class Measure:
    """What a family measures in each of its zones.

    Parameters
    ----------
    name : str
        Last part of the feature's name.
    text : str
        What it is and what moves it, as half a sentence.
    unit : str
        Unit, or empty for a pure number.
    """

    name: str
    text: str
    unit: str


@dataclass(frozen=True)
class Family:
    """A feature family.

    Parameters
    ----------
    name : str
        First part of its features' names.
    measures : tuple of Measure
        Measured in each zone of each lung, and compared between the lungs.
    measure_zones : callable, optional
        Takes a `Prepared` to a (zones, measures) array with the zones of the right lung first;
        missing where no zone is measured or the family is learned.
    zones : tuple of str
        The zones of each lung that it measures.
    lung_measures : tuple of Measure
        Of each lung as a whole, beside those of the zones; no pair is compared.
    image_measures : tuple of Measure
        Of the image as a whole.
    measure_image : callable, optional
        Takes a `Prepared` and a `Study` to one number for each of `image_measures`. A family that
        has it is given the whole image; the others are given the lungs and what is near them.
    """

    name: str
    measures: tuple[Measure, ...] = ()
    measure_zones: ZoneFunction | None = None
    zones: tuple[str, ...] = ZONES
    lung_measures: tuple[Measure, ...] = ()
    image_measures: tuple[Measure, ...] = ()
    measure_image: ImageFunction | None = None

    @cached_property
    def by_name(self) -> dict[str, Measure]:
        """Every measure by its name."""
        every = (*self.measures, *self.lung_measures, *self.image_measures)
        return {measure.name: measure for measure in every}

    @cached_property
    def zone_names(self) -> tuple[str, ...]:
        """Names of the zones' features: right before left, zone by zone, measure by measure."""
        return tuple(
            f"{self.name}.{side}_{zone}.{measure.name}"
            for side in SIDES
            for zone in self.zones
            for measure in self.measures
        )

    @cached_property
    def pair_names(self) -> tuple[str, ...]:
        """Names of the features that compare the zones of the right and the left lung."""
        return tuple(
            f"asymmetry.{zone}.{self.name}_{measure.name}"
            for zone in self.zones
            for measure in self.measures
        )

    @cached_property
    def lung_names(self) -> tuple[str, ...]:
        """Names of the features of each lung as a whole."""
        return tuple(
            f"{self.name}.{side}_whole.{measure.name}"
            for side in SIDES
            for measure in self.lung_measures
        )

    @cached_property
    def image_names(self) -> tuple[str, ...]:
        """Names of the features of the image as a whole."""
        return tuple(f"{self.name}.image.{measure.name}" for measure in self.image_measures)
