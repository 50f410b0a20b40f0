"""Every command of the program in one table: menu, palette, key, script and test reach the same callables."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

from napari_volseg.app import fusion
from napari_volseg.app.application import Application, Opened
from napari_volseg.app.channels import choices_of, why_incomplete
from napari_volseg.app.command import Command, always, needs_case, needs_image
from napari_volseg.app.correcting import apply_tool, suggest_settings, why_not
from napari_volseg.app.deep_commands import deep_commands
from napari_volseg.app.doubts import next_doubt, settle_doubts, why_no_doubt
from napari_volseg.app.hand_tools import HAND_TOOLS
from napari_volseg.app.history_list import tell_who_set
from napari_volseg.app.layouts import bring_forward, lay_out, maximize
from napari_volseg.app.preview import READING
from napari_volseg.app.tool_table import SEGMENT_TOOLS
from napari_volseg.app.wishes import RADIUS_LIMITS, LayoutName, Plane, Reach, Tool
from napari_volseg.core import CT_WINDOWS, CancelToken, ProgressCallback, Status, UsageError

#: One press of "larger" multiplies the brush radius by this, "smaller" divides by it.
RADIUS_STEP = 1.25

STATUSES: tuple[Status, ...] = get_args(Status)


def _needs_undo(app: Application) -> str | None:
    can = app.case is not None and app.preview.arriving is None and app.case.session.history.can_undo
    return None if can else "there is nothing to undo"


def _needs_redo(app: Application) -> str | None:
    can = app.case is not None and app.preview.arriving is None and app.case.session.history.can_redo
    return None if can else "there is nothing to redo"


def _needs_clicks(app: Application) -> str | None:
    can = app.clicks is not None and app.preview.arriving is None and app.clicks.prompts
    return None if can else "click into a structure first"


def _needs_model(app: Application) -> str | None:
    if app.case is None or app.preview.arriving is not None:
        return needs_case(app)
    chosen, modality = app.models.chosen, app.case.volume.modality
    if chosen is not None and chosen.card.channels == ("CT",) and modality in ("MR", "PT"):
        return f"{chosen.card.title} needs a CT and this is {modality}"
    if app.models.untrusted is not None:
        return f"{app.models.untrusted.card.title} is a program that you have not trusted yet: press Trust…"
    return why_incomplete(choices_of(app))


def _needs_untrusted(app: Application) -> str | None:
    return None if app.models.untrusted is not None else "the chosen model is not a program that waits for it"


def _needs_other_session(app: Application) -> str | None:
    if app.case is None:
        return "open an image first"
    return None if len(app.kept_sessions()) > 1 else "this is the only session of the image"


def _hand_needs(tool: str) -> Callable[[Application], str | None]:
    """Return what keeps a tool of the hand from being taken: no image, or an engine that can't use it."""

    def why_not(app: Application) -> str | None:
        takes = app.engines.chosen.capabilities
        if tool == "scribble" and not takes.scribbles:
            return f"{app.engines.chosen.card.title} takes no scribbles"
        if tool == "box" and not takes.boxes:
            return f"{app.engines.chosen.card.title} takes no boxes"
        if tool == "lasso-prompt" and not takes.lassos:
            return f"{app.engines.chosen.card.title} takes no lassos"
        if tool == "click" and not takes.points:
            return f"{app.engines.chosen.card.title} takes no clicks"
        return needs_case(app)

    return why_not


def _needs_outline(app: Application) -> str | None:
    if app.preview.arriving is not None:
        return READING
    return None if app.drawing.outline is not None else "no outline is being drawn"


def _needs_line(app: Application) -> str | None:
    return None if app.drawing.cutting else _needs_outline(app)


def _needs_job(app: Application) -> str | None:
    return None if app.jobs.shown or app.tools.previewing else "nothing is running"


def set_window(app: Application, window_id: str) -> None:
    """Show the image in one of its windows."""
    offered = app.windows()
    if window_id not in offered:
        raise UsageError(f'"{window_id}" is not a window of this image: choose one of {", ".join(offered)}')
    app.view.window = offered[window_id]


def show_plane(app: Application, plane: Plane) -> None:
    """Show axial, coronal or sagittal slices."""
    bring_forward(app.view, plane)


def toggle_3d(app: Application) -> None:
    """Go to the 3D view and back."""
    bring_forward(app.view, app.view.plane if app.view.three_d else "3d")


