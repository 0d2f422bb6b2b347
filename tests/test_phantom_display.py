"""From a phantom's attenuation to its image."""

from dataclasses import replace

import numpy as np
import pytest

from features.phantom.display import expose, place
from features.phantom.exposure import sample_exposure
from features.phantom.strokes import grid


def test_placing_is_exact_for_what_a_cubic_can_follow() -> None:
    exposure = sample_exposure(4)
    x, y = grid()
    size = 96
    ramp = (0.02 * x - 0.03 * y).astype(np.float32)
    placed = place(ramp, exposure, size)
    step = exposure.field_mm / size
    at = (np.arange(size) - (size - 1) / 2) * step
    cos, sin = np.cos(exposure.angle), np.sin(exposure.angle)
    across = exposure.shift[0] + cos * at[None, :] + sin * at[:, None]
    down = exposure.shift[1] - sin * at[None, :] + cos * at[:, None]
    # The border of the drawing grid is repeated, so compare away from it.
    inside = (np.abs(across) < 210) & (np.abs(down) < 210)
    assert placed[inside] == pytest.approx((0.02 * across - 0.03 * down)[inside], abs=2e-3)


def test_denser_is_never_darker() -> None:
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None], 64, axis=0)
    plain = replace(
        sample_exposure(4),
        captions=(),
        marker="R",
        collimation=(0.0,) * 4,
        photons=1e9,
        white=250.0,
    )
    pixels = expose(ramp, plain, np.random.default_rng(0))
    assert (np.diff(pixels[40:].astype(int), axis=1) >= 0).all()
    assert pixels[40, 0] < 15
    assert 200 < pixels[40, -1] <= 250
