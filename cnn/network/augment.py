"""Random but plausible variants of an X-ray and its mask, drawn on the device.

A patient may stand a little turned, nearer, further or off centre, and a detector may give more or
less contrast. For this disease left and right are alike. X-ray, evidence map and mask are resampled
together by the same geometry. Changes of intensity, noise and blanked rectangles affect the X-ray
alone.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key


@dataclass(frozen=True)
class AugmentConfig:
    """How far the variants may differ; with zero everywhere the images stay as they are."""

    flip: float = 0.5
    """Probability of a left-right flip."""
    rotation: float = 8.0
    """Largest rotation, in degrees, to either side."""
    scale: float = 0.1
    """Largest change of size, as a share of it."""
    shift: float = 0.05
    """Largest shift along each axis, as a share of the image's side."""
    gamma: float = 0.25
    """Largest change of the logarithm of the exponent on intensities."""
    contrast: float = 0.15
    """Largest change of contrast about the image's mean, as a share of it."""
    brightness: float = 0.05
    """Largest change of brightness, in units of the full intensity range."""
    noise: float = 0.0
    """Largest standard deviation of added noise, in the same units."""
    occlusion: float = 0.0
    """Probability that a rectangle of the image is blanked out."""
    occluded: float = 0.3
    """Largest side of such a rectangle, as a share of the image's."""


def augment(
    key: Key[Array, ""],
    images: Float[Array, "n s s c"],
    masks: Float[Array, "n s s"],
    config: AugmentConfig,
) -> tuple[Float[Array, "n s s c"], Float[Array, "n s s"]]:
    """Draw one variant of each image with its mask.

    Parameters
    ----------
    key : jax random key
        The same key gives the same variants.
    images : (n, s, s, c) float array in [0, 1]
        Square X-rays, and what else the network sees of them.
    masks : (n, s, s) float array in [0, 1]
        For each pixel the share that is lesion.
    config : AugmentConfig
        The ranges to draw from, uniformly.

    Returns
    -------
    images, masks : float arrays in [0, 1]
        Pixels from outside the original image are 0: dark and healthy.
    """
    n, side = images.shape[:2]
    geometry_key, intensity_key, noise_key, occlusion_key = jax.random.split(key, 4)
    matrices, offsets = random_affine(geometry_key, n, side, config)
    planes = jnp.concatenate([images, masks[..., None]], axis=-1)  # (n, s, s, c + 1)
    planes = jax.vmap(resample)(planes, matrices, offsets)
    x_rays = random_intensity(intensity_key, planes[..., 0], config)
    if config.noise:
        x_rays = add_noise(noise_key, x_rays, config)
    if config.occlusion:
        x_rays = occlude(occlusion_key, x_rays, config)
    return jnp.concatenate([x_rays[..., None], planes[..., 1:-1]], axis=-1), planes[..., -1]


def random_affine(
    key: Key[Array, ""], n: int, side: int, config: AugmentConfig
) -> tuple[Float[Array, "n 2 2"], Float[Array, "n 2"]]:
    """Draw n maps from target to source pixels: source = matrix @ target + offset (row, column)."""
    flip_key, draw_key = jax.random.split(key)
    angle, log_scale, *shift = jax.random.uniform(draw_key, (4, n), minval=-1.0)
    angle = angle * jnp.deg2rad(config.rotation)
    scale = jnp.exp(log_scale * jnp.log1p(config.scale))
    mirror = jnp.where(jax.random.uniform(flip_key, (n,)) < config.flip, -1.0, 1.0)
    cos, sin = jnp.cos(angle) / scale, jnp.sin(angle) / scale
    matrices = jnp.stack(
        [jnp.stack([cos, -sin * mirror], -1), jnp.stack([sin, cos * mirror], -1)], -2
    )  # (n, 2, 2)
    centre = (side - 1) / 2
    target = centre + config.shift * side * jnp.stack(shift, -1)
    offsets = centre - jnp.einsum("nij,nj->ni", matrices, target, precision="highest")
    return matrices, offsets


