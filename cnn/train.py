"""Train one U-Net a fold: ``python -m cnn.train --run RUN --profile demo|lite|full``.

Fold k's network learns from the labelled images outside fold k for a fixed number of epochs, and
the moving average of its weights at the end is what counts: no epoch is chosen by the fold that is
scored, so out-of-fold figures stay honest. After each epoch everything needed to go on is saved;
every random number is a function of seed, fold, epoch and step. So a run that is killed and started
again ends with the same weights, bit for bit, as one that was not.

The loop over batches is Python's, each step one compiled call: inside `lax.scan` XLA's CPU compiler
gives up its fast convolutions, and an accelerator is kept busy either
way, since calls return before they are done.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from cnn import checkpoint, planes
from cnn.augment import AugmentConfig, augment
from cnn.batches import Labelled, chunks, labelled, padded, training_order
from cnn.compilation import keep_compiled
from cnn.losses import LossConfig, combine, cross_entropy, hard_dice, segmentation_loss, soft_dice
from cnn.unet import UNetConfig, apply, initial_params
from features import command
from features.files import UserError, write_csv, write_json


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training depends on, but for its data and its seed."""

    unet: UNetConfig = field(default_factory=UNetConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    epochs: int = 8
    """Epochs a fold."""
    steps: int = 50
    """Batches an epoch."""
    batch: int = 4
    """Images a batch."""
    positive_share: float = 0.6
    """Share of images with a lesion in an epoch, whatever their share in the data."""
    learning_rate: float = 5e-4
    """Peak of the learning rate, reached after the warm-up; from there a cosine falls to 0."""
    warmup: float = 0.1
    """Share of all steps in which the learning rate rises."""
    weight_decay: float = 0.02
    """Decoupled weight decay of AdamW (Loshchilov and Hutter, ICLR 2019)."""
    clip: float = 1.0
    """Largest norm of a gradient; longer ones are shortened to it."""
    ema: float = 0.99
    """Decay of the moving average of the weights, a step."""
    flip: bool = False
    """Whether predictions average an image and its mirror image."""


PROFILES = {
    "demo": TrainConfig(
        unet=UNetConfig(size=128, widths=(32, 64, 128), window=5),
        epochs=8,
        steps=25,
        batch=8,
        learning_rate=3e-3,
    ),
    "lite": TrainConfig(),
    "full": TrainConfig(
        unet=UNetConfig(size=512, widths=(32, 64, 128, 256, 256), window=17),
        augment=AugmentConfig(rotation=12.0, scale=0.15, shift=0.08, gamma=0.3, contrast=0.2),
        epochs=60,
        steps=600,
        batch=16,
        positive_share=0.5,
        learning_rate=1e-3,
        ema=0.999,
        flip=True,
    ),
}


@dataclass(frozen=True)
class Settings:
    """Settings of the stage."""

    run: Path
    """Run folder; dataset.parquet in it is read, cnn/ written."""
    profile: Literal["demo", "lite", "full"] = "lite"
    """demo: 128 pixels, a minute; lite: 256 pixels, a quarter of an hour on 2 cores, whatever the
    number of images; full: 512 pixels, 36,000 steps a fold, for an accelerator."""
    seed: int = 0
    """Seed of weights, order and augmentation."""
    epochs: int | None = None
    """Epochs a fold, instead of the profile's."""
    steps: int | None = None
    """Batches an epoch, instead of the profile's."""
    evidence: bool = True
    """Show the network the handcrafted evidence map too, and let it begin from there."""
    overwrite: bool = False
    """Delete weights of other settings or data and train anew, instead of refusing."""


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


def initial_state(config: TrainConfig, seed: int, fold: int) -> TrainState:
    """Draw the weights before the first step."""
    params = initial_params(config.unet, np.random.default_rng((seed, fold)))
    ema = jax.tree.map(jnp.copy, params)  # a copy, since a step gives its inputs' memory away
    return TrainState(params, ema, make_optimiser(config).init(params), jnp.zeros((), jnp.int32))


def loss_fn(
    params: PyTree,
    images: Float[Array, "n h w c"],
    masks: Float[Array, "n h w"],
    config: TrainConfig,
) -> Float[Array, ""]:
    """Loss of a batch as the network sees it, augmented."""
    return segmentation_loss(apply(params, images, config.unet), masks, config.loss)


@partial(jax.jit, static_argnames="config", donate_argnames="state")
def train_step(
    state: TrainState,
    images: UInt8[Array, "n h w c"],
    masks: UInt8[Array, "n h w"],
    key: Key[Array, ""],
    config: TrainConfig,
) -> tuple[TrainState, Float[Array, ""]]:
    """Learn from one batch; `key` is the epoch's, the step's own is derived from it."""
    x, y = augment(
        jax.random.fold_in(key, state.step), images / 255.0, masks / 255.0, config.augment
    )
    loss, gradient = jax.value_and_grad(loss_fn)(state.params, x, y, config)
    update, optimiser = make_optimiser(config).update(gradient, state.optimiser, state.params)
    params = optax.apply_updates(state.params, update)
    # The average starts short, or the random initial weights would linger in it.
    decay = jnp.minimum(config.ema, (1.0 + state.step) / (10.0 + state.step))
    ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, params)
    return TrainState(params, ema, optimiser, state.step + 1), loss


