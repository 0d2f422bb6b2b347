"""What drawings are made of: ellipses and rods that attenuate, noise of all scales, a film's curve.

x and y run from -1 to 1, y down; air is dark.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIDE = 128  # pixels
Picture = NDArray[np.floating]  # (SIDE, SIDE)
Rng = np.random.Generator


def clouds(rng: Rng, slope: float) -> Picture:
    """Noise whose amplitude falls with frequency by a power, as in photographs."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / frequency**slope
    return np.real(np.fft.ifft2(spectrum)).astype(np.float32)


def axes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x (1, SIDE) and y (SIDE, 1), -1 to 1."""
    at = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    return at[None, :], at[:, None]


def ellipse(centre: object, size: object, angle: float) -> Picture:
    """A soft ellipse: 1 inside, 0 outside, and a chord like a ball's towards the rim."""
    (cx, cy), (a, b) = np.asarray(centre, float), np.asarray(size, float)
    x, y = axes()
    across = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    down = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    return np.clip(4 * (1 - (across / a) ** 2 - (down / b) ** 2), 0, 1) ** 0.7


def turned(place: object, tilt: float) -> Picture:
    """A place (x, y), or several as (2, n), turned about the middle by an angle in radians."""
    x, y = np.asarray(place, float)
    return np.array([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)])


def rod(start: object, end: object, radius: float, tilt: float) -> Picture:
    """A round rod between two places, after a turn by `tilt`: the chord through it, 0 to 1."""
    return np.sqrt(np.clip(1 - (_distance(start, end, tilt) / radius) ** 2, 0, 1))


def bone(start: object, end: object, radius: float, tilt: float) -> Picture:
    """A shaft with a bright cortex."""
    ratio = _distance(start, end, tilt) / radius
    return 0.35 * (ratio < 1) + 0.35 * np.exp(-(((ratio - 0.8) / 0.2) ** 2))


def _distance(start: object, end: object, tilt: float) -> Picture:
    (ax, ay), (bx, by) = turned(start, tilt), turned(end, tilt)
    x, y = axes()
    length = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9)
    share = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1)
    return np.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay))


def vertebrae(at: float, top: float, bottom: float, width: float, rng: Rng) -> Picture:
    """A column of vertebrae at x = `at`, from y = `top` to `bottom`; `width` is half of one's."""
    step = width * 1.25
    total = np.zeros((SIDE, SIDE))
    for place in np.arange(top, bottom, step):
        total += 0.35 * ellipse((at + rng.normal(0, 0.01), place), (width, 0.42 * step), 0.0)
    return total


def magnified(picture: Picture, factor: float, centre: tuple[float, float]) -> Picture:
    """The picture by a factor larger, about the place (x, y) that comes to the middle."""
    middle = (np.array(centre[::-1]) + 1) / 2 * SIDE
    return ndimage.affine_transform(
        picture, np.eye(2) / factor, middle - SIDE / 2 / factor, order=1, mode="nearest"
    )


def film(total: Picture, rng: Rng) -> Picture:
    """Attenuation as a film: a display curve, anatomical noise, blur, perhaps a mark."""
    density = total + 0.05 * unit(clouds(rng, 1.2)) * (total > 0.05)
    film = 1 - np.exp(-rng.uniform(0.7, 2.5) * np.clip(density, 0, None))
    film = blurred(film, rng.uniform(0.3, 1.0)) + rng.normal(0, 0.01, film.shape)
    if rng.random() < 0.4:
        row, column = rng.integers(4, SIDE - 14, 2)
        film[row : row + 7, column : column + 6] = 1.0
    if rng.random() < 0.3:
        film = magnified(film, rng.uniform(0.7, 1.4), tuple(rng.normal(0, 0.15, 2)))
    return film


def blurred(picture: NDArray[np.floating], sigma: float) -> Picture:
    """Blurred by a Gaussian of `sigma` pixels; 0 leaves it as it is."""
    return ndimage.gaussian_filter(picture, sigma) if sigma else np.asarray(picture)


def unit(picture: NDArray[np.floating]) -> NDArray[np.floating]:
    """Divided by its standard deviation."""
    return picture / max(float(picture.std()), 1e-9)
