"""Independent streams of random numbers, and how difficult phantoms are.

Every part of a phantom (anatomy, exposure, other findings, pneumothorax, noise) has a random stream
of its own. So a pneumothorax is independent of age, noise, markers and tubes, and the same seed
drawn with and without a pneumothorax differs in the pneumothorax alone. Only the place of the air
depends on the pose: it rises to the apex in a patient who stands, to the front in one who lies.
"""

import numpy as np

Rng = np.random.Generator
# At this value a classifier and a network that learn from 180 phantoms still make errors.
DIFFICULTY = 0.2


def child(seed: int | np.random.SeedSequence, *key: int) -> np.random.SeedSequence:
    """The `key`-th independent stream of a seed: the same one at every call."""
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(seed)
    return np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key))


def normal(rng: Rng, mean: float, sd: float, low: float, high: float) -> float:
    """A random number of mean `mean` and standard deviation `sd`, clipped to `low`..`high`."""
    return float(np.clip(rng.normal(mean, sd), low, high))
