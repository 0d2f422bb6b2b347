"""From attenuation to image: scatter, the detector's processing, quantum noise, display, markers.

The drawing grid lies in the patient's axes. One affine, bicubic resampling turns, scales and crops
it to the image. Noise is added to the image, pixel by pixel.
"""

import numpy as np
from numba import njit
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage, special

from features.phantom.exposure import Exposure
from features.phantom.streams import Rng
from features.phantom.strokes import PITCH, SIDE

TONES = 4096  # steps of the tabulated display curve


def process(attenuation: np.ndarray, exposure: Exposure) -> np.ndarray:
    """Blur and scatter, then processing: logarithm, flatter background, sharper detail.

    Parameters
    ----------
    attenuation : (SIDE, SIDE) array of float32
        Line integrals, no unit.

    Returns
    -------
    (SIDE, SIDE) array of float32
        Values to display, high for dense tissue.
    """
    primary = ndimage.gaussian_filter(np.exp(-attenuation), exposure.blur / PITCH, truncate=2.5)
    scatter = _shrunk_blur(np.minimum(primary, 0.2), 60)
    inside = attenuation > 1.0
    level = primary[inside].mean() / scatter[inside].mean()
    log = np.maximum(-np.log(primary + exposure.scatter * level * scatter), 0)
    coarse, middle = _shrunk_blur(log, 40), _shrunk_blur(log, 9)
    fine = exposure.sharpening * (log - middle)
    return exposure.compression * coarse + 0.95 * (middle - coarse) + fine


def _shrunk_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with a wide sigma (drawing pixels), computed on an eighth of the grid."""
    small = image.reshape(SIDE // 8, 8, SIDE // 8, 8).mean((1, 3))
    small = ndimage.gaussian_filter(small, sigma / 8, mode="nearest")
    wide = Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(wide)


def _frame(exposure: Exposure, size: int) -> tuple[float, float, float, float]:
    """Cosine and sine (in drawing pixels a pixel), and the place of the image's first pixel."""
    step = exposure.field_mm / size / PITCH
    cos, sin = np.cos(exposure.angle) * step, np.sin(exposure.angle) * step
    middle = (size - 1) / 2
    x = (SIDE - 1) / 2 + exposure.shift[0] / PITCH - cos * middle - sin * middle
    y = (SIDE - 1) / 2 + exposure.shift[1] / PITCH + sin * middle - cos * middle
    return float(cos), float(sin), float(x), float(y)


def place(image: np.ndarray, exposure: Exposure, size: int) -> np.ndarray:
    """Turn, scale and crop from the drawing grid (SIDE, SIDE) to (size, size), bicubic, float32.

    In two passes, rows before columns (Catmull and Smith, SIGGRAPH 1980).
    """
    frame = _frame(exposure, size)
    rows = _along_rows(np.ascontiguousarray(image, np.float32), size, *frame)
    return _along_columns(rows, size, *frame)


