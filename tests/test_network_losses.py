"""Losses on arrays small enough to check by hand."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from cnn.network import losses
from cnn.network.losses import LossConfig
from tests.helpers.shapes import checked, noise

part_loss = checked(losses.segmentation_loss, "config")


def total_loss(logits: jax.Array, masks: jax.Array, config: LossConfig) -> jax.Array:
    """Loss of a whole batch."""
    return part_loss(logits, masks, losses.mean_shares(masks.max((1, 2)) > 0.5), config)


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
    one_lesion = masks.at[0, :4].set(1.0)
    alone = total_loss(logits[:1], one_lesion[:1], LossConfig(bce=0.0))
    assert_allclose(total_loss(logits, one_lesion, LossConfig(bce=0.0)), alone, rtol=1e-6)


def test_the_loss_of_a_batch_by_hand():
    logits, masks = 3 * jnp.asarray(noise(4, 8, 8)) - 1, jnp.asarray(noise(4, 8, 8, seed=1))
    masks = masks.at[1:3].set(0.0)
    loss = total_loss(logits, masks, LossConfig(bce=0.5, dice=2.0))
    pixels = 0.5 * losses.cross_entropy(logits, masks)
    dice = 1 - losses.soft_dice(jax.nn.sigmoid(logits), masks)
    assert_allclose(loss, pixels.mean() + 2 * (dice[0] + dice[3]) / 2, rtol=1e-6)


def test_the_losses_of_its_parts_add_up_to_that_of_a_batch():
    logits, masks = jnp.asarray(noise(6, 8, 8)), jnp.asarray(noise(6, 8, 8, seed=1))
    masks = masks.at[jnp.array([0, 4, 5])].set(0.0)
    shares = losses.mean_shares(masks.max((1, 2)) > 0.5)
    parts = [
        part_loss(*(x[rows] for x in (logits, masks)), tuple(s[rows] for s in shares), LossConfig())
        for rows in (slice(0, 2), slice(2, 6))
    ]
    assert_allclose(sum(parts), total_loss(logits, masks, LossConfig()), rtol=1e-6)


def test_a_perfect_certain_prediction_costs_nothing():
    masks = jnp.zeros((1, 8, 8)).at[0, 2:5, 3:6].set(1.0)
    loss = total_loss(80 * masks - 40, masks, LossConfig())
    assert_allclose(loss, 0, atol=1e-6)
