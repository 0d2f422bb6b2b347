"""The training of one fold's U-Net, phase by phase, epoch by epoch.

Fold k's network learns from the images outside fold k for a fixed number of epochs, and the moving
average of its weights at the end is what counts: no epoch is chosen by the fold that is scored, so
out-of-fold figures stay honest. (Early stopping, an option, looks at one more fold that is left
out.) A first training sees the X-ray without the evidence map, and the final one goes on from
there. Every few epochs everything needed to go on is saved; every random number is a function of
seed, fold, epoch and step. So a run that is killed and started again ends with the same weights,
bit for bit, as one that was not.

The loop over batches is Python's, each step one compiled call: inside `lax.scan` XLA's CPU compiler
gives up its fast convolutions, and an accelerator is kept busy either way, since calls return
before they are done. Several devices share each batch; how it reaches them, see `cnn.data.feeding`.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import PyTree

from cnn.data.batches import EpochPlan, TrainingImages, training_order
from cnn.data.feeding import Feed, feed
from cnn.devices.mesh import all_devices, replicated, first_process_first, is_first_process
from cnn.network.config import TrainConfig
from cnn.training import panel
from cnn.training.history import History, best_epoch, check_epoch, draw
from cnn.training.steps import TrainState, initial_state, train_step, validate
from cnn.weights import checkpoint, provenance, tensors
from features.run import command
from features.run.files import UserError, write_csv

# Fewest steps between two checkpoints: writing one takes as long as five steps of `lite`.
SPACING = 200


def train_epoch(
    state: TrainState,
    data: TrainingImages,
    without: tuple[int, ...],
    epoch: int,
    config: TrainConfig,
    seed: int,
    source: Feed,
    ticks: Iterator[int],
) -> tuple[TrainState, float]:
    """Go through an epoch's batches; `ticks` is advanced once an image. Returns the mean loss."""
    key = jax.random.key(seed)
    for number in (without[0], epoch):
        key = jax.random.fold_in(key, number)
    low, high = config.positive_shares
    share = low + (high - low) * epoch / max(config.epochs - 1, 1)
    counts = EpochPlan(config.steps, config.batch, share, config.weak_share)
    losses = []
    order = training_order(data, without, counts, (seed, without[0], epoch))
    for batch in source.batches(order):
        state, loss = train_step(state, *batch, key, config, source.mesh.size)
        losses.append(loss)
        for _ in range(config.batch):
            next(ticks, None)
    return state, float(np.mean(jax.device_get(losses)))


def train_fold(
    folder: Path,
    data: TrainingImages,
    fold: int,
    config: TrainConfig,
    identity: dict[str, Any],
    params: PyTree,
) -> None:
    """Train a fold's network, going on from its last checkpoint, and write its final weights.

    Parameters
    ----------
    folder : Path
        Where checkpoint, `curves.csv`, `curves.png`, `panel.png` and `weights.safetensors` go.
    data : Labelled
        All images to learn from.
    fold : int
        The fold not to learn from.
    config : TrainConfig
        The settings, see `phases`.
    identity : dict
        What the weights belong to (`weights.identify`) and what they have learned from; its seed
        starts the random numbers.
    params : pytree
        The weights to begin with.

    Raises
    ------
    UserError
        If loss or weights are no longer numbers or the loss explodes; the checkpoint before that is
        kept.
    """
    mesh = all_devices(config.batch, config.accumulate)
    without = left_out(fold, data, config)
    kept = folder / "checkpoint"
    best = jax.device_get(params)  # a copy: the first step gives the state's memory away
    state = replicated(initial_state(jax.tree.map(jnp.asarray, best), config), mesh)
    history: History = []
    if info := checkpoint.read_info(kept):
        state, best = checkpoint.restore(kept, (state, best))
        history = info["history"]
    if not history:
        history.append({"epoch": 0, "loss": None} | judged(best, data, without, config))
    source = feed(data, config.unet.evidence, mesh)
    saved = len(history) - 1
    left = range(saved + 1, config.epochs + 1)
    images = range(len(left) * config.steps * config.batch)
    what = f"U-Net, fold {fold}" + (", X-ray alone" if folder.name == provenance.FIRST else "")
    ticks = command.progress(images, what) if is_first_process() else iter(images)
    for epoch in left:
        if best_epoch(history, config) + (config.patience or config.epochs) < epoch:
            print(f"fold {fold}: no gain for {config.patience} epochs, so it ends here")
            break
        state, loss = train_epoch(
            state, data, without, epoch - 1, config, identity["seed"], source, ticks
        )
        now, ema = jax.device_get((state.params, state.ema))
        check_epoch(loss, (now, ema), history, what, saved, config)
        history.append({"epoch": epoch, "loss": loss} | judged(ema, data, without, config))
        best = ema if best_epoch(history, config) == epoch else best
        if is_first_process():
            write_csv(folder / "curves.csv", pd.DataFrame(history))
            panel.write(folder / "panel.png", ema, data, fold, config.unet)
        if is_due(epoch, config):
            checkpoint.save(kept, epoch, (state, best), identity | {"history": history})
            saved = epoch
    for _ in ticks:  # lets the bar come to its end
        pass
    if is_first_process():
        draw(folder / "curves.png", history)
        tensors.save(folder / "weights.safetensors", best, identity)


