"""Drawings without a body: noise, pages of text, test patterns, blobs, scenes of a photograph."""

import numpy as np
from PIL import Image, ImageDraw

from features.quality.drawn_shapes import SIDE, Picture, Rng, axes, blurred, clouds, ellipse

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-"


def noise(rng: Rng) -> Picture:
    """Noise without form, of one scale or of all."""
    if rng.random() < 0.5:
        return blurred(rng.normal(size=(SIDE, SIDE)), rng.choice([0.0, 0.0, 0.7, 1.5, 4.0, 10.0]))
    return clouds(rng, rng.uniform(0.3, 1.6))


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
    x, y = axes()
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
        total += rng.normal(0.5, 1) * ellipse(centre, size, rng.uniform(0, np.pi))
    return blurred(total, rng.uniform(0.3, 2)) + rng.normal(0, rng.choice([0, 0.03]), total.shape)


def photograph(rng: Rng) -> Picture:
    """A scene: clouds over ground, with things in it."""
    scene = clouds(rng, rng.uniform(0.9, 1.7))
    scene /= scene.std()
    x, y = axes()
    scene = scene + 2 * rng.normal() * (y > rng.uniform(-0.5, 0.5) + 0.2 * rng.normal() * x)
    for _ in range(int(rng.integers(0, 7))):
        centre, size = rng.uniform(-0.9, 0.9, 2), rng.uniform(0.05, 0.6, 2)
        form = ellipse(centre, size, rng.uniform(0, np.pi))
        if rng.random() < 0.5:
            form = ((np.abs(x - centre[0]) < size[0]) & (np.abs(y - centre[1]) < size[1])) * 1.0
        scene += 2.5 * rng.normal() * form
    return blurred(scene, rng.uniform(0.2, 1.2))
