"""The open case in a napari viewer: layers, planes, mouse and keys follow the application."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points
from numpy.typing import NDArray

from napari_volseg.app import Application
from napari_volseg.app.outlines import Ray
from napari_volseg.app.preview import Sight
from napari_volseg.core import Box, SegmentTable, Window
from napari_volseg.viewer import keys
from napari_volseg.viewer.drafts import DRAFT_TYPE
from napari_volseg.viewer.fitting import Fit
from napari_volseg.viewer.layers import (
    build_units,
    colors_of,
    compile_colours,
    draw_box,
    segment_colormap,
    show_window,
)
from napari_volseg.viewer.live import live_layer
from napari_volseg.viewer.markers import markers_of, show_markers
from napari_volseg.viewer.mouse import Mouse
from napari_volseg.viewer.planes import plane_of, show_plane, show_volume
from napari_volseg.viewer.preview import PreviewLayer
from napari_volseg.viewer.readout import readout
from napari_volseg.viewer.shown import Shown
from napari_volseg.viewer.sketches import line_of_sight

#: A signal of psygnal or napari and what it calls.
Link = tuple[Any, Callable[..., None]]


class ViewerBinding:
    """Keeps a napari viewer and an application in step.

    Refreshes are gathered: however many changes arrive, the shown slice is drawn once, when the application's
    inbox is pumped.

    Parameters
    ----------
    app
        Whose open case is shown.
    viewer
        Where.
    """

    def __init__(self, app: Application, viewer: ViewerModel) -> None:
        self._app = app
        self._viewer = viewer
        self._shown: Shown | None = None
        self._preview: PreviewLayer | None = None
        self._dirty: Box | None = None
        self._fit = Fit(viewer)
        self._mouse = Mouse(app, viewer, self._to_index, self._to_ray, self._show_prompts)
        self._keys = {**keys.command_keys(app), "Space": self._mouse.hold, "Control-R": self._reset_view}
        self._drafts_ready: bool | None = None
        self._links: list[Link] = []
        self._case_links: list[Link] = []
        self._preview_links: list[Link] = []
        keys.bind(viewer, self._keys)
        viewer.scene.camera.synced = False
        build_units()
        threading.Thread(target=compile_colours, name="volseg-colours").start()
        self._link(self._links, self._wish_links())
        # ahead of napari, which slices all layers for two dimensions at once
        viewer.dims.events.ndisplay.connect(self._leave_3d, position="first")
        self._links.append((viewer.dims.events.ndisplay, self._leave_3d))
        self._show_case()

    @property
    def image(self) -> Image | None:
        """The layer of the image in 2D: that of the open case, or of one that is being read."""
        if self._preview is not None:
            return self._preview.image
        return self._shown.image if self._shown else None

    @property
    def labels(self) -> Labels | None:
        """The layer of the open case's segments in 2D; it shares the memory of the label array."""
        return self._shown.labels if self._shown else None

    @property
    def tool_in_hand(self) -> bool:
        """Whether the left button works on the case instead of moving the view."""
        return self._mouse.tool_in_hand

    @property
    def double_click_means_more(self) -> bool:
        """Whether a double click on the canvas is more than two clicks."""
        return self._mouse.double_click_means_more

    @property
    def prompts(self) -> Points | None:
        """The layer of prompt markers."""
        return self._shown.prompts if self._shown else None

    def close(self) -> None:
        """Take the layers away and give keys and mouse back to napari."""
        self._unlink(self._links)
        self._drop_preview()
        self._drop_case()
        self._mouse.close()
        self._fit.close()
        keys.unbind(self._viewer, self._keys)

    # -- connecting -----------------------------------------------------------------------------------------

    def _wish_links(self) -> list[Link]:
        view, tools, viewer = self._app.view.events, self._app.tools.events, self._viewer
        return [
            (self._app.case_changed, self._show_case),
            (self._app.preview.changed, self._show_preview),
            (self._app.live.changed, self._show_live),
            (self._app.tool_preview.changed, self._show_draft),
            (view.plane, self._show_view),
            (view.three_d, self._show_view),
            (view.window, self._show_window),
            (view.labels_opacity, self._show_layers),
            (view.labels_visible, self._show_layers),
            (tools.previewing, self._make_drafts_ready),
            (tools.tool, self._mouse.follow_tool),
            (tools.radius_mm, self._mouse.follow_tool),
            (viewer.dims.events.ndisplay, self._follow_ndisplay),
            (viewer.dims.events.order, self._follow_order),
            (viewer.dims.events.current_step, self._clear_empty_markers),
            (viewer.dims.events.current_step, self._follow_step),
            (viewer.layers.selection.events.active, self._mouse.follow_tool),
            (viewer.cursor.events.position, self._read_cursor),
        ]

    def _link_case(self, shown: Shown) -> None:
        session, clicks = shown.case.session, self._app.clicks
        links: list[Link] = [
            (session.changed, self._take_box),
            (session.table_changed, self._show_table),
            (shown.image.events.contrast_limits, self._follow_contrast),
        ]
        if clicks is not None:
            links.append((clicks.changed, self._show_prompts))
        self._link(self._case_links, links)

    def _link(self, kept: list[Link], links: list[Link]) -> None:
        for signal, slot in links:
            signal.connect(slot)
            kept.append((signal, slot))

    def _unlink(self, kept: list[Link]) -> None:
        while kept:
            signal, slot = kept.pop()
            signal.disconnect(slot)

    # -- the application changed ----------------------------------------------------------------------------

    def _show_case(self) -> None:
        """Show the open case; the layer of its image may be there from when it was read."""
        case = self._app.case
        seen = self._preview.image if self._preview and case and self._preview.shows(case.volume) else None
        self._drop_preview(keep_layer=seen is not None)
        self._drop_case()
        if case is None:
            return
        self._shown = shown = Shown(self._app, case, seen)
        self._link_case(shown)
        kept, plane = self._app.view.index, self._app.view.plane
        self._add(shown.flat)
        self._app.view.plane = plane  # without layers, napari forgot it
        if seen is None or kept is not None:
            self._viewer.dims.set_current_step(range(3), kept or [n // 2 for n in case.volume.geometry.shape])
        self._show_view()
        if seen is None:
            self._fit.show(shown.image)
        else:
            self._show_window()
            seen.refresh(extent=False)
        self._show_prompts()

    def _show_preview(self) -> None:
        """Show what has arrived of an image that is being read, or nothing again where its reading failed.

        The layers of an open case stay, and in 3D there is nothing to see of a part: ``widgets`` paints over these.
        """
        self._read_cursor()
        sight = self._app.preview.sight
        if self._shown is not None or self._app.view.three_d:
            return
        if sight is not None and (self._preview is None or not self._preview.shows(sight.arriving.volume)):
            self._begin_preview(sight)
        if sight is not None and self._preview is not None:
            self._preview.go_on(self._viewer)
        elif self._preview is not None:
            self._drop_preview()

    def _begin_preview(self, sight: Sight) -> None:
        again = self._preview is not None
        self._drop_preview()
        self._preview = PreviewLayer(sight, self._app.view.window)
        self._link(self._preview_links, [(self._preview.image.events.contrast_limits, self._follow_contrast)])
        self._add((self._preview.image,))
        self._show_view()
        if not again:
            self._fit.show(self._preview.image)

    def _drop_preview(self, keep_layer: bool = False) -> None:
        self._unlink(self._preview_links)
        preview, self._preview = self._preview, None
        if preview is not None and not keep_layer and preview.image in self._viewer.layers:
            self._viewer.layers.remove(preview.image)

    def _drop_case(self) -> None:
        self._unlink(self._case_links)
        shown, self._shown, self._dirty = self._shown, None, None
        for layer in shown.layers if shown else ():
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _add(self, layers: tuple[Layer, ...]) -> None:
        for layer in layers:
            if layer not in self._viewer.layers:
                keys.bind(layer, self._keys)
                self._viewer.add_layer(layer)
                layer.help = ""  # napari's, set when a layer is added, names keys that mean something else here
        if self.image in self._viewer.layers:
            self._viewer.layers.selection.active = self.image

    def _show_view(self) -> None:
        shown = self._shown
        if self._preview is not None:
            self._show_plane(self._preview.image)
            self._mouse.follow_tool()
        if shown is None:
            return
        if self._app.view.three_d:
            self._add(shown.make_proxies(self._app.view.window))
            self._hide(shown.flat)
            show_volume(self._viewer)
            shown.place(in_3d=True)
            self._fit.show(*shown.deep[:1])
        else:
            self._hide(shown.deep)
            self._show_plane(shown.image)
        self._show_layers()
        self._show_draft()
        self._show_live()
        self._clear_empty_markers()
        self._mouse.finish()

    def _show_plane(self, image: Layer) -> None:
        if show_plane(self._viewer, self._app.view.plane):
            self._fit.show(image)

    def _make_drafts_ready(self) -> None:
        """Have the colours of previews compiled in the background, ahead of the first draft."""
        if self._drafts_ready is None:
            self._drafts_ready = False
            self._app.jobs.submit(
                "Preparing previews",
                lambda *_: compile_colours(DRAFT_TYPE),
                self._drafts_are_ready,
                lane="preview",
                quiet=True,
            )

    def _drafts_are_ready(self, _: object) -> None:
        self._drafts_ready = True
        self._show_draft()

    def _show_draft(self) -> None:
        """Draw what the segment tool would do: over the slice, or among the segments of the 3D view."""
        shown, draft, three_d = self._shown, self._app.tool_preview.draft, self._app.view.three_d
        if shown is None:
            return
        if draft is not None and (draft.new is None or draft.request.case is not shown.case):
            draft = None
        if shown.segments_3d is not None:
            shown.segments_3d.show_draft(draft if three_d else None)
        if draft is not None and not three_d and self._drafts_ready:
            self._add((shown.draft_layer(),))
        if shown.draft is not None:
            shown.draft.show(None if three_d else draft)

    def _show_live(self, box: Box | None = None) -> None:
        """Draw what a model that runs has labelled so far over the slice, where that changed in a box."""
        shown, sighting = self._shown, self._app.live.sighting
        if shown is None:
            return
        if sighting is None or self._app.view.three_d:
            if shown.live is not None and shown.live in self._viewer.layers:
                self._viewer.layers.remove(shown.live)
            shown.live = None
        elif shown.live is None:
            shown.live = live_layer(sighting)
            self._add((shown.live,))
        elif box is not None and self._meets_slice(box):
            shown.live.refresh(thumbnail=False, highlight=False, extent=False)

    def _reset_view(self, _: object) -> None:
        """Go back to where a view begins, in the place of napari's reset, which would turn 3D to the feet."""
        self._show_view()
        if self.image is not None and (self._shown is None or not self._app.view.three_d):
            self._fit.show(self.image)

    def _hide(self, layers: tuple[Layer, ...]) -> None:
        """Hide the layers of the view that is left, lest napari slices full volumes for the other one."""
        for layer in layers:
            layer.visible = False

    def _show_layers(self) -> None:
        shown, view = self._shown, self._app.view
        if shown is None:
            return
        shown.labels.opacity = view.labels_opacity
        visible = {shown.image: not view.three_d, shown.labels: view.labels_visible and not view.three_d}
        visible[shown.prompts] = True
        if shown.volume_3d is not None and shown.segments_3d is not None:
            visible[shown.volume_3d.layer] = view.three_d
            visible[shown.segments_3d.layer] = view.labels_visible and view.three_d
        for layer, wanted in visible.items():
            if layer.visible != wanted:
                layer.visible = wanted

    def _show_window(self) -> None:
        image, shown = self.image, self._shown
        if image is None or (shown is not None and self._app.preview.arriving is not None):
            return
        # napari's slider answers a new range with limits of its own
        with image.events.contrast_limits.blocker(self._follow_contrast):
            show_window(image, self._app.view.window, shown.case.values if shown else None)
        if shown is not None and shown.volume_3d is not None:
            shown.volume_3d.show_window(self._app.view.window)

    def _show_prompts(self) -> None:
        app, shown = self._app, self._shown
        if shown is None or app.clicks is None or app.painter is None:
            return
        drawn = app.painter.path if app.tools.tool == "scribble" else ()
        geometry = shown.case.volume.geometry
        show_markers(shown.prompts, markers_of(app.clicks.wanted, geometry, drawn, app.tools.positive))
        self._clear_empty_markers()

    def _clear_empty_markers(self) -> None:
        """Hide the dot that napari draws at the origin where no marker lies on the shown slice."""
        if self._shown is None:
            return
        markers = self._shown.prompts
        axis = self._viewer.dims.order[0]
        shown = self._app.view.three_d or np.round(markers.data[:, axis]) == self._slice_index(axis)
        opacity = float(len(markers.data) > 0 and np.any(shown))
        if markers.opacity != opacity:
            markers.opacity = opacity

    def _show_table(self, table: SegmentTable) -> None:
        shown = self._shown
        if shown is None or shown.colors == colors_of(table):
            return
        shown.colors = colors_of(table)
        shown.labels.colormap = segment_colormap(table)
        if shown.segments_3d is not None:
            shown.segments_3d.show_table(table)

    def _take_box(self, box: Box) -> None:
        if self._dirty is None:
            self._app.jobs.inbox.post(self._refresh)
        self._dirty = box if self._dirty is None else self._dirty.union(box)

    def _refresh(self) -> None:
        """Draw what changed since the last time, where it can be seen."""
        box, self._dirty = self._dirty, None
        if box is None or self._shown is None:
            return
        if self._shown.segments_3d is not None:
            self._shown.segments_3d.update(box)
        if self._app.view.three_d:
            return
        axis = self._viewer.dims.order[0]
        index = self._slice_index(axis)
        if box.start[axis] <= index < box.stop[axis]:
            draw_box(self._shown.labels, box, axis, index)

    def _meets_slice(self, box: Box) -> bool:
        axis = self._viewer.dims.order[0]
        return box.start[axis] <= self._slice_index(axis) < box.stop[axis]

    def _slice_index(self, axis: int) -> int:
        """Return which slice along an axis is shown; ``_to_index`` for one axis, in a tenth of the time."""
        assert self._shown is not None
        return round(self._viewer.dims.point[axis] / float(self._shown.image.scale[axis]))

    # -- the viewer changed ---------------------------------------------------------------------------------

    def _to_index(self, position: Any) -> NDArray[np.float64]:
        assert self._shown is not None
        return np.asarray(self._shown.image.world_to_data(position), float)

    def _to_ray(self, event: Any) -> Ray:
        assert self._shown is not None
        return line_of_sight(self._shown.case.volume.geometry, event.position, event.view_direction, event.pos)

    def _read_cursor(self) -> None:
        shown, view, position = self._shown, self._app.view, self._viewer.cursor.position
        covered = view.three_d or self._app.preview.arriving is not None
        seen = shown is not None and not covered and len(position) >= len(shown.image.scale)
        view.cursor_text = readout(shown.case, self._to_index(position)) if shown and seen else ""
        view.cursor = self._voxel(position) if view.cursor_text else None

    def _leave_3d(self) -> None:
        if self._shown is not None and self._viewer.dims.ndisplay == 2:
            self._shown.place(in_3d=False)

    def _follow_ndisplay(self) -> None:
        if self._preview is not None:
            self._viewer.dims.ndisplay = 2  # a whole volume is not there yet
        elif self._shown is not None:
            self._app.view.three_d = self._viewer.dims.ndisplay == 3

    def _follow_order(self) -> None:
        """Take a plane that was chosen with napari's own buttons; undo an order that is no plane of ours."""
        if self._app.view.three_d or self._viewer.dims.ndisplay == 3 or self.image not in self._viewer.layers:
            return
        plane = plane_of(self._viewer.dims.order)
        if plane is None:
            self._show_plane(self.image)
        else:
            self._app.view.plane = plane

    def _follow_step(self) -> None:
        if self._shown is not None and self.image in self._viewer.layers:
            self._app.view.index = self._voxel(self._viewer.dims.point)

    def _voxel(self, position: Any) -> tuple[int, int, int]:
        z, y, x = (int(i) for i in np.round(self._to_index(position)))
        return z, y, x

    def _follow_contrast(self) -> None:
        if self.image is None:
            return
        limits = self.image.contrast_limits
        if not np.allclose(limits, self._app.view.window.limits):
            self._app.view.window = Window.between(*limits)
