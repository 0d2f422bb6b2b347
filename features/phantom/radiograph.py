"""From tissue to picture: Beer-Lambert, scatter, noise, display; and the truth beside it.

`phantom(seed)` draws a patient, an exposure and perhaps a pneumothorax, and returns the picture as
a scanner would hand it over (8 bits, air dark) with the exact mask and lung fields. The tissue maps
live on a drawing grid of 0.8 mm in the patient's own axes; one affine resampling turns, scales and
crops them to the image, where quantum noise and burnt-in text are added.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from PIL import Image

from features.lungs import zones
from features.lungs.fields import LungFields
from features.phantom.abdomen import gas
from features.phantom.tubes import devices, folds
from features.phantom.display import expose, place, place_share, process
from features.phantom.other_findings import (
    Findings,
    dry,
    emptied,
    fluid,
    lines,
    sample_findings,
    under_the_skin,
    water,
)
from features.phantom.lung_shape import Lung, aerated, lungs, pleural_air, pleural_line, share_of, vessels
from features.phantom.anatomy import (
    DIFFICULTY,
    Collapse,
    Exposure,
    Patient,
    Rng,
    child,
    sample_collapse,
    sample_exposure,
    sample_patient,
)
from features.phantom.skeleton import airways, skeleton
from features.phantom.strokes import SIDE, draw, grid
from features.phantom.tissue import MU_FAT, MU_MUSCLE, MU_WATER, trunk

# Standard deviations of noise in cells of 64, 32 .. 1 drawing pixels: anatomical noise, its power
# falling with frequency (Burgess, Jacobson and Judy, Med Phys 28:419, 2001). How strong it is was
# fitted to band-pass energies in the lungs of X-rays without pneumothorax; but the finest two are
# weaker, since in X-rays so fine a texture is the detector's noise, which air does not change.
OCTAVES = (0.9, 0.6, 0.55, 0.5, 0.45, 0.35, 0.15)
UNEVEN = 0.105  # standard deviation of lung density by these octaves, share of the mean
CHORD = 110.0  # mm, the chord of the lungs at which they vary by so much
STRANDS = 0.005  # the same of the trunk's fat and muscle


@dataclass(frozen=True)
class Subject:
    """Whom and what the rays meet."""

    patient: Patient
    exposure: Exposure
    findings: Findings
    collapse: Collapse | None


@dataclass(frozen=True)
class Phantom:
    """A synthetic radiograph and the truth about it; arrays are (size, size).

    `pixels` is uint8, air dark; `mask` (pleural air), `right_lung` and `left_lung` are bool, the
    patient's right lung lying on the image's left.
    """

    pixels: np.ndarray
    mask: np.ndarray
    age: int
    sex: str
    view: str
    spacing_mm: float
    patient: Patient
    exposure: Exposure
    findings: Findings
    collapse: Collapse | None
    signed_field: np.ndarray = field(repr=False)  # of the lungs, right positive; drawing grid
    vessel_strokes: list[np.ndarray] = field(repr=False)

    @cached_property
    def right_lung(self) -> np.ndarray:
        """The right lung's field, pleural air included."""
        return self._shares > 0.5

    @cached_property
    def left_lung(self) -> np.ndarray:
        """The left lung's field, pleural air included."""
        return self._shares < -0.5

    @cached_property
    def vessels(self) -> np.ndarray:
        """Where the lungs' vessels are as dense as two millimetres of muscle, or denser."""
        return place_share(draw(self.vessel_strokes), self.exposure, self._size) > 2 * MU_MUSCLE

    @cached_property
    def zones(self) -> np.ndarray:
        """Zone of each pixel, uint8: 0 outside the lungs, then each lung's ten, the right first.

        They are those of `zones.FINEST_NAMES`, from the apex's rim and core down to the base's.
        """
        finest = zones.build(LungFields(self.right_lung, self.left_lung, 1.0)).finest
        number = np.zeros(len(zones.NAMES) + 1, np.uint8)  # the last for -1, outside
        for k, name in enumerate(zones.FINEST_NAMES):
            number[zones.NAMES.index(name)] = k + 1
        return number[finest]

    @property
    def _size(self) -> int:
        return len(self.pixels)

    @cached_property
    def _shares(self) -> np.ndarray:
        # Placed only where it is asked for, since not every dataset holds lung fields.
        return place_share(self.signed_field, self.exposure, self._size)