@partial(jax.jit, static_argnames="config")
def eval_step(
    params: PyTree,
    images: UInt8[Array, "n h w c"],
    masks: UInt8[Array, "n h w"],
    config: TrainConfig,
) -> tuple[Float[Array, " n"], Float[Array, " n"], Float[Array, " n"]]:
    """Cross-entropy, soft Dice and Dice at 0.5 of each image, unaugmented."""
    logits, true = apply(params, images / 255.0, config.unet), masks / 255.0
    p = jax.nn.sigmoid(logits)
    return cross_entropy(logits, true), soft_dice(p, true, config.loss.smooth), hard_dice(p, true)


def validate(
    params: PyTree, data: Labelled, fold: int, config: TrainConfig
) -> dict[str, float | None]:
    """Score weights on the images of a fold: loss, and mean Dice at 0.5 of those with a lesion."""
    chosen = np.flatnonzero(data.folds == fold)
    positive = data.positive[chosen]
    scores = []
    for part in chunks(len(chosen), config.batch):
        rows = padded(chosen[part], config.batch)
        batch = eval_step(params, data.seen(rows), data.masks[rows], config)
        scores.append(np.stack(batch)[:, : part.stop - part.start])
    if not scores:
        return {"val_loss": None, "val_dice": None}
    bce, soft, hard = np.concatenate(scores, axis=1)
    loss = float(combine(jnp.asarray(bce), jnp.asarray(soft), jnp.asarray(positive), config.loss))
    return {
        "val_loss": loss,
        "val_dice": float(hard[positive].mean()) if positive.any() else None,
    }


