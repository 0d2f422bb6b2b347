"""Squares of a run: decoded once for each size, and again where a file or the dataset changes."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from features.run.files import UserError
from features.squares import store
from features.squares.store import load_squares
from tests.helpers.tiny_run import SIDE, change


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    """Paths that are decoded, in order."""
    paths = []
    read_square = store.read_square

    def watched(item, size):
        paths.append(item[0])
        return read_square(item, size)

    monkeypatch.setattr(store, "read_square", watched)
    return paths


def test_all_images_that_are_measured_are_there_and_decoded_once(run, decoded):
    squares = load_squares(run, 32)
    assert squares.ids.tolist() == [f"i{number}" for number in range(13)]  # not the unlabelled one
    assert len(decoded) == 13
    with Image.open(run.root.parent / "i12.png") as image:
        means = np.asarray(image, float).reshape(32, 2, 32, 2).mean((1, 3))
    assert np.abs(squares.pixels[12] - means).max() <= 0.5 + 1e-4
    assert_array_equal(load_squares(run, 32).pixels, squares.pixels)
    assert len(decoded) == 13
    assert load_squares(run, 16).pixels.shape == (13, 16, 16)
    assert len(decoded) == 26
    load_squares(run, 32)
    assert len(decoded) == 26


def test_chosen_squares_are_read_like_an_array(run):
    squares = load_squares(run, 32)
    chosen = squares.of(["i7", "i2", "i11"])
    expected = squares.pixels[[7, 2, 11]]
    assert (len(chosen), chosen.shape, chosen.size) == (3, (3, 32, 32), 3 * 32 * 32)
    assert_array_equal(chosen[:], expected)
    assert_array_equal(chosen[1], expected[1])
    with pytest.raises(KeyError, match="i13"):
        squares.of(["i7", "i13"])
    assert_array_equal(chosen[np.array([2, 0, 2])], expected[[2, 0, 2]])


def test_a_file_that_has_changed_is_decoded_again(run, decoded):
    load_squares(run, 32)
    path = run.root.parent / "i3.png"
    decoded.clear()
    picture = Image.linear_gradient("L").resize((SIDE, SIDE))
    picture.save(path)
    after = load_squares(run, 32).pixels
    assert str(path) in decoded
    means = np.asarray(picture, float).reshape(32, 2, 32, 2).mean((1, 3))
    assert np.abs(after[3] - means).max() <= 0.5 + 1e-4


def test_squares_of_another_dataset_or_half_written_ones_are_not_taken(run, decoded):
    load_squares(run, 32)
    change(run, fold=np.arange(14) % 3)  # now the last image is measured, too
    assert load_squares(run, 32).pixels.shape == (14, 32, 32)
    run.squares_from(32).unlink()  # written last, so a killed process leaves none
    decoded.clear()
    load_squares(run, 32)
    assert len(decoded) == 14


def test_an_image_that_is_gone_or_of_another_size_is_a_sentence(run):
    path = run.root.parent / "i4.png"
    Image.linear_gradient("L").resize((SIDE, 2 * SIDE)).save(path)
    with pytest.raises(UserError, match=r"i4\.png: has 128x64 pixels, but had 64x64 when"):
        load_squares(run, 32)
    assert not list(run.squares(32).parent.glob("*"))
    path.unlink()
    with pytest.raises(UserError, match=r"i4\.png: no such file any more"):
        load_squares(run, 32)
