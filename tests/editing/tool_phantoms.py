"""Grids and label arrays that the tests of the correction tools share."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from napari_volseg.core import Geometry

#: Of the slices of a thick CT, (z, y, x), mm.
ANISOTROPIC = (5.0, 0.8, 0.7)


def without_fast_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the optional libraries look as if they were not installed."""
    monkeypatch.setattr("napari_volseg.editing.fast.find_spec", lambda name: None)
    for name in ("cc3d", "edt"):
        monkeypatch.setitem(sys.modules, name, None)


def grid(shape: tuple[int, int, int], spacing: tuple[float, float, float] = ANISOTROPIC) -> Geometry:
    return Geometry.from_spacing(shape, spacing, (-20, 40, 7))


def sheared(shape: tuple[int, int, int]) -> Geometry:
    """Turned by 30°, anisotropic, with the shear of a gantry that leans by 18°."""
    angle, tilt = np.radians((30, 18))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.array([[0, 0, 1.1], [3.0 * np.tan(tilt), 0.8, 0], [3.0, 0, 0]])
    matrix[:3, 3] = (12, -30, 5)
    return Geometry(shape, matrix)


def chiral(shape: tuple[int, int, int] = (9, 14, 17), value: int = 3) -> np.ndarray:
    """A segment that differs from all its mirror images: a slab with a bar to one side and a knob on top."""
    labels = np.zeros(shape, np.uint16)
    labels[2:6, 3:9, 4:11] = value
    labels[3:5, 8:12, 9:12] = value
    labels[6, 3:5, 5:7] = value
    return labels


def moved(labels: np.ndarray, by: tuple[int, int, int], shape: tuple[int, int, int]) -> np.ndarray:
    """The same content in a larger array, somewhere else."""
    out = np.zeros(shape, labels.dtype)
    out[tuple(slice(b, b + n) for b, n in zip(by, labels.shape, strict=True))] = labels
    return out
