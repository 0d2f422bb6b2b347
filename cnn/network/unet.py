"""A U-Net that computes where a CPU and a GPU are both fast: on small grids of many channels.

The image enters through a space-to-depth stem (each 4x4 block of pixels becomes one position with
16 channels) and leaves through the matching pixel-shuffle head, so no convolution ever runs at
full resolution, but every pixel gets its own logit. Beside the raw intensities the stem sees them
normalised by their neighbourhood, since the disease shows in faint texture, and the handcrafted
evidence map in log-odds. The network adds its logits to that map, and these are zero before
training: so it learns what the handcrafted measures do not show. Between stem and head is the usual
U (Ronneberger et al., MICCAI 2015) of pre-activation residual blocks (He et al., ECCV
2016), normalised by groups of channels (Wu and He, ECCV 2018), so that the outcome for an image
never depends on its batch.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PyTree


@dataclass(frozen=True)
class UNetConfig:
    """What the network looks like."""

    size: int = 128
    """Side of the square input image in pixels."""
    stem: int = 4
    """Side of the pixel blocks which the stem folds into channels."""
    widths: tuple[int, ...] = (32, 64, 128, 256)
    """Channels of each resolution, from the finest grid to the coarsest; each grid has half
    the side of the one before."""
    blocks: int = 1
    """Residual blocks (two 3x3 convolutions each) at each resolution, on the way down and up."""
    groups: int = 8
    """Channel groups of each normalisation; every width must be a multiple of it."""
    window: int = 5
    """Side of the neighbourhood, in blocks of the stem, against which local contrast is taken."""
    prior: float = 0.02
    """Share of lesion pixels which the untrained network predicts everywhere, without evidence."""
    evidence: bool = True
    """Whether a second plane holds the evidence map, from which the network begins."""

    def __post_init__(self) -> None:
        coarsest = self.stem * 2 ** (len(self.widths) - 1)
        if self.size % coarsest:
            raise ValueError(
                f"UNetConfig.size is {self.size}, but a stem of {self.stem} and {len(self.widths)} "
                f"widths need a multiple of {coarsest}; change size, stem or the number of widths"
            )
        if any(width % self.groups for width in self.widths):
            raise ValueError(
                f"UNetConfig.widths are {self.widths}, but each must be a multiple of "
                f"groups={self.groups}"
            )

    @property
    def planes(self) -> int:
        """Number of input planes."""
        return 1 + self.evidence


def space_to_depth(
    x: Float[Array, "n h w c"], block: int
) -> Float[Array, "n h//{block} w//{block} c*{block}**2"]:
    """Fold each `block` x `block` square of positions into the channels of one position."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // block, block, w // block, block, c)
    x = x.transpose(0, 1, 3, 2, 4, 5)  # (n, h/b, w/b, b, b, c)
    return x.reshape(n, h // block, w // block, block * block * c)


def depth_to_space(
    x: Float[Array, "n h w c"], block: int
) -> Float[Array, "n h*{block} w*{block} c//{block}**2"]:
    """Undo `space_to_depth`: spread the channels over `block` x `block` squares (pixel shuffle).

    Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network", CVPR 2016.
    """
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, block, block, c // block**2)
    x = x.transpose(0, 1, 3, 2, 4, 5)  # (n, h, b, w, b, c/b²)
    return x.reshape(n, h * block, w * block, c // block**2)


def local_contrast(x: Float[Array, "n h w c"], window: int) -> Float[Array, "n h w c"]:
    """Normalise intensities by the mean and spread of their neighbourhood.

    Lung markings, and the thin line where they end, are faint beside the shadows of heart and
    bones; seen this way they are as large as anything else.

    Parameters
    ----------
    x : (n, h, w, c) float array in [0, 1]
        Intensities, each block of pixels folded into the channels of one position.
    window : int
        Side of the neighbourhood in positions; odd, so that it is centred.
    """

    def inside(side: int) -> np.ndarray:
        place, half = np.arange(side), window // 2
        return (np.minimum(place + half, side - 1) - np.maximum(place - half, 0) + 1) / window

    # Computed by NumPy, since XLA takes seconds to pool a constant array of ones.
    share = np.outer(inside(x.shape[1]), inside(x.shape[2])).astype(np.float32)[..., None]

    def around(values: Float[Array, "n h w 1"]) -> Float[Array, "n h w 1"]:
        return nnx.avg_pool(values, (window, window), padding="SAME") / share

    mean = around(x.mean(-1, keepdims=True))
    variance = around(jnp.square(x).mean(-1, keepdims=True)) - jnp.square(mean)
    # The floor keeps flat regions flat: noise of a hundredth of the range is not raised.
    return (x - mean) / (jnp.sqrt(jnp.maximum(variance, 0) + 1e-4) + 0.01)


def log_odds(probabilities: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Log-odds of probabilities that are known to 1/255, hence within -6.3 to 6.3."""
    return jnp.log(255 * probabilities + 0.5) - jnp.log(255.5 - 255 * probabilities)


class Block(nnx.Module):
    """Pre-activation residual block: x + conv(relu(norm(conv(relu(norm(x))))))."""

    def __init__(self, width: int, groups: int, dtype: type, rngs: nnx.Rngs) -> None:
        norm = partial(nnx.GroupNorm, width, num_groups=groups, dtype=dtype, rngs=rngs)
        conv = partial(nnx.Conv, width, width, (3, 3), use_bias=False, dtype=dtype, rngs=rngs)
        self.norm1, self.conv1 = norm(), conv()
        self.norm2, self.conv2 = norm(), conv()

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        y = self.conv1(jax.nn.relu(self.norm1(x)))
        return x + self.conv2(jax.nn.relu(self.norm2(y)))


class UNet(nnx.Module):
    """The network; see the module's docstring.

    Parameters
    ----------
    config : UNetConfig
        Size, stem, widths, blocks.
    rngs : nnx.Rngs
        Random streams of the initial weights.
    dtype : type
        What the layers compute in, float32 or bfloat16; weights are float32 whatever it is.
    """

    def __init__(self, config: UNetConfig, rngs: nnx.Rngs, dtype: type = jnp.float32) -> None:
        self.config = config
        widths, groups = config.widths, config.groups
        convolution = partial(nnx.Conv, dtype=dtype, rngs=rngs)
        linear = partial(nnx.Linear, dtype=dtype, rngs=rngs)

        def blocks(width: int) -> nnx.List:
            return nnx.List([Block(width, groups, dtype, rngs) for _ in range(config.blocks)])

        inputs = 2 * config.stem**2 + config.evidence
        self.stem = convolution(inputs, widths[0], (3, 3))
        self.down = nnx.List([blocks(width) for width in widths])
        # A 2x2 convolution with stride 2, and its mirror image: 1x1 convolution, pixel shuffle.
        pairs = list(pairwise(widths))
        self.shrink = nnx.List(
            [convolution(fine, coarse, (2, 2), strides=2) for fine, coarse in pairs]
        )
        self.grow = nnx.List([linear(coarse, 4 * fine) for fine, coarse in pairs])
        self.merge = nnx.List([linear(2 * fine, fine) for fine, _ in pairs])
        self.up = nnx.List([blocks(width) for width in widths[:-1]])
        self.norm = nnx.GroupNorm(widths[0], num_groups=groups, dtype=dtype, rngs=rngs)
        self.head = linear(widths[0], config.stem**2)
        if config.evidence:
            self.trust = nnx.Param(jnp.ones(()))

    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n h w"]:
        """Give each pixel its logit.

        Parameters
        ----------
        images : (n, h, w, planes) float array in [0, 1]
            X-rays, air dark, and the evidence map, if the network sees it, as the probability of
            air; h and w are multiples of stem * 2 ** (number of widths - 1).

        Returns
        -------
        (n, h, w) float array
            Logits of "this pixel belongs to a pneumothorax".
        """
        x = space_to_depth(images[..., :1], self.config.stem)
        inputs = [(x - 0.5) / 0.25, local_contrast(x, self.config.window)]
        if self.config.evidence:
            evidence = log_odds(images[..., 1:])
            # The map is smooth: its mean over a block of pixels is enough.
            mean = space_to_depth(evidence, self.config.stem).mean(-1, keepdims=True)
            inputs.append(mean / 2 + 1)
        x = jnp.concatenate(inputs, axis=-1)
        x = self.stem(x)  # (n, h/stem, w/stem, widths[0])
        skips = []
        for depth, blocks in enumerate(self.down):
            if depth:
                x = self.shrink[depth - 1](x)  # half the grid
            for block in blocks:
                x = block(x)
            skips.append(x)
        for depth in reversed(range(len(self.up))):
            x = depth_to_space(self.grow[depth](x), 2)  # double the grid
            x = self.merge[depth](jnp.concatenate([skips[depth], x], axis=-1))
            for block in self.up[depth]:
                x = block(x)
        x = self.head(jax.nn.relu(self.norm(x))).astype(jnp.float32)  # (n, h/stem, w/stem, stem²)
        logits = depth_to_space(x, self.config.stem)
        if self.config.evidence:
            logits += self.trust * evidence
        return logits[..., 0]


def apply(
    params: PyTree,
    images: Float[Array, "n h w c"],
    config: UNetConfig,
    dtype: type = jnp.float32,
) -> Float[Array, "n h w"]:
    """Logits of the network whose weights are `params` (a nested dict); see `UNet`."""
    graph, empty = nnx.split(_outline(config, dtype))
    state = jax.tree.map(lambda leaf: leaf, empty)  # a copy, to be filled
    nnx.replace_by_pure_dict(state, params)
    return nnx.merge(graph, state)(images)


@lru_cache(maxsize=8)
def outline(config: UNetConfig) -> PyTree:
    """Names and shapes of the weights, as a nested dict of `jax.ShapeDtypeStruct`.

    Not to be changed: networks of one configuration share it.
    """
    return nnx.to_pure_dict(nnx.state(_outline(config), nnx.Param))


@lru_cache(maxsize=8)  # to build a network takes JAX a quarter of a second
def _outline(config: UNetConfig, dtype: type = jnp.float32) -> UNet:
    """A network of shapes alone, not to be changed."""
    return nnx.eval_shape(lambda: UNet(config, nnx.Rngs(0), dtype))


def initial_params(config: UNetConfig, generator: np.random.Generator) -> PyTree:
    """Draw the weights of an untrained network.

    Kernels are normal with variance 2 / inputs (He et al., ICCV 2015), scales 1 and biases 0. The
    head's bias is the logit of `config.prior`; with evidence the head is 0 and trust in it 1, so
    that the untrained network repeats the evidence map. NumPy draws them: the same numbers on
    every device, and JAX would spend seconds on compiling one generator for each shape.

    Returns
    -------
    nested dict of float32 arrays
        As `apply` takes it.
    """

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> Array:
        if path[-1].key == "kernel":
            spread = np.sqrt(2 / np.prod(leaf.shape[:-1]))
            values = generator.standard_normal(leaf.shape, np.float32) * np.float32(spread)
        else:
            values = np.full(leaf.shape, float(path[-1].key in ("scale", "trust")), np.float32)
        return jnp.asarray(values)

    params = jax.tree_util.tree_map_with_path(draw, outline(config))
    if config.evidence:
        params["head"]["kernel"] *= 0
    else:
        params["head"]["bias"] += np.float32(np.log(config.prior / (1 - config.prior)))
    return params


def parameter_count(config: UNetConfig) -> int:
    """Count the trainable numbers of a network."""
    return sum(leaf.size for leaf in jax.tree.leaves(outline(config)))
