"""The tour of the first start: one step at a time, at the top of the panel."""

from __future__ import annotations

from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout

from napari_volseg.app import SAMPLES, Application, sample_path
from napari_volseg.app.tour import STEPS
from napari_volseg.widgets.buttons import ActionButton, set_primary


class TourStrip(QFrame):
    """Text of the step, and buttons to go on and to leave.

    Parameters
    ----------
    app
        Whose tour is shown.
    """

    def __init__(self, app: Application) -> None:
        super().__init__()
        self._app = app
        self.setObjectName("tour")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.sample = ActionButton(
            "Sample case", "Open the CT phantom that comes with the program", self._open, "tour.sample"
        )
        self.further = ActionButton("Next", "Go to the next step", app.tour.go_on, "tour.next")
        self.skip = ActionButton(
            "Skip the tour", "Leave the tour; it is started again with Shift-F1", app.tour.end, "tour.skip"
        )
        buttons = QHBoxLayout()
        for button in (self.sample, self.further, self.skip):
            buttons.addWidget(button)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(8, 6, 8, 6)
        rows.addWidget(self.text)
        rows.addLayout(buttons)
        set_primary(self.sample, True)
        app.tour.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the step that comes next; where none does, take no room."""
        tour = self._app.tour
        self.setVisible(tour.step is not None)
        if tour.step is None or tour.number is None:
            return
        self.text.setText(f"<b>{tour.number + 1} of {len(STEPS)}</b> &nbsp; {tour.step.text}")
        self.sample.setVisible(tour.number == 0)
        self.further.setText("Finish" if tour.number == len(STEPS) - 1 else "Next")

    def _open(self) -> None:
        self._app.attempt(lambda: self._app.open_path(sample_path(next(iter(SAMPLES)))))
