"""The run-length code against hand-made arrays, a naive decoder and all of the challenge's rows."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.reading import rle
from features.run.files import UserError

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))


def naive_decode(text: str, rows: int, columns: int) -> np.ndarray:
    """Pixel by pixel, as the challenge describes it."""
    flat = [False] * (rows * columns)
    if text != "-1":
        numbers = [int(part) for part in text.split()]
        position = 0
        for gap, length in zip(numbers[0::2], numbers[1::2], strict=True):
            position += gap
            for _ in range(length):
                flat[position] = True
                position += 1
    mask = np.zeros((rows, columns), bool)
    for index, value in enumerate(flat):
        mask[index % rows, index // rows] = value
    return mask


def test_runs_go_down_the_columns():
    mask = np.array([[0, 1, 0], [1, 1, 0]], bool)
    assert rle.encode(mask) == "1 3"
    np.testing.assert_array_equal(rle.decode("1 3", (2, 3)), mask)


def test_a_run_at_the_last_pixel_is_kept():
    mask = np.zeros((4, 5), bool)
    mask[-1, -1] = True
    assert rle.encode(mask) == "19 1"
    assert rle.decode("19 1", (4, 5))[-1, -1]


def test_empty_and_full():
    assert rle.encode(np.zeros((3, 3), bool)) == "-1"
    assert not rle.decode("-1", (3, 3)).any()
    assert rle.encode(np.ones((3, 3), bool)) == "0 9"
    assert rle.decode(" -1", (3, 3)).sum() == 0


@given(MASKS)
def test_decode_undoes_encode(mask):
    text = rle.encode(mask)
    np.testing.assert_array_equal(rle.decode(text, mask.shape), mask)
    np.testing.assert_array_equal(naive_decode(text, *mask.shape), mask)
    assert rle.area(text) == mask.sum()


@given(MASKS, st.data())
def test_union_is_logical_or(first, data):
    second = data.draw(hnp.arrays(bool, first.shape))
    joined = rle.union([rle.encode(first), rle.encode(second)], first.shape)
    np.testing.assert_array_equal(rle.decode(joined, first.shape), first | second)


def test_touching_runs_are_one():
    np.testing.assert_array_equal(rle.decode("1 2 0 2", (6, 1))[:, 0], [0, 1, 1, 1, 1, 0])


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("1", "pairs"),
        ("", "pairs"),
        ("1 2 3", "pairs"),
        ("a b", "whole numbers"),
        ("1.5 2", "whole numbers"),
        ("3 0", "at least 1"),
        ("-2 4", "at least 0"),
        ("0 10", "beyond"),
        ("99999999999999999999 1", "whole numbers"),
    ],
)
def test_malformed_codes_are_refused(text, rule):
    with pytest.raises(UserError, match=rule):
        rle.decode(text, (3, 3))


def test_every_official_positive_survives_a_round_trip(shared_data):
    table = pd.read_csv(shared_data / "siim-full-train-rle.csv.gz", skipinitialspace=True)
    table.columns = table.columns.str.strip()
    positive = table[table["EncodedPixels"].str.strip() != "-1"]
    assert positive["ImageId"].nunique() == 2669
    for code in positive["EncodedPixels"]:
        mask = rle.decode(code)
        again = rle.encode(mask)
        assert np.array_equal(rle.runs(again), _merged(rle.runs(code)))
        assert np.array_equal(rle.decode(again), mask)


def _merged(runs: np.ndarray) -> np.ndarray:
    """Absolute runs with touching neighbours joined."""
    starts, ends = runs[:, 0], runs.sum(axis=1)
    apart = np.concatenate(([True], starts[1:] > ends[:-1]))
    last = np.concatenate((apart[1:], [True]))
    return np.stack((starts[apart], ends[last] - starts[apart]), axis=1)


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_naive_decoder_agrees_on_random_codes(rows, columns, seed):
    mask = np.random.default_rng(seed).random((rows, columns)) < 0.4
    text = rle.encode(mask)
    np.testing.assert_array_equal(
        rle.decode(text, (rows, columns)), naive_decode(text, rows, columns)
    )


def test_a_code_of_more_characters_than_any_mask_needs_is_refused_at_once():
    with pytest.raises(UserError, match=r"its 40000000 characters are more than any mask of a 8x8"):
        rle.decode("1 1 " * 10_000_000, (8, 8))