def set_layout(app: Application, layout: LayoutName) -> None:
    """Show one view, a large one beside three, or four."""
    lay_out(app.view, layout)


def toggle_maximized(app: Application) -> None:
    """Show the view in hand alone, and go back to the layout before."""
    maximize(app.view)


def toggle_crosshair(app: Application) -> None:
    """Hide the lines at which the planes cut each other, and show them again."""
    app.view.crosshair = not app.view.crosshair


def reset_view(app: Application) -> None:
    """Fit the image into every view again."""
    app.view_reset.emit()


def take_tool(app: Application, tool: Tool) -> None:
    """Take a tool in hand."""
    app.tools.tool = tool


def change_reach(app: Application) -> None:
    """Let tools of the hand act on the slice, then on a slab, then in 3D, and on the slice again."""
    reaches: tuple[Reach, ...] = ("slice", "slab", "volume")
    app.tools.hand_reach = reaches[(reaches.index(app.tools.hand_reach) + 1) % len(reaches)]


def toggle_sign(app: Application) -> None:
    """Let clicks add to the segment or take from it."""
    app.tools.positive = not app.tools.positive


def scale_radius(app: Application, factor: float) -> None:
    """Make the brush larger or smaller, within its limits."""
    low, high = RADIUS_LIMITS
    app.tools.radius_mm = min(high, max(low, app.tools.radius_mm * factor))


def toggle_labels(app: Application) -> None:
    """Hide the segments and show them again."""
    app.view.labels_visible = not app.view.labels_visible


def toggle_report(app: Application) -> None:
    """Unfold the import report and fold it away."""
    app.view.report_shown = not app.view.report_shown


def open_other_session(app: Application) -> object:
    """Go to the next session of the open image, where a branch was made or a damaged one was replaced."""
    case, other = app.need_case(), app.kept_sessions()[1]

    def work(progress: ProgressCallback, cancel: CancelToken) -> Opened:
        return app.find_work(case.volume, other)

    return app.jobs.submit("Opening the other session", work, app.take_opened)


def toggle_preview(app: Application) -> None:
    """Show what the segment tool of the panel would do, and show it no more."""
    app.tools.previewing = not app.tools.previewing


def apply_chosen(app: Application) -> object:
    """Apply the segment tool of the panel."""
    return apply_tool(app, app.tools.segment_tool)


def _needs_chosen(app: Application) -> str | None:
    return why_not(app, app.tools.segment_tool)


def _needs_preview(app: Application) -> str | None:
    return None if app.tools.previewing else _needs_chosen(app)


def toggle_history(app: Application) -> None:
    """Unfold the list of steps and fold it away."""
    app.view.history_shown = not app.view.history_shown


def cancel_jobs(app: Application) -> None:
    """Take a preview away; where there is none, ask everything that runs to stop at its next step.

    One after the other, so that what runs is not lost with a preview.
    """
    if app.tools.previewing:
        app.tool_preview.end()
    else:
        app.jobs.stop()


def _windows() -> list[Command]:
    keys = "123456"
    presets = [
        Command(
            f"window.{window_id}",
            f"{window.name} window",
            partial(set_window, window_id=window_id),
            key,
            _needs_ct,
            f"{window.name} window: centre {window.center:g}, width {window.width:g} HU",
        )
        for key, (window_id, window) in zip(keys, CT_WINDOWS.items(), strict=True)
    ]
    file_window = Command(
        "window.file-0",
        "Window from file",
        partial(set_window, window_id="file-0"),
        "7",
        _needs_file_window,
        "The window that the file asks for",
    )
    auto = Command(
        "window.auto",
        "Automatic window",
        partial(set_window, window_id="auto"),
        "8",
        needs_image,
        "A window fitted to the values of this image",
    )
    return [*presets, file_window, auto]


def _needs_ct(app: Application) -> str | None:
    if app.shown_volume is None:
        return needs_image(app)
    return None if app.shown_volume.modality == "CT" else "HU windows need a CT"


def _needs_file_window(app: Application) -> str | None:
    return needs_image(app) or (None if "file-0" in app.windows() else "the file holds no window")


