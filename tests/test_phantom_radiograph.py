"""Whole phantoms: truth that fits the image, and no shortcut to it."""

import numpy as np
import pytest
from scipy import ndimage

from features.phantom.radiograph import Phantom, phantom

SIZE = 256


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Phantom, Phantom]]:
    """The same chests with and without a pneumothorax."""
    return [
        (
            phantom(seed, pneumothorax=True, size=SIZE),
            phantom(seed, pneumothorax=False, size=SIZE),
        )
        for seed in range(8)
    ]


def test_the_same_seed_draws_the_same_phantom() -> None:
    first, same, other = (phantom(seed, pneumothorax=True, size=128) for seed in (3, 3, 4))
    assert first.pixels.tobytes() == same.pixels.tobytes()
    assert np.array_equal(first.mask, same.mask)
    assert first.collapse == same.collapse
    assert first.pixels.tobytes() != other.pixels.tobytes()


def test_the_share_of_positives_is_as_given() -> None:
    drawn = [phantom(seed, positives=1.0, size=64).collapse for seed in range(3)]
    assert all(collapse is not None for collapse in drawn)
    assert phantom(0, positives=0.0, size=64).collapse is None


def test_a_pneumothorax_is_fainter_the_harder_it_is() -> None:
    contrast = []
    for difficulty in (0.0, 1.0):
        gaps = []
        for seed in range(6):
            ill, well = (
                phantom(seed, pneumothorax=has, size=128, difficulty=difficulty)
                for has in (True, False)
            )
            gaps.append((ill.pixels[ill.mask].astype(float) - well.pixels[ill.mask]).sum())
        contrast.append(np.mean(gaps))
    assert contrast[0] < 2 * contrast[1] < 0


def test_drains_follow_pneumothoraces_only_with_the_option_for_it() -> None:
    plain, drained = (
        phantom(2, pneumothorax=True, size=64, difficulty=0, drained=share) for share in (0.0, 1.0)
    )
    assert plain.collapse is not None
    assert plain.exposure.drain == (False, False)  # without difficulty nobody has one by chance
    assert drained.exposure.drain == (
        plain.collapse.side == "right", plain.collapse.side == "left",
    )  # fmt: skip
    assert np.array_equal(plain.mask, drained.mask)
    well = phantom(2, pneumothorax=False, size=64, difficulty=0, drained=1.0)
    assert well.exposure.drain == (False, False)


def test_one_patient_keeps_the_anatomy_from_image_to_image() -> None:
    first, second = (phantom(seed, patient=7, size=64) for seed in (1, 2))
    assert first.patient == second.patient
    assert (first.age, first.sex) == (second.age, second.sex)
    assert first.exposure != second.exposure


def test_arrays_have_the_promised_shape_and_type(pairs: list[tuple[Phantom, Phantom]]) -> None:
    for image in (image for pair in pairs[:3] for image in pair):
        assert image.pixels.shape == image.mask.shape == (SIZE, SIZE)
        assert image.pixels.dtype == np.uint8
        assert image.mask.dtype == image.right_lung.dtype == image.left_lung.dtype == np.bool_
        assert image.spacing_mm == pytest.approx(image.exposure.field_mm / SIZE)


