"""The network on arrays small enough to check by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError
from numpy.testing import assert_allclose, assert_array_equal

from cnn.network import unet
from cnn.network.config import PROFILES
from cnn.network.unet import UNetConfig
from tests.helpers.shapes import checked, noise

TINY = UNetConfig(size=32, widths=(8, 16), groups=4)
apply = checked(unet.apply, "config")


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
    contrast = unet.local_contrast(jnp.full((1, 8, 8, 4), 0.7), 3)
    assert_allclose(contrast, 0, atol=1e-4)


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


def test_the_evidence_is_an_input_and_not_only_repeated():
    params = unet.initial_params(TINY, np.random.default_rng(0))
    params["head"]["kernel"] += jnp.asarray(noise(*params["head"]["kernel"].shape))
    params["trust"] *= 0
    x_ray = jnp.asarray(noise(1, 32, 32, 1))
    one, other = (
        apply(params, jnp.concatenate([x_ray, jnp.full_like(x_ray, level)], axis=-1), TINY)
        for level in (0.1, 0.9)
    )
    assert float(jnp.abs(one - other).max()) > 0.1


def test_the_logits_of_an_image_do_not_depend_on_its_batch():
    params = unet.initial_params(TINY, np.random.default_rng(0))
    params["head"]["kernel"] += jnp.asarray(noise(*params["head"]["kernel"].shape))
    batch = jnp.asarray(noise(3, 32, 32, 2))
    alone = apply(params, batch[:1], TINY)
    assert_allclose(apply(params, batch, TINY)[:1], alone, atol=1e-4)


def test_initial_weights_follow_the_generator_and_he():
    config = UNetConfig(size=64, widths=(32, 64))
    first, same, other = (
        unet.initial_params(config, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    jax.tree.map(assert_array_equal, first, same)
    kernel = first["down"][1][0]["conv1"]["kernel"]  # 3x3, 64 to 64 channels
    assert not np.array_equal(kernel, other["down"][1][0]["conv1"]["kernel"])
    assert_allclose(np.std(kernel), np.sqrt(2 / (9 * 64)), rtol=0.02)
    assert_array_equal(first["norm"]["scale"], 1)
    assert_array_equal(first["norm"]["bias"], 0)


def test_half_precision_gives_nearly_the_same_and_keeps_whole_weights():
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
