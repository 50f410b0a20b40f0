"""The open case in napari viewers: as many views as the layout asks for follow the application."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Labels, Points
from psygnal import Signal

from napari_volseg.app import Application, Case
from napari_volseg.app.layouts import in_hand, views_shown
from napari_volseg.app.tool_drafts import Draft
from napari_volseg.app.wishes import Side, ViewName
from napari_volseg.core import Box, SegmentTable
from napari_volseg.viewer import keys
from napari_volseg.viewer.drafts import DRAFT_TYPE
from napari_volseg.viewer.layers import build_units, compile_colours
from napari_volseg.viewer.links import Links
from napari_volseg.viewer.markers import Markers, markers_of
from napari_volseg.viewer.pane import Pane


def _now(call: Callable[[], None]) -> None:
    call()


class ViewerBinding:
    """Keeps napari viewers and an application in step.

    The first viewer is the one given; the others are made when a layout first asks for them, and share its memory of
    voxels and labels. A view that is not shown is left as it is until it is shown again. Refreshes are gathered:
    however many changes arrive, the shown slices are drawn once, when the application's inbox is pumped.

    Parameters
    ----------
    app
        Whose open case is shown.
    viewer
        Where.
    later
        Calls a function when there is time: further views are made ready one by one, the first one at once.

    Attributes
    ----------
    arranged
        Emitted when other views are shown than before, or elsewhere.
    fell_behind
        Emitted when a 3D view lacks changes until it is looked at again, or has caught up.
    """

    arranged = Signal()
    fell_behind = Signal()

    def __init__(
        self, app: Application, viewer: ViewerModel, later: Callable[[Callable[[], None]], None] = _now
    ) -> None:
        self._app = app
        self._later = later
        self._wanted: dict[ViewName, Pane] = {}
        self._thrifty = False
        self._case: Case | None = None
        self._dirty: Box | None = None
        self._drafts_ready: bool | None = None
        self._links, self._case_links = Links(), Links()
        self._keys: Mapping[str, keys.KeyAction] = {**keys.command_keys(app), "Space": self._hold}
        build_units()
        threading.Thread(target=compile_colours, name="volseg-colours").start()
        self._panes = [Pane(app, viewer, self._keys, self._show_prompts)]
        self._shown: dict[ViewName, Pane] = {self.main.name: self.main}
        self._links.add(*self._app_links())
        self._show_case()

    @property
    def main(self) -> Pane:
        """The view in the viewer that was given."""
        return self._panes[0]

    @property
    def panes(self) -> tuple[Pane, ...]:
        """All views that were made, shown or not."""
        return tuple(self._panes)

    @property
    def shown(self) -> Mapping[ViewName, Pane]:
        """The views that are shown, the large one first where they differ in size."""
        return self._shown

    @property
    def image(self) -> Image | None:
        """The layer of the image in the first viewer."""
        return self.main.image

    @property
    def labels(self) -> Labels | None:
        """The layer of segments in the first viewer; it shares the memory of the label array."""
        return self.main.shown.labels if self.main.shown else None

    @property
    def prompts(self) -> Points | None:
        """The layer of prompt markers in the first viewer."""
        return self.main.shown.prompts if self.main.shown else None

    @property
    def tool_in_hand(self) -> bool:
        """Whether the left button works on the case in the first viewer instead of moving the view."""
        return self.main.mouse.tool_in_hand

    @property
    def double_click_means_more(self) -> bool:
        """Whether a double click on the canvas of the first viewer is more than two clicks."""
        return self.main.mouse.double_click_means_more

    def close(self) -> None:
        """Take the layers away and give keys and mouse back to napari."""
        self._links.clear()
        self._case_links.clear()
        for pane in self._panes:
            pane.close()

    def _app_links(self) -> list[tuple[Any, Callable[..., None]]]:
        app, view, tools = self._app, self._app.view.events, self._app.tools.events
        return [
            (app.case_changed, self._show_case),
            (app.view_reset, self._reset),
            (app.turned, self._look_from),
            (app.preview.changed, self._show_preview),
            (app.live.changed, self._show_live),
            (app.tool_preview.changed, self._show_draft),
            (app.fusion.changed, self._show_fusion),
            (app.fusion.wishes.events, self._dress_fusion),
            *((signal, self._arrange) for signal in (view.layout, view.large, view.plane, view.three_d)),
            (view.index, self._go_to),
            (view.zoom, self._place_cameras),
            (view.center, self._place_cameras),
            (view.window, self._show_window),
            (view.image_in_3d, self._show_layers),
            (view.rendering, self._show_image_3d),
            (view.cut, self._show_cut),
            (view.labels_opacity, self._show_layers),
            (view.labels_visible, self._show_layers),
            (tools.previewing, self._make_drafts_ready),
            (tools.tool, self._follow_tool),
            (tools.radius_mm, self._follow_tool),
        ]

    # -- the layout ---------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Show the views of the layout; without a case there is one."""
        if self._app.case is not self._case:
            return  # its wishes come before it is shown
        names = views_shown(self._app.view)
        before, waited = list(self._shown.items()), [pane for pane in self._panes if pane.waits]
        self._wanted = self._placed(names if self._app.case is not None else names[:1])
        self._shown = {}
        for name, pane in self._wanted.items():
            if pane is self.main or pane.shown is not None or name == "3d":
                self._show_in(pane, name, (name, pane) in before and not (name == "second" and pane.lies_otherwise))
        if len(self._shown) < len(self._wanted):
            self._later(self._show_next)
        if list(self._shown.items()) != before or any(not pane.waits for pane in waited):
            self.arranged.emit()
        for pane in self._shown.values():
            pane.mouse.finish()
            pane.show_layers()
        if self._app.surfaces is not None:
            self._app.surfaces.wanted = any(pane.wants_surfaces for pane in self._shown.values())
        self._show_draft()
        self._show_live()
        self.fell_behind.emit()

    def _show_in(self, pane: Pane, name: ViewName, known: bool) -> None:
        """Have a pane show something, where it doesn't yet."""
        if not known or (pane.waits and in_hand(self._app.view) == name):
            self._bring_up(pane, name)
        if pane.in_hand:
            pane.look()
        self._shown[name] = pane

    def _show_next(self) -> None:
        """Show the next one of the views that are wanted and take a while, and leave time for others between them."""
        name = next((name for name in self._wanted if name not in self._shown), None)
        if name is None or self._app.case is not self._case:
            return
        pane = self._wanted[name]
        self._show_in(pane, name, known=False)
        self._shown = {name: pane for name, pane in self._wanted.items() if name in self._shown}
        pane.show_draft(self._draft, bool(self._drafts_ready))
        pane.show_live(self._app.live.sighting)
        self.arranged.emit()
        if len(self._shown) < len(self._wanted):
            self._later(self._show_next)

    def _placed(self, names: tuple[ViewName, ...]) -> dict[ViewName, Pane]:
        """Return which pane is to show what: the first viewer comes first, others go on with what they showed."""
        others = self._panes[1:]
        free = [pane for pane in others if pane.name not in names[1:]]
        placed = {names[0]: self.main}
        for name in names[1:]:
            known = next((pane for pane in others if pane.name == name), None)
            placed[name] = known or (free.pop() if free else self._new_pane(name))
        return placed

    def _new_pane(self, name: ViewName) -> Pane:
        pane = Pane(self._app, ViewerModel(), self._keys, self._show_prompts)
        pane.name, pane.thrifty = name, self._thrifty
        self._panes.append(pane)
        return pane

    def _bring_up(self, pane: Pane, name: ViewName) -> None:
        """Have a pane show what it is to show from now on, as the case is now; 3D waits until it is looked at."""
        case = self._app.case
        pane.name = name
        if case is None or (pane.shown is not None and pane.shown.case is case):
            pane.show(name)
        elif pane.in_hand or name != "3d":
            pane.show_case(case)
        if case is not None and pane.shown is not None and pane is not self.main:
            pane.catch_up()
            pane.show_markers(self._markers)

    def be_thrifty(self) -> None:
        """Let 3D views wait with what changes until they are looked at, where drawing them takes a second.

        They leave the image out where there are surfaces, which are drawn four times as fast.
        """
        self._thrifty = True
        self._app.view.image_in_3d = False
        for pane in self._panes:
            pane.thrifty = True

    def _hold(self, _: object) -> Iterator[None]:
        """Put the tool aside while a key is held, so that the left button moves the view."""
        for pane in self._panes:
            pane.mouse.pause(True)
        yield
        for pane in self._panes:
            pane.mouse.pause(False)

    # -- the case -----------------------------------------------------------------------------------------------

    def _show_case(self) -> None:
        """Show the open case in every view of the layout."""
        app = self._app
        self._case = case = app.case
        self._case_links.clear()
        self._dirty = None
        for pane in self._panes[1:]:
            pane.drop_case()
        if case is None:
            self.main.drop_preview()
            self.main.drop_case()
            self._arrange()
            return
        if app.view.index is None:
            app.view.index = self.main.begin_at(case)
        session = case.session
        self._case_links.add((session.changed, self._take_box), (session.table_changed, self._show_table))
        if app.clicks is not None:
            self._case_links.add((app.clicks.changed, self._show_prompts))
        if app.surfaces is not None:
            self._case_links.add((app.surfaces.changed, self._show_surfaces))
        self.main.name = views_shown(app.view)[0]
        self.main.show_case(case)
        self._shown = {self.main.name: self.main}
        self._arrange()
        self._show_prompts()

    def _show_preview(self) -> None:
        """Show what has arrived of an image that is being read, or nothing again where its reading failed.

        The layers of an open case stay, and in 3D there is nothing to see of a part: ``widgets`` paints over these.
        """
        main, sight = self.main, self._app.preview.sight
        main.read_cursor()
        if main.shown is not None or main.three_d:
            return
        if sight is not None and (main.preview is None or not main.preview.shows(sight.arriving.volume)):
            main.begin_preview(sight)
        if sight is not None and main.preview is not None:
            main.preview.go_on(main.viewer)
        elif main.preview is not None:
            main.drop_preview()

    # -- the application changed --------------------------------------------------------------------------------

    def _go_to(self) -> None:
        index = self._app.view.index
        if index is not None and self._app.case is self._case:
            for pane in self._shown.values():
                pane.go_to(index)
            if self._app.view.cut != "nothing":
                self._show_cut()

    def _place_cameras(self) -> None:
        if self._app.case is not self._case:
            return
        for pane in self._shown.values():
            pane.fit.follow()

    def _reset(self) -> None:
        self._app.view.zoom = self._app.view.center = None
        for pane in self._shown.values():
            pane.reset()

    def _look_from(self, side: Side) -> None:
        for pane in self._shown.values():
            pane.look_from(side)

    def _show_image_3d(self) -> None:
        for pane in self._shown.values():
            pane.show_image_3d()
        self.fell_behind.emit()

    def _show_cut(self) -> None:
        for pane in self._shown.values():
            pane.show_cut()
        self.fell_behind.emit()

    def _follow_tool(self) -> None:
        for pane in self._shown.values():
            pane.mouse.follow_tool()

    def _show_window(self) -> None:
        for pane in self._shown.values():
            pane.show_window()
        self.fell_behind.emit()

    def _show_layers(self) -> None:
        for pane in self._shown.values():
            pane.show_layers()
        if self._app.view.cut != "nothing":
            self._show_cut()

    def _show_fusion(self) -> None:
        if self._app.case is self._case:
            for pane in self._shown.values():
                pane.show_fusion()

    def _dress_fusion(self) -> None:
        for pane in self._shown.values():
            pane.dress_fusion()

    def _show_surfaces(self) -> None:
        for pane in self._shown.values():
            pane.show_surfaces()

    @property
    def _markers(self) -> Markers:
        """The prompts of the case, and the scribble in hand."""
        app, case = self._app, self._app.case
        assert case is not None
        assert app.clicks is not None
        drawn = app.painter.path if app.painter is not None and app.tools.tool == "scribble" else ()
        return markers_of(app.clicks.wanted, case.volume.geometry, drawn, app.tools.positive)

    def _show_prompts(self) -> None:
        if self._app.case is None or self._app.clicks is None:
            return
        markers = self._markers
        for pane in self._shown.values():
            pane.show_markers(markers)

    def _show_table(self, table: SegmentTable) -> None:
        for pane in self._shown.values():
            if pane.shown is not None:
                pane.shown.show_table(table)

    def _show_live(self, box: Box | None = None) -> None:
        for pane in self._shown.values():
            pane.show_live(self._app.live.sighting, box)

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
        """Draw what the segment tool would do."""
        for pane in self._shown.values():
            pane.show_draft(self._draft, bool(self._drafts_ready))

    @property
    def _draft(self) -> Draft | None:
        """What the segment tool would do to the open case."""
        draft = self._app.tool_preview.draft
        known = draft is not None and draft.new is not None and draft.request.case is self._app.case
        return draft if known else None

    def _take_box(self, box: Box) -> None:
        if self._dirty is None:
            self._app.jobs.inbox.post(self._refresh)
        self._dirty = box if self._dirty is None else self._dirty.union(box)

    def _refresh(self) -> None:
        """Draw what changed since the last time, where it can be seen; what is not shown is drawn when it is."""
        box, self._dirty = self._dirty, None
        if box is not None:
            for pane in self._panes:
                pane.take_box(box, seen=pane in self._shown.values())
            self.fell_behind.emit()
