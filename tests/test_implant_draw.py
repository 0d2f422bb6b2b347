"""A pneumothorax put into an X-ray: on a drawn chest of known grey levels, and on phantoms."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from features.implant import draw
from features.implant.chest_wall import Side, pitch_of, side_of
from features.implant.draw import grey_levels, implant, log_odds, put_in
from features.implant.geometry import edge_of
from features.implant.parameters import Parameters
from features.lungs.fields import LungFields, segment
from features.lungs.prepared import working_size
from features.phantom.collapse import Collapse
from features.phantom.radiograph import phantom

TISSUE, LUNG = 0.75, 0.35
PLAIN = Parameters(
    Collapse("right", "lateral", 25.0, 1.2, 1.0, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0),
    density=0.25, clearness=1.0, grain=1.0, sharpness=1.0, faintness=0.0,
)  # fmt: skip


def chest(side: int = 512) -> tuple[np.ndarray, LungFields]:
    """Two dark ellipses in bright tissue, and the same as lung fields of the working size."""
    row, column = (np.mgrid[:side, :side] + 0.5) * 512 / side
    right = ((row - 250) / 170) ** 2 + ((column - 155) / 85) ** 2 < 1
    image = np.where(right | right[:, ::-1], LUNG, TISSUE).astype(np.float32)
    image = ndimage.gaussian_filter(image, side / 512)
    step = side // 512
    return image, LungFields(right[::step, ::step], right[::step, ::-1][:, ::step], 1.0)


def changed(image: np.ndarray, fields: LungFields, **collapse: Any) -> tuple[np.ndarray, ...]:
    """The chest with the plain pneumothorax, some of its numbers replaced."""
    return put_in(image, fields, replace(PLAIN, collapse=replace(PLAIN.collapse, **collapse)))


@pytest.fixture(scope="module")
def real() -> tuple[np.ndarray, LungFields]:
    """A phantom's picture and the lungs that are seen on it."""
    pixels = phantom(3, pneumothorax=False).pixels.astype(np.float32) / 255
    return pixels, segment(working_size(pixels))


def geometry(fields: LungFields, image: np.ndarray, sign: int) -> Side:
    lung = fields.right if sign < 0 else fields.left
    smooth = ndimage.gaussian_filter(log_odds(working_size(image)), 2)
    return side_of(smooth, lung, sign, pitch_of(fields))


def test_log_odds_and_back():
    grey = np.linspace(0, 1, 11, dtype=np.float32)
    assert grey_levels(log_odds(grey)) == pytest.approx(grey, abs=1e-6)
    assert np.all(np.diff(log_odds(grey)) > 0)


def test_air_is_darker_by_the_law_of_beer_and_lambert():
    image, fields = chest()
    after, mask = changed(image, fields)
    deep = ndimage.binary_erosion(mask, iterations=6)
    assert deep.sum() > 200
    # Of the way between tissue and lung, muscle less lung in density, air is a lung's density more.
    share = 0.8 * 0.25 / (1.05 - 0.25)
    expected = log_odds(np.float32(LUNG)) - share * (
        log_odds(np.float32(TISSUE)) - log_odds(np.float32(LUNG))
    )
    assert log_odds(after[deep]).mean() == pytest.approx(expected, abs=0.03)
    assert log_odds(after[deep]).std() < 0.03


@pytest.mark.parametrize(("kind", "centre"), [("apical", 0.4), ("lateral", 1.3), ("basal", 1.9)])
@pytest.mark.parametrize("depth", [4.0, 12.0, 30.0])
def test_the_air_is_as_deep_as_drawn(kind: str, centre: float, depth: float):
    image, fields = chest(1024)
    _, mask = changed(image, fields, kind=kind, centre=centre, depth=depth, wiggle=-3 * centre)
    side = geometry(fields, image, -1)
    steps = np.arange(0, 400, 0.25)
    rows = 2 * (side.hilum[0] - steps * np.cos(centre)) + 0.5
    columns = 2 * (side.hilum[1] - steps * np.sin(centre)) + 0.5
    inside = (rows > 0) & (columns > 0)
    along = mask[rows[inside].astype(int), columns[inside].astype(int)]
    # As the lung gets rounder, its top comes down a little further.
    assert -1.5 < along.sum() * 0.25 * side.pitch - depth < 1.5 + 0.2 * depth


def test_no_air_leaves_the_picture_as_it_is(real: tuple[np.ndarray, LungFields]):
    for pixels, fields in (chest(), real):
        after, mask = changed(pixels, fields, depth=0.0, line=9.0, blood=0.9, injury=0.3)
        assert not mask.any()
        assert after == pytest.approx(pixels, abs=1e-5)


