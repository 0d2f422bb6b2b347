"""A phantom: its image, from tissue to grey levels, and the truth about it.

`phantom(seed)` draws a patient, an exposure, other findings and perhaps a pneumothorax. It returns
the image as a scanner gives it (8 bits, air dark) with the exact mask and the lung fields. The
attenuation of all tissue is summed on a drawing grid of 0.8 mm in the patient's axes;
`features.phantom.display` turns it into the image.
"""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from PIL import Image

from features.lungs import zones
from features.lungs.fields import LungFields
from features.phantom.abdomen import gas
from features.phantom.anatomy import Patient, sample_patient
from features.phantom.collapse import Collapse, sample_collapse
from features.phantom.display import expose, place, place_share, process
from features.phantom.exposure import Exposure, sample_exposure
from features.phantom.lung_shape import Lung, lungs, side_share
from features.phantom.other_findings import (
    Findings,
    above_fluid,
    added_water,
    air_under_skin,
    bullae_density,
    effusions,
    sample_findings,
    skin_folds,
    walls_and_creases,
)
from features.phantom.pneumothorax import density_with_air, pleural_air, pleural_line
from features.phantom.skeleton import airways, skeleton
from features.phantom.streams import DIFFICULTY, Rng, child
from features.phantom.strokes import SIDE, draw, grid
from features.phantom.tissue import MU_FAT, MU_MUSCLE, MU_WATER, trunk
from features.phantom.tubes import wires_and_tubes
from features.phantom.vessels import vessels

# Standard deviations of noise in squares of 64, 32 .. 1 drawing pixels: anatomical noise, its power
# falling with frequency (Burgess, Jacobson and Judy, Med Phys 28:419, 2001). Its strength was
# fitted to band-pass energies in the lungs of X-rays without pneumothorax. The finest two are
# weaker: in X-rays so fine a texture is noise of the detector, which pleural air does not change.
OCTAVES = (0.9, 0.6, 0.55, 0.5, 0.45, 0.35, 0.15)
UNEVEN = 0.105  # standard deviation of lung density by this noise, share of the mean
CHORD = 110.0  # mm, the chord of the lungs at which it is so large
STRANDS = 0.005  # standard deviation of the trunk's fat and muscle, share of the mean


@dataclass(frozen=True)
class Subject:
    """What the rays meet: a patient, as positioned, with disease."""

    patient: Patient
    exposure: Exposure
    findings: Findings
    collapse: Collapse | None


@dataclass(frozen=True)
class Phantom:
    """A synthetic X-ray and the truth about it; arrays are (size, size).

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
    # Coverage by the right lung minus coverage by the left, on the drawing grid.
    signed_field: np.ndarray = field(repr=False)
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
        """Where the lungs' vessels attenuate more than two millimetres of muscle."""
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
        # Computed when first needed, since not every dataset holds lung fields.
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
        Whether there is a pneumothorax, whatever `positives` says. Everything else is the same.
    size : int
        Side of the image in pixels.
    difficulty : float
        0 (thick pleural lines, much air, no look-alikes) to 1 (slivers, and many of them).
    drained : float
        Probability that a pneumothorax has a chest drain because of it, 0..1; drains for other
        reasons come on top. A confounder, off by default.

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
    attenuation, (right, left), branches = attenuate(subject, body_seed, child(seed, 4))
    placed = place(process(attenuation, exposure), exposure, size)
    pixels = expose(placed, exposure, np.random.default_rng(child(seed, 5)))
    mask = np.zeros((size, size), bool)
    if collapse is not None:
        lung = right if collapse.side == "right" else left
        air = pleural_air(lung) * above_fluid(findings, lung, exposure.pose)
        mask = place_share(air, exposure, size) > 0.5
    return Phantom(
        pixels, mask, body.age, body.sex, exposure.view, exposure.field_mm / size, body, exposure,
        findings, collapse, right.field - left.field, branches,
    )  # fmt: skip


def _with_drain(exposure: Exposure, side: str) -> Exposure:
    """The same exposure with a drain on one side."""
    right, left = exposure.drain
    return replace(exposure, drain=(right or side == "right", left or side == "left"))


