"""How planes and the 3D view are laid on napari's canvas.

On a display grid, index and napari coordinates (z, y, x) run towards (Superior, Posterior, Left); what is
drawn where is then a matter of the order of dimensions and of the directions in which two of them point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray

from napari_volseg.app import Application
from napari_volseg.app.layouts import plane_shown
from napari_volseg.app.wishes import Plane, Side, ViewName
from napari_volseg.core import Geometry
from napari_volseg.spatial import Letters, edge_letters, letters_around, upright_frame

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a plane lies on the canvas.

    Parameters
    ----------
    order
        Axes (0 z, 1 y, 2 x): the normal, then the vertical, then the horizontal one.
    vertical, horizontal
        Where the vertical and the horizontal axis point to.
    wheel_down
        Step along the normal when the wheel is turned towards the user: to the feet, the back, the left.
    """

    order: tuple[int, int, int]
    vertical: str
    horizontal: str
    wheel_down: int

    @property
    def normal(self) -> int:
        """Index axis normal to the plane."""
        return self.order[0]


#: Axial is seen from the feet, coronal from the front, sagittal from the patient's right.
LAYOUTS: dict[Plane, Layout] = {
    "axial": Layout((0, 1, 2), "down", "right", -1),
    "coronal": Layout((1, 0, 2), "up", "right", 1),
    "sagittal": Layout((2, 0, 1), "up", "right", 1),
}

#: The only orientation of napari's 3D camera in which a (Superior, Posterior, Left) patient is not mirrored.
ORIENTATION_3D = ("away", "down", "right")
#: Where one looks and what is up, in napari's coordinates, when the patient is seen from a side: with the head up,
#: and from head and feet with the front up.
SIGHTS: dict[Side, tuple[Vector, Vector]] = {
    "anterior": ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "posterior": ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0)),
    "right": ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0)),
    "left": ((0.0, 0.0, -1.0), (1.0, 0.0, 0.0)),
    "superior": ((-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
    "inferior": ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
}


def show_plane(viewer: ViewerModel, plane: Plane) -> bool:
    """Show the slice of a plane through the present position; return whether the plane is a new one."""
    layout, dims, camera = LAYOUTS[plane], viewer.dims, viewer.scene.camera
    turned = dims.order != layout.order
    dims.ndisplay = 2
    dims.order = layout.order
    camera.orientation = ("away", layout.vertical, layout.horizontal)
    return turned


def show_volume(viewer: ViewerModel) -> None:
    """Show the volume in 3D from the front: superior up, the patient's left on the viewer's right."""
    viewer.dims.order = (0, 1, 2)
    # before the number of dimensions: napari turns its 3D camera by the orientation that it finds then
    viewer.scene.camera.orientation = ORIENTATION_3D
    viewer.dims.ndisplay = 3
    look_from(viewer, "anterior")


def look_from(viewer: ViewerModel, side: Side) -> None:
    """Turn the 3D view so that it looks from a side of the patient."""
    view_direction, up_direction = SIGHTS[side]
    viewer.scene.camera.set_view_direction(view_direction, up_direction)


def true_shape(geometry: Geometry) -> NDArray[np.float64]:
    """Return where napari is to put what lies on a grid so that a sheared one is seen in its true shape.

    Returns
    -------
    NDArray
        4×4, from the place (z, y, x, 1) that a layer's scale gives to that in the upright frame, mm; both share the
        centre. The identity for an orthogonal grid.
    """
    matrix = np.eye(4)
    if geometry.is_sheared:
        center = (np.asarray(geometry.shape) - 1) / 2 * geometry.spacing
        matrix[:3, :3] = upright_frame(geometry).T @ geometry.direction
        matrix[:3, 3] = center - matrix[:3, :3] @ center
    return matrix


def plane_of(order: tuple[int, ...]) -> Plane | None:
    """Return the plane that an order of dimensions belongs to, None where it is none of ours."""
    return next((plane for plane, layout in LAYOUTS.items() if layout.order == order), None)


def letters_3d(geometry: Geometry, viewer: ViewerModel) -> Letters:
    """Return the letters at the edges of a 3D view of a grid, as its camera looks now."""
    camera, frame = viewer.scene.camera, upright_frame(geometry)
    return letters_around(frame @ np.asarray(camera.view_direction), frame @ np.asarray(camera.up_direction))


def letters(app: Application, name: ViewName, viewer: ViewerModel) -> Letters | None:
    """Return the letters at the edges of a view; None where no letter is known.

    Of an image that is being read a slice is shown, in 3D too.
    """
    volume = app.shown_volume
    if volume is None or not volume.is_calibrated:
        return None
    plane = plane_shown(app.view, name)
    if plane is not None:
        return edge_letters(volume.geometry, plane)
    if app.preview.arriving is not None:
        return edge_letters(volume.geometry, app.view.plane)
    return letters_3d(volume.geometry, viewer) if viewer.dims.ndisplay == 3 else None
