"""The network and its loss in PyTorch, layer by layer: the peer of `cnn.network.unet`."""

import sys
from itertools import pairwise

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ImportError:
    sys.exit(
        "PyTorch is missing here; put it beside JAX with `uv pip install --python .venv torch` or "
        "`.venv/bin/python -m pip install torch`, whichever made .venv."
    )

from cnn.network import unet


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
