"""From tissue to picture: Beer-Lambert, scatter, noise, display; and the truth beside it.

`phantom(seed)` draws a patient, an exposure and perhaps a pneumothorax, and returns the picture as
a scanner would hand it over (8 bits, air dark) with the exact mask and lung fields. The tissue maps
live on a drawing grid of 0.8 mm in the patient's own axes; one affine resampling turns, scales and
crops them to the image, where quantum noise and burnt-in text are added.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from features.phantom_devices import devices, folds
from features.phantom_patient import (
    Collapse,
    Exposure,
    Patient,
    Rng,
    child,
    sample_collapse,
    sample_exposure,
    sample_patient,
)
from features.phantom_skeleton import airways, skeleton
from features.phantom_strokes import PITCH, SIDE, draw, grid
from features.phantom_tissue import (
    MU_FAT,
    MU_MUSCLE,
    MU_WATER,
    Lung,
    lungs,
    pleural_line,
    rim,
    trunk,
    vessels,
)


@dataclass(frozen=True)
class Phantom:
    """A synthetic radiograph and the truth about it; arrays are (size, size).

    `pixels` is uint8, air dark; `mask` (pleural air), `right_lung` and `left_lung` are bool, the
    patient's right lung lying on the image's left.
    """

    pixels: np.ndarray
    mask: np.ndarray
    right_lung: np.ndarray
    left_lung: np.ndarray
    age: int
    sex: str
    view: str
    spacing_mm: float
    patient: Patient
    exposure: Exposure
    collapse: Collapse | None


def phantom(
    seed: int | np.random.SeedSequence,
    *,
    patient: int | np.random.SeedSequence | None = None,
    positives: float = 0.3,
    pneumothorax: bool | None = None,
    size: int = 1024,
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

    Returns
    -------
    Phantom
    """
    body_seed = child(seed, 0) if patient is None else child(patient, 0)
    body, exposure = sample_patient(child(body_seed, 0)), sample_exposure(child(seed, 1))
    if pneumothorax is None:
        pneumothorax = bool(np.random.default_rng(child(seed, 2)).random() < positives)
    collapse = sample_collapse(child(seed, 3)) if pneumothorax else None
    attenuation, (right, left) = _attenuate(body, exposure, collapse, body_seed, child(seed, 4))
    shown, contrast = _process(attenuation, exposure)
    placed = _place(shown, exposure, size)
    rng = np.random.default_rng(child(seed, 5))
    pixels = _expose(placed, contrast, exposure, rng)
    signed = _place(right.field - left.field, exposure, size)
    right_lung, left_lung = signed > 0.5, signed < -0.5
    mask = np.zeros_like(right_lung)
    if collapse is not None:
        lung, field = (right, right_lung) if collapse.side == "right" else (left, left_lung)
        mask = (_place(rim(lung), exposure, size) > 0.5) & field
    spacing = exposure.field_mm / size
    return Phantom(
        pixels, mask, right_lung, left_lung, body.age, body.sex, exposure.view, spacing, body,
        exposure, collapse,
    )  # fmt: skip


def _attenuate(
    patient: Patient,
    exposure: Exposure,
    collapse: Collapse | None,
    body_seed: np.random.SeedSequence,
    exposure_seed: np.random.SeedSequence,
) -> tuple[np.ndarray, tuple[Lung, Lung]]:
    """Line integral of attenuation (SIDE, SIDE) behind the patient, and the lung fields."""
    space, fields = lungs(patient, exposure, collapse)
    solid = trunk(patient, exposure)
    fat = np.minimum(2 * patient.wall * patient.fat, 0.6 * solid)
    density = patient.lung_density * (1 + 0.055 * _texture(np.random.default_rng(exposure_seed)))
    thin: list[np.ndarray] = []
    line: list[np.ndarray] = []
    for k, lung in enumerate(fields):
        density = _within(lung, collapse, density, exposure.haze[k])
        thin += vessels(lung, np.random.default_rng(child(body_seed, 1 + k)), patient)
        if collapse is not None and (collapse.side == "left") == (lung.sign > 0):
            line.append(pleural_line(lung, collapse))
    total = MU_MUSCLE * (solid - space) - (MU_MUSCLE - MU_FAT) * fat
    total += MU_WATER * density * space
    total += draw(thin) * np.clip(space / 50, 0, 1)
    rng = np.random.default_rng(child(exposure_seed, 1))
    total += folds(patient, exposure, rng) - MU_MUSCLE * _bubble(patient, exposure)
    total += draw([*skeleton(patient, exposure), *airways(exposure, patient), *line,
                   *devices(patient, exposure, rng)])  # fmt: skip
    return np.maximum(total, 0).astype(np.float32), fields


def _within(lung: Lung, collapse: Collapse | None, density: np.ndarray, haze: float) -> np.ndarray:
    """Density (g/cm3) along the rays through one lung: haze below, air in a pneumothorax."""
    _, y = grid()
    here = lung.sign * grid()[0] >= 0
    result = density + haze * np.clip((y + 20) / 90, 0, 1) * here
    if collapse is None or (collapse.side == "left") != (lung.sign > 0):
        return result
    gap = lung.reach_map - lung.edge_map
    share = lung.distance / np.maximum(lung.edge_map, 1)
    inner = 1 - np.square(np.square(np.square(np.minimum(share, 1))))
    mix = np.clip(gap / 6, 0, 1)
    filled = 1 - mix * collapse.air * (1 - np.sqrt(inner))
    dense = 1 + 0.5 * (1 - lung.edge_map / np.maximum(lung.reach_map, 1)) * (share < 1)
    beyond = np.where((share > 1) & (gap > 1), density.mean(), result)
    return np.where(here, filled * dense * beyond, result)


