"""Pictures that are no frontal chest X-ray, drawn from a seed: what the quality gate learns from.

They are crude on purpose: the gate looks at no more than a thumbnail. Air is dark, as in an X-ray.
Limbs, heads and trunks are made of a few ellipses and strokes that attenuate, so that bone is a
bright line in a grey body on a dark ground.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

SIDE = 128  # pixels
Picture = NDArray[np.floating]  # (SIDE, SIDE)
Rng = np.random.Generator
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-"


def draw(kind: str, rng: Rng) -> NDArray[np.float32]:
    """A picture of a kind of `KINDS`, (SIDE, SIDE), 0 to 1."""
    picture = KINDS[kind](rng).astype(np.float32)
    low, high = float(picture.min()), float(picture.max())
    picture = (picture - low) / max(high - low, 1e-6)
    return (picture ** np.float32(np.exp(rng.normal(0, 0.3)))).astype(np.float32)


def noise(rng: Rng) -> Picture:
    """Noise without form, of one scale or of all."""
    if rng.random() < 0.5:
        return _blurred(rng.normal(size=(SIDE, SIDE)), rng.choice([0.0, 0.0, 0.7, 1.5, 4.0, 10.0]))
    return clouds(rng, rng.uniform(0.3, 1.6))


def clouds(rng: Rng, slope: float) -> Picture:
    """Noise whose amplitude falls with frequency by a power, as in photographs."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1
    spectrum = np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / frequency**slope
    return np.real(np.fft.ifft2(spectrum)).astype(np.float32)