def train_epoch(
    state: TrainState,
    data: Labelled,
    fold: int,
    epoch: int,
    config: TrainConfig,
    seed: int,
    ticks: Iterator[int],
) -> tuple[TrainState, float]:
    """Go through an epoch's batches; `ticks` is advanced once a batch. Returns the mean loss."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), fold), epoch)
    order = training_order(
        data, fold, config.steps, config.batch, config.positive_share, (seed, fold, epoch)
    )
    losses = []
    for rows in order:
        state, loss = train_step(state, data.seen(rows), data.masks[rows], key, config)
        losses.append(loss)
        next(ticks, None)
    return state, float(np.mean(jax.device_get(losses)))


def train_fold(
    folder: Path, data: Labelled, fold: int, config: TrainConfig, identity: dict[str, Any]
) -> None:
    """Train a fold's network, going on from its last checkpoint, and write its final weights.

    Parameters
    ----------
    folder : Path
        Where checkpoint, `curves.csv` and `weights.safetensors` go.
    data : Labelled
        All labelled images.
    fold : int
        The fold not to learn from.
    config : TrainConfig
        The settings.
    identity : dict
        What the weights belong to (`identify`); its seed starts the random numbers.

    Raises
    ------
    UserError
        If the loss is no longer a number or explodes; the checkpoint before that is kept.
    """
    seed = identity["seed"]
    saved = folder / "checkpoint.safetensors"
    state, history = initial_state(config, seed, fold), []
    if saved.exists():
        arrays, info = checkpoint.load(saved)
        state, history = checkpoint.restore(state, arrays, saved), info["history"]
    left = range(len(history), config.epochs)
    ticks = command.progress(
        range(len(left) * config.steps), f"U-Net, fold {fold}", unit=f"batches of {config.batch}"
    )
    for epoch in left:
        state, loss = train_epoch(state, data, fold, epoch, config, seed, ticks)
        _check_loss(loss, history, folder, epoch)
        history.append({"epoch": epoch + 1, "loss": loss} | validate(state.ema, data, fold, config))
        write_csv(folder / "curves.csv", pd.DataFrame(history))
        checkpoint.save(saved, state, identity | {"history": history})
    for _ in ticks:  # lets the bar come to its end
        pass
    checkpoint.save(folder / "weights.safetensors", state.ema, identity)
    saved.unlink(missing_ok=True)


def _check_loss(loss: float, history: list[dict[str, Any]], folder: Path, epoch: int) -> None:
    limit = 3 * history[0]["loss"] if history else np.inf
    if not np.isfinite(loss) or loss > limit:
        kept = f"the checkpoint after epoch {epoch} is kept" if epoch else "nothing was saved"
        raise UserError(
            f"{folder.name}: the loss of epoch {epoch + 1} is {loss:.3g}, so training has broken "
            f"down ({kept}); choose another --seed or a lower learning rate."
        )


def identify(config: TrainConfig, seed: int, fold: int, data: Labelled) -> dict[str, Any]:
    """What weights belong to: settings, seed, fold and training set, as JSON content."""
    content = {"config": asdict(config), "seed": seed, "fold": fold, "data": data.digest}
    return json.loads(json.dumps(content))  # tuples become lists, as when read back


def unfinished(
    folder: Path, data: Labelled, config: TrainConfig, seed: int, overwrite: bool = False
) -> list[int]:
    """List the folds without final weights.

    Raises
    ------
    UserError
        If there are weights or a checkpoint of other settings, another seed or training set, and
        they are not to be overwritten.
    """
    missing = []
    for fold in range(data.fold_count):
        paths = [folder / f"fold{fold}" / f"{n}.safetensors" for n in ("weights", "checkpoint")]
        wanted = identify(config, seed, fold, data)
        for path in filter(Path.exists, paths):
            _, info = checkpoint.load(path)
            odd = [name for name in wanted if info.get(name) != wanted[name]]
            if odd and overwrite:
                path.unlink()
            elif odd:
                raise UserError(
                    f"{path}: was trained with another {' and '.join(odd)} than asked for; give "
                    "the same settings as then, or --overwrite to train anew, or another --run."
                )
        if not paths[0].exists():
            missing.append(fold)
    return missing


def main(settings: Settings) -> None:
    """Train every fold that is not finished, then write the settings: the mark that all are."""
    config = PROFILES[settings.profile]
    for name in ("epochs", "steps"):
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}, but must be at least 1.")
        config = config if value is None else replace(config, **{name: value})
    if not 0 <= settings.seed < 2**31:
        raise UserError(f"--seed is {settings.seed}, but must be from 0 to {2**31 - 1}.")
    config = replace(config, unet=replace(config.unet, evidence=settings.evidence))
    folder = settings.run / "cnn"
    keep_compiled(folder)
    data = labelled(settings.run, config.unet.size, settings.evidence)
    missing = unfinished(folder, data, config, settings.seed, settings.overwrite)
    for fold in missing:  # the complaint about a fold without positives comes before any training
        training_order(data, fold, 1, 1, config.positive_share, (settings.seed,))
    for fold in missing:
        identity = identify(config, settings.seed, fold, data)
        own, seen = folder / f"fold{fold}", data
        if settings.evidence:
            path = own / "evidence.npy"
            drawn = planes.teaching(path, settings.run, fold, data.table, config.unet.size)
            seen = replace(data, evidence=drawn)
        train_fold(own, seen, fold, config, identity)
        (own / "evidence.npy").unlink(missing_ok=True)
    write_json(
        folder / "settings.json",
        {"profile": settings.profile, "seed": settings.seed, "config": asdict(config)},
    )


if __name__ == "__main__":
    command.run(main)