def is_due(epoch: int, config: TrainConfig) -> bool:
    """Whether to write a checkpoint: all processes must say the same, so no clock is asked."""
    passed = epoch * config.steps // SPACING > (epoch - 1) * config.steps // SPACING
    return passed and epoch < config.epochs  # after the last epoch come the final weights


def phases(config: TrainConfig, data: TrainingImages) -> dict[str, TrainConfig]:
    """The trainings of a fold one after the other, by the subfolder that each is kept in."""
    final = replace(config, weak_share=0.0)
    if not config.first_epochs:
        return {"": final}
    alone = replace(
        config,
        unet=replace(config.unet, evidence=False),
        epochs=config.first_epochs,
        learning_rate=config.first_rate,
        # Runs to its end, but leaves the fold out that early stopping looks at later.
        patience=config.first_epochs if config.patience else 0,
    )
    return {provenance.FIRST: alone, "": final}


def train_phases(
    folder: Path,
    data: TrainingImages,
    fold: int,
    config: TrainConfig,
    identity: dict[str, Any],
    start: Path | None,
) -> None:
    """Train a fold's network phase by phase, each from where the one before ended.

    Parameters
    ----------
    folder, data, fold, identity
        As of `train_fold`.
    config : TrainConfig
        The settings of the whole.
    start : Path, optional
        Weights of another training to begin with.
    """
    for name, phase in phases(config, data).items():
        own, done = folder / name, folder / name / "weights.safetensors"
        belongs = identity | json.loads(json.dumps({"config": asdict(phase)})) if name else identity
        if not first_process_first(partial(provenance.is_finished, own, belongs, True)):
            params = provenance.initial_weights(phase, identity["seed"], fold, data, start)
            learned = {"learned_from": provenance.learned_from(data, fold, start)}
            train_fold(own, data, fold, phase, belongs | learned, params)
        start = done


def left_out(fold: int, data: TrainingImages, config: TrainConfig) -> tuple[int, ...]:
    """Folds not to learn from: the one that is scored, then one for early stopping to look at.

    Raises
    ------
    UserError
        If there are too few folds for both, or the other has no lesion to look at.
    """
    if not config.patience:
        return (fold,)
    if data.fold_count < 3:
        raise UserError(
            f"--patience: early stopping takes a fold of its own, and of {data.fold_count} folds "
            "none is left to learn from; make three or more, or leave it out."
        )
    looked_at = (fold + 1) % data.fold_count
    if not (data.known & data.positive & (data.folds == looked_at)).any():
        raise UserError(
            f"--patience: early stopping of fold {fold} looks at fold {looked_at}, where no image "
            "has a known lesion, so no epoch would be better than another; make fewer folds, or "
            "leave it out."
        )
    return fold, looked_at


def judged(
    params: PyTree, data: TrainingImages, without: tuple[int, ...], config: TrainConfig
) -> dict[str, float | None]:
    """Scores on the folds left out: val_... on the one that is scored, stop_... on the other."""
    return {
        f"{name}_{what}": value
        for name, fold in zip(("val", "stop"), without, strict=False)
        for what, value in validate(params, data, fold, config).items()
    }
