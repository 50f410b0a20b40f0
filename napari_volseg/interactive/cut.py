"""Convex relaxation of the graph cut: total variation with a linear data term, solved by a primal-dual method.

Minimizes ``sum_axis sum w_axis |d_axis u| - sum logit * u`` over ``0 <= u <= 1``, whose level sets are minimal cuts
(Chan, Esedoglu and Nikolova, 2006), with the diagonally preconditioned primal-dual steps of Pock and Chambolle
(2011).
"""

from __future__ import annotations

import numpy as np

from napari_volseg.core import CancelToken
from napari_volseg.interactive.neighbours import CHECK_EVERY, FloatArray, pair_weights, sides

_SETTLED = 2e-3


def edge_weights(image: FloatArray, spacing: tuple[float, float, float], contrast: float) -> list[FloatArray]:
    """Return how dear a cut between neighbours is, one array per axis (z, y, x), one shorter along its axis.

    Parameters
    ----------
    image
        Grey values (z, y, x) in units of the image's own noise.
    spacing
        Distance between neighbours (z, y, x), mm.
    contrast
        Difference, in the unit of ``image``, at which a cut costs half of what it costs in a flat region.
    """
    scale = np.float32(contrast)
    return pair_weights(image, spacing, 1, lambda step: 1 / (1 + np.square(step / scale)))


def relaxed_cut(
    logit: FloatArray,
    weights: list[FloatArray],
    start: FloatArray | None = None,
    iterations: int = 120,
    cancel: CancelToken | None = None,
) -> FloatArray:
    """Return the relaxed membership (z, y, x), 0 to 1; above one half is inside.

    Parameters
    ----------
    logit
        Gain of calling a voxel inside; large values are hard constraints.
    weights
        From :func:`edge_weights`, in the unit of ``logit``.
    start
        Membership to begin with; by default the sign of ``logit`` decides.
    iterations
        Upper bound; it ends earlier once the membership has settled.
    cancel
        Looked at every few iterations.
    """
    inside = (logit > 0).astype(np.float32) if start is None else start.astype(np.float32)
    ahead = inside.copy()
    gain = logit / np.float32(6)
    duals = [np.zeros_like(w) for w in weights]
    for iteration in range(iterations):
        _raise_duals(duals, ahead, weights)
        moved = _descend(inside, duals, gain)
        np.multiply(moved, 2, out=ahead)
        ahead -= inside
        if (iteration + 1) % CHECK_EVERY == 0:
            if cancel is not None:
                cancel.check()
            if float(np.abs(moved - inside).mean()) < _SETTLED * float(moved.mean() + 1e-6):
                return moved
        inside = moved
    return inside


def _raise_duals(duals: list[FloatArray], ahead: FloatArray, weights: list[FloatArray]) -> None:
    """Ascend in the dual edge flows (step 1/2: two voxels an edge), kept within the capacities."""
    for axis, (dual, weight) in enumerate(zip(duals, weights, strict=True)):
        step = np.diff(ahead, axis=axis)
        step *= np.float32(0.5)
        dual += step
        np.clip(dual, -weight, weight, out=dual)


def _descend(inside: FloatArray, duals: list[FloatArray], gain: FloatArray) -> FloatArray:
    """Descend in the membership (step 1/6: six edges a voxel)."""
    flow = np.zeros_like(inside)
    for axis, dual in enumerate(duals):
        low, high = sides(axis)
        flow[low] += dual
        flow[high] -= dual
    flow *= np.float32(1 / 6)
    flow += inside
    flow += gain
    return np.clip(flow, 0, 1, out=flow)