def text(rng: Rng) -> Picture:
    """A page of printed lines, dark on bright or bright on dark."""
    scale = int(rng.choice([2, 3, 4, 6]))
    canvas = Image.new("L", (SIDE * scale, SIDE * scale), 0)
    pen = ImageDraw.Draw(canvas)
    top, left = rng.integers(2, 40, 2)
    bottom = int(SIDE * scale * rng.uniform(0.4, 1))
    step = int(rng.integers(11, 22))
    for row in range(int(top), bottom, step):
        if rng.random() < 0.12:
            continue
        count = int(rng.integers(10, max(SIDE * scale // 6, 11)))
        line = "".join(rng.choice(list(LETTERS + " " * 12), count))
        pen.text((int(left), row), line, fill=255)
    page = np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    page += rng.normal(0, rng.choice([0, 2]), page.shape)
    return page if rng.random() < 0.5 else -page


def pattern(rng: Rng) -> Picture:
    """A gradient, bars, a chequerboard, blocks or rings, as in test pictures."""
    x, y = _axes()
    angle, waves = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 12)
    along = x * np.cos(angle) + y * np.sin(angle)
    choice = int(rng.integers(5))
    if choice == 0:
        return along + rng.normal(0, 0.01, (SIDE, SIDE))
    if choice == 1:
        return np.sign(np.sin(np.pi * waves * along)) + rng.normal(0, 0.05, (SIDE, SIDE))
    if choice == 2:
        return np.sign(np.sin(np.pi * waves * x) * np.sin(np.pi * waves * y))
    if choice == 3:
        count = int(rng.integers(2, 9))
        return np.kron(rng.random((count, count)), np.ones((SIDE, SIDE)))[::count, ::count]
    return np.cos(np.pi * waves * np.hypot(x - rng.normal(0, 0.3), y - rng.normal(0, 0.3)))


def blobs(rng: Rng) -> Picture:
    """One to eight ellipses of any brightness, as in masks and drawings."""
    total = np.zeros((SIDE, SIDE))
    for _ in range(int(rng.integers(1, 9))):
        centre, size = rng.uniform(-0.8, 0.8, 2), rng.uniform(0.05, 0.7, 2)
        total += rng.normal(0.5, 1) * _ellipse(centre, size, rng.uniform(0, np.pi))
    return _blurred(total, rng.uniform(0.3, 2)) + rng.normal(0, rng.choice([0, 0.03]), total.shape)


def photograph(rng: Rng) -> Picture:
    """A scene: clouds over ground, with things in it."""
    scene = clouds(rng, rng.uniform(0.9, 1.7))
    scene /= scene.std()
    x, y = _axes()
    scene = scene + 2 * rng.normal() * (y > rng.uniform(-0.5, 0.5) + 0.2 * rng.normal() * x)
    for _ in range(int(rng.integers(0, 7))):
        centre, size = rng.uniform(-0.9, 0.9, 2), rng.uniform(0.05, 0.6, 2)
        form = _ellipse(centre, size, rng.uniform(0, np.pi))
        if rng.random() < 0.5:
            form = ((np.abs(x - centre[0]) < size[0]) & (np.abs(y - centre[1]) < size[1])) * 1.0
        scene += 2.5 * rng.normal() * form
    return _blurred(scene, rng.uniform(0.2, 1.2))


def slice_of_body(rng: Rng) -> Picture:
    """A slice as of CT or MR: a body in the round, a bright or dark rim, organs in it."""
    size = np.array([rng.uniform(0.5, 0.98), rng.uniform(0.4, 0.9)])
    centre = rng.normal(0, 0.08, 2)
    body = _ellipse(centre, size, rng.normal(0, 0.1))
    total = 0.55 * body
    rim = body - _ellipse(centre, size * rng.uniform(0.85, 0.96), 0.0)
    total += rng.choice([0.5, 0.3, -0.2, 0.0]) * np.clip(rim, 0, 1)
    for _ in range(int(rng.integers(2, 12))):
        place = centre + rng.uniform(-0.6, 0.6, 2) * size
        form = rng.uniform(0.05, 0.35, 2) * size
        total += rng.normal(0, 0.35) * _ellipse(place, form, rng.uniform(0, np.pi)) * body
    if rng.random() < 0.4:  # two lungs, as a slice of the chest has
        for side in (-1, 1):
            lung = _ellipse(
                np.add(centre, [side * 0.45 * size[0], -0.05]), size * [0.36, 0.62], 0.0
            )
            total -= 0.5 * lung * body
    if rng.random() < 0.4:  # the table, and a field of view in the round
        x, y = _axes()
        total += 0.3 * (np.abs(y - 0.92 + 0.1 * x**2) < 0.015)
        total = np.where(np.hypot(x, y) > 0.99, -0.1, total)
    total += 0.04 * _unit(clouds(rng, 0.8)) * body + rng.normal(0, 0.015, total.shape)
    return _blurred(total, rng.uniform(0.3, 1.2))


def limb(rng: Rng) -> Picture:
    """An arm or a leg, or two beside each other: shafts and joints, at any angle."""
    count = int(rng.choice([1, 1, 2]))
    total = np.zeros((SIDE, SIDE))
    tilt = rng.normal(0, 0.15) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    for number in range(count):
        across = (number - (count - 1) / 2) * rng.uniform(0.7, 1.0) + rng.normal(0, 0.1)
        width = rng.uniform(0.2, 0.55) / count
        joint = rng.uniform(-0.7, 0.7)
        total += 0.45 * _rod((across, -1.3), (across, 1.3), width, tilt)
        for bone in rng.normal(0, 0.4, int(rng.choice([1, 2]))) * width:
            at = across + bone
            thin = width * rng.uniform(0.2, 0.4)
            ends = (-1.4, joint - 0.03), (joint + 0.03, 1.4)
            for low, high in ends:
                total += _bone((at, low), (at, high), thin, tilt)
            total += 0.4 * _ellipse(_turned((at, joint), tilt), (thin * 1.8, 0.13), tilt)
    return _film(total, rng)


def hand(rng: Rng) -> Picture:
    """A hand or a foot: five rays of short bones that fan out."""
    total = np.zeros((SIDE, SIDE))
    tilt, spread = rng.normal(0, 0.3), rng.uniform(0.08, 0.2)
    tilt += np.pi * (rng.random() < 0.2)
    for ray in range(5):
        angle = (ray - 2) * spread + rng.normal(0, 0.02)
        length = rng.uniform(1.0, 1.3) * (0.75 if ray == 0 else 1)
        foot = np.array([(ray - 2) * 0.14, 0.45])
        tip = foot + length * np.array([np.sin(angle), -np.cos(angle)])
        total += 0.35 * _rod(foot, tip, 0.1, tilt)
        joints = np.array([0, 0.42, 0.68, 0.86, 1.0])
        for low, high in zip(joints[:-1] + 0.015, joints[1:] - 0.015, strict=True):
            total += _bone(foot + low * (tip - foot), foot + high * (tip - foot), 0.035, tilt)
    total += 0.4 * _ellipse(_turned((0, 0.42), tilt), (0.4, 0.3), tilt)
    for place in rng.normal(0, 0.13, (8, 2)):
        total += 0.4 * _ellipse(_turned(np.add(place, [0, 0.6]), tilt), (0.09, 0.08), 0.0)
    total += 0.4 * _rod((0, 0.6), (0, 1.4), 0.27, tilt)
    total += _bone((-0.1, 0.75), (-0.1, 1.5), 0.08, tilt) + _bone(
        (0.1, 0.75), (0.1, 1.5), 0.06, tilt
    )
    return _film(total, rng)


def hips(rng: Rng) -> Picture:
    """A pelvis with hips, or one hip: wings, sacrum, heads and shafts of the thighs."""
    total = 0.8 * _ellipse((0, 0.1), (rng.uniform(0.85, 1.2), 1.3), 0.0)
    size, across = rng.uniform(0.8, 1.2), rng.uniform(0.4, 0.5)
    for side in (-1, 1):
        at = side * across * size
        wing = _ellipse((at, -0.4 * size), (0.36 * size, 0.45 * size), side * 0.5)
        total += 0.5 * wing - 0.25 * _ellipse(
            (at, -0.42 * size), (0.26 * size, 0.32 * size), side * 0.5
        )
        ring = _ellipse((at * 0.55, 0.42 * size), (0.24 * size, 0.2 * size), 0.0)
        total += 0.5 * (ring - _ellipse((at * 0.55, 0.42 * size), (0.13 * size, 0.1 * size), 0.0))
        head = np.array([at * 1.35, 0.2 * size])
        total += 0.6 * _ellipse(head, (0.15 * size, 0.15 * size), 0.0)
        total += _bone(head, np.add(head, [side * 0.25 * size, 0.25 * size]), 0.1 * size, 0.0)
        shaft = np.add(head, [side * 0.25 * size, 0.2 * size])
        total += _bone(shaft, np.add(shaft, [-side * 0.05, 1.5]), 0.1 * size, 0.0)
    total += 0.5 * _ellipse((0, -0.45 * size), (0.18 * size, 0.35 * size), 0.0) + _spine(
        0.0, -1.3, -0.5, 0.12, rng
    )
    total -= 0.3 * _ellipse((rng.normal(0, 0.3), -0.6), rng.uniform(0.05, 0.2, 2), 0.0)
    if rng.random() < 0.35:  # one hip alone
        total = _magnified(total, 1.7, (0.5 * float(rng.choice([-1, 1])), 0.2))
    return _film(total, rng)


def skull(rng: Rng) -> Picture:
    """A skull from the front or the side, or a panorama of teeth."""
    if rng.random() < 0.25:
        return _film(_teeth(rng), rng)
    size = np.array([rng.uniform(0.55, 0.8), rng.uniform(0.65, 0.85)])
    centre = np.array([rng.normal(0, 0.1), rng.uniform(-0.3, -0.05)])
    total = 0.9 * _ellipse(centre, size, 0.0) - 0.35 * _ellipse(centre, size * 0.92, 0.0)
    front = rng.random() < 0.5
    sides = (-1, 1) if front else (0.75,)
    for side in sides:
        eye = np.add(centre, [side * 0.4 * size[0], 0.35])
        total += 0.3 * _ellipse(eye, (0.2, 0.17), 0.0) - 0.5 * _ellipse(eye, (0.15, 0.13), 0.0)
    jaw = np.add(centre, [0.0 if front else 0.35, 0.75])
    total += 0.7 * _ellipse(jaw, (0.38, 0.32), 0.0) - 0.3 * _ellipse(
        np.subtract(jaw, [0, 0.1]), (0.2, 0.15), 0.0
    )
    total += 0.6 * _rod(
        np.add(centre, [0 if front else -0.2, 0.6]), (0 if front else -0.3, 1.4), 0.3, 0.0
    )
    total += _spine(0.0 if front else -0.35, 0.4, 1.3, 0.1, rng)
    return _film(total, rng)


def _teeth(rng: Rng) -> Picture:
    x, y = _axes()
    bend = rng.uniform(0.1, 0.3) * x**2
    total = 0.9 * (np.abs(y + bend) < 0.5) + 0.4 * (np.abs(y + bend - 0.2) < 0.28)
    count = rng.uniform(10, 18)
    teeth = (np.abs(x) < 0.65) & (np.abs(y + bend) < 0.22)
    total = total + teeth * (0.6 + 0.3 * np.cos(2 * np.pi * count * x))
    total = total + 0.5 * _rod((0, -0.9), (0, 0.9), 0.12, 0.0)
    return total * (np.abs(y) < rng.uniform(0.45, 1.0))


def abdomen(rng: Rng) -> Picture:
    """A belly: spine, pelvis below, loops of gas, and now and then the lungs' bases at the top."""
    total = 1.1 * _ellipse((0, 0), (rng.uniform(0.8, 1.2), 1.6), 0.0)
    total += _spine(rng.normal(0, 0.05), -1.2, 1.2, 0.13, rng)
    for side in (-1, 1):
        total += 0.4 * _ellipse((side * 0.5, 0.95), (0.36, 0.45), side * 0.5)
        if rng.random() < 0.4:
            total -= 0.5 * _ellipse((side * 0.5, -1.15), (0.4, 0.35), 0.0)
    for _ in range(int(rng.integers(2, 12))):
        place = rng.uniform(-0.7, 0.7, 2)
        total -= rng.uniform(0.15, 0.5) * _ellipse(
            place, rng.uniform(0.04, 0.2, 2), rng.uniform(0, np.pi)
        )
    return _film(total, rng)


def spine(rng: Rng) -> Picture:
    """A spine alone, narrowly collimated, from the front or the side."""
    total = 0.9 * _ellipse((rng.normal(0, 0.1), 0), (rng.uniform(0.5, 1.1), 1.8), 0.0)
    total += 1.6 * _spine(rng.normal(0, 0.1), -1.1, 1.1, rng.uniform(0.13, 0.25), rng)
    for _ in range(int(rng.integers(0, 5))):
        total -= 0.3 * _ellipse(rng.uniform(-0.8, 0.8, 2), rng.uniform(0.05, 0.25, 2), 0.0)
    x, _ = _axes()
    return _film(total, rng) * (np.abs(x) < rng.uniform(0.35, 1.1))


def lateral(rng: Rng) -> Picture:
    """A chest from the side: one lung field between breast bone and spine, heart before it."""
    x, y = _axes()
    size = rng.uniform(0.85, 1.1)
    body = _ellipse((0, 0.1), (0.72 * size, 1.3), 0.0)
    total = 0.75 * body + 0.25 * _ellipse((0.05, -1.05), (0.35, 0.35), 0.0)
    lung = _ellipse((0.02, -0.08), (0.55 * size, 0.78 * size), rng.normal(0, 0.06))
    dome = rng.uniform(0.35, 0.6) - 0.2 * np.exp(-(((x + 0.1) / 0.35) ** 2)) + 0.25 * (x < -0.3)
    lung = lung * (y < dome)
    total = total - rng.uniform(0.4, 0.6) * lung
    total += 0.35 * _ellipse((0.25 * size, 0.3), (0.24, 0.3), -0.5) * body
    bend = 0.15 * np.cos(1.5 * y)
    for step in np.arange(-1.0, 1.1, 0.15):  # the spine, behind
        place = (-0.38 * size - 0.15 * np.cos(1.5 * step) + 0.1, step)
        total += rng.uniform(0.15, 0.3) * _ellipse(place, (0.11, 0.055), 0.1)
    total += 0.2 * (np.abs(x + 0.35 * size + bend - 0.1) < 0.13) * body
    total += _bone((0.5 * size, -0.7), (0.62 * size, 0.3), 0.03, 0.0)
    for rib in np.arange(-0.6, 0.8, 0.2):
        total += 0.08 * (np.abs(y - rib - 0.35 * (x + 0.4) ** 2 - 0.15 * x) < 0.02) * lung
    if rng.random() < 0.5:  # arms held up
        total += 0.5 * _rod((0.0, -1.3), (0.3, -0.75), 0.2, 0.0)
    picture = _film(total, rng)
    return picture if rng.random() < 0.5 else picture[:, ::-1]


def _axes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x (1, SIDE) and y (SIDE, 1), -1 to 1."""
    at = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    return at[None, :], at[:, None]


def _ellipse(centre: object, size: object, angle: float) -> Picture:
    """A soft ellipse: 1 inside, 0 outside, and a chord like a ball's towards the rim."""
    (cx, cy), (a, b) = np.asarray(centre, float), np.asarray(size, float)
    x, y = _axes()
    across = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle)
    down = -(x - cx) * np.sin(angle) + (y - cy) * np.cos(angle)
    return np.clip(4 * (1 - (across / a) ** 2 - (down / b) ** 2), 0, 1) ** 0.7


def _turned(place: object, tilt: float) -> Picture:
    x, y = np.asarray(place, float)
    return np.array([x * np.cos(tilt) - y * np.sin(tilt), x * np.sin(tilt) + y * np.cos(tilt)])


def _rod(start: object, end: object, radius: float, tilt: float) -> Picture:
    """A round rod between two places, after a turn by `tilt`: the chord through it, 0 to 1."""
    return np.sqrt(np.clip(1 - (_distance(start, end, tilt) / radius) ** 2, 0, 1))


def _bone(start: object, end: object, radius: float, tilt: float) -> Picture:
    """A shaft with a bright cortex."""
    ratio = _distance(start, end, tilt) / radius
    return 0.35 * (ratio < 1) + 0.35 * np.exp(-(((ratio - 0.8) / 0.2) ** 2))


def _distance(start: object, end: object, tilt: float) -> Picture:
    (ax, ay), (bx, by) = _turned(start, tilt), _turned(end, tilt)
    x, y = _axes()
    length = max((bx - ax) ** 2 + (by - ay) ** 2, 1e-9)
    share = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1)
    return np.hypot(x - ax - share * (bx - ax), y - ay - share * (by - ay))


