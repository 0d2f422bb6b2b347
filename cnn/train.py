"""Train one U-Net a fold: ``python -m cnn.train --run RUN --profile demo|lite|full``.

Fold k's network learns from the labelled images outside fold k for a fixed number of epochs, and
the moving average of its weights at the end is what counts: no epoch is chosen by the fold that is
scored, so out-of-fold figures stay honest. (Early stopping, an option, looks at one more fold that
is left out.) After each epoch everything needed to go on is saved; every random number is a
function of seed, fold, epoch and step. So a run that is killed and started again ends with the same
weights, bit for bit, as one that was not.

The loop over batches is Python's, each step one compiled call: inside `lax.scan` XLA's CPU compiler
gives up its fast convolutions, and an accelerator is kept busy either way, since calls return
before they are done. Several devices share each batch.
"""

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
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from cnn import checkpoint, panel, planes, weights
from cnn.augment import augment
from cnn.batches import Labelled, chunks, labelled, padded, training_order
from cnn.compilation import keep_compiled
from cnn.devices import (
    Cluster,
    accelerated,
    all_devices,
    copied,
    demand,
    first,
    is_first,
    shared_out,
)
from cnn.losses import cross_entropy, hard_dice, mean_shares, segmentation_loss, soft_dice
from cnn.profiles import PROFILES, TrainConfig
from cnn.unet import apply
from features import command
from features.files import UserError, write_csv, write_json

History = list[dict[str, Any]]


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
    batch: int | None = None
    """Images a batch, instead of the profile's."""
    accumulate: int | None = None
    """Parts into which each device's share of a batch is cut, where memory is short."""
    patience: int | None = None
    """Stop a fold after so many epochs without gain on one more fold left out; 0: never."""
    evidence: bool = True
    """Show the network the handcrafted evidence map too, and let it begin from there."""
    init: str | None = None
    """Begin from a network trained on other images, phantoms for instance:
    <run>/cnn/fold0/weights.safetensors of the same profile. In place of the number, {fold} gives
    each fold its own."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What to compute in; auto: bfloat16 on an accelerator, float32 on processors."""
    accelerator: bool = False
    """Refuse to train on processors."""
    cluster: Cluster = field(default_factory=Cluster)
    """Several processes that train as one."""
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


def initial_state(params: PyTree, config: TrainConfig) -> TrainState:
    """The state before the first step, from the first weights."""
    ema = jax.tree.map(jnp.copy, params)  # a copy, since a step gives its inputs' memory away
    return TrainState(params, ema, make_optimiser(config).init(params), jnp.zeros((), jnp.int32))


def loss_fn(
    params: PyTree,
    images: Float[Array, "n h w c"],
    masks: Float[Array, "n h w"],
    shares: tuple[Float[Array, " n"], Float[Array, " n"]],
    config: TrainConfig,
) -> Float[Array, ""]:
    """Loss of a batch as the network sees it, augmented, or what a part of it adds to it."""
    logits = apply(params, images, config.unet, jnp.bfloat16 if config.bfloat16 else jnp.float32)
    return segmentation_loss(logits, masks, shares, config.loss)


def gradients(
    params: PyTree,
    images: Float[Array, "n h w c"],
    masks: Float[Array, "n h w"],
    config: TrainConfig,
) -> tuple[Float[Array, ""], PyTree]:
    """Loss of a batch and its gradient, added up over the parts it is cut into."""
    shares = mean_shares(masks.max((1, 2)) > 0.5)
    batch = (images, masks, shares)
    devices = jax.device_count()

    def part(number: int, array: Array) -> Array:
        # Each device cuts its own share, so that none waits for another's images.
        cut = array.reshape(devices, config.accumulate, -1, *array.shape[1:])
        return cut[:, number].reshape(-1, *array.shape[1:])

    found = []
    for number in range(config.accumulate):
        piece = batch if config.accumulate == 1 else jax.tree.map(partial(part, number), batch)
        found.append(jax.value_and_grad(loss_fn)(params, *piece, config))
    return jax.tree.map(lambda *each: sum(each), *found) if len(found) > 1 else found[0]


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
    loss, gradient = gradients(state.params, x, y, config)
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
    """Score weights on the images of a fold.

    Returns
    -------
    dict
        bce, nats a pixel of all images; of those with a lesion soft_dice, and dice at 0.5. None
        where there is no image to say it of.
    """
    chosen = np.flatnonzero(data.folds == fold)
    positive = data.positive[chosen]
    scores = []
    for part in chunks(len(chosen), config.batch):
        rows = padded(chosen[part], config.batch)
        batch = eval_step(params, data.seen(rows), data.masks[rows], config)
        scores.append(np.stack(batch)[:, : part.stop - part.start])
    bce, soft, hard = np.concatenate(scores, axis=1) if scores else np.zeros((3, 0))
    return {
        "bce": float(bce.mean()) if bce.size else None,
        "soft_dice": float(soft[positive].mean()) if positive.any() else None,
        "dice": float(hard[positive].mean()) if positive.any() else None,
    }


