"""The 3D view cut open at a plane of the crosshair: what lies before it is left out, and the slice is seen there."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from napari.layers import Image, Labels, Layer, Surface
from numpy.typing import NDArray

from napari_volseg.app import Case
from napari_volseg.core import Geometry, SegmentTable, Window
from napari_volseg.viewer.layers import keep_untouched, placement
from napari_volseg.viewer.proxies import windowed

CUT_FACE = "Cut in 3D"

Way = Literal[-1, 1]


def face_picture(case: Case, axis: int, index: int, window: Window, opacity: float) -> NDArray[np.uint8]:
    """Return a slice as colours, (rows, columns, 3), rows and columns along the other two index axes in their order.

    Parameters
    ----------
    case
        Image and segments.
    axis, index
        Which slice.
    window
        Through which the image is seen.
    opacity
        Of the segments over it, 0 to 1.
    """
    grey = windowed(np.take(case.volume.voxels, index, axis), window)
    picture = np.repeat(grey[..., None], 3, axis=2)
    labels = np.take(case.segmentation.labels, index, axis)
    inside = labels > 0
    if opacity and inside.any():
        colors = _colors(case.table, int(labels.max()))[labels[inside]]
        share = colors[:, 3:] * np.float32(opacity)
        picture[inside] = np.round((1 - share) * picture[inside] + share * colors[:, :3])
    return picture


def _colors(table: SegmentTable, most: int) -> NDArray[np.float32]:
    """Return red, green and blue, 0 to 255, and opacity, 0 to 1, by label value."""
    colors = np.zeros((most + 1, 4), np.float32)
    for segment in table:
        if segment.value <= most:
            colors[segment.value] = (*segment.color, segment.opacity * segment.visible)
    return colors


class CutFace:
    """The slice at which the 3D view is cut.

    A rectangle with a picture: full slices cost nothing to turn, where a volume is drawn by the processor, too.

    Parameters
    ----------
    geometry
        Grid of the volume.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._shape = geometry.shape
        vertices, faces = _rectangle(geometry.shape, 0, 0)
        self.layer = Surface(
            (vertices, faces, np.ones(4, np.float32)),
            name=CUT_FACE,
            shading="none",
            vertex_colors=np.ones((4, 4), np.float32),
            texture=np.zeros((2, 2, 3), np.float32),
            texcoords=_CORNERS,
            blending="opaque",
            visible=False,
            **placement(geometry.spacing),
        )
        keep_untouched(self.layer)

    def show(self, axis: int, index: int, picture: NDArray[np.uint8]) -> None:
        """Show a slice, ``picture`` as of ``face_picture``."""
        layer, seen = self.layer, self.layer.visible
        layer.visible = False  # else napari draws the new picture on the old rectangle
        vertices, faces = _rectangle(self._shape, axis, index)
        layer.texture = picture.astype(np.float32) / 255
        layer.data = vertices, faces, np.ones(4, np.float32)
        layer.visible = seen


#: Where in a picture the corners of a rectangle lie: first row and column, first row, last of both, first column.
_CORNERS = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)


def _rectangle(shape: tuple[int, int, int], axis: int, index: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return corners (z, y, x) and triangles of a slice, in voxel indices; voxels reach half a voxel to each side."""
    row, column = (i for i in range(3) if i != axis)
    corners = np.full((4, 3), index, np.float32)
    corners[:, row] = np.array([0, 0, shape[row], shape[row]]) - 0.5
    corners[:, column] = np.array([0, shape[column], shape[column], 0]) - 0.5
    return corners, np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def way_of_sight(towards: Any, axis: int) -> Way:
    """Return whether one looks along an axis of napari's or against it; ``towards`` is the direction (z, y, x)."""
    return 1 if towards[axis] >= 0 else -1


def cut_open(layer: Layer, axis: int, place_mm: float, way: Way) -> None:
    """Leave out of a layer what lies before a plane.

    Parameters
    ----------
    layer
        An image, labels or a surface on the grid of the case or on every n-th voxel of it.
    axis
        Index axis normal to the plane.
    place_mm
        Where on that axis, mm from the centre of the first voxel.
    way
        Which way along the axis one looks.
    """
    if not isinstance(layer, (Image, Labels, Surface)):
        return
    position, normal = np.zeros(3), np.zeros(3)
    position[axis], normal[axis] = place_mm / float(layer.scale[axis]), way
    if not isinstance(layer, Surface):
        position[axis] += way  # what is drawn of a voxel that is cut would show through the slice
    position, normal = _in_world(layer, position, normal)
    planes = layer.experimental_clipping_planes
    if not planes:
        layer.experimental_clipping_planes = [{"position": tuple(position), "normal": tuple(normal), "enabled": True}]
        return
    planes[0].position, planes[0].normal = tuple(position), tuple(normal)


def _in_world(layer: Layer, position: NDArray[np.float64], normal: NDArray[np.float64]) -> tuple[Any, Any]:
    """Return a plane of a layer's data in napari's world: in it napari 0.9 cuts, whatever it says."""
    origin = np.asarray(layer.data_to_world((0.0, 0.0, 0.0)))
    columns = [np.asarray(layer.data_to_world(unit)) - origin for unit in np.eye(3)]
    return np.asarray(layer.data_to_world(position)), np.linalg.solve(np.array(columns), normal)


def close(layer: Layer) -> None:
    """Show the whole of a layer again."""
    if layer.experimental_clipping_planes:
        layer.experimental_clipping_planes.clear()
