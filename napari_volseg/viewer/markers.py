"""Prompts and the scribble in hand as points: a green plus for "belongs", a red minus for "does not"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from napari.layers import Points
from numpy.typing import NDArray

from napari_volseg.core import BoxPrompt, Geometry, LassoPrompt, PointPrompt, Prompt, ScribblePrompt

#: Smallest and largest size on the canvas, pixels.
SIZE_LIMITS = (2.5, 21)
#: Sizes in voxels: clicks are as large as the canvas allows, dots of scribbles as small.
CLICK_SIZE, DOT_SIZE = 20.0, 0.5

_GREEN, _RED = (0.15, 0.95, 0.35, 1.0), (1.0, 0.25, 0.2, 1.0)


@dataclass(frozen=True, slots=True)
class Markers:
    """What a points layer shows.

    Parameters
    ----------
    positions
        (n, 3), voxel index (z, y, x).
    positive
        (n,), which of them say "belongs".
    clicks
        (n,), which of them are clicks; the others are dots of scribbles.
    """

    positions: NDArray[np.float64]
    positive: NDArray[np.bool_]
    clicks: NDArray[np.bool_]


def markers_of(
    prompts: Iterable[Prompt], geometry: Geometry, drawn: Iterable[NDArray[np.float64]] = (), positive: bool = True
) -> Markers:
    """Return the markers of prompts and of a scribble being drawn (voxel positions) with its sign."""
    rows = [(marks_of(p, geometry), p.positive, isinstance(p, PointPrompt)) for p in prompts]
    path = np.asarray(list(drawn), float).reshape(-1, 3)
    rows.append((path, positive, False))
    return Markers(
        np.concatenate([r[0] for r in rows]),
        np.concatenate([np.full(len(r[0]), r[1]) for r in rows]),
        np.concatenate([np.full(len(r[0]), r[2]) for r in rows]),
    )


def show_markers(layer: Points, markers: Markers) -> None:
    """Let a points layer show these markers and nothing else."""
    layer.canvas_size_limits = SIZE_LIMITS
    layer.remove(list(range(len(layer.data))))
    if not len(markers.positions):
        return
    layer.add(markers.positions)
    layer.selected_data = set()
    colors = np.where(markers.positive[:, None], _GREEN, _RED)
    layer.face_color = colors
    layer.border_color = np.where(markers.clicks[:, None], (0.0, 0.0, 0.0, 1.0), colors)
    layer.symbol = [_symbol(p, c) for p, c in zip(markers.positive, markers.clicks, strict=True)]
    layer.size = np.where(markers.clicks, CLICK_SIZE, DOT_SIZE)


def marks_of(prompt: Prompt, geometry: Geometry) -> NDArray[np.float64]:
    """Return where the marks of a prompt lie, (n, 3), voxel index (z, y, x)."""
    match prompt:
        case PointPrompt(position):
            return geometry.to_index([position])
        case ScribblePrompt(positions):
            return geometry.to_index(positions)
        case BoxPrompt(outline) | LassoPrompt(outline):
            return _edges(geometry.to_index(outline))


def _edges(outline: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return points (n, 3), at most a voxel apart, along a line (m, 3) that closes itself, in voxel indices."""
    edges = [
        start + (stop - start) * np.linspace(0, 1, 1 + int(np.abs(stop - start).max()), endpoint=False)[:, None]
        for start, stop in zip(outline, np.roll(outline, -1, axis=0), strict=True)
    ]
    return np.concatenate(edges)


def _symbol(positive: bool, click: bool) -> str:
    if not click:
        return "disc"
    return "cross" if positive else "hbar"
