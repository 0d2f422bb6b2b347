"""The U-Net against the same network in PyTorch: a training step, inference, memory, share of peak.

``python tests/benchmarks/unet_speed.py [--profile demo|lite|full] [--batch N]``. PyTorch is no
dependency of the project: install it beside it for this. The two take turns, so that whatever else
the machine does weighs on both; times are medians. PyTorch runs with channels_last, its fastest
layout on a processor. On a GPU both compute in bfloat16 and call after call without a look at the
clock; PyTorch runs under `torch.compile`, network and loss as one graph, once as it is and once
replayed from CUDA graphs (`reduce-overhead`), and cuDNN chooses its algorithms by measuring them.
Both update weights and optimiser in place, as in a training. The peak is what a product of large
matrices reaches on the same devices in the same run. --trace records some calls of each, kernel by
kernel, for Perfetto.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from torch_unet import TorchUNet, torch, torch_loss

from cnn.devices import mesh as devices
from cnn.network import config as profiles
from cnn.network import unet
from cnn.network.losses import mean_shares, segmentation_loss

ROUNDS = 15
# Calls between two looks at the clock: an accelerator is kept busy, as in a training.
IN_A_ROW = 10
# Steps in one compiled call, to see what a loop over single ones costs.
SCANNED, IN_SCAN = 4, "steps inside lax.scan"

# Does a piece of work so many times, then waits until all is done.
Work = Callable[[int], None]


def ours(
    config: profiles.TrainConfig, images: np.ndarray, masks: np.ndarray
) -> tuple[dict[str, Work], dict[str, float]]:
    """Both tasks, and how many GFLOP each takes."""
    params = unet.initial_params(config.unet, np.random.default_rng(0))
    optimiser = optax.adamw(1e-3)
    dtype = jnp.bfloat16 if devices.accelerated() else jnp.float32
    shares = mean_shares(jnp.ones(len(images), bool))

    def infer(params, x):
        return unet.apply(params, x, config.unet, dtype)

    def step(params, state, x, y):
        def loss(params):
            logits = unet.apply(params, x, config.unet, dtype)
            return segmentation_loss(logits, y, shares, config.loss)

        update, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, update), state

    mesh = devices.all_devices(len(images))
    params, state = devices.replicated((params, optimiser.init(params)), mesh)
    x, y, shares = devices.sharded((images, masks, shares), mesh)
    lowered = {
        "training step": jax.jit(step, donate_argnums=(0, 1)).lower(params, state, x, y),
        "inference": jax.jit(infer).lower(params, x),
    }
    began = time.perf_counter()
    train, predict = (program.compile() for program in lowered.values())
    print(f"JAX: compiled in {time.perf_counter() - began:.0f} s")
    work = {}
    for (name, program), compiled in zip(lowered.items(), (train, predict), strict=True):
        # Counted before compiling: what a GPU's libraries do inside is hidden afterwards.
        work[name] = program.cost_analysis()["flops"] / 1e9
        memory = compiled.memory_analysis()
        peak = memory.temp_size_in_bytes + memory.argument_size_in_bytes
        peak += memory.output_size_in_bytes
        print(
            f"{name}: {work[name]:.1f} GFLOP, {mesh.size * peak / 2**20:.0f} MiB by XLA's account"
        )

    def scan(held, x, y):
        return jax.lax.scan(lambda held, _: (step(*held, x, y), None), held, length=SCANNED)[0]

    scanned = jax.jit(scan).lower((params, state), x, y).compile()
    start = jax.tree.map(jnp.copy, (params, state))  # the others are given away
    held = [(params, state)]
    frozen = devices.replicated(unet.initial_params(config.unet, np.random.default_rng(0)), mesh)

    def learn(times: int) -> None:
        for _ in range(times):
            held[0] = train(*held[0], x, y)  # the old ones' memory is given away
        jax.block_until_ready(held[0])

    def draw(times: int) -> None:
        for _ in range(times):
            drawn = predict(frozen, x)
        jax.block_until_ready(drawn)

    def loop(times: int) -> None:
        for _ in range(times):
            held_inside = scanned(start, x, y)
        jax.block_until_ready(held_inside)

    return {"training step": learn, "inference": draw, IN_SCAN: loop}, work


def peer(
    config: profiles.TrainConfig, images: np.ndarray, masks: np.ndarray, mode: str | None
) -> dict[str, Work]:
    """Both tasks by PyTorch; on a GPU compiled in a mode of `torch.compile`."""
    on_gpu = devices.accelerated()
    device = "cuda" if on_gpu else "cpu"
    network = TorchUNet(config.unet).to(device=device, memory_format=torch.channels_last)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == unet.parameter_count(config.unet)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4, fused=True)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
    y = torch.from_numpy(masks).to(device)
    every = torch.ones(len(y), dtype=torch.bool, device=device)

    def loss() -> torch.Tensor:
        with narrow():
            logits = network(x)
        return torch_loss(logits, y, every)

    def narrow():
        return torch.autocast("cuda", torch.bfloat16) if on_gpu else nullcontext()

    def wait() -> None:
        if on_gpu:
            torch.cuda.synchronize()

    # No more than one graph of CUDA is recorded for each of the two.
    run = torch.compile(network, mode=mode) if on_gpu else network
    losses = torch.compile(loss, mode=mode) if on_gpu else loss

    def learn(times: int) -> None:
        for _ in range(times):
            optimiser.zero_grad()
            losses().backward()
            optimiser.step()
        wait()

    @torch.no_grad()
    def infer(times: int) -> None:
        for _ in range(times):
            with narrow():
                run(x)
        wait()

    return {"training step": learn, "inference": infer}


def peers(
    config: profiles.TrainConfig, images: np.ndarray, masks: np.ndarray
) -> dict[str, dict[str, Work]]:
    """PyTorch in each way of running it, by name."""
    if not devices.accelerated():
        return {"PyTorch": peer(config, images, masks, None)}
    torch.backends.cudnn.benchmark = True
    modes = {"PyTorch": "default", "PyTorch, CUDA graphs": "reduce-overhead"}
    return {name: peer(config, images, masks, mode) for name, mode in modes.items()}


def measure(work: Work, times: int) -> float:
    """Milliseconds of a call by the clock, `times` in a row."""
    start = time.perf_counter()
    work(times)
    return 1e3 * (time.perf_counter() - start) / times


def peak() -> float:
    """GFLOP/s of a product of two large matrices, a slice of one on each device."""
    accelerated = devices.accelerated()
    side, dtype = (8192, jnp.bfloat16) if accelerated else (2048, jnp.float32)
    mesh = devices.all_devices(side)
    generator = np.random.default_rng(0)  # zeros would be multiplied faster
    matrices = (jnp.asarray(generator.standard_normal((side, side)), dtype) for _ in range(2))
    left, right = next(matrices), next(matrices)
    left, right = devices.sharded(left, mesh), devices.replicated(right, mesh)
    product = jax.jit(jnp.matmul)

    def multiply(times: int) -> None:
        for _ in range(times):
            result = product(left, right)
        jax.block_until_ready(result)

    times = IN_A_ROW if accelerated else 1
    return 2 * side**3 / 1e6 / min(measure(multiply, times) for _ in range(ROUNDS))


def compare(name: str, work: dict[str, Work], gigaflop: float, top: float) -> None:
    """Time a task by all, in turns, and print their medians and ratios."""
    times = IN_A_ROW if devices.accelerated() else 1
    for run in work.values():
        run(3)  # compiles, measures algorithms, records graphs
    rounds = [[measure(run, times) for run in work.values()] for _ in range(ROUNDS)]
    medians = np.median(rounds, axis=0)
    share = gigaflop / (1e-3 * medians[0]) / top
    print(f"{name}: JAX {medians[0]:.3g} ms, {share:.0%} of the peak")
    for place, peer_name in list(enumerate(work))[1:]:
        ratios = [of_round[0] / of_round[place] for of_round in rounds]
        low, high = np.quantile(ratios, (0.1, 0.9))
        print(
            f"{name}: {peer_name} {medians[place]:.3g} ms, JAX takes "
            f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}) times as long"
        )


def record(folder: Path, first: dict[str, Work], others: dict[str, dict[str, Work]]) -> None:
    """Write traces of three calls of each task by each."""
    with jax.profiler.trace(str(folder / "jax"), create_perfetto_trace=True):
        for work in first.values():
            work(3)
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    for name, tasks in others.items():
        with torch.profiler.profile(activities=activities) as profile:
            for work in tasks.values():
                work(3)
        file = name.replace(", ", "-").replace(" ", "-") + ".json.gz"
        profile.export_chrome_trace(str(folder / file))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--profile", default="lite", choices=sorted(profiles.PROFILES))
    parser.add_argument("--batch", type=int, default=8, help="images a batch")
    parser.add_argument("--trace", type=Path, help="folder for traces")
    options = parser.parse_args()
    devices.split_processor()
    config = profiles.PROFILES[options.profile]
    generator = np.random.default_rng(0)
    side = config.unet.size
    shape = (options.batch, side, side)
    images = generator.random((*shape, config.unet.planes), np.float32)
    masks = (generator.random(shape) > 0.97).astype(np.float32)
    print(
        f"{unet.parameter_count(config.unet):,} parameters, {options.batch} images of {side}x{side}"
    )
    on = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    print(f"JAX {jax.__version__} on {on}, PyTorch {torch.__version__}")
    (first, work), others = ours(config, images, masks), peers(config, images, masks)
    top = peak()
    print(f"{top / 1e3:.2f} TFLOP/s in a product of large matrices")
    for name in work:
        tasks = {"JAX": first[name]} | {peer: tasks[name] for peer, tasks in others.items()}
        compare(name, tasks, work[name], top)
    if devices.accelerated():
        mebibytes = torch.cuda.max_memory_allocated() / 2**20
        print(f"PyTorch held {mebibytes:.0f} MiB at most, all its ways together")
    loop, inside = (
        statistics.median(measure(first[name], 1) for _ in range(ROUNDS))
        for name in ("training step", IN_SCAN)
    )
    print(f"{IN_SCAN}: {inside / SCANNED:.3g} ms a step, by a loop {loop:.3g} ms")
    if options.trace:
        record(options.trace, first, others)


if __name__ == "__main__":
    sys.exit(main())