def _texture(rng: Rng) -> np.ndarray:
    """Smooth noise of about unit variance, coarse to fine: uneven aeration and interstitium."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for cell, share in ((112, 0.8), (35, 0.6), (10, 0.5), (4, 0.6), (2, 0.6)):
        coarse = rng.standard_normal((SIDE // cell + 1,) * 2, dtype=np.float32)
        fine = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        total += share * np.asarray(fine)
    return total


def _bubble(patient: Patient, exposure: Exposure) -> np.ndarray:
    """Chord (mm) through the stomach's bubble of air under the left dome."""
    x, y = grid()
    wide = max(exposure.gas, 1.0)
    low = patient.dome_left - exposure.inspiration + 10 + 0.45 * wide
    inside = 1 - ((x - 62) / wide) ** 2 - ((y - low) / (0.55 * wide)) ** 2
    return 1.6 * exposure.gas * np.sqrt(np.maximum(inside, 0))


def _shrunk_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with a wide sigma (drawing pixels), computed on an eighth of the grid."""
    small = image.reshape(SIDE // 8, 8, SIDE // 8, 8).mean((1, 3))
    small = ndimage.gaussian_filter(small, sigma / 8, mode="nearest")
    wide = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(wide)


def _process(attenuation: np.ndarray, exposure: Exposure) -> tuple[np.ndarray, float]:
    """Scatter, then the reader's processing: logarithm, flattened background, sharper detail."""
    primary = np.exp(-attenuation)
    scatter = _shrunk_blur(np.minimum(primary, 0.2), 60)
    inside = attenuation > 1.0
    level = primary[inside].mean() / scatter[inside].mean()
    log = -np.log(primary + exposure.scatter * level * scatter)
    log = np.maximum(log, 0)
    coarse, middle = _shrunk_blur(log, 40), _shrunk_blur(log, 9)
    fine = exposure.sharpening * (log - middle)
    return exposure.compression * coarse + 1.15 * (middle - coarse) + fine, exposure.sharpening


def _place(image: np.ndarray, exposure: Exposure, size: int) -> np.ndarray:
    """Turn, scale and crop from the drawing grid to (size, size)."""
    step = exposure.field_mm / size / PITCH
    cos, sin = np.cos(exposure.angle) * step, np.sin(exposure.angle) * step
    middle = (size - 1) / 2
    x = (SIDE - 1) / 2 + exposure.shift[0] / PITCH - cos * middle - sin * middle
    y = (SIDE - 1) / 2 + exposure.shift[1] / PITCH + sin * middle - cos * middle
    matrix = (cos, sin, x + 0.5 - 0.5 * (cos + sin), -sin, cos, y + 0.5 - 0.5 * (cos - sin))
    placed = Image.fromarray(image).transform(
        (size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(placed)


def _curve(level: np.ndarray) -> np.ndarray:
    """The S-shaped characteristic of film that displays imitate; 0..1 to 0..1."""
    bend = 1 / (1 + np.exp(-5.0 * (level - 0.55)))
    low, high = 1 / (1 + np.exp(5.0 * 0.55)), 1 / (1 + np.exp(-5.0 * 0.45))
    return (bend - low) / (high - low)


def _expose(placed: np.ndarray, contrast: float, exposure: Exposure, rng: Rng) -> np.ndarray:
    """Add quantum noise, apply the display curve and burn in text and collimation: uint8."""
    size = placed.shape[0]
    noise = rng.standard_normal((size + 1, size + 1), dtype=np.float32)
    noise = noise[1:] + noise[:-1]
    noise = noise[:, 1:] + noise[:, :-1]
    noise *= np.exp(0.5 * placed)
    low, high = np.percentile(placed[::8, ::8], (3, 98.5))
    width = high - low + 0.04
    low = low - 0.02 + exposure.window[0] * width
    width *= 1 + exposure.window[1]
    noise *= contrast * 0.25 / np.sqrt(1000 * exposure.photons)
    noise += placed
    noise -= low
    noise *= 4095 / width
    tone = np.rint(238 * _curve(np.linspace(0, 1, 4096)) ** exposure.gamma).astype(np.uint8)
    pixels = tone[np.clip(noise, 0, 4095, out=noise).astype(np.uint16)]
    return _burn_in(pixels, exposure, rng, size)


def _burn_in(pixels: np.ndarray, exposure: Exposure, rng: Rng, size: int) -> np.ndarray:
    """Draw the side marker and the collimator's black rim."""
    picture = Image.fromarray(pixels)
    font = ImageFont.load_default(float(rng.uniform(0.028, 0.042)) * size)
    label = Image.new("L", (size // 8, size // 8))
    ImageDraw.Draw(label).multiline_text((size // 40, size // 60), exposure.marker, 255, font=font)
    label = label.rotate(float(rng.normal(0, 6)))
    left = rng.uniform(0.02, 0.08) if exposure.marker[0] == "R" else rng.uniform(0.86, 0.92)
    top = rng.uniform(0.02, 0.12)
    white = Image.new("L", label.size, int(rng.uniform(225, 255)))
    picture.paste(white, (int(left * size), int(top * size)), label)
    out = np.array(picture)
    rims = [round(share * size) for share in exposure.collimation]
    out[: rims[0]] = 0
    out[size - rims[1] :] = 0
    out[:, : rims[2]] = 0
    out[:, size - rims[3] :] = 0
    return out