def train_epoch(
    state: TrainState,
    data: Labelled,
    without: tuple[int, ...],
    epoch: int,
    config: TrainConfig,
    seed: int,
    mesh: Mesh,
    ticks: Iterator[int],
) -> tuple[TrainState, float]:
    """Go through an epoch's batches; `ticks` is advanced once an image. Returns the mean loss."""
    key = jax.random.key(seed)
    for number in (without[0], epoch):
        key = jax.random.fold_in(key, number)
    low, high = config.positive_shares
    share = low + (high - low) * epoch / max(config.epochs - 1, 1)
    order = training_order(
        data, without, config.steps, config.batch, share, (seed, without[0], epoch)
    )
    losses = []
    for rows in order:
        batch = shared_out((data.seen(rows), data.masks[rows]), mesh)
        state, loss = train_step(state, *batch, key, config)
        losses.append(loss)
        for _ in rows:
            next(ticks, None)
    return state, float(np.mean(jax.device_get(losses)))


def train_fold(
    folder: Path,
    data: Labelled,
    fold: int,
    config: TrainConfig,
    identity: dict[str, Any],
    params: PyTree,
) -> None:
    """Train a fold's network, going on from its last checkpoint, and write its final weights.

    Parameters
    ----------
    folder : Path
        Where checkpoint, `curves.csv`, `panel.png` and `weights.safetensors` go.
    data : Labelled
        All labelled images.
    fold : int
        The fold not to learn from.
    config : TrainConfig
        The settings.
    identity : dict
        What the weights belong to (`weights.identify`); its seed starts the random numbers.
    params : pytree
        The weights to begin with.

    Raises
    ------
    UserError
        If the loss is no longer a number or explodes; the checkpoint before that is kept.
    """
    mesh = all_devices(config.batch, config.accumulate)
    without = left_out(fold, data, config)
    saved = folder / "checkpoint.safetensors"
    held = {"state": initial_state(params, config), "best": params}
    history: History = []
    if saved.exists():
        arrays, info = checkpoint.load(saved)
        held, history = checkpoint.restore(held, arrays, saved), info["history"]
    state, best = copied(held["state"], mesh), held["best"]
    if not history:
        history.append({"epoch": 0, "loss": None} | judged(best, data, without, config))
    left = range(len(history), config.epochs + 1)
    images = range(len(left) * config.steps * config.batch)
    ticks = command.progress(images, f"U-Net, fold {fold}") if is_first() else iter(images)
    for epoch in left:
        if best_epoch(history, config) + (config.patience or config.epochs) < epoch:
            print(f"fold {fold}: no gain for {config.patience} epochs, so it ends here")
            break
        state, loss = train_epoch(
            state, data, without, epoch - 1, config, identity["seed"], mesh, ticks
        )
        _check_loss(loss, history, folder, epoch)
        ema = jax.device_get(state.ema)
        history.append({"epoch": epoch, "loss": loss} | judged(ema, data, without, config))
        best = ema if best_epoch(history, config) == epoch else best
        if is_first():
            write_csv(folder / "curves.csv", pd.DataFrame(history))
            panel.write(folder / "panel.png", ema, data, fold, config.unet)
            held = {"state": state, "best": best}
            checkpoint.save(saved, held, identity | {"history": history})
    for _ in ticks:  # lets the bar come to its end
        pass
    if is_first():
        taught = [name for name, own in zip(data.ids, data.folds, strict=True) if own != fold]
        learned = {"learned_from": weights.marks(taught)}
        checkpoint.save(folder / "weights.safetensors", best, identity | learned)
        saved.unlink(missing_ok=True)