def _views() -> list[Command]:
    planes: tuple[tuple[Plane, str], ...] = (("axial", "A"), ("coronal", "C"), ("sagittal", "S"))
    shown = [
        Command(f"view.{p}", f"{p.capitalize()} view", partial(show_plane, plane=p), k, needs_image)
        for p, k in planes
    ]
    return [
        *shown,
        Command("view.3d", "3D view", toggle_3d, "D", needs_case, "Show the case in 3D, and back"),
        *_layouts(),
        Command("view.labels", "Show or hide segments", toggle_labels, "H", needs_case),
        Command(
            "view.report",
            "Import report",
            toggle_report,
            "I",
            needs_case,
            "What was found, repaired, assumed, decided and left out when this image was opened",
        ),
        Command(
            "view.history", "History", toggle_history, "Y", needs_case, "Every step, who made it and when; go to any"
        ),
    ]


def _needs_fusion(app: Application) -> str | None:
    return needs_case(app) or (None if app.fusion.image is not None else "no second image is shown")


def _needs_second(app: Application) -> str | None:
    missing = "add a second image first: Add image over this…"
    return needs_case(app) or (None if app.fusion.image is not None else missing)


def toggle_studies(app: Application) -> None:
    """Open the study browser, and close it."""
    app.view.studies_shown = not app.view.studies_shown


def open_studies(app: Application) -> None:
    """Open the study browser."""
    app.view.studies_shown = True


def toggle_fusion(app: Application) -> None:
    """Hide the second image, and show it again."""
    app.fusion.wishes.visible = not app.fusion.wishes.visible


def _images() -> list[Command]:
    return [
        Command(
            "studies.show",
            "Study browser",
            toggle_studies,
            "Shift-O",
            always,
            "Patients, studies and series with pictures; open one, or show it over the open image",
        ),
        Command(
            "fusion.add",
            "Add image over this…",
            open_studies,
            "Shift-F",
            needs_case,
            "Choose a second image to show over the open one, such as PET over CT",
        ),
        Command(
            "fusion.show",
            "Show or hide second image",
            toggle_fusion,
            "Shift-V",
            _needs_fusion,
            "Hide the second image, and show it again",
        ),
        Command(
            "fusion.colours",
            "Next colours of the second image",
            lambda app: fusion.next_colours(app.fusion),
            "Shift-C",
            _needs_fusion,
            "Show the second image in the next colour map",
        ),
        Command(
            "fusion.weaker",
            "Second image weaker",
            lambda app: fusion.change_opacity(app.fusion, -fusion.OPACITY_STEP),
            "Shift-Left",
            _needs_fusion,
        ),
        Command(
            "fusion.stronger",
            "Second image stronger",
            lambda app: fusion.change_opacity(app.fusion, fusion.OPACITY_STEP),
            "Shift-Right",
            _needs_fusion,
        ),
        Command(
            "fusion.remove",
            "Remove second image",
            lambda app: app.fusion.remove(),
            "Shift-X",
            _needs_fusion,
            "Show the open image alone again; its segments stay",
        ),
    ]


def _layouts() -> list[Command]:
    offered: tuple[tuple[LayoutName, str, str, str], ...] = (
        ("one", "One view", "Alt-1", "Show one view alone"),
        ("one-three", "One large view", "Alt-2", "Show one view large and the others beside it"),
        ("two", "Side by side", "Alt-3", "Show both images beside each other, at the same place in the patient"),
        ("four", "Four views", "Alt-4", "Show axial, coronal and sagittal slices and the 3D view"),
    )
    return [
        *(
            Command(
                f"view.layout-{layout}",
                title,
                partial(set_layout, layout=layout),
                key,
                _needs_second if layout == "two" else always,
                tip,
            )
            for layout, title, key, tip in offered
        ),
        Command(
            "view.maximize",
            "Maximize view",
            toggle_maximized,
            "V",
            needs_case,
            "Show the view in hand alone, and all of them again; or double-click it",
        ),
        Command("view.crosshair", "Crosshair", toggle_crosshair, "Z", needs_case, "Show where the planes cut"),
        Command(
            "view.reset", "Fit views", reset_view, "Control-R", needs_case, "Fit the image into every view again"
        ),
    ]


