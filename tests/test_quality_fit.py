"""Fitting the quality gate: the same bytes again, of pictures that are what they are called."""

import numpy as np
import pytest

from features.quality import fit, gate, measures, other_pictures
from features.quality.copies import copies


@pytest.fixture(scope="module")
def examples() -> list[fit.Example]:
    parts = [fit.of_phantom(number, 5) for number in range(2)]
    parts += [fit.of_drawing(number, 5) for number in range(len(other_pictures.KINDS))]
    return [example for part in parts for example in part]


def test_the_same_seed_gives_the_same_bytes(examples, tmp_path):
    again = fit.of_phantom(1, 5)
    for (kind, values), (same, others) in zip(examples[10:20], again, strict=True):
        assert kind == same
        np.testing.assert_array_equal(values, others)
    files = []
    for name in ("a.npz", "b.npz"):
        gate.write_model(tmp_path / name, fit.fit(examples))
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_every_kind_is_learned(examples):
    burnt = {gate.BLANK, gate.OVEREXPOSED, gate.UNDEREXPOSED}
    assert {kind for kind, _ in examples} == set(gate.WORDS) - burnt
    assert all(values.shape == (measures.COUNT,) for _, values in examples)
    model = fit.fit(examples)
    scores = gate.scores_of(model, np.stack([values for _, values in examples]))
    odds = gate.log_odds(model.kinds, scores)
    fine = np.isin([kind for kind, _ in examples], gate.NOTED)
    assert odds[fine].mean() < odds[~fine].mean() - 0.5


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
