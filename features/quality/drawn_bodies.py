"""Drawings of bodies that show no frontal chest: slices, limbs, heads, trunks, lateral chests."""

import numpy as np

from features.quality.drawn_shapes import (
    SIDE,
    Picture,
    Rng,
    axes,
    blurred,
    bone,
    clouds,
    ellipse,
    film,
    magnified,
    rod,
    turned,
    unit,
    vertebrae,
)


def slice_of_body(rng: Rng) -> Picture:
    """A slice as of CT or MR: a body in the round, a bright or dark rim, organs in it."""
    size = np.array([rng.uniform(0.5, 0.98), rng.uniform(0.4, 0.9)])
    centre = rng.normal(0, 0.08, 2)
    body = ellipse(centre, size, rng.normal(0, 0.1))
    total = 0.55 * body
    rim = body - ellipse(centre, size * rng.uniform(0.85, 0.96), 0.0)
    total += rng.choice([0.5, 0.3, -0.2, 0.0]) * np.clip(rim, 0, 1)
    for _ in range(int(rng.integers(2, 12))):
        place = centre + rng.uniform(-0.6, 0.6, 2) * size
        form = rng.uniform(0.05, 0.35, 2) * size
        total += rng.normal(0, 0.35) * ellipse(place, form, rng.uniform(0, np.pi)) * body
    if rng.random() < 0.4:  # two lungs, as a slice of the chest has
        for side in (-1, 1):
            lung = ellipse(np.add(centre, [side * 0.45 * size[0], -0.05]), size * [0.36, 0.62], 0.0)
            total -= 0.5 * lung * body
    if rng.random() < 0.4:  # the table, and a field of view in the round
        x, y = axes()
        total += 0.3 * (np.abs(y - 0.92 + 0.1 * x**2) < 0.015)
        total = np.where(np.hypot(x, y) > 0.99, -0.1, total)
    total += 0.04 * unit(clouds(rng, 0.8)) * body + rng.normal(0, 0.015, total.shape)
    return blurred(total, rng.uniform(0.3, 1.2))


def limb(rng: Rng) -> Picture:
    """An arm or a leg, or two beside each other: shafts and joints, at any angle."""
    count = int(rng.choice([1, 1, 2]))
    total = np.zeros((SIDE, SIDE))
    tilt = rng.normal(0, 0.15) if rng.random() < 0.7 else rng.uniform(0, np.pi)
    for number in range(count):
        across = (number - (count - 1) / 2) * rng.uniform(0.7, 1.0) + rng.normal(0, 0.1)
        width = rng.uniform(0.2, 0.55) / count
        joint = rng.uniform(-0.7, 0.7)
        total += 0.45 * rod((across, -1.3), (across, 1.3), width, tilt)
        for beside in rng.normal(0, 0.4, int(rng.choice([1, 2]))) * width:
            at = across + beside
            thin = width * rng.uniform(0.2, 0.4)
            ends = (-1.4, joint - 0.03), (joint + 0.03, 1.4)
            for low, high in ends:
                total += bone((at, low), (at, high), thin, tilt)
            total += 0.4 * ellipse(turned((at, joint), tilt), (thin * 1.8, 0.13), tilt)
    return film(total, rng)


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
        total += 0.35 * rod(foot, tip, 0.1, tilt)
        joints = np.array([0, 0.42, 0.68, 0.86, 1.0])
        for low, high in zip(joints[:-1] + 0.015, joints[1:] - 0.015, strict=True):
            total += bone(foot + low * (tip - foot), foot + high * (tip - foot), 0.035, tilt)
    total += 0.4 * ellipse(turned((0, 0.42), tilt), (0.4, 0.3), tilt)
    for place in rng.normal(0, 0.13, (8, 2)):
        total += 0.4 * ellipse(turned(np.add(place, [0, 0.6]), tilt), (0.09, 0.08), 0.0)
    total += 0.4 * rod((0, 0.6), (0, 1.4), 0.27, tilt)
    total += bone((-0.1, 0.75), (-0.1, 1.5), 0.08, tilt) + bone((0.1, 0.75), (0.1, 1.5), 0.06, tilt)
    return film(total, rng)


