"""The U-Net against the same network in PyTorch: a training step, inference, memory, share of peak.

``python tests/benchmarks/unet_speed.py [--profile demo|lite|full] [--batch N]``. PyTorch is no
dependency of the project: install it beside it for this. The two take turns, so that whatever else
the machine does weighs on both; times are medians. PyTorch runs with channels_last, its fastest
layout on a processor; on a GPU both compute in bfloat16 and PyTorch under `torch.compile`. Both
update weights and optimiser in place, as in a training. The peak is what a product of large
matrices reaches on the same devices in the same run.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    sys.exit(
        "PyTorch is missing here; put it beside JAX with `uv pip install --python .venv torch` or "
        "`.venv/bin/python -m pip install torch`, whichever made .venv."
    )

from cnn.devices import mesh as devices
from cnn.network import config as profiles
from cnn.network import unet
from cnn.network.losses import mean_shares, segmentation_loss

ROUNDS = 15
# Steps in one compiled call, to see what a loop over single ones costs.
SCANNED, IN_SCAN = 4, "steps inside lax.scan"


class Block(nn.Module):
    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.GroupNorm(groups, width, 1e-6) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.relu(norm(y)))
        return x + y


class TorchUNet(nn.Module):
    """`cnn.network.unet.UNet` layer by layer."""

    def __init__(self, config: unet.UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, pairs = config.widths, list(pairwise(config.widths))

        def blocks(width: int) -> nn.Sequential:
            return nn.Sequential(*(Block(width, config.groups) for _ in range(config.blocks)))

        self.stem = nn.Conv2d(2 * config.stem**2 + config.evidence, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(blocks(width) for width in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairs)
        self.merge = nn.ModuleList(nn.Conv2d(2 * fine, fine, 1) for fine, _ in pairs)
        self.up = nn.ModuleList(blocks(width) for width in widths[:-1])
        self.norm = nn.GroupNorm(config.groups, widths[0], 1e-6)
        self.head = nn.Conv2d(widths[0], config.stem**2, 1)
        if config.evidence:
            self.trust = nn.Parameter(torch.ones(()))

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # (n, planes, h, w)
        stem, window = self.config.stem, self.config.window
        grey = F.pixel_unshuffle(images[:, :1], stem)

        def around(values: torch.Tensor) -> torch.Tensor:
            return F.avg_pool2d(values, window, 1, window // 2, count_include_pad=False)

        mean = around(grey.mean(1, keepdim=True))
        variance = around(grey.square().mean(1, keepdim=True)) - mean.square()
        contrast = (grey - mean) / ((variance.clamp(min=0) + 1e-4).sqrt() + 0.01)
        inputs = [(grey - 0.5) / 0.25, contrast]
        if self.config.evidence:
            levels = 255 * images[:, 1:]
            evidence = torch.log(levels + 0.5) - torch.log(255.5 - levels)
            inputs.append(F.avg_pool2d(evidence, stem) / 2 + 1)
        x = torch.cat(inputs, dim=1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for level, level_blocks in enumerate(self.down):
            x = level_blocks(self.shrink[level - 1](x) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = F.pixel_shuffle(self.grow[level](x), 2)
            x = self.up[level](self.merge[level](torch.cat([skips[level], x], dim=1)))
        logits = F.pixel_shuffle(self.head(F.relu(self.norm(x))), stem).float()
        if self.config.evidence:
            logits = logits + self.trust * evidence
        return logits[:, 0]


def torch_loss(logits: torch.Tensor, masks: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """`cnn.network.losses.segmentation_loss` with its default weights."""
    p = torch.sigmoid(logits)
    common, total = (p * masks).sum((1, 2)), p.sum((1, 2)) + masks.sum((1, 2))
    dice = (2 * common + 1) / (total + 1)
    overlap = ((1 - dice) * positive).sum() / positive.sum().clamp(min=1)
    return F.binary_cross_entropy_with_logits(logits, masks) + overlap


def ours(
    config: profiles.TrainConfig, images: np.ndarray, masks: np.ndarray
) -> tuple[dict[str, Callable], dict[str, float]]:
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
    train, predict = (program.compile() for program in lowered.values())
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

    def learn() -> None:
        held[0] = train(*held[0], x, y)  # the old ones' memory is given away
        jax.block_until_ready(held[0])

    return {
        "training step": learn,
        "inference": lambda: jax.block_until_ready(predict(frozen, x)),
        IN_SCAN: lambda: jax.block_until_ready(scanned(start, x, y)),
    }, work


def peers(
    config: profiles.TrainConfig, images: np.ndarray, masks: np.ndarray
) -> dict[str, Callable]:
    device = "cuda" if devices.accelerated() else "cpu"
    network = TorchUNet(config.unet).to(device=device, memory_format=torch.channels_last)
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == unet.parameter_count(config.unet)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4, fused=True)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(device)
    y = torch.from_numpy(masks).to(device)
    every = torch.ones(len(y), dtype=torch.bool, device=device)
    run = torch.compile(network) if device == "cuda" else network

    def narrow():
        return torch.autocast("cuda", torch.bfloat16) if device == "cuda" else nullcontext()

    def done() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def step() -> None:
        optimiser.zero_grad()
        with narrow():
            logits = run(x)
        torch_loss(logits, y, every).backward()
        optimiser.step()
        done()

    @torch.no_grad()
    def infer() -> None:
        with narrow():
            run(x)
        done()

    return {"training step": step, "inference": infer}


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time of a call, in milliseconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor)


def peak() -> float:
    """GFLOP/s of a product of two large matrices, a slice of one on each device."""
    accelerated = devices.accelerated()
    side, dtype = (8192, jnp.bfloat16) if accelerated else (2048, jnp.float32)
    mesh = devices.all_devices(side)
    left = devices.sharded(np.ones((side, side), dtype), mesh)
    right = devices.replicated(np.ones((side, side), dtype), mesh)
    product = jax.jit(jnp.matmul)
    work = [measure(lambda: jax.block_until_ready(product(left, right)))[0] for _ in range(ROUNDS)]
    return 2 * side**3 / 1e6 / min(work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--profile", default="lite", choices=sorted(profiles.PROFILES))
    parser.add_argument("--batch", type=int, default=8, help="images a batch")
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
    on = f"{jax.device_count()} devices ({jax.default_backend()})"
    print(f"JAX {jax.__version__} on {on}, PyTorch {torch.__version__}")
    (first, work), second = ours(config, images, masks), peers(config, images, masks)
    top = peak()
    print(f"{top / 1e3:.2f} TFLOP/s in a product of large matrices")
    whole = first.pop(IN_SCAN)
    for name in first:
        times = [[measure(side_[name]) for side_ in (first, second)] for _ in range(ROUNDS + 2)][2:]
        wall, processor = np.median(np.array(times), axis=0).T
        ratios = [a[0] / b[0] for a, b in times]
        low, high = np.quantile(ratios, (0.1, 0.9))
        print(
            f"{name}: JAX {wall[0]:.3g} ms, PyTorch {wall[1]:.3g} ms, ratio "
            f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f}; processor "
            f"{processor[0]:.3g} and {processor[1]:.3g} ms); JAX at "
            f"{work[name] / (1e-3 * wall[0]) / top:.0%} of the peak"
        )
    loop, inside = (
        statistics.median(measure(work)[0] for _ in range(ROUNDS))
        for work in (first["training step"], whole)
    )
    print(f"{IN_SCAN}: {inside / SCANNED:.3g} ms a step, by a loop {loop:.3g} ms")


if __name__ == "__main__":
    sys.exit(main())
