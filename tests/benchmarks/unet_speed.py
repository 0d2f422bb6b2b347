"""The U-Net against the same network in PyTorch: a training step and inference on this machine.

``python tests/benchmarks/unet_speed.py``. PyTorch is no dependency of the project: install it
beside it for this. The two take turns, so that whatever else the machine does weighs on both; times
are medians. PyTorch runs with channels_last, its fastest layout here.
"""

import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional as F

from cnn import train, unet
from cnn.losses import mask_loss

BATCH, ROUNDS = 8, 15


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
    """`cnn.unet.UNet` layer by layer."""

    def __init__(self, config: unet.UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, pairs = config.widths, list(pairwise(config.widths))

        def blocks(width: int) -> nn.Sequential:
            return nn.Sequential(*(Block(width, config.groups) for _ in range(config.blocks)))

        self.stem = nn.Conv2d((config.planes + 1) * config.stem**2, widths[0], 3, 1, 1)
        self.down = nn.ModuleList(blocks(width) for width in widths)
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, 2) for fine, coarse in pairs)
        self.grow = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairs)
        self.merge = nn.ModuleList(nn.Conv2d(2 * fine, fine, 1) for fine, _ in pairs)
        self.up = nn.ModuleList(blocks(width) for width in widths[:-1])
        self.norm = nn.GroupNorm(config.groups, widths[0], 1e-6)
        self.head = nn.Conv2d(widths[0], config.stem**2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # (n, planes, h, w)
        folded = F.pixel_unshuffle(images, self.config.stem)
        grey, guides = folded.tensor_split([self.config.stem**2], dim=1)
        window = self.config.window

        def around(values: torch.Tensor) -> torch.Tensor:
            return F.avg_pool2d(values, window, 1, window // 2, count_include_pad=False)

        mean = around(grey.mean(1, keepdim=True))
        variance = around(grey.square().mean(1, keepdim=True)) - mean.square()
        contrast = (grey - mean) / ((variance.clamp(min=0) + 1e-4).sqrt() + 0.01)
        x = torch.cat([(grey - 0.5) / 0.25, contrast, (guides - 0.5) / 0.5], dim=1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for level, level_blocks in enumerate(self.down):
            x = level_blocks(self.shrink[level - 1](x) if level else x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            x = F.pixel_shuffle(self.grow[level](x), 2)
            x = self.up[level](self.merge[level](torch.cat([skips[level], x], dim=1)))
        return F.pixel_shuffle(self.head(F.relu(self.norm(x))), self.config.stem)[:, 0]


def torch_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    p = torch.sigmoid(logits)
    overlap, total = (p * masks).sum((1, 2)), p.sum((1, 2)) + masks.sum((1, 2))
    dice = (2 * overlap + 1) / (total + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - dice).mean()


def ours(config: train.TrainConfig, images: np.ndarray, masks: np.ndarray) -> dict[str, Callable]:
    params = unet.initial_params(config.unet, np.random.default_rng(0))
    optimiser = optax.adamw(1e-3)
    known = jnp.ones(len(images), bool)

    @jax.jit
    def step(params, state, x, y):
        def loss(params):
            return mask_loss(unet.apply(params, x, config.unet)[0], y, known, config.loss)

        update, state = optimiser.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, update), state

    predict = jax.jit(lambda params, x: unet.apply(params, x, config.unet)[0])
    x, y = jnp.asarray(images), jnp.asarray(masks)
    state = optimiser.init(params)
    return {
        "training step": lambda: jax.block_until_ready(step(params, state, x, y)),
        "inference": lambda: jax.block_until_ready(predict(params, x)),
    }


def peers(config: train.TrainConfig, images: np.ndarray, masks: np.ndarray) -> dict[str, Callable]:
    network = TorchUNet(config.unet).to(memory_format=torch.channels_last)
    count = sum(parameter.numel() for parameter in network.parameters())
    # Ours has two more: scale and offset of the pooled logit.
    assert count + 2 == unet.parameter_count(config.unet)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-4, fused=True)
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    y = torch.from_numpy(masks)

    def step() -> None:
        optimiser.zero_grad()
        torch_loss(network(x), y).backward()
        optimiser.step()

    return {"training step": step, "inference": torch.no_grad()(lambda: network(x))}


def measure(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor time of a call, in milliseconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - processor)


def main() -> None:
    config = train.PROFILES["lite"]
    generator = np.random.default_rng(0)
    side = config.unet.size
    images = generator.random((BATCH, side, side, config.unet.planes), np.float32)
    masks = (generator.random((BATCH, side, side)) > 0.97).astype(np.float32)
    first, second = ours(config, images, masks), peers(config, images, masks)
    print(f"{unet.parameter_count(config.unet):,} parameters, {BATCH} images of {side}x{side}")
    for name in first:
        times = [[measure(side_[name]) for side_ in (first, second)] for _ in range(ROUNDS + 2)][2:]
        wall, processor = np.median(np.array(times), axis=0).T
        ratio = statistics.median(a[0] / b[0] for a, b in times)
        print(
            f"{name}: JAX {wall[0]:.0f} ms, PyTorch {wall[1]:.0f} ms, ratio {ratio:.2f} "
            f"(processor {processor[0]:.0f} and {processor[1]:.0f} ms)"
        )


if __name__ == "__main__":
    main()