def hips(rng: Rng) -> Picture:
    """A pelvis with hips, or one hip: wings, sacrum, heads and shafts of the thighs."""
    total = 0.8 * ellipse((0, 0.1), (rng.uniform(0.85, 1.2), 1.3), 0.0)
    size, across = rng.uniform(0.8, 1.2), rng.uniform(0.4, 0.5)
    for side in (-1, 1):
        at = side * across * size
        wing = ellipse((at, -0.4 * size), (0.36 * size, 0.45 * size), side * 0.5)
        total += 0.5 * wing - 0.25 * ellipse(
            (at, -0.42 * size), (0.26 * size, 0.32 * size), side * 0.5
        )
        ring = ellipse((at * 0.55, 0.42 * size), (0.24 * size, 0.2 * size), 0.0)
        total += 0.5 * (ring - ellipse((at * 0.55, 0.42 * size), (0.13 * size, 0.1 * size), 0.0))
        head = np.array([at * 1.35, 0.2 * size])
        total += 0.6 * ellipse(head, (0.15 * size, 0.15 * size), 0.0)
        total += bone(head, np.add(head, [side * 0.25 * size, 0.25 * size]), 0.1 * size, 0.0)
        shaft = np.add(head, [side * 0.25 * size, 0.2 * size])
        total += bone(shaft, np.add(shaft, [-side * 0.05, 1.5]), 0.1 * size, 0.0)
    total += 0.5 * ellipse((0, -0.45 * size), (0.18 * size, 0.35 * size), 0.0) + vertebrae(
        0.0, -1.3, -0.5, 0.12, rng
    )
    total -= 0.3 * ellipse((rng.normal(0, 0.3), -0.6), rng.uniform(0.05, 0.2, 2), 0.0)
    if rng.random() < 0.35:  # one hip alone
        total = magnified(total, 1.7, (0.5 * float(rng.choice([-1, 1])), 0.2))
    return film(total, rng)


def skull(rng: Rng) -> Picture:
    """A skull from the front or the side, or a panorama of teeth."""
    if rng.random() < 0.25:
        return film(_teeth(rng), rng)
    size = np.array([rng.uniform(0.55, 0.8), rng.uniform(0.65, 0.85)])
    centre = np.array([rng.normal(0, 0.1), rng.uniform(-0.3, -0.05)])
    total = 0.9 * ellipse(centre, size, 0.0) - 0.35 * ellipse(centre, size * 0.92, 0.0)
    front = rng.random() < 0.5
    sides = (-1, 1) if front else (0.75,)
    for side in sides:
        eye = np.add(centre, [side * 0.4 * size[0], 0.35])
        total += 0.3 * ellipse(eye, (0.2, 0.17), 0.0) - 0.5 * ellipse(eye, (0.15, 0.13), 0.0)
    jaw = np.add(centre, [0.0 if front else 0.35, 0.75])
    total += 0.7 * ellipse(jaw, (0.38, 0.32), 0.0) - 0.3 * ellipse(
        np.subtract(jaw, [0, 0.1]), (0.2, 0.15), 0.0
    )
    total += 0.6 * rod(
        np.add(centre, [0 if front else -0.2, 0.6]), (0 if front else -0.3, 1.4), 0.3, 0.0
    )
    total += vertebrae(0.0 if front else -0.35, 0.4, 1.3, 0.1, rng)
    return film(total, rng)


def _teeth(rng: Rng) -> Picture:
    x, y = axes()
    bend = rng.uniform(0.1, 0.3) * x**2
    total = 0.9 * (np.abs(y + bend) < 0.5) + 0.4 * (np.abs(y + bend - 0.2) < 0.28)
    count = rng.uniform(10, 18)
    teeth = (np.abs(x) < 0.65) & (np.abs(y + bend) < 0.22)
    total = total + teeth * (0.6 + 0.3 * np.cos(2 * np.pi * count * x))
    total = total + 0.5 * rod((0, -0.9), (0, 0.9), 0.12, 0.0)
    return total * (np.abs(y) < rng.uniform(0.45, 1.0))


