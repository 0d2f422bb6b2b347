"""What is measured of one image, against slower or simpler ways to the same numbers."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import ndimage

from baseline.audit import resampled_auc
from baseline.audit_facts import lung_boxes, measuring, picture_facts, recompression
from baseline.learning import scores
from features.reading import rle
from tests.helpers.datasets import dataset


def test_many_samples_at_once_give_the_interval_of_one_sample_after_the_other():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 2, 90).astype(float)
    patients = np.array([f"p{n}" for n in rng.integers(0, 40, 90)], object)
    for scored in (rng.normal(size=90), np.round(rng.normal(size=90))):
        slow = scores.bootstrap(
            lambda rows, scored=scored: scores.auc(target[rows], scored[rows]), patients, 500
        )
        fast = resampled_auc.estimate(target, scored, resampled_auc.weights(patients))
        assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high))


def test_an_auc_of_one_class_has_no_interval():
    weights = resampled_auc.weights(np.array(["a", "b"], object))
    result = resampled_auc.estimate(np.zeros(2), np.arange(2.0), weights)
    assert np.isnan([result.value, result.low, result.high]).all()


def packed(levels: np.ndarray, times: int, quality: int = 90) -> tuple[bytes, np.ndarray]:
    """A JPEG that was packed so many times, and its pixels."""
    for _ in range(times):
        stream = io.BytesIO()
        Image.fromarray(levels).save(stream, "JPEG", quality=quality)
        levels = np.asarray(Image.open(stream))
    return stream.getvalue(), (levels / 255).astype(np.float32)


def noise(shape: tuple[int, int] = (300, 200)) -> np.ndarray:
    smooth = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=shape), 2)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def test_a_jpeg_that_was_packed_before_changes_less_each_time():
    once, twice, often = (
        recompression.changed_pixels(*packed(noise(), times)) for times in (1, 2, 12)
    )
    assert once is not None and twice is not None and often is not None
    assert once > twice > often


def test_changed_pixels_are_counted_by_hand_where_all_are_within_the_part():
    stream, pixels = packed(noise((64, 48)), 1)
    again = np.asarray(
        Image.open(io.BytesIO(packed((255 * pixels).round().astype(np.uint8), 1)[0]))
    )
    expected = 1e6 * np.mean(again != (255 * pixels).round())
    assert recompression.changed_pixels(stream, pixels) == pytest.approx(expected)


def test_no_jpeg_a_coloured_one_and_changed_pixels_say_nothing():
    stream, pixels = packed(noise(), 1)
    colour = io.BytesIO()
    Image.fromarray(np.stack([noise()] * 3, axis=2)).save(colour, "JPEG")
    assert recompression.changed_pixels(b"no JPEG", pixels) is None
    assert recompression.changed_pixels(colour.getvalue(), pixels) is None
    assert recompression.changed_pixels(stream, pixels**2) is None
    assert recompression.changed_pixels(stream, pixels[:100]) is None


@pytest.mark.parametrize("shape", [(512, 512), (300, 200), (128, 128), (256, 384)])
def test_a_thumbnail_is_the_mean_over_areas(shape):
    pixels = np.random.default_rng(2).random(shape, np.float32)
    small = picture_facts.shrunk(pixels)
    assert small.shape == (128, 128)
    if shape[0] % 128 == 0 and shape[1] % 128 == 0:
        blocks = pixels.reshape(128, shape[0] // 128, 128, shape[1] // 128)
        assert small == pytest.approx(blocks.mean(axis=(1, 3)), abs=1e-6)
    assert small.mean() == pytest.approx(pixels.mean(), abs=1e-3)


def test_levels_of_a_picture_against_numpy():
    pixels = np.random.default_rng(3).random((128, 128), np.float32)
    numbers = picture_facts.measure(pixels, pixels, picture_facts.border(pixels)).numbers
    levels = np.rint(pixels * 65535)
    assert numbers["grey levels"] == len(np.unique(levels))
    assert numbers["brightness"] == pytest.approx(pixels.mean(), abs=1e-5)
    assert numbers["contrast"] == pytest.approx(pixels.std(), abs=1e-5)
    assert numbers["middle level"] == pytest.approx(np.median(pixels), abs=1e-4)
    steep = np.zeros((128, 128), bool)
    steep[:, 1:] |= np.abs(np.diff(pixels, axis=1)) > picture_facts.STEEP
    steep[1:] |= np.abs(np.diff(pixels, axis=0)) > picture_facts.STEEP
    # All lines of noise are borders' edges, so without that rule all steps count.
    assert picture_facts._steep(pixels, np.float32(picture_facts.STEEP)).sum() == steep.sum()


def table(count: int, masks: list[int]) -> pd.DataFrame:
    codes = [f"{n} 5" if n in masks else rle.EMPTY for n in range(count)]
    return dataset([f"i{n:04}" for n in range(count)], mask=codes, path="x")


def test_lungs_are_sought_of_masks_and_of_no_more_than_are_averaged():
    many = table(1000, [3, 501])
    lungs = [task.lungs for task in measuring.tasks(many)]
    assert lungs[3] and lungs[501] and lungs[0] and lungs[-1]
    assert lung_boxes.MOST_AVERAGED <= sum(lungs) <= lung_boxes.MOST_AVERAGED + 2
    assert all(task.lungs for task in measuring.tasks(table(20, [])))


def test_each_mask_is_compared_with_another_images():
    tasks = measuring.tasks(table(9, [1, 4, 6, 7]))
    assert [task.mask for task in tasks if task.mask] == ["1 5", "4 5", "6 5", "7 5"]
    assert [task.foreign[0] for task in tasks if task.mask] == ["6 5", "7 5", "1 5", "4 5"]
    assert tasks[0].foreign == ("", 0, 0)