def test_lungs_lie_left_and_right_and_apart(pairs: list[tuple[Phantom, Phantom]]) -> None:
    for _, image in pairs:
        assert not (image.right_lung & image.left_lung).any()
        columns = [
            np.flatnonzero(lung.any(0)).mean() for lung in (image.right_lung, image.left_lung)
        ]
        assert columns[0] < SIZE / 2 < columns[1]
        for lung in (image.right_lung, image.left_lung):
            assert 0.04 < lung.mean() < 0.25
            parts = np.bincount(ndimage.label(lung)[0].ravel())[1:]
            assert parts.max() > 0.995 * lung.sum()
        lungs = image.right_lung | image.left_lung
        rest = ndimage.binary_dilation(lungs, iterations=SIZE // 24) & ~lungs
        assert image.pixels[lungs].mean() < image.pixels[rest].mean()  # air is dark


def test_the_mask_is_pleural_air_in_the_lung_field_of_its_side(
    pairs: list[tuple[Phantom, Phantom]],
) -> None:
    for ill, well in pairs:
        assert ill.collapse is not None
        assert well.collapse is None
        assert not well.mask.any()
        lung = ill.right_lung if ill.collapse.side == "right" else ill.left_lung
        assert ill.mask.any()
        assert not (ill.mask & ~lung).any()
        assert 0.001 < ill.mask.mean() < 0.16
        # At the chest wall: the air reaches the border of the lung field.
        border = lung & ~ndimage.binary_erosion(lung)
        assert (ill.mask & border).any()


def test_pneumothorax_is_darker_and_less_textured_than_the_same_place_without() -> None:
    darker, smoother = [], []
    for seed in range(6):
        drawn = [phantom(seed, pneumothorax=has, size=512) for has in (True, False)]
        inner = ndimage.binary_erosion(drawn[0].mask, iterations=4)
        ill, well = (image.pixels.astype(float) for image in drawn)
        details = [value - ndimage.gaussian_filter(value, 1.5) for value in (ill, well)]
        darker.append(ill[inner].mean() - well[inner].mean())
        smoother.append(details[0][inner].std() / details[1][inner].std())
    assert max(darker) < 0
    assert np.mean(smoother) < 0.98


def test_only_the_collapse_distinguishes_positives_from_negatives(
    pairs: list[tuple[Phantom, Phantom]],
) -> None:
    for ill, well in pairs:
        assert (ill.age, ill.sex, ill.view, ill.spacing_mm) == (
            well.age, well.sex, well.view, well.spacing_mm,
        )  # fmt: skip
        assert ill.patient == well.patient
        assert ill.exposure == well.exposure
        # The burnt-in text and the noise are the same, so far corners of the picture are too, but
        # for the display window, which follows the picture as a whole.
        rows, columns = slice(0, SIZE // 8), slice(0, SIZE // 8)
        gap = ill.pixels[rows, columns].astype(int) - well.pixels[rows, columns]
        assert np.abs(gap).mean() < 14
        assert np.abs(gap - np.median(gap)).mean() < 4


def test_zones_go_from_the_apex_down_and_from_the_rim_inwards() -> None:
    image = phantom(3, pneumothorax=False, size=SIZE)
    rows, columns = (
        [at[image.zones == number].mean() for number in range(1, 21)]
        for at in np.indices((SIZE, SIZE))
    )
    for first in (0, 10):
        assert (np.diff(rows[first : first + 10 : 2]) > 0).all()
        assert (np.diff(rows[first + 1 : first + 10 : 2]) > 0).all()
    assert all(rim < core for rim, core in zip(columns[:10:2], columns[1:10:2], strict=True))
    assert all(rim > core for rim, core in zip(columns[10::2], columns[11::2], strict=True))


def test_vessels_lie_in_the_lungs_and_not_in_pleural_air(
    pairs: list[tuple[Phantom, Phantom]],
) -> None:
    for ill, well in pairs:
        lungs = well.right_lung | well.left_lung
        assert 0.02 < well.vessels[lungs].mean() < 0.4
        assert (well.vessels & ~lungs).sum() < 0.5 * (well.vessels & lungs).sum()  # at the hila
        assert ill.collapse is not None
        inside = ndimage.binary_erosion(ill.mask, iterations=2)
        if inside.any() and ill.collapse.kind != "anteromedial":  # that air lies before the lung
            assert ill.vessels[inside].mean() < 0.05
        # What is called a vessel is brighter than what lies around it.
        core = ndimage.binary_erosion(lungs, iterations=6)
        detail = well.pixels - ndimage.gaussian_filter(well.pixels.astype(float), 4)
        assert detail[well.vessels & core].mean() > detail[~well.vessels & core].mean() + 1