def place_share(share: np.ndarray, exposure: Exposure, size: int) -> np.ndarray:
    """The same for shares of pixels, but bilinear: the result stays in the range of the input."""
    cos, sin, x, y = _frame(exposure, size)
    matrix = (cos, sin, x + 0.5 - 0.5 * (cos + sin), -sin, cos, y + 0.5 - 0.5 * (cos - sin))
    placed = Image.fromarray(share.astype(np.float32)).transform(
        (size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    return np.asarray(placed)


@njit(cache=True)
def _weights(t):  # type: ignore[no-untyped-def]
    """Catmull-Rom weights of the four pixels around a point, `t` (0..1) beyond the second."""
    half, u = np.float32(0.5), np.float32(1) - t
    return (
        -half * t * u * u,
        u * (np.float32(1) + t - np.float32(1.5) * t * t),
        t * (np.float32(1) + u - np.float32(1.5) * u * u),
        -half * u * t * t,
    )


@njit(cache=True)
def _along_rows(image, size, cos, sin, x0, y0):  # type: ignore[no-untyped-def]
    """Each row of the drawing grid at the x where the image's columns cross it; (SIDE, size)."""
    side = image.shape[0]
    placed = np.empty((side, size), np.float32)
    for row in range(side):
        for column in range(size):
            x = x0 + cos * column + sin * (row - y0 + sin * column) / cos
            x = min(max(x, 1.0), side - 3.0)
            left = int(x)
            a, b, c, d = _weights(np.float32(x - left))
            line = image[row, left - 1 : left + 3]
            placed[row, column] = a * line[0] + b * line[1] + c * line[2] + d * line[3]
    return placed


@njit(cache=True)
def _along_columns(rows, size, cos, sin, x0, y0):  # type: ignore[no-untyped-def]
    """The columns of these rows at the y of the image's pixels; (size, size)."""
    side = rows.shape[0]
    placed = np.empty((size, size), np.float32)
    for row in range(size):
        for column in range(size):
            y = min(max(y0 - sin * column + cos * row, 1.0), side - 3.0)
            top = int(y)
            a, b, c, d = _weights(np.float32(y - top))
            placed[row, column] = (
                a * rows[top - 1, column]
                + b * rows[top, column]
                + c * rows[top + 1, column]
                + d * rows[top + 2, column]
            )
    return placed


def _curve(level: np.ndarray) -> np.ndarray:
    """The S-shaped characteristic curve of film, which displays imitate; 0..1 to 0..1."""
    bend, low, high = (special.expit(5.0 * (at - 0.48)) for at in (level, 0.0, 1.0))
    return (bend - low) / (high - low)


def expose(placed: np.ndarray, exposure: Exposure, rng: Rng) -> np.ndarray:
    """Add quantum noise, apply the display curve and burn in text and collimation.

    Parameters
    ----------
    placed : (size, size) array of float32
        As `place` gives it.

    Returns
    -------
    (size, size) array of uint8
    """
    size = placed.shape[0]
    noise = rng.standard_normal((size + 1, size + 1), dtype=np.float32)
    low, high = np.percentile(placed[::8, ::8], (3, 98.5))
    width = high - low + 0.04
    low = low - 0.02 + exposure.window[0] * width
    width *= 1 + exposure.window[1]
    # Poisson: the relative noise of the photons that pass the patient. The factor was chosen so
    # that models that learn from phantoms do well on real X-rays.
    grain = exposure.sharpening * 0.55 / np.sqrt(1000 * exposure.photons)
    curve = _curve(np.linspace(0, 1, TONES))
    tone = np.rint(exposure.white * curve**exposure.gamma).astype(np.uint8)
    pixels = _tones(placed, noise, np.float32(grain), low, (TONES - 1) / width, tone)
    return _burn_in(pixels, exposure, rng, size)


@njit(cache=True)
def _tones(placed, noise, grain, low, scale, tone):  # type: ignore[no-untyped-def]
    """Grey levels of the image, with noise that four neighbouring detector elements share."""
    pixels = np.empty(placed.shape, np.uint8)
    last = tone.size - 1
    for row in range(placed.shape[0]):
        for column in range(placed.shape[1]):
            value = placed[row, column]
            shared = noise[row, column] + noise[row, column + 1]
            shared += noise[row + 1, column] + noise[row + 1, column + 1]
            value += grain * shared * np.exp(np.float32(0.5) * value)
            pixels[row, column] = tone[int(min(max((value - low) * scale, 0), last))]
    return pixels


def _burn_in(pixels: np.ndarray, exposure: Exposure, rng: Rng, size: int) -> np.ndarray:
    """Draw the side marker, further text, and the collimator's black rim."""
    picture = Image.fromarray(pixels)
    left = rng.uniform(0.02, 0.08) if exposure.marker[0] == "R" else rng.uniform(0.86, 0.92)
    _write(picture, exposure.marker, (left, rng.uniform(0.02, 0.12)), rng, (0.035, 0.06))
    for text in exposure.captions:
        # Beside the chest, or at the upper or lower border: text does not cover the lungs.
        beside = rng.random() < 0.5
        across = rng.choice([0.0, 0.84]) + rng.uniform(0, 0.03) if beside else rng.uniform(0, 0.8)
        at = (across, rng.uniform(0.1, 0.85) if beside else rng.choice([0.0, 0.9]))
        _write(picture, text, at, rng, (0.02, 0.032))
    burnt = np.array(picture)
    rims = [round(share * size) for share in exposure.collimation]
    burnt[: rims[0]] = 0
    burnt[size - rims[1] :] = 0
    burnt[:, : rims[2]] = 0
    burnt[:, size - rims[3] :] = 0
    return burnt


def _write(
    picture: Image.Image,
    text: str,
    at: tuple[float, float],
    rng: Rng,
    heights: tuple[float, float],
) -> None:
    """Write white text, turned a little, at `at` (x, y as shares of the side)."""
    size = picture.width
    font = ImageFont.load_default(float(rng.uniform(*heights)) * size)
    label = Image.new("L", (size // 4, size // 6))
    ImageDraw.Draw(label).multiline_text((size // 40, size // 60), text, 255, font=font)
    label = label.rotate(float(rng.normal(0, 6)))
    white = Image.new("L", label.size, int(rng.uniform(225, 255)))
    picture.paste(white, (int(at[0] * size), int(at[1] * size)), label)
