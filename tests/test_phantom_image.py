"""Phantoms: truth that fits the picture, and no shortcut to it."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import f1_score  # Dice by another name

from features.phantom.annotator import annotated
from features.phantom.display import expose, place
from features.phantom.other_findings import (
    Bulla,
    Findings,
    Opacity,
    emptied,
    fluid,
    sample_findings,
    under_the_skin,
    water,
)
from features.phantom.lung_shape import Lung, lungs
from features.phantom.anatomy import child, sample_collapse, sample_exposure, sample_patient
from features.phantom.skeleton import skeleton
from features.phantom.strokes import PITCH, SIDE, curve, draw, grid, smooth_curve, tree
from features.phantom.tissue import dome, rib_cage
from features.phantom.write import Phantom, phantom

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
    one, same, other = (phantom(seed, pneumothorax=True, size=128) for seed in (3, 3, 4))
    assert one.pixels.tobytes() == same.pixels.tobytes()
    assert np.array_equal(one.mask, same.mask)
    assert one.collapse == same.collapse
    assert one.pixels.tobytes() != other.pixels.tobytes()


def test_difficulty_makes_pneumothoraces_smaller_and_look_alikes_more_frequent() -> None:
    easy, hard = (
        [sample_collapse(seed, difficulty) for seed in range(60)] for difficulty in (0.0, 1.0)
    )
    assert all(a.kind == b.kind and a.side == b.side for a, b in zip(easy, hard, strict=True))
    for name in ("depth", "air", "line"):
        lesser, greater = (np.mean([getattr(one, name) for one in part]) for part in (hard, easy))
        assert lesser < 0.75 * greater
    found = [[sample_findings(seed, level) for seed in range(60)] for level in (0.0, 0.5, 1.0)]
    counts = [
        sum(len(one.opacities) + len(one.bullae) + len(one.creases) for one in part)
        for part in found
    ]
    assert counts[0] == 0
    assert 40 < counts[1] < counts[2]
    assert all(one.oedema == 0 and one.fluid == (0, 0) for one in found[0])


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


def test_drains_follow_pneumothoraces_only_if_they_are_asked_to() -> None:
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


def test_findings_change_the_picture_where_they_lie() -> None:
    fields = _fields(3)
    opacity = Opacity("left", turn=1.5, share=0.5, radius=(20.0, 15.0), density=0.2)
    bulla = Bulla("right", turn=0.5, share=0.8, radius=15.0, empty=0.6)
    findings = Findings(
        (opacity,), (bulla,), (40.0, 0.0), 1.0, oedema=0.0, creases=(), skin_air=(0.0, 0.0)
    )
    extra = water(findings, fields, np.zeros((SIDE, SIDE), np.float32))
    extra += fluid(findings, fields, "erect")
    right, left = (lung.field > 0.5 for lung in fields)
    assert extra[left].max() == pytest.approx(0.2, rel=0.02)
    rows = np.flatnonzero(right.any(axis=1))
    assert extra[rows[-1]][right[rows[-1]]].min() > 0.3  # fluid lies in the deepest place
    assert extra[rows[len(rows) // 3]][right[rows[len(rows) // 3]]].max() < 0.02
    remaining = emptied(findings, fields)
    assert remaining[right].min() == pytest.approx(0.4, abs=0.01)
    assert (remaining[left] == 1).all()


def _fields(seed: int) -> tuple[Lung, Lung]:
    """The lung fields of a patient without pneumothorax."""
    return lungs(sample_patient(seed), sample_exposure(seed), None)[1]


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


def test_one_patient_keeps_the_anatomy_from_image_to_image() -> None:
    first, second = (phantom(seed, patient=7, size=64) for seed in (1, 2))
    assert first.patient == second.patient
    assert (first.age, first.sex) == (second.age, second.sex)
    assert first.exposure != second.exposure


def test_streams_depend_on_their_key_alone() -> None:
    seed = np.random.SeedSequence(9)
    state = child(seed, 1, 2).generate_state(4)
    seed.spawn(3)  # spawning elsewhere must not move the stream
    assert np.array_equal(state, child(9, 1, 2).generate_state(4))
    assert not np.array_equal(state, child(9, 1, 3).generate_state(4))


def test_arrays_have_the_promised_shape_and_type(pairs: list[tuple[Phantom, Phantom]]) -> None:
    for one in (image for pair in pairs[:3] for image in pair):
        assert one.pixels.shape == one.mask.shape == (SIZE, SIZE)
        assert one.pixels.dtype == np.uint8
        assert one.mask.dtype == one.right_lung.dtype == one.left_lung.dtype == np.bool_
        assert one.spacing_mm == pytest.approx(one.exposure.field_mm / SIZE)


def test_lungs_lie_left_and_right_and_apart(pairs: list[tuple[Phantom, Phantom]]) -> None:
    for _, one in pairs:
        assert not (one.right_lung & one.left_lung).any()
        columns = [np.flatnonzero(lung.any(0)).mean() for lung in (one.right_lung, one.left_lung)]
        assert columns[0] < SIZE / 2 < columns[1]
        for lung in (one.right_lung, one.left_lung):
            assert 0.04 < lung.mean() < 0.25
            parts = np.bincount(ndimage.label(lung)[0].ravel())[1:]
            assert parts.max() > 0.995 * lung.sum()
        lungs = one.right_lung | one.left_lung
        rest = ndimage.binary_dilation(lungs, iterations=SIZE // 24) & ~lungs
        assert one.pixels[lungs].mean() < one.pixels[rest].mean()  # air is dark


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
        ill, well = (one.pixels.astype(float) for one in drawn)
        details = [value - ndimage.gaussian_filter(value, 1.5) for value in (ill, well)]
        darker.append(ill[inner].mean() - well[inner].mean())
        smoother.append(details[0][inner].std() / details[1][inner].std())
    assert max(darker) < 0
    assert np.mean(smoother) < 0.98


def test_nothing_but_the_collapse_tells_positives_from_negatives(
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


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=0, max_value=2**63))
def test_sampled_numbers_stay_in_the_human_range(seed: int) -> None:
    patient, exposure, collapse = (
        draw_one(seed) for draw_one in (sample_patient, sample_exposure, sample_collapse)
    )
    assert 16 <= patient.age <= 91
    assert patient.sex in ("F", "M")
    assert 95 < patient.half_width < 170
    assert 0.3 < patient.heart / patient.half_width < 0.65  # half the cardiothoracic ratio's span
    assert 2 <= patient.breast <= (25 if patient.sex == "M" else 55)
    assert 0 <= patient.emphysema <= 1
    assert exposure.view in ("PA", "AP")
    assert all(0 <= share < 0.1 for share in exposure.collimation)
    assert 6 <= collapse.depth <= 125
    assert 0 < collapse.air < 1


def test_a_stroke_attenuates_as_much_as_it_says() -> None:
    line = np.array([[-60.0, 10.0], [60.0, 10.0]])
    drawn = draw([curve(line, 1.4, 0.5)])
    row = round(10 / PITCH + (SIDE - 1) / 2)
    middle = drawn[row - 20 : row + 21, SIDE // 2 - 30 : SIDE // 2 + 30]
    assert middle.max() == pytest.approx(0.5, rel=0.05)
    # The integral across a Gaussian profile is its peak times sqrt(2 pi) times its radius.
    across = middle.sum(axis=0).mean() * PITCH
    assert across == pytest.approx(0.5 * np.sqrt(2 * np.pi) * 1.4, rel=0.02)
    assert drawn[row + 20].max() == pytest.approx(0, abs=1e-4)


def test_strokes_outside_the_grid_are_clipped_and_none_draw_nothing() -> None:
    far = curve(np.array([[1e4, 0.0], [1e4, 50.0]]), 1.0, 1.0)
    assert not draw([far]).any()
    assert not draw([]).any()


def test_a_smooth_curve_passes_through_its_anchors() -> None:
    anchors = [(0.0, 0.0), (10.0, 5.0), (20.0, -5.0)]
    points = smooth_curve(anchors, 201)
    assert points[[0, 100, 200]] == pytest.approx(np.array(anchors), abs=1e-6)


def test_vessels_thin_out_and_join_their_parents() -> None:
    generations = tree(np.random.default_rng(0), calibre=1.0, reach=100.0)
    thickest = [radius.max() for _, radius in generations]
    assert thickest == sorted(thickest, reverse=True)
    for (parent, _), (daughter, _) in pairwise(generations):
        ends = np.concatenate([parent[:, -1], parent[:, -1]])
        assert np.hypot(*(daughter[:, 0] - ends).T).max() < 1.0


def test_zones_go_from_the_apex_down_and_from_the_rim_inwards() -> None:
    one = phantom(3, pneumothorax=False, size=SIZE)
    rows, columns = (
        [at[one.zones == number].mean() for number in range(1, 21)]
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


def test_a_reader_draws_near_the_edge_and_no_two_alike() -> None:
    disc = np.hypot(*(np.indices((300, 300)) - 150)) < 90
    readers = [annotated(disc, 0.5, np.random.default_rng(seed)) for seed in range(30)]
    edges = [np.sqrt(reader.sum() / np.pi) - 90 for reader in readers]  # pixels, mean of an outline
    assert abs(np.mean(edges)) * 0.5 < 0.5
    assert 0.4 < np.std(edges) * 0.5 < 1.6
    assert all(f1_score(disc.ravel(), reader.ravel()) > 0.9 for reader in readers)
    assert not np.array_equal(readers[0], readers[1])
    same = annotated(disc, 0.5, np.random.default_rng(0))
    assert np.array_equal(readers[0], same)


def test_a_reader_overlooks_no_lesion_and_invents_none() -> None:
    sliver = np.zeros((100, 100), bool)
    assert not annotated(sliver, 0.4, np.random.default_rng(0)).any()
    sliver[20:60, 0] = True  # one pixel wide, at the image's border
    for seed in range(10):
        found = annotated(sliver, 0.4, np.random.default_rng(seed))
        assert found.any()
        assert not found[:, 15:].any()


def test_air_under_the_skin_lies_outside_the_ribs_or_before_them_on_its_side() -> None:
    patient, rng = sample_patient(1), np.random.default_rng(0)
    findings = Findings((), (), (0.0, 0.0), 1.0, 0.0, (), skin_air=(8.0, 0.0))
    streaks = under_the_skin(findings, patient, rng)
    assert streaks
    points = np.concatenate(streaks, axis=1)
    assert (points[3] < 0).all()
    assert (points[0] < 0).all()  # the patient's right lies on the image's left
    beyond = -points[0] > rib_cage(patient, points[1])
    assert 0.3 < beyond.mean() < 0.95
    assert not under_the_skin(replace(findings, skin_air=(0.0, 0.0)), patient, rng)


def test_one_dome_passes_into_the_other_without_a_step() -> None:
    patient = replace(sample_patient(2), dome_right=60.0, dome_left=85.0)
    exposure = sample_exposure(2)
    right, left = (dome(patient, exposure, sign, np.array([0.0, 65.0])) for sign in (-1, 1))
    assert right[0] == pytest.approx(left[0])
    assert left[1] - right[1] == pytest.approx(25, abs=0.2)


@pytest.mark.parametrize("what", ["ribs", "shoulders"])
def test_ribs_and_shoulders_are_not_mirror_images(what: str) -> None:
    patient = replace(sample_patient(3), scoliosis=0.0)
    exposure = sample_exposure(3)
    alike = np.zeros(5)
    if what == "ribs":
        exposure = replace(exposure, scapula=(0.0, 0.0), shrug=(0.0, 0.0))
        numbers = np.random.default_rng(0)
    else:
        numbers = SimpleNamespace(standard_normal=lambda count: alike[:count])
    bones = draw(skeleton(patient, exposure, numbers))
    assert np.abs(bones - bones[:, ::-1]).mean() > 0.1 * np.abs(bones).mean()
    plain = replace(exposure, scapula=(0.0, 0.0), shrug=(0.0, 0.0))
    numbers = SimpleNamespace(standard_normal=lambda count: alike[:count])
    bones = draw(skeleton(patient, plain, numbers))
    assert np.abs(bones - bones[:, ::-1]).max() < 0.01 * np.abs(bones).max()
