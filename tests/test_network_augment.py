"""Random variants: image, evidence and mask move together, and stay in their ranges."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import scipy.ndimage
from numpy.testing import assert_allclose, assert_array_equal

from cnn.network import augment
from cnn.network.augment import AugmentConfig
from tests.helpers.shapes import checked, noise

STILL = AugmentConfig(
    flip=0.0, rotation=0.0, scale=0.0, shift=0.0, gamma=0.0, contrast=0.0, brightness=0.0
)
vary = checked(augment.augment, "config")


def test_without_changes_images_stay_as_they_are():
    images, masks = noise(2, 16, 16, 2), noise(2, 16, 16, seed=1)
    new_images, new_masks = vary(jax.random.key(0), jnp.asarray(images), jnp.asarray(masks), STILL)
    assert_allclose(new_images, images, atol=1e-5)
    assert_allclose(new_masks, masks, atol=1e-5)


def test_a_certain_flip_mirrors_left_and_right():
    images = jnp.asarray(noise(2, 16, 16, 2))
    masks = images[..., 1]
    new_images, new_masks = vary(jax.random.key(0), images, masks, replace(STILL, flip=1.0))
    assert_allclose(new_images, images[:, :, ::-1], atol=1e-5)
    assert_allclose(new_masks, masks[:, :, ::-1], atol=1e-5)


def test_image_evidence_and_mask_move_together():
    geometry = AugmentConfig(gamma=0.0, contrast=0.0, brightness=0.0)
    masks = jnp.asarray(noise(4, 32, 32))
    images = jnp.stack([masks, masks], axis=-1)
    new_images, new_masks = vary(jax.random.key(3), images, masks, geometry)
    assert_allclose(new_images[..., 0], new_masks, atol=1e-5)
    assert_allclose(new_images[..., 1], new_masks, atol=1e-5)
    assert float(jnp.abs(new_masks - masks).mean()) > 0.05


def test_intensity_changes_leave_evidence_and_mask_alone():
    intensity = replace(STILL, gamma=0.3, contrast=0.2, brightness=0.1, noise=0.1, occlusion=1.0)
    images, masks = jnp.asarray(noise(4, 16, 16, 2)), jnp.asarray(noise(4, 16, 16, seed=1))
    new_images, new_masks = vary(jax.random.key(0), images, masks, intensity)
    assert_allclose(new_masks, masks, atol=1e-5)
    assert_allclose(new_images[..., 1], images[..., 1], atol=1e-5)
    assert float(new_images.min()) >= 0
    assert float(new_images.max()) <= 1
    assert float(jnp.abs(new_images - images)[..., 0].mean()) > 0.01


def test_noise_has_the_given_strength():
    images = jnp.full((200, 16, 16), 0.5)
    noisy = augment.add_noise(jax.random.key(0), images, AugmentConfig(noise=0.1))
    spreads = np.std(noisy, axis=(1, 2))
    assert 0.09 < spreads.max() < 0.12  # the largest of strengths spread evenly up to 0.1
    assert_allclose(spreads.mean(), 0.05, atol=0.01)


def test_rectangles_are_blanked_out():
    images = jnp.asarray(noise(200, 32, 32))
    config = AugmentConfig(occlusion=0.5, occluded=0.5)
    changed = np.asarray(augment.occlude(jax.random.key(0), images, config) != images)
    assert 0.35 < changed.any((1, 2)).mean() < 0.55
    for rectangle in changed[changed.any((1, 2))]:
        rows, columns = rectangle.any(1), rectangle.any(0)
        assert_array_equal(rectangle, np.outer(rows, columns))
        assert max(rows.sum(), columns.sum()) <= 16


def test_resampling_agrees_with_scipy():
    image = noise(17, 23)
    angle = np.deg2rad(20)
    matrix = 1.1 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.array([2.3, -1.6])
    expected = scipy.ndimage.affine_transform(
        image, matrix, offset, order=1, mode="grid-constant", cval=0.0
    )
    resampled = checked(augment.resample)(
        jnp.asarray(image)[..., None], jnp.asarray(matrix, jnp.float32), jnp.float32(offset)
    )
    assert_allclose(resampled[..., 0], expected, atol=1e-4)


def test_affine_maps_stay_in_their_ranges():
    config = AugmentConfig(rotation=10.0, scale=0.2, shift=0.1)
    matrices, offsets = checked(augment.random_affine, "n", "side", "config")(
        jax.random.key(0), 500, 101, config
    )
    scales = np.sqrt(np.abs(np.linalg.det(matrices)))
    assert_allclose([scales.min(), scales.max()], [1 / 1.2, 1.2], rtol=0.02)
    flipped = np.linalg.det(matrices) < 0
    assert 0.4 < flipped.mean() < 0.6
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    assert 9 < np.abs(angles).max() <= 10.001
    # The source of the moved centre is the centre.
    moved = np.linalg.solve(np.asarray(matrices, float), (50 - np.asarray(offsets))[..., None])
    assert 9 < np.abs(moved[..., 0] - 50).max() <= 0.1 * 101 + 0.01


def test_the_same_key_gives_the_same_augmentation():
    images = jnp.asarray(noise(1, 16, 16, 1))
    first, same, other = (
        vary(jax.random.key(seed), images, images[..., 0], AugmentConfig())[0] for seed in (0, 0, 1)
    )
    assert_array_equal(first, same)
    assert not np.array_equal(first, other)
