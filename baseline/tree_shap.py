"""Exact SHAP values of LightGBM's trees, faster than the general algorithm on shallow trees.

What a tree says about an image hangs on the outcomes of its splits alone, and a tree of 8 leaves
has 7 of them: 128 answers at most. Each is computed once, when it first occurs, and looked up for
all other images, as Fast TreeSHAP v2 does (Yang 2021). The values are those of TreeSHAP, "tree path
dependent" (Lundberg et al. 2020): a leaf shares out its value among the features on its path.

References
----------
Lundberg et al., "From local explanations to global understanding with explainable AI for trees",
Nature Machine Intelligence 2, 2020.
Yang, "Fast TreeSHAP: accelerating SHAP value computation for trees", arXiv:2109.09847, 2021.
"""

from collections import defaultdict
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

# The values are kept in a table with a row for each set of outcomes of a tree's splits.
MOST_LEAVES = 12
# For fewer images, reading the trees takes longer than it saves.
FEWEST_IMAGES = 100
# Bits of LightGBM's "decision_type": a split by category; zeros taken for missing values.
CATEGORY, ZERO_MISSING = 1, 4


@dataclass(frozen=True)
class Trees:
    """Binary trees, one after the other; a tree with L leaves has L - 1 splits.

    Parameters
    ----------
    leaves : (t,) array of int
        Number of leaves of each tree.
    feature, threshold : (s,) arrays
        Splits: an image goes left where its feature is at most the threshold.
    children : (s, 2) array of int
        Left and right child within the tree: a split, or a leaf as -1 - number.
    split_count : (s,) array
        Number of training images that came to each split.
    leaf_value, leaf_count : (l,) arrays
    """

    leaves: Numbers
    feature: Numbers
    threshold: Floats
    children: Numbers
    split_count: Floats
    leaf_value: Floats
    leaf_count: Floats


def read_trees(booster: lgb.Booster) -> Trees:
    """Read the trees from LightGBM's own text.

    Raises
    ------
    ValueError
        If a tree has splits by category, zeros for missing values, or linear leaves.
    """
    lines: dict[str, list[str]] = defaultdict(list)
    for line in booster.model_to_string().splitlines():
        key, _, value = line.partition("=")
        lines[key].append(value)

    def column(key: str, kind: type) -> NDArray:
        return np.array(" ".join(lines[key]).split(), kind)

    leaves = column("num_leaves", np.int64)
    kinds = column("decision_type", np.int64)
    if (kinds & (CATEGORY | ZERO_MISSING)).any() or column("is_linear", np.int64).any():
        raise ValueError("only trees with numerical splits and constant leaves can be explained")
    left, right = column("left_child", np.int64), column("right_child", np.int64)
    return Trees(
        leaves=leaves,
        feature=column("split_feature", np.int64),
        threshold=column("threshold", np.float64),
        children=np.stack((left, right), axis=1),
        split_count=column("internal_count", np.float64),
        leaf_value=column("leaf_value", np.float64),
        leaf_count=column("leaf_count", np.float64),
    )


def shap_values(booster: lgb.Booster, rows: NDArray[np.floating]) -> tuple[float, Floats]:
    """SHAP values of a booster's raw score.

    Parameters
    ----------
    booster : Booster
        Numerical splits only. Trees of more than 12 leaves, and fewer than 100 images, are left to
        LightGBM's own implementation of the general algorithm, which is as exact.
    rows : (n, m) array, finite
        Features in the booster's order.

    Returns
    -------
    base : float
        Mean raw score of the training images by the trees' own counts.
    values : (n, m) array
    """
    trees = read_trees(booster) if len(rows) >= FEWEST_IMAGES else None
    if trees is None or trees.leaves.max() > MOST_LEAVES:
        found = np.asarray(booster.predict(rows, pred_contrib=True), float)
        return float(found[0, -1]), found[:, :-1]
    # By feature, since a split asks all images for one.
    columns = np.ascontiguousarray(rows.T, np.float64)
    values = np.zeros(columns.shape)
    base = _add_trees(
        columns, trees.leaves, trees.feature, trees.threshold, trees.children,
        trees.split_count, trees.leaf_value, trees.leaf_count, values,
    )  # fmt: skip
    return base, values.T