def test_the_same_numbers_draw_the_same_picture(real: tuple[np.ndarray, LungFields]):
    first, again, other = (implant(*real, np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.mask, again.mask)
    assert first.parameters == again.parameters != other.parameters
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("seed", range(6))
def test_only_one_side_changes_and_the_mask_lies_there(
    seed: int, real: tuple[np.ndarray, LungFields]
):
    pixels, fields = real
    drawn = implant(pixels, fields, np.random.default_rng(seed))
    right = drawn.parameters.collapse.side == "right"
    lung, other = (fields.right, fields.left) if right else (fields.left, fields.right)
    reach = round(12 / pitch_of(fields))  # mm that the chest wall may lie further out, at most
    near = ndimage.binary_dilation(lung, iterations=reach).repeat(2, 0).repeat(2, 1)
    assert drawn.mask.any()
    assert not (drawn.mask & ~near).any()
    assert np.array_equal(drawn.pixels[~near], pixels[~near])
    far = ndimage.binary_erosion(other, iterations=reach).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(drawn.pixels[far], pixels[far])
    assert 0 <= drawn.pixels.min() <= drawn.pixels.max() <= 1
    assert drawn.pixels[drawn.mask].mean() < pixels[drawn.mask].mean()


def test_a_mirrored_chest_gets_the_mirrored_pneumothorax(real: tuple[np.ndarray, LungFields]):
    pixels, fields = real
    mirrored = LungFields(fields.left[:, ::-1], fields.right[:, ::-1], 1.0)
    after, mask = changed(pixels, fields, side="right", line=8.0, blood=0.5)
    other, other_mask = changed(
        np.ascontiguousarray(pixels[:, ::-1]), mirrored, side="left", line=8.0, blood=0.5
    )
    assert np.abs(other[:, ::-1] - after).mean() < 1e-3
    assert (other_mask[:, ::-1] != mask).sum() < 0.03 * mask.sum()


def test_vessels_come_along_with_the_lung():
    image, fields = chest()
    side = geometry(fields, image, -1)
    collapse = replace(PLAIN.collapse, kind="large", depth=40.0, centre=1.2, spread=2.5)
    edge = edge_of(side, collapse)
    angle, share = 1.2, 0.6
    reach, ending = (np.interp(angle, side.angles, polar) for polar in (side.reach, edge))
    before, expected = (
        (
            round(side.hilum[0] - share * radius / side.pitch * np.cos(angle)),
            round(side.hilum[1] - share * radius / side.pitch * np.sin(angle)),
        )
        for radius in (reach, ending)
    )
    spot = np.zeros_like(image)
    spot[before] = 2
    vessel = image + ndimage.gaussian_filter(spot, 1.5)
    parameters = replace(PLAIN, collapse=collapse)
    with_vessel, without = (put_in(picture, fields, parameters)[0] for picture in (vessel, image))
    extra, was = with_vessel - without, vessel - image
    near = np.hypot(*(np.indices(image.shape) - np.array(expected)[:, None, None])) <= 3
    assert extra[near].max() > 0.3 * was.max() > 20 * was[near].max()
    assert extra[before] < 0.7 * was.max()


def test_a_lung_comes_off_as_a_whole():
    image, fields = chest()
    _, mask = changed(image, fields, kind="large", depth=200.0, centre=0.9, spread=2.8)
    assert mask[fields.right].mean() > 0.7
    _, small = changed(image, fields, kind="apical", depth=2.0, centre=0.3, spread=0.6)
    assert 0 < small.sum() < 0.02 * fields.right.sum()


def test_a_denser_lung_is_brighter():
    image, fields = chest()
    inside = np.zeros_like(image, bool)
    inside[240:270, 170:190] = True
    dark, bright = (
        changed(image, fields, kind="large", depth=40.0, blood=blood)[0][inside].mean()
        for blood in (0.0, 0.9)
    )
    assert dark + 0.02 < bright < TISSUE


def test_lung_fields_of_another_size_are_refused():
    image, fields = chest(1024)
    large = LungFields(*(lung.repeat(2, 0).repeat(2, 1) for lung in (fields.right, fields.left)), 1)
    with pytest.raises(ValueError, match=r"lung fields are \(1024, 1024\)"):
        put_in(image, large, PLAIN)


@pytest.mark.parametrize("shape", [(1024, 860), (700, 830), (300, 400)])
def test_pictures_of_any_size(shape: tuple[int, int]):
    image, _ = chest(1024)
    rows, columns = (np.linspace(0, 1023, side).astype(int) for side in shape)
    picture = image[rows][:, columns]
    small = working_size(picture)
    dark = small < 0.5
    middle = small.shape[1] // 2
    right, left = dark.copy(), dark.copy()
    right[:, middle:], left[:, :middle] = False, False
    after, mask = changed(picture, LungFields(right, left, 1.0))
    assert after.shape == mask.shape == shape
    assert mask.any()
    lung = picture < 0.5
    assert lung[mask].mean() > 0.85
    assert (after - picture)[mask].mean() < -0.02


def test_the_tissue_beside_the_lungs_is_that_of_the_mediastinum():
    image, fields = chest()
    assert draw._mediastinum(log_odds(image), fields) == pytest.approx(
        log_odds(np.float32(TISSUE)), abs=1e-3
    )
