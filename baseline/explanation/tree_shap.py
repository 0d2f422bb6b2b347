"""Exact SHAP values of LightGBM's trees, faster than the general algorithm on shallow trees.

A tree's SHAP values for an image depend only on the outcomes of its splits, and a tree of 8 leaves
has 7 splits, so at most 128 sets of outcomes. The values of each set are computed once, when it
first occurs, and looked up for all other images, as Fast TreeSHAP v2 does (Yang 2021). The values
are those of TreeSHAP, "tree path dependent" (Lundberg et al. 2020): a leaf shares out its value
among the features on its path, by Owen's integral for Shapley values, whose integrand is a
polynomial here.

References
----------
Lundberg et al., "From local explanations to global understanding with explainable AI for trees",
Nature Machine Intelligence 2, 2020.
Owen, "Multilinear extensions of games", Management Science 18, 1972.
Yang, "Fast TreeSHAP: accelerating SHAP value computation for trees", arXiv:2109.09847, 2021.
"""

import lightgbm as lgb
import numpy as np
from numba import njit
from numpy.typing import NDArray

from features import trees

Floats = NDArray[np.float64]

# The values are kept in a table with a row for each set of outcomes of a tree's splits.
MOST_LEAVES = 12
# For fewer images, reading the trees takes longer than it saves.
FEWEST_IMAGES = 100
# Gauss and Legendre's nodes and weights on [0, 1], padded; row n - 1 has n of them, and integrates
# polynomials of degree 2n - 1 exactly. A leaf's has as many factors as its path has features, less
# the one whose value is computed.
RULES = [np.polynomial.legendre.leggauss(n) for n in range(1, MOST_LEAVES // 2 + 1)]
NODES, WEIGHTS = (
    np.array([np.pad(half, (0, MOST_LEAVES // 2 - len(half))) for half in halves])
    for halves in zip(*(((x + 1) / 2, w / 2) for x, w in RULES), strict=True)
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
    model = trees.parse(booster.model_to_string()) if len(rows) >= FEWEST_IMAGES else None
    if model is None or model.leaves.max() > MOST_LEAVES:
        contributions = np.asarray(booster.predict(rows, pred_contrib=True), float)
        return float(contributions[0, -1]), contributions[:, :-1]
    # Feature by feature, since a split compares the same feature of all images.
    columns = np.ascontiguousarray(rows.T)
    values = np.zeros(columns.shape)
    base = _add_trees(
        columns, model.leaves, model.feature, model.threshold, model.children,
        model.split_count, model.leaf_value, model.leaf_count, NODES, WEIGHTS, values,
    )  # fmt: skip
    return base, values.T


@njit(cache=True, nogil=True)
def _add_trees(  # type: ignore[no-untyped-def]
    columns, leaves, feature, threshold, children, split_count, leaf_value, leaf_count, nodes,
    weights, values,
):  # fmt: skip
    """Add each tree's SHAP values to `values`, (m, n); return the sum of the base values."""
    count = columns.shape[1]
    outcomes = np.empty(count, np.int16)
    base = 0.0
    split, leaf = 0, 0
    for number in leaves:
        s, f = slice(split, split + number - 1), slice(leaf, leaf + number)
        split, leaf = split + number - 1, leaf + number
        if number == 1:
            base += leaf_value[f][0]
            continue
        base += (leaf_value[f] * leaf_count[f]).sum() / split_count[s][0]
        features, cuts = feature[s], threshold[s]
        outcomes[:] = 0
        for k in range(number - 1):
            column, cut, bit = columns[features[k]], cuts[k], np.int16(1 << k)
            for row in range(count):
                outcomes[row] |= bit if column[row] <= cut else np.int16(0)
        paths = _paths(features, children[s], split_count[s], leaf_count[f])
        shares = _answers(outcomes, leaf_value[f], paths, nodes, weights)
        for k in range(number - 1):
            total = values[features[k]]
            for row in range(count):
                total[row] += shares[outcomes[row], k]
    return base


@njit(cache=True, nogil=True)
def _answers(outcomes, leaf_value, paths, nodes, weights):  # type: ignore[no-untyped-def]
    """A tree's SHAP values for each set of outcomes of its splits that occurs.

    Parameters
    ----------
    outcomes : (n,) array of int
        Bit k is set where the image goes left at split k.
    leaf_value : (l,) array
    paths : tuple of array
        From `_paths`.
    nodes, weights : arrays

    Returns
    -------
    (2 ** (l - 1), l - 1) array
        SHAP values by outcomes and by split; a feature's value is at one of the splits that use
        it. Outcomes that do not occur are left at 0.
    """
    on_way, left, size, owner, splits, chance = paths
    number = len(leaf_value)
    shares = np.zeros((1 << (number - 1), number - 1))
    occurring = np.flatnonzero(np.bincount(outcomes, minlength=len(shares)))
    # Many outcomes leave a leaf's path at the same splits; the leaf's values are then the same.
    known = np.empty(len(shares), np.bool_)
    answers = np.empty(shares.shape)
    for leaf in range(number):
        known[:] = False
        features = size[leaf]
        # As many nodes as the polynomial's degree, features - 1, needs.
        n = (features + 1) // 2
        for outcome in occurring:
            astray = (outcome ^ left[leaf]) & on_way[leaf]
            answer = answers[astray, :features]
            if not known[astray]:
                known[astray] = True
                _share_out(
                    astray, splits[leaf], chance[leaf], leaf_value[leaf], nodes[n - 1, :n],
                    weights[n - 1, :n], answer,
                )  # fmt: skip
            for k in range(features):
                shares[outcome, owner[leaf, k]] += answer[k]
    return shares


@njit(cache=True, nogil=True)
def _paths(feature, children, split_count, leaf_count):  # type: ignore[no-untyped-def]
    """The way to each leaf, from below.

    Returns
    -------
    on_way, left : (l,) arrays of int
        The splits on the way, a bit each, and those of them at which it goes left.
    size : (l,) array of int
        Number of distinct features that they use.
    owner : (l, s) array of int
        One of the splits that use each distinct feature.
    splits : (l, s) array of int
        All splits on the way that use it, a bit each.
    chance : (l, s) array of float
        Share of the training images that it lets through to the leaf.
    """
    number = len(leaf_count)
    on_way, left, size = np.zeros((3, number), np.int64)
    owner, splits = np.zeros((2, number, number - 1), np.int64)
    chance = np.ones((number, number - 1))
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
                while k < size[leaf] and feature[owner[leaf, k]] != feature[node]:
                    k += 1
                if k == size[leaf]:
                    owner[leaf, k] = node
                    size[leaf] += 1
                splits[leaf, k] |= 1 << node
                chance[leaf, k] *= images / split_count[node]
                on_way[leaf] |= 1 << node
                left[leaf] |= (children[node, 0] == child) << node
                images, child, node = split_count[node], node, parent[node]
    return on_way, left, size, owner, splits, chance


@njit(cache=True, nogil=True)
def _share_out(  # type: ignore[no-untyped-def]
    astray, splits, chance, value, nodes, weights, answer
):
    """Write one leaf's Shapley values into `answer`, a number for each feature on its path.

    If a set of features is known, the chance to end in this leaf is a product over the features on
    its path: a known one lets the image through, or not if one of its splits led `astray`; an
    unknown one lets through the share of the training images that went this way, `chance`. Owen's
    integral draws each feature into the set with probability t and takes the mean over t of what
    one more adds.
    """
    answer[:] = 0.0
    for t, weight in zip(nodes, weights):  # noqa: B905, numba's zip takes no more
        reach = value * weight
        for k in range(len(answer)):
            reach *= (1 - t) * chance[k] if astray & splits[k] else t + (1 - t) * chance[k]
        for k in range(len(answer)):
            if astray & splits[k]:
                answer[k] -= reach / (1 - t)
            else:
                answer[k] += reach * (1 - chance[k]) / (t + (1 - t) * chance[k])
