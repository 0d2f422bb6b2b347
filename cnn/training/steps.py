"""One step of learning and one of scoring: loss, gradient, optimiser, compiled once."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from cnn.data.batches import chunks, padded
from cnn.data.training_images import TrainingImages
from cnn.network.augment import augment
from cnn.network.config import TrainConfig
from cnn.network.losses import cross_entropy, hard_dice, mean_shares, segmentation_loss, soft_dice
from cnn.network.unet import apply
from cnn.training.history import Scores, scored_rows

# Probabilities at which maps are cut to masks while a training is watched; the gate has its own.
CUTS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


class TrainState(NamedTuple):
    """What changes from step to step."""

    params: PyTree
    ema: PyTree
    optimiser: PyTree
    step: Int[Array, ""]


def make_optimiser(config: TrainConfig) -> optax.GradientTransformation:
    """AdamW under a warm-up and cosine schedule, with gradients clipped by their common norm."""
    total = config.epochs * config.steps
    warmup = max(1, round(config.warmup * total))
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, config.learning_rate, warmup, max(total, warmup + 1)
    )
    return optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.adamw(schedule, weight_decay=config.weight_decay),
    )


def initial_state(params: PyTree, config: TrainConfig) -> TrainState:
    """The state before the first step, from the first weights."""
    ema = jax.tree.map(jnp.copy, params)  # a copy, since a step reuses its inputs' memory
    return TrainState(params, ema, make_optimiser(config).init(params), jnp.zeros((), jnp.int32))


def loss_fn(
    params: PyTree,
    images: Float[Array, "n h w c"],
    masks: Float[Array, "n h w"],
    shares: tuple[Float[Array, " n"], Float[Array, " n"]],
    config: TrainConfig,
) -> Float[Array, ""]:
    """Loss of a batch of augmented images, or what a part of a batch adds to it."""
    logits = apply(params, images, config.unet, jnp.bfloat16 if config.bfloat16 else jnp.float32)
    return segmentation_loss(logits, masks, shares, config.loss)


def gradients(
    params: PyTree,
    images: Float[Array, "n h w c"],
    masks: Float[Array, "n h w"],
    config: TrainConfig,
    devices: int,
) -> tuple[Float[Array, ""], PyTree]:
    """Loss of a batch, spread over devices, and its gradient, added up over the batch's parts."""
    shares = mean_shares(masks.max((1, 2)) > 0.5)
    batch = (images, masks, shares)

    learn = jax.value_and_grad(loss_fn)
    if config.accumulate == 1:
        return learn(params, *batch, config)

    def parts(array: Array) -> Array:
        # Each device cuts its own share, so that none waits for another's images.
        cut = array.reshape(devices, config.accumulate, -1, *array.shape[1:])
        return jnp.moveaxis(cut, 1, 0).reshape(config.accumulate, -1, *array.shape[1:])

    def add(total: Any, piece: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, learn(params, *piece, config)), None

    # A scan runs them one after the other; independent parts would all be in memory at once.
    zero = jax.tree.map(jnp.zeros_like, (jnp.float32(0), params))
    return jax.lax.scan(add, zero, jax.tree.map(parts, batch))[0]


@partial(jax.jit, static_argnames=("config", "devices"), donate_argnames="state")
def train_step(
    state: TrainState,
    images: UInt8[Array, "n h w c"],
    masks: UInt8[Array, "n h w"],
    key: Key[Array, ""],
    config: TrainConfig,
    devices: int = 1,
) -> tuple[TrainState, Float[Array, ""]]:
    """Learn from one batch, spread over so many devices; the step's random key is derived from
    `key`, the epoch's."""
    x, y = augment(
        jax.random.fold_in(key, state.step), images / 255.0, masks / 255.0, config.augment
    )
    loss, gradient = gradients(state.params, x, y, config, devices)
    update, optimiser = make_optimiser(config).update(gradient, state.optimiser, state.params)
    params = optax.apply_updates(state.params, update)
    # The decay is small at first, so that the initial weights soon have no part in the average.
    decay = jnp.minimum(config.ema, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, params)
    return TrainState(params, ema, optimiser, state.step + 1), loss


@partial(jax.jit, static_argnames="config")
def eval_step(
    params: PyTree,
    images: UInt8[Array, "n h w c"],
    masks: UInt8[Array, "n h w"],
    config: TrainConfig,
) -> Float[Array, "k n"]:
    """Cross-entropy, soft Dice and Dice at each of `CUTS` of each image, unaugmented."""
    logits, true = apply(params, images / 255.0, config.unet), masks / 255.0
    p = jax.nn.sigmoid(logits)
    dice = [hard_dice(p, true, cut) for cut in CUTS]
    return jnp.stack([cross_entropy(logits, true), soft_dice(p, true, config.loss.smooth), *dice])


def validate(
    params: PyTree,
    images: TrainingImages,
    fold: int,
    config: TrainConfig,
    most: int | None = None,
) -> Scores:
    """Score weights on the images of a fold whose mask is known; the challenge's score at the best
    of `CUTS`.

    Parameters
    ----------
    params : pytree
    images : TrainingImages
    fold : int
    config : TrainConfig
    most : int, optional
        Number of images from which on every other, third, ... is scored.
    """
    chosen = scored_rows(images, fold, most)
    positive = images.positive[chosen]
    batches = []
    for part in chunks(len(chosen), config.batch):
        rows = padded(chosen[part], config.batch)
        inputs = images.inputs(rows, config.unet.evidence)
        batch = np.asarray(eval_step(params, inputs, images.masks[rows], config))
        batches.append(batch[:, : part.stop - part.start])
    values = np.concatenate(batches, axis=1) if batches else np.zeros((2 + len(CUTS), 0))
    bce, soft, hard = values[0], values[1], values[2:]
    return Scores(
        bce=float(bce.mean()) if bce.size else None,
        soft_dice=float(soft[positive].mean()) if positive.any() else None,
        dice=float(hard[CUTS.index(0.5), positive].mean()) if positive.any() else None,
        score=float(hard.mean(axis=1).max()) if bce.size else None,
    )