@njit(cache=True, nogil=True)
def _add_trees(  # type: ignore[no-untyped-def]
    columns, leaves, feature, threshold, children, split_count, leaf_value, leaf_count, values
):
    """Add each tree's SHAP values to `values`, (m, n); return the sum of the base values."""
    count = columns.shape[1]
    base = 0.0
    split, leaf = 0, 0
    for number in leaves:
        s, f = slice(split, split + number - 1), slice(leaf, leaf + number)
        split, leaf = split + number - 1, leaf + number
        if number == 1:
            base += leaf_value[f][0]
            continue
        base += (leaf_value[f] * leaf_count[f]).sum() / split_count[s][0]
        asked = feature[s]
        outcomes = np.zeros(count, np.int64)
        for k in range(number - 1):
            column, cut = columns[asked[k]], threshold[s][k]
            for row in range(count):
                outcomes[row] |= np.int64(column[row] <= cut) << k
        paths = _paths(asked, children[s], split_count[s], leaf_count[f])
        # The tree's values by the splits' outcomes, worked out when they first occur.
        known = np.zeros(1 << (number - 1), np.bool_)
        shares = np.zeros((1 << (number - 1), number - 1))
        work = np.empty((3, number - 1))
        for row in range(count):
            found = outcomes[row]
            if not known[found]:
                known[found] = True
                for k in range(number):
                    _add_leaf(found, k, leaf_value[f][k], paths, work, shares[found])
            for k in range(number - 1):
                values[asked[k], row] += shares[found, k]
    return base


@njit(cache=True, nogil=True)
def _paths(asked, children, split_count, leaf_count):  # type: ignore[no-untyped-def]
    """The way to each leaf, from below.

    Returns
    -------
    length, size : (l,) arrays of int
        Number of splits on the way, and of distinct features among them.
    steps, slots : (l, s) arrays of int
        Each split, and the number of its feature among the distinct ones.
    left : (l, s) array of bool
        Whether the way goes left there.
    owner : (l, s) array of int
        The first split that asks each distinct feature.
    chance : (l, s) array of float
        Share of the training images that each distinct feature lets through to the leaf.
    """
    number = len(leaf_count)
    length, size = np.zeros(number, np.int64), np.zeros(number, np.int64)
    steps, slots = np.zeros((2, number, number - 1), np.int64)
    left = np.zeros((number, number - 1), np.bool_)
    owner, chance = np.zeros((number, number - 1), np.int64), np.ones((number, number - 1))
    parent = np.full(number - 1, -1)
    for node in range(number - 1):
        for side in range(2):
            if children[node, side] >= 0:
                parent[children[node, side]] = node
    for first in range(number - 1):
        for side in range(2):
            leaf = -1 - children[first, side]
            if leaf < 0:
                continue
            node, child, images = first, children[first, side], leaf_count[leaf]
            while node >= 0:
                k = 0
                while k < size[leaf] and asked[owner[leaf, k]] != asked[node]:
                    k += 1
                if k == size[leaf]:
                    owner[leaf, k] = node
                    size[leaf] += 1
                chance[leaf, k] *= images / split_count[node]
                step = length[leaf]
                steps[leaf, step], slots[leaf, step] = node, k
                left[leaf, step] = children[node, 0] == child
                length[leaf] += 1
                images, child, node = split_count[node], node, parent[node]
    return length, size, steps, slots, left, owner, chance


@njit(cache=True, nogil=True)
def _add_leaf(outcomes, leaf, value, paths, work, shares):  # type: ignore[no-untyped-def]
    """Add one leaf's Shapley values to `shares`, each at the first split that asks its feature.

    If a set of features is known, the chance to end in this leaf is a product over the features on
    its path: a known one lets the image through or not, an unknown one lets through the share of
    the training images that went this way. `work` is room to work in.
    """
    length, size, steps, slots, left, owner, chance = paths
    stopped, passing, sums = work
    stopped[:] = 0.0
    for step in range(length[leaf]):
        if ((outcomes >> steps[leaf, step]) & 1 == 1) != left[leaf, step]:
            stopped[slots[leaf, step]] = 1.0
    # A set with a feature that stops the image is worth nothing, so only sets of the others count.
    count, rest = 0, value
    for k in range(size[leaf]):
        if stopped[k]:
            rest *= chance[leaf, k]
        else:
            passing[count] = chance[leaf, k]
            count += 1
    if count < size[leaf]:
        against = rest * _mean_over_sets(passing, count, -1, size[leaf], sums)
    place = 0
    for k in range(size[leaf]):
        if stopped[k]:
            shares[owner[leaf, k]] -= against
        else:
            mean = rest * _mean_over_sets(passing, count, place, size[leaf], sums)
            shares[owner[leaf, k]] += (1.0 - chance[leaf, k]) * mean
            place += 1


@njit(cache=True, nogil=True)
def _mean_over_sets(chance, count, but, size, sums):  # type: ignore[no-untyped-def]
    """Shapley's mean of the product of `chance` over what is not in a set, over all sets.

    Sets are of the `count` features without `but`; the weight of a set of k features, of `size` in
    all, is k! (size - 1 - k)! / size!. No division, so nothing is lost where a chance is small.
    """
    # sums[k]: the sum over sets of k features.
    sums[0], seen = 1.0, 0
    for j in range(count):
        if j != but:
            seen += 1
            sums[seen] = sums[seen - 1]
            for k in range(seen - 1, 0, -1):
                sums[k] = sums[k] * chance[j] + sums[k - 1]
            sums[0] *= chance[j]
    weight, mean = 1.0 / size, 0.0
    for k in range(seen + 1):
        mean += weight * sums[k]
        weight *= (k + 1) / max(size - 1 - k, 1)
    return mean