def left_out(fold: int, data: Labelled, config: TrainConfig) -> tuple[int, ...]:
    """Folds not to learn from: the one that is scored, then one for early stopping to look at.

    Raises
    ------
    UserError
        If there are too few folds for both.
    """
    if not config.patience:
        return (fold,)
    if data.fold_count < 3:
        raise UserError(
            f"--patience: early stopping takes a fold of its own, and of {data.fold_count} folds "
            "none is left to learn from; make three or more, or leave it out."
        )
    return fold, (fold + 1) % data.fold_count


def judged(
    params: PyTree, data: Labelled, without: tuple[int, ...], config: TrainConfig
) -> dict[str, float | None]:
    """Scores on the folds left out: val_... on the one that is scored, stop_... on the other."""
    return {
        f"{name}_{what}": value
        for name, fold in zip(("val", "stop"), without, strict=False)
        for what, value in validate(params, data, fold, config).items()
    }


def best_epoch(history: History, config: TrainConfig) -> int:
    """The epoch whose weights count: the last, or by early stopping the first of highest Dice."""
    if not config.patience:
        return int(history[-1]["epoch"])
    return int(max(history, key=lambda row: row["stop_dice"] or 0.0)["epoch"])


def _check_loss(loss: float, history: History, folder: Path, epoch: int) -> None:
    limit = 3 * history[1]["loss"] if len(history) > 1 else np.inf
    if not np.isfinite(loss) or loss > limit:
        kept = (
            f"the checkpoint after epoch {epoch - 1} is kept" if epoch > 1 else "nothing was saved"
        )
        raise UserError(
            f"{folder.name}: the loss of epoch {epoch} is {loss:.3g}, so training has broken "
            f"down ({kept}); choose another --seed or a lower learning rate."
        )


def configured(settings: Settings) -> TrainConfig:
    """The profile with the changes asked for.

    Raises
    ------
    UserError
        If a number is out of its range.
    """
    config = PROFILES[settings.profile]
    for name, least in (
        ("epochs", 1),
        ("steps", 1),
        ("batch", 1),
        ("accumulate", 1),
        ("patience", 0),
    ):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise UserError(f"--{name} is {value}, but must be at least {least}.")
        config = config if value is None else replace(config, **{name: value})
    if not 0 <= settings.seed < 2**31:
        raise UserError(f"--seed is {settings.seed}, but must be from 0 to {2**31 - 1}.")
    narrow = settings.precision == "bfloat16" or (settings.precision == "auto" and accelerated())
    unet = replace(config.unet, evidence=settings.evidence)
    return replace(config, unet=unet, bfloat16=narrow)


def main(settings: Settings) -> None:
    """Train every fold that is not finished, then write the settings: the mark that all are."""
    settings.cluster.join()
    demand(settings.accelerator)
    config = configured(settings)
    folder, seed = settings.run / "cnn", settings.seed
    keep_compiled(folder)
    data = first(lambda: labelled(settings.run, config.unet.size, settings.evidence))
    all_devices(config.batch, config.accumulate)  # complaints come before any training
    missing = {}
    for fold in range(data.fold_count):
        start = weights.start_of(settings.init, fold)
        identity = weights.identify(config, seed, fold, data, start)
        done = partial(weights.check, folder / f"fold{fold}", identity, settings.overwrite)
        if not first(done):
            without = left_out(fold, data, config)
            training_order(data, without, 1, 1, config.positive_shares[0], (seed,))
            missing[fold] = identity, weights.first_params(config, seed, fold, data, start)
    for fold, (identity, params) in missing.items():
        own, seen = folder / f"fold{fold}", data
        if settings.evidence:
            path = own / "evidence.npy"
            drawn = planes.teaching(path, settings.run, fold, data.table, config.unet.size)
            seen = replace(data, evidence=drawn)
        train_fold(own, seen, fold, config, identity, params)
        (own / "evidence.npy").unlink(missing_ok=True)
    if is_first():
        content = {"profile": settings.profile, "seed": seed, "config": asdict(config)}
        write_json(folder / "settings.json", content)


if __name__ == "__main__":
    command.run(main)