def abdomen(rng: Rng) -> Picture:
    """A belly: spine, pelvis below, loops of gas, and now and then the lungs' bases at the top."""
    total = 1.1 * ellipse((0, 0), (rng.uniform(0.8, 1.2), 1.6), 0.0)
    total += vertebrae(rng.normal(0, 0.05), -1.2, 1.2, 0.13, rng)
    for side in (-1, 1):
        total += 0.4 * ellipse((side * 0.5, 0.95), (0.36, 0.45), side * 0.5)
        if rng.random() < 0.4:
            total -= 0.5 * ellipse((side * 0.5, -1.15), (0.4, 0.35), 0.0)
    for _ in range(int(rng.integers(2, 12))):
        place = rng.uniform(-0.7, 0.7, 2)
        total -= rng.uniform(0.15, 0.5) * ellipse(
            place, rng.uniform(0.04, 0.2, 2), rng.uniform(0, np.pi)
        )
    return film(total, rng)


def spine(rng: Rng) -> Picture:
    """A spine alone, narrowly collimated, from the front or the side."""
    total = 0.9 * ellipse((rng.normal(0, 0.1), 0), (rng.uniform(0.5, 1.1), 1.8), 0.0)
    total += 1.6 * vertebrae(rng.normal(0, 0.1), -1.1, 1.1, rng.uniform(0.13, 0.25), rng)
    for _ in range(int(rng.integers(0, 5))):
        total -= 0.3 * ellipse(rng.uniform(-0.8, 0.8, 2), rng.uniform(0.05, 0.25, 2), 0.0)
    x, _ = axes()
    return film(total, rng) * (np.abs(x) < rng.uniform(0.35, 1.1))


def lateral(rng: Rng) -> Picture:
    """A chest from the side: one lung field between breast bone and spine, heart before it."""
    x, y = axes()
    size = rng.uniform(0.85, 1.1)
    body = ellipse((0, 0.1), (0.72 * size, 1.3), 0.0)
    total = 0.75 * body + 0.25 * ellipse((0.05, -1.05), (0.35, 0.35), 0.0)
    lung = ellipse((0.02, -0.08), (0.55 * size, 0.78 * size), rng.normal(0, 0.06))
    dome = rng.uniform(0.35, 0.6) - 0.2 * np.exp(-(((x + 0.1) / 0.35) ** 2)) + 0.25 * (x < -0.3)
    lung = lung * (y < dome)
    total = total - rng.uniform(0.4, 0.6) * lung
    total += 0.35 * ellipse((0.25 * size, 0.3), (0.24, 0.3), -0.5) * body
    bend = 0.15 * np.cos(1.5 * y)
    for step in np.arange(-1.0, 1.1, 0.15):  # the spine, behind
        place = (-0.38 * size - 0.15 * np.cos(1.5 * step) + 0.1, step)
        total += rng.uniform(0.15, 0.3) * ellipse(place, (0.11, 0.055), 0.1)
    total += 0.2 * (np.abs(x + 0.35 * size + bend - 0.1) < 0.13) * body
    total += bone((0.5 * size, -0.7), (0.62 * size, 0.3), 0.03, 0.0)
    for rib in np.arange(-0.6, 0.8, 0.2):
        total += 0.08 * (np.abs(y - rib - 0.35 * (x + 0.4) ** 2 - 0.15 * x) < 0.02) * lung
    if rng.random() < 0.5:  # arms held up
        total += 0.5 * rod((0.0, -1.3), (0.3, -0.75), 0.2, 0.0)
    picture = film(total, rng)
    return picture if rng.random() < 0.5 else picture[:, ::-1]
