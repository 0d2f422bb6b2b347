"""Pictures that are no frontal chest X-ray, drawn from a seed: what the quality gate learns from.

They are crude on purpose: the gate looks at no more than a thumbnail. Air is dark, as in an X-ray.
Limbs, heads and trunks are made of a few ellipses and strokes that attenuate, so that bone is a
bright line in a grey body on a dark ground.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from features.quality import drawn_bodies, drawn_scenes
from features.quality.drawn_shapes import Picture, Rng

KINDS: dict[str, Callable[[Rng], Picture]] = {
    "noise": drawn_scenes.noise,
    "text": drawn_scenes.text,
    "pattern": drawn_scenes.pattern,
    "blobs": drawn_scenes.blobs,
    "photograph": drawn_scenes.photograph,
    "slice": drawn_bodies.slice_of_body,
    "limb": drawn_bodies.limb,
    "hand": drawn_bodies.hand,
    "hips": drawn_bodies.hips,
    "skull": drawn_bodies.skull,
    "abdomen": drawn_bodies.abdomen,
    "spine": drawn_bodies.spine,
    "lateral": drawn_bodies.lateral,
}


def draw(kind: str, rng: Rng) -> NDArray[np.float32]:
    """A picture of a kind of `KINDS`, (SIDE, SIDE), 0 to 1."""
    picture = KINDS[kind](rng).astype(np.float32)
    low, high = float(picture.min()), float(picture.max())
    picture = (picture - low) / max(high - low, 1e-6)
    return (picture ** np.float32(np.exp(rng.normal(0, 0.3)))).astype(np.float32)