def _spine(at: float, top: float, bottom: float, width: float, rng: Rng) -> Picture:
    step = width * 1.25
    total = np.zeros((SIDE, SIDE))
    for place in np.arange(top, bottom, step):
        total += 0.35 * _ellipse((at + rng.normal(0, 0.01), place), (width, 0.42 * step), 0.0)
    return total


def _magnified(picture: Picture, factor: float, centre: tuple[float, float]) -> Picture:
    middle = (np.array(centre[::-1]) + 1) / 2 * SIDE
    return ndimage.affine_transform(
        picture, np.eye(2) / factor, middle - SIDE / 2 / factor, order=1, mode="nearest"
    )


def _film(total: Picture, rng: Rng) -> Picture:
    """Attenuation as a film: a display curve, anatomical noise, blur, perhaps a mark."""
    density = total + 0.05 * _unit(clouds(rng, 1.2)) * (total > 0.05)
    film = 1 - np.exp(-rng.uniform(0.7, 2.5) * np.clip(density, 0, None))
    film = _blurred(film, rng.uniform(0.3, 1.0)) + rng.normal(0, 0.01, film.shape)
    if rng.random() < 0.4:
        row, column = rng.integers(4, SIDE - 14, 2)
        film[row : row + 7, column : column + 6] = 1.0
    if rng.random() < 0.3:
        film = _magnified(film, rng.uniform(0.7, 1.4), tuple(rng.normal(0, 0.15, 2)))
    return film


def _blurred(picture: NDArray[np.floating], sigma: float) -> Picture:
    return ndimage.gaussian_filter(picture, sigma) if sigma else np.asarray(picture)


def _unit(picture: NDArray[np.floating]) -> NDArray[np.floating]:
    return picture / max(float(picture.std()), 1e-9)


KINDS: dict[str, Callable[[Rng], Picture]] = {
    "noise": noise,
    "text": text,
    "pattern": pattern,
    "blobs": blobs,
    "photograph": photograph,
    "slice": slice_of_body,
    "limb": limb,
    "hand": hand,
    "hips": hips,
    "skull": skull,
    "abdomen": abdomen,
    "spine": spine,
    "lateral": lateral,
}