def _tools() -> list[Command]:
    taken = [
        Command(f"tool.{tool}", words.name, partial(take_tool, tool=tool), words.key, _hand_needs(tool), words.tip)
        for tool, words in HAND_TOOLS.items()
    ]
    return [
        *taken,
        Command(
            "tool.reach",
            "Slice, slab or 3D",
            change_reach,
            "T",
            always,
            "Tools of the hand act on the slice, on a slab about it, or in 3D",
        ),
        *_outlines(),
        *_doubts(),
        *_measures(),
        *_segments(),
        Command("tool.sign", "Add or remove", toggle_sign, "X", always, "Clicks add to the segment or take from it"),
        Command("tool.larger", "Larger brush", partial(scale_radius, factor=RADIUS_STEP), "]"),
        Command("tool.smaller", "Smaller brush", partial(scale_radius, factor=1 / RADIUS_STEP), "["),
    ]


def _doubts() -> list[Command]:
    return [
        Command(
            "view.unsure",
            "Next unsure slice",
            next_doubt,
            "Control-U",
            why_no_doubt,
            "Go to the next slice from which on Extend was not sure of a segment",
        ),
        Command(
            "segment.checked",
            "Unsure slices are right",
            settle_doubts,
            "Control-Shift-U",
            why_no_doubt,
            "Take the marks of unsure slices away: the segments are right there",
        ),
    ]


def _needs_measurement(app: Application) -> str | None:
    return needs_case(app) or (None if app.measuring.measurements else "nothing was measured yet")


def _needs_chosen_measurement(app: Application) -> str | None:
    return _needs_measurement(app) or (None if app.measuring.chosen is not None else "choose a measurement first")


def _needs_segment(app: Application) -> str | None:
    return needs_case(app) or (None if app.case is not None and app.case.active else "there is no segment")


def show_alone(app: Application) -> None:
    """Show the active segment alone, and then all of them again."""
    case = app.need_case()
    case.show_alone(case.active)


def go_to_segment(app: Application) -> object:
    """Show the slices through the middle of the active segment."""
    case = app.need_case()
    value, name = case.active, case.table[case.active].name

    def work(progress: ProgressCallback, cancel: CancelToken) -> tuple[int, int, int] | None:
        return case.middle_of(value)

    def go(middle: tuple[int, int, int] | None) -> None:
        if middle is None:
            app.notice(f"{name} has no voxels yet")
        elif case is app.case:
            app.view.index = middle

    return app.jobs.submit(f"Looking for {name}", work, go, lane="tools", quiet=True)


def set_status(app: Application, status: Status) -> None:
    """Tell where the work on the active segment stands."""
    case = app.need_case()
    case.edit_segment(case.active, status=status)


def _segments() -> list[Command]:
    stands = [
        Command(
            f"segment.status-{status.replace(' ', '-')}",
            f"Segment: {status}",
            partial(set_status, status=status),
            "",
            _needs_segment,
            f"Mark the active segment as {status}",
        )
        for status in STATUSES
    ]
    return [
        Command(
            "segment.go-to",
            "Go to segment",
            go_to_segment,
            "Shift-G",
            _needs_segment,
            "Show the slices through the middle of the active segment",
        ),
        Command(
            "segment.solo",
            "Show segment alone",
            show_alone,
            "Shift-H",
            _needs_segment,
            "Hide all segments but the active one; once more shows all",
        ),
        *stands,
    ]


def _needs_drawn(app: Application) -> str | None:
    return None if app.measuring.drawing else "no measurement is being drawn"


def delete_measurements(app: Application) -> None:
    """Remove all measurements, as one undoable step."""
    app.need_case().session.measure((), name="Remove all measurements")


def _measures() -> list[Command]:
    return [
        Command(
            "measure.diameters",
            "Diameters of the segment",
            lambda app: app.measuring.measure_diameters(),
            "Alt-R",
            _needs_segment,
            "Measure the active segment on its axial slices: the longest diameter, and at right angles (RECIST)",
        ),
        Command(
            "measure.longest",
            "Longest diameter in 3D",
            lambda app: app.measuring.measure_longest(),
            "Alt-M",
            _needs_segment,
            "Measure the longest diameter of the active segment in space",
        ),
        Command(
            "measure.delete",
            "Delete measurement",
            lambda app: app.measuring.remove_chosen(),
            "Delete",
            _needs_chosen_measurement,
            "Delete the chosen measurement",
        ),
        Command(
            "measure.delete-all",
            "Delete all measurements",
            delete_measurements,
            "Shift-Delete",
            _needs_measurement,
            "Delete all measurements, as one step that can be undone",
        ),
        Command(
            "measure.abandon",
            "Abandon measurement",
            lambda app: app.measuring.abandon(),
            "Escape",
            _needs_drawn,
            "Forget the measurement that is being drawn",
        ),
    ]


