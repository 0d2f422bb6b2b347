"""The network, its loss and its augmentation, on arrays small enough to check by hand."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from jaxtyping import AbstractArray, TypeCheckError, jaxtyped
from numpy.testing import assert_allclose, assert_array_equal

from cnn.network import augment, losses, unet
from cnn.network.augment import AugmentConfig
from cnn.network.config import PROFILES
from cnn.network.losses import LossConfig
from cnn.network.unet import UNetConfig

TINY = UNetConfig(size=32, widths=(8, 16), groups=4)
STILL = AugmentConfig(
    flip=0.0, rotation=0.0, scale=0.0, shift=0.0, gamma=0.0, contrast=0.0, brightness=0.0
)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a jaxtyping hint, or a tuple of them, says; other hints pass."""
    if get_origin(hint) is tuple:
        return all(fits(*pair) for pair in zip(value, get_args(hint), strict=True))
    return not (isinstance(hint, type) and issubclass(hint, AbstractArray)) or isinstance(
        value, hint
    )


def typechecker(function: Callable[..., Any]) -> Callable[..., Any]:
    """The plainest type checker that jaxtyping can work with."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        bound = inspect.signature(function).bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if not fits(value, function.__annotations__.get(name)):
                raise TypeError(name)
        result = function(*args, **kwargs)
        if not fits(result, function.__annotations__.get("return")):
            raise TypeError("return")
        return result

    return wrapper


def checked(function: Callable[..., Any], *static: str) -> Callable[..., Any]:
    """The function, compiled, with the shapes in its signature enforced."""
    return jax.jit(jaxtyped(function, typechecker=typechecker), static_argnames=static)


vary = checked(augment.augment, "config")
apply = checked(unet.apply, "config")
part_loss = checked(losses.segmentation_loss, "config")


def total_loss(logits: jax.Array, masks: jax.Array, config: LossConfig) -> jax.Array:
    """Loss of a whole batch."""
    return part_loss(logits, masks, losses.mean_shares(masks.max((1, 2)) > 0.5), config)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    """Uniform float32 numbers in [0, 1)."""
    return np.random.default_rng(seed).random(shape, np.float32)


# --- the network ---------------------------------------------------------------------------------


def test_space_to_depth_folds_blocks_into_channels():
    x = jnp.arange(16.0).reshape(1, 4, 4, 1)
    folded = checked(unet.space_to_depth, "block")(x, 2)
    assert_array_equal(folded[0, 0, 0], [0, 1, 4, 5])
    assert_array_equal(folded[0, 1, 0], [8, 9, 12, 13])


@pytest.mark.parametrize("block", [1, 2, 4])
def test_depth_to_space_undoes_space_to_depth(block):
    x = noise(2, 8, 4, 3)
    folded = checked(unet.space_to_depth, "block")(jnp.asarray(x), block)
    assert folded.shape == (2, 8 // block, 4 // block, 3 * block**2)
    assert_array_equal(checked(unet.depth_to_space, "block")(folded, block), x)


@pytest.mark.parametrize(
    ("profile", "count"), [("demo", 583_473), ("lite", 2_355_377), ("full", 5_373_617)]
)
def test_parameter_count_of_the_profiles(profile, count):
    assert unet.parameter_count(PROFILES[profile].unet) == count


@pytest.mark.parametrize("profile", ["demo", "lite", "full"])
def test_every_pixel_gets_one_logit(profile):
    config = PROFILES[profile].unet
    shape = (2, config.size, config.size)
    images = jax.ShapeDtypeStruct((*shape, config.planes), jnp.float32)
    logits = jax.eval_shape(lambda p, x: apply(p, x, config), unet.outline(config), images)
    assert logits.shape == shape


def test_shapes_are_enforced():
    params = unet.initial_params(TINY, np.random.default_rng(0))
    assert apply(params, jnp.zeros((1, 32, 32, 2)), TINY).shape == (1, 32, 32)
    with pytest.raises(TypeCheckError, match="images"):
        apply(params, jnp.zeros((1, 32, 32)), TINY)


def test_local_contrast_against_a_naive_loop():
    x = noise(1, 6, 7, 2)
    expected = np.zeros_like(x)
    for row, column in np.ndindex(6, 7):
        near = x[0, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        spread = np.sqrt(near.var() + 1e-4) + 0.01
        expected[0, row, column] = (x[0, row, column] - near.mean()) / spread
    assert_allclose(checked(unet.local_contrast, "window")(x, 3), expected, rtol=1e-3, atol=1e-4)


def test_local_contrast_leaves_flat_regions_flat():
    found = unet.local_contrast(jnp.full((1, 8, 8, 4), 0.7), 3)
    assert_allclose(found, 0, atol=1e-4)


def test_an_untrained_network_predicts_its_prior():
    config = replace(TINY, prior=0.1, evidence=False)
    params = unet.initial_params(config, np.random.default_rng(0))
    params["head"]["kernel"] *= 0
    logits = apply(params, jnp.asarray(noise(1, 32, 32, 1)), config)
    assert_allclose(jax.nn.sigmoid(logits), 0.1, rtol=1e-5)


def test_with_evidence_an_untrained_network_repeats_it():
    params = unet.initial_params(TINY, np.random.default_rng(0))
    images = jnp.asarray(noise(2, 32, 32, 2))
    evidence = images[..., 1]
    assert_allclose(jax.nn.sigmoid(apply(params, images, TINY)), evidence, atol=0.003)


def test_the_evidence_is_seen_and_not_only_repeated():
    params = unet.initial_params(TINY, np.random.default_rng(0))
    params["head"]["kernel"] += jnp.asarray(noise(*params["head"]["kernel"].shape))
    params["trust"] *= 0
    x_ray = jnp.asarray(noise(1, 32, 32, 1))
    one, other = (
        apply(params, jnp.concatenate([x_ray, jnp.full_like(x_ray, level)], axis=-1), TINY)
        for level in (0.1, 0.9)
    )
    assert float(jnp.abs(one - other).max()) > 0.1


def test_an_image_is_judged_alike_whatever_its_batch():
    params = unet.initial_params(TINY, np.random.default_rng(0))
    params["head"]["kernel"] += jnp.asarray(noise(*params["head"]["kernel"].shape))
    batch = jnp.asarray(noise(3, 32, 32, 2))
    alone = apply(params, batch[:1], TINY)
    assert_allclose(apply(params, batch, TINY)[:1], alone, atol=1e-4)


def test_initial_weights_follow_the_generator_and_he():
    config = UNetConfig(size=64, widths=(32, 64))
    one, same, other = (
        unet.initial_params(config, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    jax.tree.map(assert_array_equal, one, same)
    kernel = one["down"][1][0]["conv1"]["kernel"]  # 3x3, 64 to 64 channels
    assert not np.array_equal(kernel, other["down"][1][0]["conv1"]["kernel"])
    assert_allclose(np.std(kernel), np.sqrt(2 / (9 * 64)), rtol=0.02)
    assert_array_equal(one["norm"]["scale"], 1)
    assert_array_equal(one["norm"]["bias"], 0)


def test_half_precision_says_nearly_the_same_and_keeps_whole_weights():
    params = unet.initial_params(TINY, np.random.default_rng(0))
    params["head"]["kernel"] += 0.1
    images = jnp.asarray(noise(2, 32, 32, 2))
    whole = apply(params, images, TINY)
    narrow = jax.jit(lambda p: unet.apply(p, images, TINY, jnp.bfloat16))
    half = narrow(params)
    assert half.dtype == jnp.float32
    assert 0 < float(jnp.abs(half - whole).max()) < 0.1 * float(whole.std())
    gradient = jax.jit(jax.grad(lambda p: narrow(p).sum()))(params)
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {np.dtype(np.float32)}


def test_a_size_that_does_not_halve_evenly_is_refused():
    with pytest.raises(ValueError, match="need a multiple of 32"):
        UNetConfig(size=100)


def test_a_width_that_does_not_split_into_groups_is_refused():
    with pytest.raises(ValueError, match="multiple of groups=8"):
        UNetConfig(widths=(32, 60))


# --- the loss ------------------------------------------------------------------------------------


def test_cross_entropy_is_the_textbook_formula():
    logits, masks = 3 * noise(2, 4, 4) - 1, noise(2, 4, 4, seed=1)
    p = 1 / (1 + np.exp(-logits.astype(float)))
    expected = -(masks * np.log(p) + (1 - masks) * np.log(1 - p)).mean((1, 2))
    assert_allclose(checked(losses.cross_entropy)(jnp.asarray(logits), masks), expected, rtol=1e-5)


def test_cross_entropy_stays_finite_at_certainty():
    logits = jnp.array([[[1e4, -1e4]]])
    loss, gradient = jax.value_and_grad(
        lambda x: losses.cross_entropy(x, jnp.array([[[0.0, 1.0]]])).sum()
    )(logits)
    assert_allclose(loss, 1e4)
    assert_allclose(gradient, [[[0.5, -0.5]]])


def test_dice_by_hand():
    masks = jnp.array([[[1.0, 1.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.0]]])
    p = jnp.array([[[0.9, 0.2, 0.6, 0.1]], [[0.1, 0.1, 0.1, 0.1]]])
    # soft: 2 * 1.1 / (1.8 + 2); hard: {0, 2} against {0, 1}
    assert_allclose(losses.soft_dice(p, masks, 0.0)[0], 2.2 / 3.8, rtol=1e-6)
    assert_allclose(losses.hard_dice(p, masks), [0.5, 1.0])
    assert_allclose(losses.hard_dice(p, masks, threshold=0.05), [2 * 2 / (4 + 2), 0.0], rtol=1e-6)


def test_images_without_lesion_have_no_dice_loss():
    logits = jnp.asarray(noise(2, 8, 8))
    masks = jnp.zeros((2, 8, 8))
    loss = total_loss(logits, masks, LossConfig(bce=0.0))
    assert loss == 0
    both = masks.at[0, :4].set(1.0)
    alone = total_loss(logits[:1], both[:1], LossConfig(bce=0.0))
    assert_allclose(total_loss(logits, both, LossConfig(bce=0.0)), alone, rtol=1e-6)


def test_the_loss_of_a_batch_by_hand():
    logits, masks = 3 * jnp.asarray(noise(4, 8, 8)) - 1, jnp.asarray(noise(4, 8, 8, seed=1))
    masks = masks.at[1:3].set(0.0)
    found = total_loss(logits, masks, LossConfig(bce=0.5, dice=2.0, focal=0.25))
    pixels = 0.5 * losses.cross_entropy(logits, masks) + 0.25 * losses.focal_loss(logits, masks, 2)
    overlap = 1 - losses.soft_dice(jax.nn.sigmoid(logits), masks)
    assert_allclose(found, pixels.mean() + 2 * (overlap[0] + overlap[3]) / 2, rtol=1e-6)


def test_the_losses_of_its_parts_add_up_to_that_of_a_batch():
    logits, masks = jnp.asarray(noise(6, 8, 8)), jnp.asarray(noise(6, 8, 8, seed=1))
    masks = masks.at[jnp.array([0, 4, 5])].set(0.0)
    shares = losses.mean_shares(masks.max((1, 2)) > 0.5)
    parts = [
        part_loss(*(x[rows] for x in (logits, masks)), tuple(s[rows] for s in shares), LossConfig())
        for rows in (slice(0, 2), slice(2, 6))
    ]
    assert_allclose(sum(parts), total_loss(logits, masks, LossConfig()), rtol=1e-6)


def test_focal_loss_by_hand():
    logits, masks = jnp.array([[[0.0, 2.0]]]), jnp.array([[[0.0, 1.0]]])
    wrong = 1 - 1 / (1 + np.exp(-2))
    expected = (0.5**3 * np.log(2) - wrong**3 * np.log(1 - wrong)) / 2
    assert_allclose(checked(losses.focal_loss)(logits, masks, 3.0)[0], expected, rtol=1e-5)
    plain = losses.focal_loss(logits, masks, 0.0)
    assert_allclose(plain, losses.cross_entropy(logits, masks), rtol=1e-6)


def test_a_perfect_certain_prediction_costs_nothing():
    masks = jnp.zeros((1, 8, 8)).at[0, 2:5, 3:6].set(1.0)
    loss = total_loss(80 * masks - 40, masks, LossConfig(focal=1.0))
    assert_allclose(loss, 0, atol=1e-6)


# --- augmentation --------------------------------------------------------------------------------


def test_no_change_is_asked_for_none_is_made():
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


def test_noise_has_the_strength_asked_for():
    images = jnp.full((200, 16, 16), 0.5)
    found = augment.add_noise(jax.random.key(0), images, AugmentConfig(noise=0.1))
    spreads = np.std(found, axis=(1, 2))
    assert 0.09 < spreads.max() < 0.12  # the largest of strengths spread evenly up to 0.1
    assert_allclose(spreads.mean(), 0.05, atol=0.01)


def test_rectangles_are_blanked_out():
    images = jnp.asarray(noise(200, 32, 32))
    config = AugmentConfig(occlusion=0.5, occluded=0.5)
    changed = np.asarray(augment.occlude(jax.random.key(0), images, config) != images)
    assert 0.35 < changed.any((1, 2)).mean() < 0.55
    for one in changed[changed.any((1, 2))]:
        rows, columns = one.any(1), one.any(0)
        assert_array_equal(one, np.outer(rows, columns))
        assert max(rows.sum(), columns.sum()) <= 16


def test_resampling_agrees_with_scipy():
    image = noise(17, 23)
    angle = np.deg2rad(20)
    matrix = 1.1 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.array([2.3, -1.6])
    expected = scipy.ndimage.affine_transform(
        image, matrix, offset, order=1, mode="grid-constant", cval=0.0
    )
    found = checked(augment.resample)(
        jnp.asarray(image)[..., None], jnp.asarray(matrix, jnp.float32), jnp.float32(offset)
    )
    assert_allclose(found[..., 0], expected, atol=1e-4)


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


def test_the_key_decides():
    images = jnp.asarray(noise(1, 16, 16, 1))
    one, same, other = (
        vary(jax.random.key(seed), images, images[..., 0], AugmentConfig())[0] for seed in (0, 0, 1)
    )
    assert_array_equal(one, same)
    assert not np.array_equal(one, other)
