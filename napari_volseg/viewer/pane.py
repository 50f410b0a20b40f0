"""One canvas that looks at the open case: its layers, which plane it shows, its camera, mouse and keys.

All panes share the memory of voxels and labels. What belongs to the case, such as which box was written, is known to
``ViewerBinding``, which tells its panes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari_volseg.app import Application, Case
from napari_volseg.app.layouts import in_hand, plane_shown, take_in_hand, views_shown
from napari_volseg.app.live import Sighting
from napari_volseg.app.outlines import Ray
from napari_volseg.app.preview import Sight
from napari_volseg.app.tool_drafts import Draft
from napari_volseg.app.wishes import Plane, Side, ViewName
from napari_volseg.core import Box, Geometry, Window
from napari_volseg.viewer import keys
from napari_volseg.viewer.cutting import way_of_sight
from napari_volseg.viewer.fitting import Fit
from napari_volseg.viewer.layers import draw_box, show_window
from napari_volseg.viewer.links import Links
from napari_volseg.viewer.live import live_layer
from napari_volseg.viewer.markers import Markers, show_markers
from napari_volseg.viewer.mouse import Mouse
from napari_volseg.viewer.planes import LAYOUTS, look_from, plane_of, show_plane, show_volume
from napari_volseg.viewer.preview import PreviewLayer
from napari_volseg.viewer.readout import readout
from napari_volseg.viewer.shown import Shown
from napari_volseg.viewer.sketches import line_of_sight

Index = tuple[int, int, int]

#: What images are read on, whatever the theme.
GROUND = "black"


class Pane:
    """One view of the open case.

    Parameters
    ----------
    app
        Whose open case is shown.
    viewer
        Where.
    actions
        What keys do.
    scribbled
        Called when the scribble in hand grew.

    Attributes
    ----------
    name
        What it shows.
    thrifty
        Whether drawing in 3D takes so long that it waits until the view is in hand.
    """

    def __init__(
        self,
        app: Application,
        viewer: ViewerModel,
        actions: Mapping[str, keys.KeyAction],
        scribbled: Callable[[], None],
    ) -> None:
        self.app, self.viewer = app, viewer
        self.name: ViewName = in_hand(app.view)
        self.thrifty = False
        self.shown: Shown | None = None
        self.preview: PreviewLayer | None = None
        self.fit = Fit(app, viewer)
        self.mouse = Mouse(app, self, scribbled)
        self._actions = actions
        self._missed: Box | None = None
        self._image_missed = self._cut_missed = False
        self._here: Index | None = None
        self._turning = False
        self._way = 0
        self._links, self._case_links, self._preview_links = Links(), Links(), Links()
        keys.bind(viewer, actions)
        viewer.scene.camera.synced = False
        self._ground = viewer.canvas.background_color_override
        viewer.canvas.background_color_override = GROUND
        self._links.add(*self._viewer_links())
        # ahead of napari, which slices all layers for two dimensions at once
        viewer.dims.events.ndisplay.connect(self._leave_3d, position="first")
        self._links.keep(viewer.dims.events.ndisplay, self._leave_3d)

    def _viewer_links(self) -> list[tuple[Any, Callable[..., None]]]:
        viewer = self.viewer
        return [
            (viewer.dims.events.ndisplay, self._follow_ndisplay),
            (viewer.dims.events.order, self._follow_order),
            (viewer.scene.camera.events.angles, self._follow_turn),
            (viewer.dims.events.current_step, self.clear_empty_markers),
            (viewer.dims.events.current_step, self._follow_step),
            (viewer.layers.selection.events.active, self.mouse.follow_tool),
            (viewer.cursor.events.position, self.read_cursor),
        ]

    def close(self) -> None:
        """Take the layers away and give keys and mouse back to napari."""
        self._links.clear()
        self.drop_preview()
        self.drop_case()
        self.mouse.close()
        self.fit.close()
        self.viewer.canvas.background_color_override = self._ground
        keys.unbind(self.viewer, self._actions)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def three_d(self) -> bool:
        """Whether it shows the volume instead of slices."""
        return self.name == "3d"

    @property
    def plane(self) -> Plane:
        """The plane of its slices; in 3D and of the second image, that of the slices in hand."""
        return plane_shown(self.app.view, self.name) or self.app.view.plane

    @property
    def shows_second(self) -> bool:
        """Whether it shows the second image alone, with the segments."""
        return self.name == "second"

    @property
    def lies_otherwise(self) -> bool:
        """Whether its slices are of another plane than they are to be."""
        return not self.three_d and self.shown is not None and plane_of(self.viewer.dims.order) != self.plane

    @property
    def axis(self) -> int:
        """Index axis normal to its plane."""
        return LAYOUTS[self.plane].normal

    @property
    def image(self) -> Image | None:
        """The layer of the image in 2D: that of the open case, or of one that is being read."""
        if self.preview is not None:
            return self.preview.image
        return self.shown.image if self.shown else None

    @property
    def in_hand(self) -> bool:
        """Whether commands and tools of the panel act on it."""
        return in_hand(self.app.view) == self.name

    @property
    def waits(self) -> bool:
        """Whether it is a 3D view that nobody has looked at yet."""
        return self.three_d and self.app.case is not None and not (self.shown and self.shown.deep)

    @property
    def wants_surfaces(self) -> bool:
        """Whether the surfaces of the segments are looked at here."""
        deep = self.three_d and self.shown is not None and bool(self.shown.deep)
        return deep and (self.in_hand or not self.thrifty)

    @property
    def is_late(self) -> bool:
        """Whether the 3D view lacks changes until it is looked at again."""
        return self.three_d and (self._missed is not None or self._image_missed or self._cut_missed)

    # -- the case -----------------------------------------------------------------------------------------------

    def show_case(self, case: Case) -> None:
        """Show a case; the layer of its image may be there from when it was read."""
        seen = self.preview.image if self.preview and self.preview.shows(case.volume) else None
        self.drop_preview(keep_layer=seen is not None)
        self.drop_case()
        self.shown = shown = Shown(self.app, case, seen)
        self._case_links.add((shown.image.events.contrast_limits, self._follow_contrast))
        for layer in shown.flat:
            layer.visible = layer is seen  # else napari slices them before it is known where
        with self._turn():
            self._add(shown.flat)
            self._go_everywhere()
        self.show(self.name)
        if seen is None:
            self.fit.show(*self._fitted)
        else:
            self.fit.follow()
            self.show_window()
            seen.refresh(extent=False)

    def begin_at(self, case: Case) -> Index:
        """Return the voxel with which a case that nobody has looked at begins: where it was seen, or its middle."""
        if self.preview is not None and self.preview.shows(case.volume):
            z, y, x = self.viewer.dims.current_step[-3:]
        else:
            z, y, x = (n // 2 for n in case.volume.geometry.shape)
        return z, y, x

    def drop_case(self) -> None:
        """Take the layers of the case away."""
        self._case_links.clear()
        shown, self.shown = self.shown, None
        self._missed, self._image_missed, self._cut_missed = None, False, False
        if shown is None:
            return
        self.fit.forget()
        with self._turn():
            for layer in shown.layers:
                if layer in self.viewer.layers:
                    self.viewer.layers.remove(layer)

    def begin_preview(self, sight: Sight) -> None:
        """Show what has arrived of an image that is being read."""
        again = self.preview is not None
        self.drop_preview()
        self.preview = PreviewLayer(sight, self.app.view.window)
        self._preview_links.add((self.preview.image.events.contrast_limits, self._follow_contrast))
        self._add((self.preview.image,))
        self.show(self.name)
        if not again:
            self.fit.show(self.preview.image)

    def drop_preview(self, keep_layer: bool = False) -> None:
        """Take what has arrived away; its layer may stay for the case."""
        self._preview_links.clear()
        preview, self.preview = self.preview, None
        if preview is not None and not keep_layer and preview.image in self.viewer.layers:
            self.viewer.layers.remove(preview.image)

    def _add(self, layers: tuple[Layer, ...]) -> None:
        for layer in layers:
            if layer not in self.viewer.layers:
                keys.bind(layer, self._actions)
                with self.fit.still():  # napari fits the first one
                    self.viewer.add_layer(layer)
                layer.help = ""  # napari's, set when a layer is added, names keys that mean something else here
        if self.image in self.viewer.layers:
            self.viewer.layers.selection.active = self.image

    # -- which view ---------------------------------------------------------------------------------------------

    def show(self, name: ViewName) -> None:
        """Show slices of a plane, or the volume, which is made ready when it is first looked at."""
        self.name = name
        shown = self.shown
        with self._turn():
            if self.preview is not None:
                self._show_plane(self.preview.image)
            if shown is not None and self.three_d:
                self._show_volume(shown)
            elif shown is not None:
                self._hide(shown.deep)
                self._show_plane(shown.image)
        if shown is not None:
            self.show_layers()
            self.clear_empty_markers()
            self.mouse.finish()
        elif self.preview is not None:
            self.mouse.follow_tool()

    def look(self) -> None:
        """Bring the 3D view up to date, as when it is taken in hand."""
        if not self.three_d or self.shown is None:
            return
        if not self.shown.deep:
            self.show("3d")
        missed, self._missed = self._missed, None
        if missed is not None and self.shown.segments_3d is not None:
            self.shown.segments_3d.update(missed)
        self.show_surfaces()
        late, self._image_missed = self._image_missed, False
        if late:
            self.shown.show_image_3d(self.app.view)
        if self._cut_missed or self.app.view.cut != "nothing":
            self.show_cut()

    def _show_volume(self, shown: Shown) -> None:
        if self.in_hand:
            self._add(shown.make_proxies(self.app.view))
            if shown.over is not None:
                self._add((shown.over.make_deep(),))
        self._hide(shown.flat)
        with self.fit.still():
            show_volume(self.viewer)
        shown.place(in_3d=True)
        self.fit.show(*self._fitted)

    def _show_plane(self, image: Layer) -> None:
        with self.fit.still():
            turned = show_plane(self.viewer, self.plane)
        if self.shown is not None:
            self._go_everywhere()
        if turned:
            self.fit.show(image)

    def reset(self) -> None:
        """Go back to where a view begins, in the place of napari's reset, which would turn 3D to the feet."""
        self.show(self.name)
        self.fit.show(*self._fitted)

    @property
    def _fitted(self) -> tuple[Layer, ...]:
        """What is fitted into the canvas."""
        if self.shown is not None and self.three_d:
            return self.shown.deep[:1]
        return (self.image,) if self.image is not None else ()

    def _hide(self, layers: tuple[Layer, ...]) -> None:
        """Hide the layers of the view that is left, lest napari slices full volumes for the other one."""
        for layer in layers:
            layer.visible = False

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Take no change of dimensions for somebody's wish."""
        before, self._turning = self._turning, True
        try:
            yield
        finally:
            self._turning = before

    # -- the application changed --------------------------------------------------------------------------------

    def go_to(self, index: Index) -> None:
        """Show the slice of a voxel; napari slices anew where a point moves within its slice, so there it stays."""
        if self.shown is None or self.three_d or self.slice_index(self.axis) == index[self.axis]:
            return
        with self._turn():
            self.viewer.dims.set_point(self.axis, index[self.axis] * float(self.shown.image.scale[self.axis]))
        self._here = self.voxel(self.viewer.dims.point)
        self.clear_empty_markers()

    def _go_everywhere(self) -> None:
        """Have napari's point where the slices meet, along all axes."""
        index, shown = self.app.view.index, self.shown
        if index is not None and shown is not None and self.voxel(self.viewer.dims.point) != index:
            self.viewer.dims.set_point(
                range(3), [i * float(s) for i, s in zip(index, shown.image.scale, strict=True)]
            )
        self._here = self.voxel(self.viewer.dims.point) if shown is not None else None

    def show_layers(self) -> None:
        """Show the layers that are wished."""
        if self.shown is not None:
            self.shown.show_layers(self.app.view, in_3d=self.three_d, alone=self.shows_second)

    def show_window(self) -> None:
        """Show the image through the wished window; what is open beneath one that is being read keeps its own."""
        image, shown, window = self.image, self.shown, self.app.view.window
        if image is None or (shown is not None and self.app.preview.arriving is not None):
            return
        # napari's slider answers a new range with limits of its own
        with image.events.contrast_limits.blocker(self._follow_contrast):
            show_window(image, window, shown.case.values if shown else None)
        self.show_image_3d()

    def show_image_3d(self) -> None:
        """Draw the image of the 3D view, and the slice at which it is cut, as they are wished."""
        if self.shown is None or self.shown.volume_3d is None:
            return
        self._image_missed = self.thrifty and not self.in_hand
        if not self._image_missed:
            self.shown.show_image_3d(self.app.view)
        if self.app.view.cut != "nothing":
            self.show_cut()

    def show_cut(self) -> None:
        """Cut the 3D view open as it is wished, or close it."""
        shown = self.shown
        if shown is None or not self.three_d or not shown.deep:
            return
        self._cut_missed = self.thrifty and not self.in_hand
        if not self._cut_missed:
            self._way = self._way_of_sight
            self._add(shown.show_cut(self.app.view, self.viewer.scene.camera.view_direction))
            shown.place(in_3d=True)
            self.show_layers()

    @property
    def _way_of_sight(self) -> int:
        """Which way along the normal of the cut one looks; 0 where nothing is cut."""
        cut = self.app.view.cut
        towards = self.viewer.scene.camera.view_direction
        return 0 if cut == "nothing" else way_of_sight(towards, LAYOUTS[cut].normal)

    def look_from(self, side: Side) -> None:
        """Turn the 3D view so that it looks from a side of the patient, and fit the image into it."""
        if self.three_d and self.shown is not None:
            look_from(self.viewer, side)
            self.fit.show(*self._fitted)

    def show_fusion(self) -> None:
        """Show the second image between image and segments, or no more, as the application has it."""
        shown, fused = self.shown, self.app.fusion.image
        if shown is None or (shown.over.fused if shown.over else None) is fused:
            return
        for layer in shown.take_off():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        if fused is not None:
            shown.lay_over(fused, self.app.fusion.wishes)
            self._add_over(shown)
        self.show_layers()

    def _add_over(self, shown: Shown) -> None:
        if shown.over is None:
            return
        self._add((shown.over.layer,))
        layers = self.viewer.layers
        layers.move(layers.index(shown.over.layer), layers.index(shown.labels))
        if shown.deep:
            self._add((shown.over.make_deep(),))
            shown.place(in_3d=self.three_d)
            self.show_cut()

    def dress_fusion(self) -> None:
        """Show the second image as it is wished."""
        if self.shown is not None and self.shown.over is not None:
            self.shown.over.dress(self.app.fusion.wishes, alone=self.shows_second)
            self.show_layers()

    def show_markers(self, markers: Markers) -> None:
        """Show prompts, and the scribble in hand."""
        if self.shown is not None:
            show_markers(self.shown.prompts, markers)
            self.clear_empty_markers()

    def clear_empty_markers(self) -> None:
        """Hide the dot that napari draws at the origin where no marker lies on the shown slice.

        Without any marker, the layer itself is hidden: to slice and draw it takes as long as the labels do.
        """
        if self.shown is None:
            return
        markers, axis = self.shown.prompts, self.viewer.dims.order[0]
        if markers.visible != bool(len(markers.data)):
            markers.visible = bool(len(markers.data))
        if not markers.visible:
            return
        near = self.three_d or np.round(markers.data[:, axis]) == self.slice_index(axis)
        opacity = float(not self.waits and np.any(near))
        if markers.opacity != opacity:
            markers.opacity = opacity

    def show_draft(self, draft: Draft | None, ready: bool) -> None:
        """Draw what the segment tool would do: over the slice, once colours are ready, or in 3D."""
        shown, three_d = self.shown, self.three_d
        if shown is None:
            return
        if shown.segments_3d is not None and (self.in_hand or not self.thrifty):
            shown.segments_3d.show_draft(draft if three_d else None)
            shown.drafting_3d = draft is not None and three_d
            self.show_layers()
        if draft is not None and not three_d and ready:
            self._add((shown.draft_layer(),))
        if shown.draft is not None:
            shown.draft.show(None if three_d else draft)

    def show_surfaces(self) -> None:
        """Show the surfaces that were made of the segments."""
        if self.shown is not None and self.app.surfaces is not None and self.wants_surfaces:
            self._add(self.shown.show_surfaces(self.app.surfaces.scene, self.viewer.scene.camera.view_direction))
            self.shown.place(in_3d=True)
            self.show_layers()
            if self.app.view.cut != "nothing":
                self.show_cut()

    def _follow_turn(self) -> None:
        if self.three_d and self.shown is not None and True in self.shown.surfaces_3d:
            self.show_surfaces()
        if self.three_d and self._way != self._way_of_sight:
            self.show_cut()

    def show_live(self, sighting: Sighting | None, box: Box | None = None) -> None:
        """Draw what a model that runs has labelled so far over the slice, where that changed in a box."""
        shown = self.shown
        if shown is None:
            return
        if sighting is None or self.three_d:
            if shown.live is not None and shown.live in self.viewer.layers:
                self.viewer.layers.remove(shown.live)
            shown.live = None
        elif shown.live is None:
            shown.live = live_layer(sighting)
            self._add((shown.live,))
            layers = self.viewer.layers
            layers.move(layers.index(shown.live), layers.index(shown.prompts))
        elif box is not None and self.meets_slice(box):
            shown.live.refresh(thumbnail=False, highlight=False, extent=False)

    def take_box(self, box: Box, seen: bool = True) -> None:
        """Draw a box of labels that was written, where it can be seen, or keep in mind that it was."""
        shown = self.shown
        if shown is None:
            return
        if not seen or (self.three_d and self.thrifty and not self.in_hand):
            self._missed = box if self._missed is None else self._missed.union(box)
            return
        if shown.segments_3d is not None:
            shown.segments_3d.update(box)
        if self.three_d:
            return
        axis = self.viewer.dims.order[0]
        index = self.slice_index(axis)
        if box.start[axis] <= index < box.stop[axis]:
            draw_box(shown.labels, box, axis, index)

    def catch_up(self) -> None:
        """Take over what changed while this view was not shown."""
        shown = self.shown
        if shown is None:
            return
        shown.show_table(shown.case.table)
        self.show_fusion()
        self.dress_fusion()
        self.show_window()
        if self._missed is not None and not self.three_d:
            shown.labels.refresh(thumbnail=False, highlight=False, extent=False)
            self._missed = None

    def meets_slice(self, box: Box) -> bool:
        """Whether the shown slice goes through a box."""
        axis = self.viewer.dims.order[0]
        return box.start[axis] <= self.slice_index(axis) < box.stop[axis]

    def slice_index(self, axis: int) -> int:
        """Return which slice along an axis is shown; ``to_index`` for one axis, in a tenth of the time."""
        assert self.shown is not None
        return round(self.viewer.dims.point[axis] / float(self.shown.image.scale[axis]))

    # -- the viewer changed -------------------------------------------------------------------------------------

    def to_index(self, position: Any) -> NDArray[np.float64]:
        """Return the fractional voxel index of a napari position (z, y, x)."""
        assert self.shown is not None
        return np.asarray(self.shown.image.world_to_data(position), float)

    def to_ray(self, event: Any) -> Ray:
        """Return the line of sight of a mouse event over the 3D view."""
        assert self.shown is not None
        return line_of_sight(self._geometry, event.position, event.view_direction, event.pos)

    def voxel(self, position: Any) -> Index:
        """Return the voxel of a napari position (z, y, x)."""
        z, y, x = (int(i) for i in np.round(self.to_index(position)))
        return z, y, x

    def is_over_image(self, position: Any) -> bool:
        """Whether there is a voxel at a napari position (z, y, x)."""
        return self.shown is None or self._geometry.contains(self.to_index(position))

    def point_at(self, position: Any) -> None:
        """Let the slices of all planes meet at a napari position (z, y, x), or where the image is nearest to it."""
        if self.shown is None:
            self.viewer.dims.set_point(range(3), [float(p) for p in position[-3:]])
            return
        shape = self._geometry.shape
        z, y, x = (min(max(i, 0), n - 1) for i, n in zip(self.voxel(position), shape, strict=True))
        self.app.view.index = (z, y, x)

    def read_cursor(self) -> None:
        """Tell what is under the cursor."""
        shown, view, position = self.shown, self.app.view, self.viewer.cursor.position
        if view.pointed != self.name and view.pointed in views_shown(view):
            return  # napari moves the cursors of other views, too, when their slices change
        covered = self.three_d or self.app.preview.arriving is not None
        seen = shown is not None and not covered and len(position) >= len(shown.image.scale)
        view.cursor_text = (
            readout(shown.case, self.to_index(position), self.app.fusion.image) if shown and seen else ""
        )
        view.cursor = self.voxel(position) if view.cursor_text else None

    @property
    def _geometry(self) -> Geometry:
        assert self.shown is not None
        return self.shown.case.volume.geometry

    def _leave_3d(self) -> None:
        if self.shown is not None and self.viewer.dims.ndisplay == 2:
            self.shown.place(in_3d=False)

    def _follow_ndisplay(self) -> None:
        if self.preview is not None:
            self.viewer.dims.ndisplay = 2  # a whole volume is not there yet
        elif self.shown is not None and not self._turning and self.three_d != (self.viewer.dims.ndisplay == 3):
            self._ask_for(self.app.view.plane if self.three_d else "3d")

    def _follow_order(self) -> None:
        """Take a plane that was chosen with napari's own buttons; undo an order that is no plane of ours."""
        if self._turning or self.viewer.dims.ndisplay == 3 or self.image not in self.viewer.layers:
            return
        plane = plane_of(self.viewer.dims.order)
        if plane is None:
            self._show_plane(self.image)
        elif plane != self.name:
            self._ask_for(plane)

    def _ask_for(self, name: ViewName) -> None:
        """Show in the one view, or take in hand among several, what was asked for with napari's own buttons."""
        take_in_hand(self.app.view, name)
        if len(views_shown(self.app.view)) > 1 and name != self.name:
            self.show(self.name)

    def _follow_step(self) -> None:
        """Let the slices meet where somebody moved along an axis; the others need not be up to date here."""
        if self._turning or self.shown is None or self.image not in self.viewer.layers:
            return
        here, before = self.voxel(self.viewer.dims.point), self._here
        kept = self.app.view.index or here
        z, y, x = (
            new if before is None or new != old else keep
            for new, old, keep in zip(here, before or here, kept, strict=True)
        )
        self._here = here
        self.app.view.index = (z, y, x)

    def _follow_contrast(self) -> None:
        if self.image is None:
            return
        limits = self.image.contrast_limits
        if not np.allclose(limits, self.app.view.window.limits):
            self.app.view.window = Window.between(*limits)