def phantom(
    seed: int | np.random.SeedSequence,
    *,
    patient: int | np.random.SeedSequence | None = None,
    positives: float = 0.3,
    pneumothorax: bool | None = None,
    size: int = 1024,
    difficulty: float = DIFFICULTY,
    drained: float = 0.0,
) -> Phantom:
    """Draw one phantom; the same arguments give the same bytes, on any number of processes.

    Parameters
    ----------
    seed : int or SeedSequence
        Seed of the exposure, the disease and, unless `patient` is given, the anatomy.
    patient : int or SeedSequence, optional
        Seed of the anatomy: images with the same one show the same person.
    positives : float
        Probability of a pneumothorax, 0..1.
    pneumothorax : bool, optional
        Force one or none; everything else stays as `seed` has it.
    size : int
        Side of the image in pixels.
    difficulty : float
        0 (thick pleural lines, much air, no look-alikes) to 1 (slivers, and many of them).
    drained : float
        Probability that a pneumothorax has a chest drain in place, beyond the drains that have
        nothing to do with it, 0..1. A confounder, off by default.

    Returns
    -------
    Phantom
    """
    body_seed = child(seed, 0) if patient is None else child(patient, 0)
    body = sample_patient(child(body_seed, 0))
    exposure = sample_exposure(child(seed, 1), difficulty)
    findings = sample_findings(child(seed, 6), difficulty)
    if pneumothorax is None:
        pneumothorax = bool(np.random.default_rng(child(seed, 2)).random() < positives)
    collapse = None
    if pneumothorax:
        collapse = sample_collapse(child(seed, 3), difficulty, exposure.pose)
    if collapse is not None and np.random.default_rng(child(seed, 7)).random() < drained:
        exposure = _with_drain(exposure, collapse.side)
    subject = Subject(body, exposure, findings, collapse)
    attenuation, (right, left), branches = _attenuate(subject, body_seed, child(seed, 4))
    placed = place(process(attenuation, exposure), exposure, size)
    pixels = expose(placed, exposure, np.random.default_rng(child(seed, 5)))
    mask = np.zeros((size, size), bool)
    if collapse is not None:
        lung = right if collapse.side == "right" else left
        air = pleural_air(lung) * dry(findings, lung, exposure.pose)
        mask = place_share(air, exposure, size) > 0.5
    return Phantom(
        pixels, mask, body.age, body.sex, exposure.view, exposure.field_mm / size, body, exposure,
        findings, collapse, right.field - left.field, branches,
    )  # fmt: skip


def _with_drain(exposure: Exposure, side: str) -> Exposure:
    """The same exposure with a drain on one side."""
    right, left = exposure.drain
    return replace(exposure, drain=(right or side == "right", left or side == "left"))


def _attenuate(
    subject: Subject, body_seed: np.random.SeedSequence, exposure_seed: np.random.SeedSequence
) -> tuple[np.ndarray, tuple[Lung, Lung], list[np.ndarray]]:
    """Line integral of attenuation (SIDE, SIDE) behind the patient; lung fields and vessels."""
    patient, exposure = subject.patient, subject.exposure
    space, fields = lungs(patient, exposure, subject.collapse)
    solid = trunk(patient, exposure)
    texture = _texture(np.random.default_rng(exposure_seed))
    # Turned by a quarter, the same noise is a stranger to the lungs'.
    solid *= 1 + STRANDS * texture.T
    fat = np.minimum(2 * patient.wall * patient.fat, 0.6 * solid)
    # What many independent cells along the ray add up to varies with the root of their number.
    uneven = UNEVEN * np.sqrt(CHORD / np.maximum(space, 0.15 * CHORD))
    uneven = uneven * subject.findings.coarseness
    density = patient.lung_density * np.maximum(1 + uneven * texture, 0.1)
    density += water(subject.findings, fields, texture)
    density *= emptied(subject.findings, fields)
    rng = np.random.default_rng(child(exposure_seed, 1))
    own = np.random.default_rng(child(body_seed, 3))
    strokes = [*skeleton(patient, exposure, own), *airways(exposure, patient)]
    drawn = np.random.default_rng(child(exposure_seed, 2))
    strokes += lines(subject.findings, fields, patient, drawn)
    strokes += under_the_skin(subject.findings, patient, drawn)
    branches = []
    for k, lung in enumerate(fields):
        density = _within(lung, density, exposure, k)
        course = np.random.default_rng(child(body_seed, 1 + k))
        branches += vessels(lung, course, patient, space, exposure.pose)
        if lung.collapse is not None:
            strokes.append(pleural_line(lung))
    density += fluid(subject.findings, fields, exposure.pose)
    total = MU_MUSCLE * (solid - space) - (MU_MUSCLE - MU_FAT) * fat
    total += MU_WATER * np.minimum(density, 1.0) * space
    total += folds(patient, exposure, rng)
    loops = np.random.default_rng(child(exposure_seed, 3))
    total -= MU_MUSCLE * gas(patient, exposure, subject.collapse, loops)
    total += draw(strokes + branches + devices(patient, exposure, rng))
    return np.maximum(total, 0).astype(np.float32), fields, branches


def _within(lung: Lung, density: np.ndarray, exposure: Exposure, k: int) -> np.ndarray:
    """Density (g/cm3) along the rays through the `k`-th lung: slopes, haze below, pleural air."""
    x, y = grid()
    down, out = exposure.aeration[k]
    uneven = 1 + exposure.perfusion[k] + down * (y - lung.hilum[1]) / 100
    uneven = uneven + out * lung.sign * (x - lung.hilum[0]) / 60
    result = density * np.maximum(uneven, 0.4)
    result += exposure.haze[k] * np.clip((y + 20) / 90, 0, 1)
    return density + share_of(lung) * (aerated(lung, result) - density)


def _texture(rng: Rng) -> np.ndarray:
    """Smooth noise (SIDE, SIDE), coarse to fine: uneven aeration, interstitium, strands."""
    total = np.zeros((SIDE >> len(OCTAVES),) * 2, np.float32)
    for k, share in enumerate(OCTAVES):
        side = SIDE >> (len(OCTAVES) - 1 - k)
        wide = Image.fromarray(total).resize((side, side), Image.Resampling.BICUBIC)
        total = share * rng.standard_normal((side, side), dtype=np.float32)
        total += np.asarray(wide)
    return total
