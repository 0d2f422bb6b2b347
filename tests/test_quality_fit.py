"""Fitting the quality gate: the same bytes again, of pictures that are what they are called."""

import numpy as np
import pytest

from features.quality import fit, gate, measures, other_pictures, phantom_copies
from features.quality.copies import CUTS, copies, cut_at


@pytest.fixture(scope="module")
def examples() -> list[fit.Example]:
    parts = [fit.of_phantom(number, 5) for number in range(2)]
    parts += [fit.of_drawing(number, 5) for number in range(len(other_pictures.KINDS))]
    return [example for part in parts for example in part]


def test_the_same_seed_gives_the_same_bytes(examples, tmp_path):
    first, again = fit.of_phantom(0, 5), fit.of_phantom(1, 5)
    second = examples[len(first) : len(first) + len(again)]
    for (kind, values), (same, others) in zip(second, again, strict=True):
        assert kind == same
        np.testing.assert_array_equal(values, others)
    upright = np.stack([first[0][1], again[0][1]])
    files = []
    for name in ("a.npz", "b.npz"):
        gate.write_model(tmp_path / name, fit.fit(examples, upright))
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_every_kind_is_learned(examples):
    others = {gate.BLANK, gate.OVEREXPOSED, gate.UNDEREXPOSED, gate.MIRRORED}
    assert {kind for kind, _ in examples} == set(gate.WORDS) - others
    assert all(values.shape == (measures.COUNT,) for _, values in examples)
    model = fit.fit(examples, np.stack([examples[0][1]]))
    scores, _ = gate.judged(model, np.stack([values for _, values in examples]))
    odds = gate.log_odds(model.kinds, scores)
    fine = np.array([kind == gate.GOOD for kind, _ in examples])
    assert odds[fine].mean() < odds[~fine].mean() - 0.5


def test_the_heart_is_learned_from_the_sides_difference():
    rng = np.random.default_rng(3)
    asymmetry = rng.normal(size=(200, 4))
    asymmetry[:, 2] += 2  # the place at the left is brighter in mirrored pictures alone
    weights = fit._heart_weights(asymmetry)
    assert weights[2] < -abs(np.delete(weights, 2)).max() * 3
    odds = asymmetry @ weights
    assert (odds < 0).mean() > 0.9 and (-asymmetry @ weights > 0).mean() > 0.9


def test_cuts_are_called_by_what_they_take():
    bottom, top = "cut at the bottom", "cut at the top"
    # (kind, share of the picture, share of the lungs): stretched, as it comes
    for kind, share, lost, stretched, as_it_comes in (
        (top, 0.4, 0.2, top, top),
        (top, 0.1, 0.2, top, top),
        (top, 0.1, 0.0, gate.GOOD, gate.GOOD),
        (top, 0.25, 0.0, gate.GOOD, None),
        (top, 0.3, 0.0, gate.GOOD, top),
        (top, 0.3, 0.02, None, top),
        (top, 0.1, 0.02, None, None),
        (bottom, 0.1, 0.0, None, None),
        (bottom, 0.3, 0.0, None, bottom),
        (bottom, 0.1, 0.2, bottom, bottom),
    ):
        assert phantom_copies.name_stretched(kind, lost) == stretched
        assert phantom_copies.name_as_it_comes(kind, share, lost) == as_it_comes


def test_copies_of_a_phantom_are_whole_and_their_shape_is_told():
    copies_of = [copy for copy in phantom_copies.of_phantom(0, 5) if copy.kinds]
    assert [kind for kind, _ in copies_of[0].kinds] == [gate.GOOD]
    good = copies_of[0].picture
    assert good.shape[0] / good.shape[1] == copies_of[0].kinds[0][1]
    for copy in copies_of:
        assert copy.picture.dtype == np.float32
        assert 0 <= copy.picture.min() <= copy.picture.max() <= 1
        own = copy.picture.shape[0] / copy.picture.shape[1]
        assert all(ratio in (own, good.shape[0] / good.shape[1]) for _, ratio in copy.kinds)


def test_a_mask_is_cut_like_its_picture():
    picture = np.arange(12, dtype=np.float32).reshape(4, 3)
    for kind in CUTS:
        mask = cut_at(kind, picture > 5, 1 / 3)
        np.testing.assert_array_equal(mask, dict(copies(picture, 1 / 3))[kind] > 5)


def test_copies_by_hand():
    picture = np.arange(6, dtype=np.float32).reshape(3, 2) / 8
    made = dict(copies(picture))
    np.testing.assert_array_equal(made["inverted"], 1 - picture)
    # The top of the picture comes to lie at the left, at the right, and at the bottom.
    np.testing.assert_array_equal(made["turned left"][:, 0], picture[0, ::-1])
    np.testing.assert_array_equal(made["turned right"][:, -1], picture[0])
    np.testing.assert_array_equal(made["upside down"][-1], picture[0, ::-1])
    np.testing.assert_array_equal(made["mirrored"][:, 0], picture[:, 1])
    np.testing.assert_array_equal(made["cut at the top"], picture[1:])
    np.testing.assert_array_equal(made["cut at the bottom"], picture[:2])
    np.testing.assert_array_equal(made["cut at the left"], picture[:, 1:])
    np.testing.assert_array_equal(made["cut at the right"], picture[:, :1])


@pytest.mark.parametrize("kind", other_pictures.KINDS)
def test_drawings_follow_from_their_seed(kind):
    first, same, other = (
        other_pictures.draw(kind, np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, same)
    assert first.shape == (128, 128) and first.dtype == np.float32
    assert first.min() == 0 and first.max() == pytest.approx(1)
    assert not np.array_equal(first, other)
