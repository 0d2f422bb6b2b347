"""The training of one fold's U-Net, phase by phase, epoch by epoch.

Fold k's network learns from the images outside fold k for a fixed number of epochs, and the moving
average of its weights at the end is kept. No epoch is chosen by the fold that is scored, so
out-of-fold figures stay honest. (Early stopping, an option, looks at one more fold that is left
out.) A first training sees the X-ray without the evidence map, and the final one goes on from its
weights. Every few epochs everything needed to go on is saved, and every random number is a function
of seed, fold, epoch and step. So a run that is killed and started again ends with the same weights,
bit for bit, as one that was not.

The loop over batches is Python's, each step one compiled call: inside `lax.scan` XLA's CPU compiler
gives up its fast convolutions, and an accelerator is kept busy either way, since calls return
before they are done. Several devices share each batch; how it reaches them, see `cnn.data.feeding`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree

from cnn.data.batches import EpochPlan, training_order
from cnn.data.feeding import Feed, feed
from cnn.data.training_images import TrainingImages
from cnn.devices.cluster import first_process_first, is_first_process
from cnn.devices.mesh import all_devices, replicated
from cnn.network.config import TrainConfig
from cnn.training import panel
from cnn.training.history import MOST_SCORED, Epoch, as_table, check_epoch, draw, kept_epoch
from cnn.training.phases import Phase, left_out, phases
from cnn.training.steps import TrainState, initial_state, train_step, validate
from cnn.weights import checkpoint, tensors
from cnn.weights.identity import Identity, discard_others, is_finished
from cnn.weights.initial_weights import initial_weights
from cnn.weights.provenance import learned_from
from features.run import command
from features.run.network_folder import NetworkFolder

# Fewest steps between two checkpoints: writing one takes as long as five steps of `lite`.
SPACING = 200


def train_fold(
    folder: NetworkFolder,
    images: TrainingImages,
    identity: Identity,
    pretrained: Path | None,
) -> None:
    """Train a fold's network phase by phase, each from the weights of the one before.

    Parameters
    ----------
    folder : NetworkFolder
        Where the files of the training go.
    images : TrainingImages
        All images to learn from.
    identity : Identity
        The settings of all phases, the seed, and the fold not to learn from.
    pretrained : Path, optional
        Weights of another training to begin with.

    Raises
    ------
    UserError
        As of `train_phase`.
    """
    fold, begin_from = identity.fold, pretrained
    for phase in phases(identity.config):
        phase_folder = folder.first if phase.is_first else folder
        phase_identity = replace(identity, config=phase.config) if phase.is_first else identity
        if not first_process_first(partial(is_finished, phase_folder, phase_identity, True)):
            first_process_first(partial(discard_others, phase_folder, phase_identity))
            params = initial_weights(phase.config, identity.seed, fold, images, begin_from)
            learned = learned_from(images, fold, begin_from)
            train_phase(phase_folder, images, phase, phase_identity, learned, params)
        begin_from = phase_folder.weights


def train_phase(
    folder: NetworkFolder,
    images: TrainingImages,
    phase: Phase,
    identity: Identity,
    learned: Sequence[str],
    params: PyTree,
) -> None:
    """Train a network, going on from its last checkpoint, and write its final weights.

    Parameters
    ----------
    folder : NetworkFolder
    images : TrainingImages
        All images to learn from.
    phase : Phase
        Its settings.
    identity : Identity
        What the weights belong to.
    learned : sequence of str
        Marks of the images that they have learned from, see `cnn.weights.provenance`.
    params : pytree
        The weights to begin with.

    Raises
    ------
    UserError
        If loss or weights are no longer numbers or the loss explodes; the checkpoint before that is
        kept.
    """
    config, fold, info = phase.config, identity.fold, identity.as_json() | {"learned_from": learned}
    mesh = all_devices(config.batch, config.accumulate)
    without = left_out(fold, images, config)
    state, best, history = _begin(folder, images, without, config, params, mesh)
    source = feed(images, config.unet.evidence, mesh)
    saved = len(history) - 1
    remaining = range(saved + 1, config.epochs + 1)
    what = f"U-Net, fold {fold}" + (", X-ray alone" if phase.is_first else "")
    count = range(len(remaining) * config.steps * config.batch)
    ticks = command.progress(count, what) if is_first_process() else iter(count)
    for epoch in remaining:
        if config.patience and kept_epoch(as_table(history), config) + config.patience < epoch:
            print(f"fold {fold}: no gain for {config.patience} epochs, so it ends here")
            break
        state, loss = train_epoch(
            state, images, without, epoch - 1, config, identity.seed, source, ticks
        )
        weights, ema = jax.device_get((state.params, state.ema))
        check_epoch(loss, (weights, ema), history, what, saved, config)
        history.append(scored(epoch, loss, ema, images, without, config))
        best = ema if kept_epoch(as_table(history), config) == epoch else best
        if is_first_process():
            folder.history.write(as_table(history))
            panel.write(folder.panel, ema, images, fold, config.unet)
        if is_due(epoch, config):
            epochs = [asdict(record) for record in history]
            checkpoint.save(folder.checkpoint, epoch, (state, best), info | {"history": epochs})
            saved = epoch
    for _ in ticks:  # lets the bar come to its end
        pass
    if is_first_process():
        draw(folder.curves, history)
        tensors.save(folder.weights, best, info)


def _begin(
    folder: NetworkFolder,
    images: TrainingImages,
    without: tuple[int, ...],
    config: TrainConfig,
    params: PyTree,
    mesh: Mesh,
) -> tuple[TrainState, PyTree, list[Epoch]]:
    """State, best weights and history where a training begins or goes on."""
    best = jax.device_get(params)  # a copy: the first step reuses the state's memory
    state = replicated(initial_state(jax.tree.map(jnp.asarray, best), config), mesh)
    info = checkpoint.read_info(folder.checkpoint)
    if info is None:
        return state, best, [scored(0, None, best, images, without, config)]
    state, best = checkpoint.restore(folder.checkpoint, (state, best))
    return state, best, msgspec.convert(info["history"], list[Epoch])


def train_epoch(
    state: TrainState,
    images: TrainingImages,
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
    plan = EpochPlan(config.steps, config.batch, share, config.weak_share)
    losses = []
    order = training_order(images, without, plan, (seed, without[0], epoch))
    for batch in source.batches(order):
        state, loss = train_step(state, *batch, key, config, source.mesh.size)
        losses.append(loss)
        for _ in range(config.batch):
            next(ticks, None)
    return state, float(np.mean(jax.device_get(losses)))


def scored(
    epoch: int,
    loss: float | None,
    params: PyTree,
    images: TrainingImages,
    without: tuple[int, ...],
    config: TrainConfig,
) -> Epoch:
    """The record of an epoch, with scores of its weights on the folds left out."""
    fold, *stopping_folds = without
    val = validate(params, images, fold, config, MOST_SCORED)
    # What a training is stopped by is scored on all images.
    stop = [validate(params, images, other, config) for other in stopping_folds]
    return Epoch(epoch, loss, val, stop[0] if stop else None)


def is_due(epoch: int, config: TrainConfig) -> bool:
    """Whether to write a checkpoint; the same in all processes, so it does not depend on time."""
    passed = epoch * config.steps // SPACING > (epoch - 1) * config.steps // SPACING
    return passed and epoch < config.epochs  # after the last epoch come the final weights
