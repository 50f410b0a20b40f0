"""Random walk with a prior: how likely a walk from each voxel ends on a positive seed.

Grady's random walker (IEEE TPAMI 28(11), 2006) with a pull towards a prior (Grady, CVPR 2005):
minimizes ``sum_edges w (u_i - u_j)^2 + sum pull (u - prior)^2`` with ``u`` fixed at the seeds.
"""

from __future__ import annotations

import numpy as np

from napari_volseg.core import CancelToken
from napari_volseg.interactive.neighbours import CHECK_EVERY, BoolArray, FloatArray, pair_weights, sides

#: Conductance that remains across the strongest edge, so that no voxel is cut off.
_LEAST = 1e-3


def conductances(image: FloatArray, spacing: tuple[float, float, float], sharpness: float) -> list[FloatArray]:
    """Return how easily a walk crosses between neighbours, one array per axis (z, y, x), one shorter along it.

    Parameters
    ----------
    image
        Grey values (z, y, x) in units of the image's own noise.
    spacing
        Distance between neighbours (z, y, x), mm.
    sharpness
        Falls as ``exp(-sharpness * difference ** 2)``.
    """
    fall, least = -np.float32(sharpness), np.float32(_LEAST)
    return pair_weights(image, spacing, 2, lambda step: np.exp(fall * np.square(step)) + least)


def walk(
    edges: list[FloatArray],
    positive: BoolArray,
    negative: BoolArray,
    prior: FloatArray,
    pull: FloatArray,
    iterations: int = 150,
    cancel: CancelToken | None = None,
) -> FloatArray:
    """Return the probability (z, y, x) of ending on a positive seed, by conjugate gradients.

    Parameters
    ----------
    edges
        From :func:`conductances`.
    positive, negative
        Seeds (z, y, x), disjoint: 1 and 0 for certain.
    prior
        What is believed where no seed decides, 0 to 1; also the start of the iteration.
    pull
        How strongly, in the unit of the conductances; positive somewhere.
    iterations
        Upper bound; it ends earlier once the residual has fallen a thousandfold.
    cancel
        Looked at every few iterations.
    """
    degree = _degree(edges, positive.shape) + pull
    free = (~(positive | negative)).astype(np.float32)
    u = np.where(positive, np.float32(1), np.where(negative, np.float32(0), prior)).astype(np.float32)
    residual = (pull * prior - _laplacian(u, degree, edges)) * free
    scaled = residual / degree
    direction = scaled.copy()
    energy = goal = float(np.vdot(residual, scaled))
    for iteration in range(iterations):
        if energy <= 1e-6 * goal or energy == 0:
            break
        image = _laplacian(direction, degree, edges) * free
        step = np.float32(energy / float(np.vdot(direction, image)))
        u += step * direction
        residual -= step * image
        scaled = residual / degree
        before, energy = energy, float(np.vdot(residual, scaled))
        direction *= np.float32(energy / before)
        direction += scaled
        if cancel is not None and iteration % CHECK_EVERY == 0:
            cancel.check()
    return u


def _degree(edges: list[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    degree = np.full(shape, 1e-6, np.float32)
    for axis, weight in enumerate(edges):
        low, high = sides(axis)
        degree[low] += weight
        degree[high] += weight
    return degree


def _laplacian(u: FloatArray, degree: FloatArray, edges: list[FloatArray]) -> FloatArray:
    out = degree * u
    for axis, weight in enumerate(edges):
        low, high = sides(axis)
        out[low] -= weight * u[high]
        out[high] -= weight * u[low]
    return out
