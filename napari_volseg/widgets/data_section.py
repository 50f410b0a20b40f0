"""Open images: folder, file, sample cases, and the list of what was found."""

from __future__ import annotations

from functools import partial

from qtpy.QtCore import QModelIndex, Qt, QTimer
from qtpy.QtWidgets import QListView, QMenu

from napari_volseg.app import SAMPLES, Question, sample_path
from napari_volseg.widgets import dialogs
from napari_volseg.widgets.buttons import ActionButton, CommandButton, set_primary
from napari_volseg.widgets.hints import next_step
from napari_volseg.widgets.section import Section
from napari_volseg.widgets.volume_list import VolumeListModel

#: Rows of the list that are shown without scrolling, at most.
ROWS_SHOWN = 5


class DataSection(Section):
    """Where images come from."""

    title = "Data"
    name = "data"

    def build(self) -> None:
        """Make buttons and list."""
        self.folder = ActionButton(
            "Open folder…", "Look for DICOM series and NIfTI files in a folder", self._open_folder, "open.folder"
        )
        file = ActionButton("Open file…", "Open a NIfTI or DICOM file", self._open_file, "open.file")
        sample = ActionButton("Samples", "Open one of the sample cases", lambda: None, "open.sample")
        sample.setMenu(self._sample_menu())
        self.add_row(self.folder, file, sample)
        self.browser = CommandButton(self.app, "studies.show", "Study browser…")
        self.add_row(self.browser)
        self.model = VolumeListModel()
        self.list = QListView()
        self.list.setObjectName("volumes")
        self.list.setModel(self.model)
        self.list.setWordWrap(True)
        self.list.setAlternatingRowColors(True)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.clicked.connect(self._open_row)
        self.list.activated.connect(self._open_row)
        self.rows.addWidget(self.list)
        self.app.asked.connect(self._ask)

    def refresh(self) -> None:
        """Show what was found and which image is open."""
        self.browser.refresh()
        self.model.show_scan(self.app.scan_result)
        self.list.setVisible(self.model.rowCount() > 0)
        self._fit_list()
        set_primary(self.folder, next_step(self.app).primary == self.folder.objectName())
        case = self.app.case
        self.set_detail(case.volume.name if case else "")

    def resizeEvent(self, event: object) -> None:
        """Fit the list to its wrapped rows."""
        super().resizeEvent(event)
        self._fit_list()

    def _fit_list(self) -> None:
        shown = range(min(self.model.rowCount(), ROWS_SHOWN))
        height = sum(self.list.sizeHintForIndex(self.model.index(row)).height() for row in shown)
        self.list.setFixedHeight(height + 2 * self.list.frameWidth() + 4)

    def _sample_menu(self) -> QMenu:
        menu = QMenu(self)
        for sample in SAMPLES.values():
            action = menu.addAction(sample.title)
            action.triggered.connect(partial(self.app.attempt, self._open_sample, sample.id))
        return menu

    def _open_sample(self, sample_id: str, _checked: bool = False) -> None:
        self.app.open_path(sample_path(sample_id))

    def _open_folder(self) -> None:
        if folder := dialogs.ask_folder(self, "Open a folder with images", self.app.last_folder):
            self.app.attempt(self.app.open_path, folder)

    def _open_file(self) -> None:
        if file := dialogs.ask_file(self, "Open an image", self.app.last_folder):
            self.app.attempt(self.app.open_path, file)

    def _ask(self, question: Question) -> None:
        """Ask once the call that brought the question has returned: the dialog runs the main loop meanwhile."""
        QTimer.singleShot(0, partial(self._answer, question))

    def _answer(self, question: Question) -> None:
        choice = dialogs.ask_choice(self.window(), question.text, question.choices)
        if choice is not None:
            self.app.attempt(question.answer, choice)

    def _open_row(self, index: QModelIndex) -> None:
        found = self.model.found(index)
        opening = any(job.lane == "files" for job in self.app.jobs.shown)  # a double click asks more than once
        if found is not None and not opening:
            self.app.attempt(self.app.open_found, found)
