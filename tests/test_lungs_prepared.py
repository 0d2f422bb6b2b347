"""An X-ray made ready for measuring: its working size, and what is repeated outside the lungs."""

import numpy as np

from features.lungs.prepared import prepare, repeat_inside, working_size
from features.reading import images


def test_working_size_averages_areas():
    big = np.arange(1024 * 1024, dtype=np.float32).reshape(1024, 1024)
    small = working_size(big)
    assert small.shape == (512, 512)
    assert small[0, 0] == np.mean([0, 1, 1024, 1025])
    assert working_size(np.zeros((900, 600), np.float32)).shape == (512, 341)


def test_an_image_of_more_pixels_is_the_same_image():
    rng = np.random.default_rng(0)
    pixels = rng.random((1024, 900), np.float32)
    for times in (2, 3):
        larger = np.kron(pixels, np.ones((times, times), np.float32))
        np.testing.assert_allclose(working_size(larger), working_size(pixels), atol=1e-6)


def test_pixels_outside_are_repeated_by_hand():
    image = np.array([[9, 9, 9, 9, 9], [9, 1, 9, 3, 9], [9, 9, 9, 9, 9]], np.float32)
    inside = image != 9
    np.testing.assert_array_equal(repeat_inside(image, inside), [[1, 1, 2, 3, 3]] * 3)


def test_half_resolution_keeps_the_zones(shared_data):
    for path in sorted((shared_data / "siim-mini" / "stage_2_images").glob("*.dcm"))[::250]:
        pixels = images.read(path)[1]
        half = pixels.reshape(512, 2, 512, 2).mean(axis=(1, 3))
        shares = []
        for image in (prepare(pixels), prepare(half)):
            counts = np.bincount(image.zones.labels[image.zones.labels >= 0], minlength=36)
            shares.append(counts / image.grey.size)
        assert np.abs(shares[0] - shares[1]).max() < 0.03
