"""Masks of our U-Net against those of the same network in PyTorch, trained in as many steps.

``python tests/benchmarks/unet_peer.py RUN [--epochs 26] [--evidence]``. RUN holds dataset.parquet
with folds, and with --evidence the evidence map. Both networks see the X-ray, with --evidence the
map too, and begin from it. Both learn from the images whose mask is known, in the same order and
the same random variants, under the same loss, learning rates, clipping and moving average; weights
are drawn by each package's own rules. PyTorch is no dependency of the project: install it beside it
for this. Printed is the mean Dice of the positives, out of fold, at a level of 0.5 and at the best.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from numpy.typing import NDArray
from torch_unet import TorchUNet, torch, torch_loss

from baseline.learning import scores
from cnn.data import planes, training_images
from cnn.data.batches import EpochPlan, chunks, padded, training_order
from cnn.data.training_images import TrainingImages
from cnn.devices.mesh import all_devices, replicated, sharded, split_processor
from cnn.network.augment import augment
from cnn.network.config import OF_FEW_LESIONS, TrainConfig
from cnn.prediction.networks import probabilities
from cnn.training import steps
from cnn.weights.initial_weights import initial_weights
from features.run import command
from features.run.folder import RunFolder

CUTS = np.arange(0.05, 1, 0.05)
HALF = int(np.abs(CUTS - 0.5).argmin())

Maps = NDArray[np.float32]


def order_of(data: TrainingImages, fold: int, epoch: int, config: TrainConfig) -> NDArray[np.int32]:
    """The batches of an epoch, as `cnn.training.train_fold` draws them."""
    plan = EpochPlan(config.steps, config.batch, config.positive_shares[0])
    return training_order(data, (fold,), plan, (0, fold, epoch))


def key_of(fold: int, epoch: int) -> jax.Array:
    key = jax.random.key(0)
    for number in (fold, epoch):
        key = jax.random.fold_in(key, number)
    return key


def with_evidence(
    data: TrainingImages, fold: int, run: RunFolder, config: TrainConfig
) -> TrainingImages:
    """The images with the evidence map as the fold's network sees it."""
    if not config.unet.evidence:
        return data
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "evidence.npy"
        drawn = planes.write(path, run, fold, data.table, config.unet.size)
        return replace(data, evidence=np.array(drawn))


def by_ours(data: TrainingImages, fold: int, rows: NDArray[np.intp], config: TrainConfig) -> Maps:
    """Maps of the images of a fold by our network."""
    mesh = all_devices(config.batch)
    params = initial_weights(config, 0, fold, data)
    state = replicated(steps.initial_state(params, config), mesh)
    for epoch in command.progress(range(config.epochs), f"ours, fold {fold}", unit="epochs"):
        for part in order_of(data, fold, epoch, config):
            batch = sharded((data.inputs(part), data.masks[part]), mesh)
            state, _ = steps.train_step(state, *batch, key_of(fold, epoch), config, mesh.size)
    ema = jax.device_get(state.ema)
    maps = [
        np.asarray(probabilities(ema, padded(data.inputs(rows[part]), 8), config.unet, config.flip))
        for part in chunks(len(rows), 8)
    ]
    return np.concatenate(maps)[: len(rows)]


def by_torch(data: TrainingImages, fold: int, rows: NDArray[np.intp], config: TrainConfig) -> Maps:
    """The same by PyTorch's."""
    torch.manual_seed(fold)
    network = TorchUNet(config.unet).to(memory_format=torch.channels_last)
    prior = config.unet.prior
    if config.unet.evidence:  # an untrained network repeats the map
        torch.nn.init.zeros_(network.head.weight)
        torch.nn.init.zeros_(network.head.bias)
    else:
        torch.nn.init.constant_(network.head.bias, float(np.log(prior / (1 - prior))))
    averaged = TorchUNet(config.unet).to(memory_format=torch.channels_last)
    averaged.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=config.weight_decay)
    total = config.epochs * config.steps
    warmup = max(1, round(config.warmup * total))
    vary = jax.jit(lambda key, x, y: augment(key, x / 255.0, y / 255.0, config.augment))
    step = 0
    for epoch in command.progress(range(config.epochs), f"PyTorch, fold {fold}", unit="epochs"):
        for part in order_of(data, fold, epoch, config):
            key = jax.random.fold_in(key_of(fold, epoch), step)
            variants = vary(key, data.inputs(part), data.masks[part])
            x, y = (torch.tensor(np.asarray(array)) for array in variants)
            falling = 0.5 + 0.5 * np.cos(np.pi * (step - warmup) / (total - warmup))
            rate = step / warmup if step < warmup else falling
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * rate
            optimiser.zero_grad()
            torch_loss(network(x.permute(0, 3, 1, 2)), y, y.amax((1, 2)) > 0.5).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
            optimiser.step()
            decay = min(config.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for old, new in zip(averaged.parameters(), network.parameters(), strict=True):
                    old.lerp_(new, 1 - decay)
            step += 1
    with torch.no_grad():
        inputs = torch.tensor(data.inputs(rows) / np.float32(255)).permute(0, 3, 1, 2)
        p = torch.sigmoid(averaged(inputs))
        if config.flip:
            p = (p + torch.sigmoid(averaged(inputs.flip(3))).flip(2)) / 2
    return p.numpy()


def overlaps(maps: Maps, masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Dice of each positive at each of `CUTS`, (n, t)."""

    def overlap(drawn: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
        return float(2 * (drawn & mask).sum() / max(drawn.sum() + mask.sum(), 1))

    return np.array(
        [[overlap(p >= cut, m) for cut in CUTS] for p, m in zip(maps, masks, strict=True)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, default=26, help="of 50 batches of 8")
    parser.add_argument("--evidence", action="store_true", help="both see the evidence map")
    options = parser.parse_args()
    run = RunFolder(options.run).check()
    split_processor()
    lite = OF_FEW_LESIONS  # both learn from the known masks alone
    config = replace(
        lite, unet=replace(lite.unet, evidence=options.evidence), epochs=options.epochs
    )
    data = training_images.read(run, config.unet.size, options.evidence)
    positives = np.flatnonzero(data.known & data.positive)
    masks = data.masks[positives] > 127
    patients = data.table["patient"].to_numpy(object)[positives]
    dice = {}
    for name, train in (("ours", by_ours), ("PyTorch", by_torch)):
        start = time.perf_counter()
        maps = np.zeros(masks.shape, np.float32)
        for fold in range(data.fold_count):
            here = data.folds[positives] == fold
            maps[here] = train(
                with_evidence(data, fold, run, config), fold, positives[here], config
            )
        dice[name] = overlaps(maps, masks)
        best = int(dice[name].mean(axis=0).argmax())
        for what, cut in (("0.5", HALF), (f"the best, {CUTS[best]:.2f}", best)):
            estimate = scores.mean(dice[name][:, cut], patients)
            print(f"{name}: Dice on {len(positives)} positives at {what}: {estimate}")
        print(f"{name}: {time.perf_counter() - start:.0f} s")
    gap = dice["ours"][:, HALF] - dice["PyTorch"][:, HALF]
    print("ours less PyTorch's at 0.5:", scores.mean(gap, patients))


if __name__ == "__main__":
    main()
