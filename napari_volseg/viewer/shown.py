"""The layers of one case on one canvas, and what is written into them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from napari.layers import Image, Labels, Layer, Points

from napari_volseg.app import Application, Case
from napari_volseg.app.fusion import Fused, FusionWishes
from napari_volseg.app.renderings import rendering_of
from napari_volseg.app.surface_maker import Scene
from napari_volseg.app.wishes import ViewWishes
from napari_volseg.core import SegmentTable, Window
from napari_volseg.viewer.cutting import CutFace, close, cut_open, face_picture, way_of_sight
from napari_volseg.viewer.drafts import DraftLayer
from napari_volseg.viewer.fused import FusedLayers
from napari_volseg.viewer.layers import (
    colors_of,
    image_layer,
    labels_layer,
    prompts_layer,
    segment_colormap,
    show_window,
)
from napari_volseg.viewer.planes import LAYOUTS, true_shape
from napari_volseg.viewer.proxies import SegmentsProxy, VolumeProxy
from napari_volseg.viewer.surface_layer import SurfaceLayer


class Shown:
    """The layers of one case.

    Parameters
    ----------
    app
        Its case is shown.
    case
        The case.
    image
        A layer that shows its image already; a new one is made where absent.
    """

    def __init__(self, app: Application, case: Case, image: Image | None = None) -> None:
        self.case = case
        self.image: Image = image or image_layer(case.volume, app.view.window, case.values)
        self.labels: Labels = labels_layer(case.segmentation)
        self.prompts: Points = prompts_layer(case.volume.geometry.spacing)
        self.volume_3d: VolumeProxy | None = None
        self.segments_3d: SegmentsProxy | None = None
        self.surfaces_3d: dict[bool, SurfaceLayer] = {}
        self.face_3d: CutFace | None = None
        self.drafting_3d = self._looked_for = False
        self.draft: DraftLayer | None = None
        self.live: Labels | None = None
        self.over: FusedLayers | None = None
        self._colors = colors_of(case.table)
        if app.fusion.image is not None:
            self.lay_over(app.fusion.image, app.fusion.wishes)

    @property
    def flat(self) -> tuple[Layer, ...]:
        """The layers of the 2D view, lowest first."""
        over = (self.over.layer,) if self.over is not None else ()
        return self.image, *over, self.labels, self.prompts

    @property
    def deep(self) -> tuple[Layer, ...]:
        """The stand-ins of the 3D view, none before it was first entered."""
        proxies = (self.volume_3d, self.segments_3d, *self.surfaces_3d.values())
        over = (self.over.deep,) if self.over is not None and self.over.deep is not None else ()
        face = (self.face_3d.layer,) if self.face_3d is not None else ()
        return (*(p.layer for p in proxies if p is not None), *over, *face)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All of them."""
        passing = (self.draft.layer if self.draft else None, self.live)
        return *self.flat, *self.deep, *(layer for layer in passing if layer is not None)

    def lay_over(self, fused: Fused, wishes: FusionWishes) -> None:
        """Make the layer of a second image."""
        self.over = FusedLayers(fused, wishes)

    def take_off(self) -> tuple[Layer, ...]:
        """Forget the second image; return the layers that it had."""
        over, self.over = self.over, None
        return over.layers if over is not None else ()

    def make_proxies(self, view: ViewWishes) -> tuple[Layer, ...]:
        """Make the stand-ins of the 3D view; return those that are new."""
        if self.volume_3d is not None:
            return ()
        self.volume_3d = VolumeProxy(self.case.volume, view.window, rendering_of(view.rendering, self.case.volume))
        self.segments_3d = SegmentsProxy(self.case.segmentation)
        self.surfaces_3d = {False: SurfaceLayer(self.case.volume.geometry, glass=False)}
        return self.deep

    def place(self, *, in_3d: bool) -> None:
        """Give what the 3D view shows the true shape of a sheared volume, or take it back.

        napari turns it right in 3D and can't slice it in 2D, where the slices are shown as they were acquired.
        """
        if not self.case.volume.geometry.is_sheared:
            return
        matrix = true_shape(self.case.volume.geometry) if in_3d else np.eye(4)
        for layer in (*self.deep, self.prompts):
            layer.affine = matrix

    def draft_layer(self) -> Layer:
        """Return the layer of the 2D view that shows what a tool would do, made when it is first needed."""
        self.draft = self.draft or DraftLayer(self.case.segmentation)
        return self.draft.layer

    def show_layers(self, view: ViewWishes, *, in_3d: bool, alone: bool = False) -> None:
        """Show the layers that are wished in 2D or in 3D, and no others; the second image where ``alone``.

        In 3D segments are surfaces once these are made, unless a tool shows what it would change. Where the image is
        left out beside them, they are waited for with nothing to see, as their stand-in takes seconds to draw there.
        """
        self.labels.opacity = view.labels_opacity
        alone = alone and self.over is not None
        visible: dict[Layer, bool] = {
            self.image: not in_3d and not alone,
            self.labels: view.labels_visible and not in_3d,
        }
        if self.volume_3d is not None and self.segments_3d is not None:
            segments = view.labels_visible and in_3d
            smooth = self._looked_for and not self.drafting_3d
            surfaces = [s for s in self.surfaces_3d.values() if segments and smooth and not s.is_empty]
            awaited = segments and not self._looked_for and any(s.visible for s in self.case.table)
            visible[self.volume_3d.layer] = in_3d and (view.image_in_3d or not (surfaces or awaited))
            visible[self.segments_3d.layer] = (
                segments and not smooth and (view.image_in_3d or self.drafting_3d or not awaited)
            )
            visible |= {s.layer: segments and not self.drafting_3d for s in self.surfaces_3d.values()}
        if self.face_3d is not None:
            visible[self.face_3d.layer] = in_3d and view.cut != "nothing"
        if self.over is not None:
            visible[self.over.layer] = (alone or (self.over.wished and view.layout != "two")) and not in_3d
        if self.over is not None and self.over.deep is not None and self.volume_3d is not None:
            visible[self.over.deep] = self.over.wished and visible[self.volume_3d.layer]
        if self.segments_3d is not None and visible[self.segments_3d.layer]:
            self.segments_3d.dress()
        for layer, wanted in visible.items():
            if layer.visible != wanted:
                layer.visible = wanted

    def show_surfaces(self, scene: Scene | None, towards: Sequence[float]) -> tuple[Layer, ...]:
        """Take over the surfaces of the segments; return their layers, that of glass once there is some.

        Parameters
        ----------
        scene
            The surfaces.
        towards
            Where one looks, napari's (z, y, x).
        """
        self._looked_for = self._looked_for or scene is not None
        if scene is not None and True not in self.surfaces_3d and len(scene.part(glass=True).faces):
            self.surfaces_3d[True] = SurfaceLayer(self.case.volume.geometry, glass=True)
        for surfaces in self.surfaces_3d.values():
            surfaces.show(scene, towards)
        return tuple(surfaces.layer for surfaces in self.surfaces_3d.values())

    def show_image_3d(self, view: ViewWishes) -> None:
        """Draw the image of the 3D view as it is wished."""
        if self.volume_3d is not None:
            self.volume_3d.show(view.window, rendering_of(view.rendering, self.case.volume))

    def show_cut(self, view: ViewWishes, towards: Sequence[float]) -> tuple[Layer, ...]:
        """Cut the 3D view open as it is wished, or close it; return the layer of the slice that is seen there.

        Parameters
        ----------
        view
            What is wished.
        towards
            Where one looks, napari's (z, y, x).
        """
        solid = [layer for layer in self.deep if self.face_3d is None or layer is not self.face_3d.layer]
        if view.cut == "nothing":
            for layer in solid:
                close(layer)
            return ()
        geometry, axis = self.case.volume.geometry, LAYOUTS[view.cut].normal
        index = view.index[axis] if view.index is not None else geometry.shape[axis] // 2
        for layer in solid:
            cut_open(layer, axis, index * geometry.spacing[axis], way_of_sight(towards, axis))
        self.face_3d = self.face_3d or CutFace(geometry)
        opacity = view.labels_opacity if view.labels_visible else 0.0
        self.face_3d.show(axis, index, face_picture(self.case, axis, index, view.window, opacity))
        return (self.face_3d.layer,)

    def show_window(self, window: Window) -> None:
        """Show the slices through a window."""
        show_window(self.image, window, self.case.values)

    def show_table(self, table: SegmentTable) -> None:
        """Take over colours and visibility of segments, where they are others than before."""
        if self._colors == colors_of(table):
            return
        self._colors = colors_of(table)
        self.labels.colormap = segment_colormap(table)
        if self.segments_3d is not None:
            self.segments_3d.show_table(table)
            if self.segments_3d.layer.visible:
                self.segments_3d.dress()
