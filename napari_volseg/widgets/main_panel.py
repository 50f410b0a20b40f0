"""The panel that leads through the job, from data to export, with the history of all steps at its end."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from napari_volseg.app import Application, Case
from napari_volseg.app.preview import READING
from napari_volseg.widgets.click_section import ClickSection
from napari_volseg.widgets.correct_section import CorrectSection
from napari_volseg.widgets.data_section import DataSection
from napari_volseg.widgets.drops import dropped_paths
from napari_volseg.widgets.events import AppEvents
from napari_volseg.widgets.export_section import ExportSection
from napari_volseg.widgets.guard import InputGuard
from napari_volseg.widgets.hints import next_step
from napari_volseg.widgets.history_section import HistorySection
from napari_volseg.widgets.icons import paint_icons
from napari_volseg.widgets.measure_section import MeasureSection
from napari_volseg.widgets.report_section import ReportSection
from napari_volseg.widgets.section import Section
from napari_volseg.widgets.segment_section import SegmentSection
from napari_volseg.widgets.segments_section import SegmentsSection
from napari_volseg.widgets.status_strip import JobStrip, NoticeStrip
from napari_volseg.widgets.steady import SteadyButtons
from napari_volseg.widgets.theme import accent_color, apply_theme, icon_color, warning_color
from napari_volseg.widgets.tools_section import ToolsSection
from napari_volseg.widgets.tour_strip import TourStrip
from napari_volseg.widgets.view_section import ViewSection

WIDTH = 350


class MainPanel(QWidget):
    """The dock panel.

    Parameters
    ----------
    app
        What is shown and called.
    viewer
        Whose theme is followed.
    """

    def __init__(self, app: Application, viewer: ViewerModel) -> None:
        super().__init__()
        self.setObjectName("volseg-panel")
        self.setAcceptDrops(True)
        self.app = app
        self._viewer = viewer
        self._case: Case | None = None
        self._tool = app.tools.tool
        self._report_shown = False
        self._history_shown = False
        self.events = AppEvents(app, self)
        self._build()
        self.events.changed.connect(self.refresh)
        self.events.voxels_changed.connect(self.segments.follow_voxels)
        self.events.window_changed.connect(self.view.refresh_window)
        viewer.events.theme.connect(self._follow_theme)
        self._follow_theme()
        self.data.expanded = True
        for section in self.sections:
            section.refresh()
        self.refresh()

    @property
    def sections(self) -> tuple[Section, ...]:
        """The sections in the order of the job."""
        return self.data, self.report, *self._steps, self.history

    @property
    def _steps(self) -> tuple[Section, ...]:
        """The sections that unfold when an image is opened."""
        return self.view, self.segment, self.click, self.correct, self.tools, self.segments, self.measure, self.export

    def refresh(self) -> None:
        """Show the next step; when another case was opened, unfold what has become possible."""
        if self.app.case is not self._case:
            self._case = self.app.case
            self._unfold()
        if self.app.tools.tool != self._tool:
            self._tool = self.app.tools.tool
            self._reveal_tool()
        if self.app.view.report_shown != self._report_shown:
            self._report_shown = self.app.view.report_shown
            self._reveal_soon(self.report)
        if self.app.view.history_shown != self._history_shown:
            self._history_shown = self.app.view.history_shown
            self._reveal_soon(self.history)
        reading = self.app.preview.arriving is not None
        for section in self.sections[3:]:
            section.body.setEnabled(not reading)
            section.body.setToolTip(f"Not now: {READING}" if reading else "")
        self.hint.setText(next_step(self.app).text)
        self.app.tour.look()

    def sizeHint(self) -> QSize:
        """Return a width at which nothing is cut."""
        return QSize(WIDTH, 640)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files and folders."""
        if dropped_paths(event.mimeData()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open what was dropped."""
        for path in dropped_paths(event.mimeData())[:1]:
            self.app.attempt(self.app.open_path, path)
        event.acceptProposedAction()

    def release(self) -> None:
        """Let go of the viewer, before the panel is deleted."""
        self._viewer.events.theme.disconnect(self._follow_theme)

    def _build(self) -> None:
        app, events = self.app, self.events
        self.hint = QLabel()
        self.hint.setObjectName("hint")
        self.hint.setWordWrap(True)
        self.hint.setMinimumHeight(2 * self.hint.fontMetrics().lineSpacing())  # lest all below moves with its length
        self.data = DataSection(app, events)
        self.report = ReportSection(app, events)
        self.view = ViewSection(app, events)
        self.segment = SegmentSection(app, events)
        self.click = ClickSection(app, events)
        self.correct = CorrectSection(app, events)
        self.tools = ToolsSection(app, events)
        self.segments = SegmentsSection(app, events)
        self.measure = MeasureSection(app, events)
        self.export = ExportSection(app, events)
        self.history = HistorySection(app, events)
        self.jobs = JobStrip(app)
        self.notices = NoticeStrip(app)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.setSpacing(6)
        self.tour = TourStrip(app)
        self._area = _scrolling(self.sections)
        for widget, stretch in ((self.tour, 0), (self.hint, 0), (self._area, 1), (self.jobs, 0), (self.notices, 0)):
            layout.addWidget(widget, stretch)
        self.setMinimumWidth(WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _unfold(self) -> None:
        opened = self._case is not None
        self.data.expanded = not opened
        for section in self._steps:
            section.expanded = opened

    def _reveal_soon(self, section: Section) -> None:
        """Scroll to a section once it has the size that it unfolds to."""
        self._unfolding = section
        QTimer.singleShot(0, self._reveal_unfolded)

    def _reveal_unfolded(self) -> None:
        self._area.ensureWidgetVisible(self._unfolding)

    def _reveal_tool(self) -> None:
        """Scroll to the section of a tool that was taken in hand, perhaps by its key."""
        match self._tool:
            case "click" | "scribble" | "box" | "lasso-prompt":
                self._area.ensureWidgetVisible(self.click)
            case "distance" | "angle" | "diameters":
                self._area.ensureWidgetVisible(self.measure)
            case "navigate":
                pass
            case _:
                self._area.ensureWidgetVisible(self.correct)

    def _follow_theme(self) -> None:
        apply_theme(self, self._viewer)
        paint_icons(self, icon_color(self._viewer))
        self.segments.set_icon_color(icon_color(self._viewer))
        self.view.set_colors(icon_color(self._viewer), accent_color(self._viewer))
        self.tools.set_colors(icon_color(self._viewer), accent_color(self._viewer))
        self.history.set_icon_color(icon_color(self._viewer))
        self.report.set_warning_color(warning_color(self._viewer))


def _scrolling(sections: tuple[Section, ...]) -> QScrollArea:
    """Return an area in which the sections lie one below the other and scroll vertically only."""
    column = QWidget()
    layout = QVBoxLayout(column)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for section in sections:
        layout.addWidget(section)
    layout.addStretch(1)
    InputGuard(column)
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(column)
    SteadyButtons(area)
    return area
