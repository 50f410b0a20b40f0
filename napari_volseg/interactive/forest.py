"""A classifier that learns from a few hundred voxels in milliseconds: randomized oblivious trees.

All nodes of one level of a tree ask the same question (as in random ferns; Özuysal et al., IEEE TPAMI 32(3), 2010),
chosen from a few random ones (as in extremely randomized trees; Geurts et al., Machine Learning 63, 2006). So a tree
over the whole region is a handful of comparisons of whole arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_volseg.core import CancelToken
from napari_volseg.interactive.neighbours import FloatArray

IndexArray = NDArray[np.intp]

#: At most this many levels: the leaf number is kept in one byte.
_DEPTH = 5
_QUESTIONS = 3
#: Weight with which a leaf leans on its parent, in samples.
_LEAN = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """What a forest learns from.

    Parameters
    ----------
    where
        Flat indices of voxels.
    inside
        Whether each belongs to the segment.
    weight
        How much each counts.
    """

    where: IndexArray
    inside: NDArray[np.bool_]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Question:
    feature: int
    threshold: float
    leaves: IndexArray
    inside: NDArray[Any]
    outside: NDArray[Any]

    @property
    def impurity(self) -> float:
        total = self.inside + self.outside
        return float((self.inside * self.outside / np.maximum(total, 1e-12)).sum())


def membership(
    features: list[FloatArray], samples: Samples, trees: int = 60, seed: int = 0, cancel: CancelToken | None = None
) -> FloatArray:
    """Return the probability of belonging to the segment, flat, for every voxel.

    Parameters
    ----------
    features
        One flat array per feature, all of one length.
    samples
        Voxels whose side is known; both sides should be there.
    trees
        Number of trees whose leaves are averaged.
    seed
        Makes it reproducible.
    cancel
        Looked at before every tree.
    """
    random = np.random.default_rng(seed)
    known = np.stack([f[samples.where] for f in features])
    total = np.zeros(features[0].shape, np.float32)
    for _ in range(trees):
        if cancel is not None:
            cancel.check()
        total += _tree(features, known, samples, random)
    return total / np.float32(trees)


def _tree(features: list[FloatArray], known: FloatArray, samples: Samples, random: np.random.Generator) -> FloatArray:
    leaves = np.zeros(known.shape[1], np.intp)
    everywhere = np.zeros(features[0].shape, np.uint8)
    chance = np.average(samples.inside, weights=samples.weight).reshape(1)
    for level in range(_DEPTH):
        asked = [_ask(known, leaves, samples, 2 << level, random) for _ in range(_QUESTIONS)]
        best = min(asked, key=lambda question: question.impurity)
        leaves = best.leaves
        everywhere *= 2
        everywhere += features[best.feature] > best.threshold
        chance = (best.inside + _LEAN * np.repeat(chance, 2)) / (best.inside + best.outside + _LEAN)
    return chance.astype(np.float32)[everywhere]


def _ask(
    known: FloatArray, leaves: IndexArray, samples: Samples, count: int, random: np.random.Generator
) -> _Question:
    """Return a random question: one feature against a value between those of two random samples."""
    feature = int(random.integers(len(known)))
    a, b = known[feature, random.integers(known.shape[1], size=2)]
    threshold = float(a + (b - a) * random.random())
    after = 2 * leaves + (known[feature] > threshold)
    inside = np.bincount(after, samples.weight * samples.inside, count)
    outside = np.bincount(after, samples.weight * ~samples.inside, count)
    return _Question(feature, threshold, after, inside, outside)