def attenuate(
    subject: Subject, body_seed: np.random.SeedSequence, exposure_seed: np.random.SeedSequence
) -> tuple[np.ndarray, tuple[Lung, Lung], list[np.ndarray]]:
    """Line integral of attenuation (SIDE, SIDE); the lungs (right, left); strokes of their vessels.

    `body_seed` is that of the anatomy, `exposure_seed` that of whatever is new in each image.
    """
    patient, exposure = subject.patient, subject.exposure
    space, fields = lungs(patient, exposure, subject.collapse)
    solid = trunk(patient, exposure)
    texture = _texture(np.random.default_rng(exposure_seed))
    # Turned by 90 degrees, the same noise does not correlate with that of the lungs.
    solid *= 1 + STRANDS * texture.T
    fat = np.minimum(2 * patient.wall * patient.fat, 0.6 * solid)
    density = _density(subject, fields, texture, space)
    bone_rng = np.random.default_rng(child(body_seed, 3))
    strokes = [*skeleton(patient, exposure, bone_rng), *airways(exposure, patient)]
    finding_rng = np.random.default_rng(child(exposure_seed, 2))
    strokes += walls_and_creases(subject.findings, fields, patient, finding_rng)
    strokes += air_under_skin(subject.findings, patient, finding_rng)
    branches = []
    for k, lung in enumerate(fields):
        vessel_rng = np.random.default_rng(child(body_seed, 1 + k))
        branches += vessels(lung, vessel_rng, patient, space, exposure.pose)
        if lung.collapse is not None:
            strokes.append(pleural_line(lung))
    total = MU_MUSCLE * (solid - space) - (MU_MUSCLE - MU_FAT) * fat
    total += MU_WATER * np.minimum(density, 1.0) * space
    tube_rng = np.random.default_rng(child(exposure_seed, 1))
    total += skin_folds(patient, exposure, tube_rng)
    gas_rng = np.random.default_rng(child(exposure_seed, 3))
    total -= MU_MUSCLE * gas(patient, exposure, subject.collapse, gas_rng)
    total += draw(strokes + branches + wires_and_tubes(patient, exposure, tube_rng))
    return np.maximum(total, 0).astype(np.float32), fields, branches


def _density(
    subject: Subject, fields: tuple[Lung, Lung], texture: np.ndarray, space: np.ndarray
) -> np.ndarray:
    """Density (g/cm3) along the rays through the lungs with all findings, (SIDE, SIDE)."""
    findings = subject.findings
    # The sum of many independent parts along the ray varies with the root of their number.
    uneven = UNEVEN * np.sqrt(CHORD / np.maximum(space, 0.15 * CHORD))
    uneven = uneven * findings.coarseness
    density = subject.patient.lung_density * np.maximum(1 + uneven * texture, 0.1)
    density += added_water(findings, fields, texture)
    density *= bullae_density(findings, fields)
    for k, lung in enumerate(fields):
        density = _through_lung(lung, density, subject.exposure, k)
    density += effusions(findings, fields, subject.exposure.pose)
    return density


def _through_lung(lung: Lung, density: np.ndarray, exposure: Exposure, k: int) -> np.ndarray:
    """The density with slopes, haze and pleural air of lung `k` (0 right, 1 left)."""
    x, y = grid()
    down, out = exposure.aeration[k]
    uneven = 1 + exposure.perfusion[k] + down * (y - lung.hilum[1]) / 100
    uneven = uneven + out * lung.sign * (x - lung.hilum[0]) / 60
    within = density * np.maximum(uneven, 0.4)
    within += exposure.haze[k] * np.clip((y + 20) / 90, 0, 1)
    return density + side_share(lung) * (density_with_air(lung, within) - density)


def _texture(rng: Rng) -> np.ndarray:
    """Anatomical noise (SIDE, SIDE) of mean 0, no unit: the sum of all `OCTAVES`."""
    total = np.zeros((SIDE >> len(OCTAVES),) * 2, np.float32)
    for k, share in enumerate(OCTAVES):
        side = SIDE >> (len(OCTAVES) - 1 - k)
        wide = Image.fromarray(total).resize((side, side), Image.Resampling.BICUBIC)
        total = share * rng.standard_normal((side, side), dtype=np.float32)
        total += np.asarray(wide)
    return total