def resample(
    image: Float[Array, "h w c"], matrix: Float[Array, "2 2"], offset: Float[Array, "2"]
) -> Float[Array, "h w c"]:
    """Look up `image` bilinearly at matrix @ (row, column) + offset for each target pixel."""
    h, w, c = image.shape
    grid = jnp.stack(jnp.meshgrid(jnp.arange(h), jnp.arange(w), indexing="ij"))  # (2, h, w)
    # By default, accelerators would round these places to half precision.
    turned = jnp.einsum("ij,jhw->ihw", matrix, grid.astype(image.dtype), precision="highest")
    source = turned + offset[:, None, None]
    # One frame of zeros around the image stands for everything outside it.
    framed = jnp.pad(image, ((1, 1), (1, 1), (0, 0))).reshape(-1, c)  # ((h+2)(w+2), c)
    row = jnp.clip(source[0] + 1, 0, h + 1)
    column = jnp.clip(source[1] + 1, 0, w + 1)
    top = jnp.minimum(jnp.floor(row), h).astype(jnp.int32)
    left = jnp.minimum(jnp.floor(column), w).astype(jnp.int32)
    down, right = (row - top)[..., None], (column - left)[..., None]
    corner = top * (w + 2) + left

    def at(step: int) -> Float[Array, "h w c"]:
        return jnp.take(framed, corner + step, axis=0, mode="clip")

    upper = at(0) * (1 - right) + at(1) * right
    lower = at(w + 2) * (1 - right) + at(w + 3) * right
    return upper * (1 - down) + lower * down


def random_intensity(
    key: Key[Array, ""], images: Float[Array, "n s s"], config: AugmentConfig
) -> Float[Array, "n s s"]:
    """Change exponent, contrast and brightness of each image by random amounts, within [0, 1]."""
    n = images.shape[0]
    gamma, contrast, brightness = (
        jax.random.uniform(k, (n, 1, 1), minval=-1.0) for k in jax.random.split(key, 3)
    )
    # x ** g with a floor under x: the logarithm inside has no gradient or value at 0.
    curved = jnp.maximum(images, 1e-6) ** jnp.exp(config.gamma * gamma)
    mean = curved.mean((1, 2), keepdims=True)
    stretched = mean + (curved - mean) * (1 + config.contrast * contrast)
    return jnp.clip(stretched + config.brightness * brightness, 0.0, 1.0)


def add_noise(
    key: Key[Array, ""], images: Float[Array, "n s s"], config: AugmentConfig
) -> Float[Array, "n s s"]:
    """Add normal noise, of a strength drawn for each image, within [0, 1]."""
    strength_key, noise_key = jax.random.split(key)
    strength = config.noise * jax.random.uniform(strength_key, (images.shape[0], 1, 1))
    return jnp.clip(images + strength * jax.random.normal(noise_key, images.shape), 0.0, 1.0)


def occlude(
    key: Key[Array, ""], images: Float[Array, "n s s"], config: AugmentConfig
) -> Float[Array, "n s s"]:
    """Blank out one rectangle of some images with the image's mean.

    What is hidden is still in the mask: the network has to infer it from the surroundings.
    """
    n, side, _ = images.shape
    whether, *draws = jax.random.uniform(key, (5, n))
    whether = whether < config.occlusion

    def within(place: Float[Array, " n"], size: Float[Array, " n"]) -> Bool[Array, "n s"]:
        centre, half = place * side, config.occluded * size * side / 2
        return jnp.abs(jnp.arange(side) + 0.5 - centre[:, None]) < half[:, None]

    rows, columns = within(draws[0], draws[1]), within(draws[2], draws[3])
    blank = whether[:, None, None] & rows[:, :, None] & columns[:, None, :]
    return jnp.where(blank, images.mean((1, 2), keepdims=True), images)
