"""The masks that readers draw of a phantom's pneumothorax."""

import numpy as np
from sklearn.metrics import f1_score  # Dice by another name

from features.phantom.annotator import annotate


def test_a_reader_draws_near_the_edge_and_no_two_alike() -> None:
    disc = np.hypot(*(np.indices((300, 300)) - 150)) < 90
    readers = [annotate(disc, 0.5, np.random.default_rng(seed)) for seed in range(30)]
    edges = [np.sqrt(reader.sum() / np.pi) - 90 for reader in readers]  # pixels, mean of an outline
    assert abs(np.mean(edges)) * 0.5 < 0.5
    assert 0.4 < np.std(edges) * 0.5 < 1.6
    assert all(f1_score(disc.ravel(), reader.ravel()) > 0.9 for reader in readers)
    assert not np.array_equal(readers[0], readers[1])
    same = annotate(disc, 0.5, np.random.default_rng(0))
    assert np.array_equal(readers[0], same)


def test_a_reader_overlooks_no_lesion_and_invents_none() -> None:
    sliver = np.zeros((100, 100), bool)
    assert not annotate(sliver, 0.4, np.random.default_rng(0)).any()
    sliver[20:60, 0] = True  # one pixel wide, at the image's border
    for seed in range(10):
        drawn = annotate(sliver, 0.4, np.random.default_rng(seed))
        assert drawn.any()
        assert not drawn[:, 15:].any()
