"""Images that a training takes in a second, and how long its devices wait for them.

``python tests/benchmarks/feeding_speed.py RUN [--profile full] [--steps 50]``. RUN holds a dataset
with folds. The U-Net learns from the X-rays alone, in three ways that take turns: batches gathered
from images that lie on the devices, batches streamed from the host, and one batch on the devices
again and again, which nothing has to wait for. What the others take longer is time that they wait.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jax

from cnn.data import feeding, training_images
from cnn.data.batches import EpochPlan, training_order
from cnn.data.feeding import Batch
from cnn.devices.mesh import accelerated, all_devices, replicated, split_processor
from cnn.network.config import PROFILES
from cnn.training import steps
from cnn.weights.initial_weights import initial_weights
from features.run.folder import RunFolder

ROUNDS = 5
NOTHING, HELD, STREAMED = "the same batch again", "images on the devices", "images streamed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--profile", default="full", choices=sorted(PROFILES))
    parser.add_argument("--steps", type=int, default=50, help="batches between two looks")
    options = parser.parse_args()
    run = RunFolder(options.run).check()
    split_processor()
    profile = PROFILES[options.profile]
    unet = replace(profile.unet, evidence=False)
    config = replace(profile, unet=unet, bfloat16=accelerated(), pretrained=False)
    data = training_images.read(run, unet.size)
    mesh = all_devices(config.batch)
    plan = EpochPlan(options.steps, config.batch, config.positive_shares[0])
    order = training_order(data, (0,), plan, (0,))
    held = feeding.on_devices(data, False, mesh)
    streamed = feeding.streamed(data, False, mesh)
    batch = next(held.batches(order))
    feeds: dict[str, Callable[[], Iterator[Batch]]] = {
        NOTHING: lambda: iter([batch] * options.steps),
        HELD: lambda: held.batches(order),
        STREAMED: lambda: streamed.batches(order),
    }
    params = initial_weights(config, 0, 0, data)
    state = replicated(steps.initial_state(params, config), mesh)
    key = jax.random.key(0)
    seconds: dict[str, list[float]] = {name: [] for name in feeds}
    for _ in range(1 + ROUNDS):
        for name, batches in feeds.items():
            start = time.perf_counter()
            for inputs, targets in batches():
                state, loss = steps.train_step(state, inputs, targets, key, config, mesh.size)
            jax.block_until_ready((state, loss))
            seconds[name].append(time.perf_counter() - start)
    count = options.steps * config.batch
    device = jax.devices()[0].device_kind
    print(
        f"{len(data.ids)} images of {unet.size}x{unet.size}, {options.steps} batches of "
        f"{config.batch}, medians of {ROUNDS} rounds, {mesh.size} x {device}"
    )
    for name, times in seconds.items():
        times = times[1:]  # the first compiles
        pairs = zip(seconds[NOTHING][1:], times, strict=True)
        waits = [1 - least / of_feed for least, of_feed in pairs]
        print(
            f"{name}: {count / statistics.median(times):.0f} images/s, "
            f"{1e3 * statistics.median(times) / options.steps:.2f} ms a step, "
            f"waits {statistics.median(waits):.1%} ({min(waits):.1%} to {max(waits):.1%})"
        )


if __name__ == "__main__":
    main()