def _outlines() -> list[Command]:
    """Return what can be done to an outline in hand; its keys do something else where there is none."""

    def close(app: Application) -> object:
        return app.drawing.close()

    def back(app: Application) -> None:
        app.drawing.back()

    def abandon(app: Application) -> None:
        app.drawing.abandon()

    return [
        Command(
            "tool.close-outline", "Close outline", close, "Enter", _needs_outline, "Close the outline and fill it"
        ),
        Command("tool.drop-vertex", "Drop vertex", back, "Backspace", _needs_outline, "Take the last vertex back"),
        Command(
            "tool.abandon-outline",
            "Abandon outline",
            abandon,
            "Escape",
            _needs_line,
            "Forget the outline that is being drawn",
        ),
    ]


def _segment_tools() -> list[Command]:
    applied = [
        Command(
            f"tool.{tool.id}",
            tool.title,
            partial(apply_tool, tool_id=tool.id),
            tool.key,
            partial(why_not, tool_id=tool.id),
            tool.tip,
        )
        for tool in SEGMENT_TOOLS.values()
    ]
    suggestion = Command(
        "tool.suggest-range",
        "Otsu threshold",
        partial(suggest_settings, tool_id="threshold"),
        "",
        partial(why_not, tool_id="threshold"),
        "Set the range of the threshold to what is bright, by Otsu's method",
    )
    preview = Command(
        "tool.preview",
        "Preview",
        toggle_preview,
        "Q",
        _needs_preview,
        "Show what the tool of the panel would do: bright what it would add, striped what it would take away",
    )
    chosen = Command("tool.apply", "Apply", apply_chosen, "U", _needs_chosen, "Apply the tool of the panel")
    return [*applied, suggestion, preview, chosen]


def toggle_sheet(app: Application) -> None:
    """Open the sheet of keys and commands, and close it."""
    app.view.sheet_shown = not app.view.sheet_shown


def begin_tour(app: Application) -> None:
    """Begin the tour of five steps."""
    app.tour.begin()


def _work() -> list[Command]:
    return [
        Command("help.tour", "Tour", begin_tour, "Shift-F1", always, "Five steps through the job"),
        Command(
            "help.keys",
            "Keys and commands",
            toggle_sheet,
            "F1",
            always,
            "Show what mouse and keys do now, and find any command by its words; ? does the same",
        ),
        Command("edit.undo", "Undo", Application.undo, "Control-Z", _needs_undo, "Take the last step back"),
        Command("edit.redo", "Redo", Application.redo, "Control-Shift-Z", _needs_redo, "Do it again"),
        Command(
            "history.who",
            "Who set this voxel",
            tell_who_set,
            "W",
            needs_case,
            "Tell which step set the voxel under the cursor last",
        ),
        Command(
            "model.trust",
            "Trust…",
            lambda app: app.models.ask_trust(),
            "Shift-T",
            _needs_untrusted,
            "Decide whether the program of the chosen model may run",
        ),
        Command("segment.run", "Run model", Application.run_model, "R", _needs_model, "Run the chosen model"),
        Command(
            "session.other",
            "Other session",
            open_other_session,
            "",
            _needs_other_session,
            "Go to the next session of this image: a branch of another window, or one that was set aside",
        ),
        Command(
            "segment.cancel", "Cancel", cancel_jobs, "Escape", _needs_job, "Take a preview away, else stop what runs"
        ),
        Command("click.accept", "Accept", Application.accept_clicks, "Enter", _needs_clicks, "Finish this segment"),
        Command(
            "click.reset",
            "Reset",
            Application.reset_clicks,
            "Shift-Backspace",
            _needs_clicks,
            "Take all prompts back: the segment is what it was before the first",
        ),
        Command(
            "segment.next",
            "New segment",
            Application.next_segment,
            "Insert",
            needs_case,
            "Finish this segment and begin another",
        ),
    ]


COMMANDS: dict[str, Command] = {
    c.id: c for c in (*_windows(), *_views(), *deep_commands(), *_images(), *_tools(), *_segment_tools(), *_work())
}


def run_command(app: Application, command_id: str) -> object:
    """Run a command by its identifier; a refusal becomes a notice."""
    return app.attempt(COMMANDS[command_id], app)
