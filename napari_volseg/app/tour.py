"""Five steps through the job, for whoever starts the program for the first time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from psygnal import Signal

if TYPE_CHECKING:
    from napari_volseg.app.application import Application, Notice

#: How a finished export is told.
SAVED = "Saved and verified"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the tour.

    Parameters
    ----------
    text
        What to do.
    trace
        Something of the application that is another one once that was done.
    """

    text: str
    trace: Callable[[Application], object]


def _image(app: Application) -> object:
    return app.case


def _view(app: Application) -> object:
    return app.view.index, app.view.window


def _exports(app: Application) -> object:
    return app.tour.exports


def _segments(app: Application) -> object:
    return len(app.case.table) if app.case is not None else 0


def _by_hand(app: Application) -> object:
    if app.case is None:
        return 0
    history = app.case.session.history
    return sum(step.author.kind == "hand" and step.box.size > 0 for step in history.steps[: history.position])


STEPS = (
    Step("Open an image: take the sample case, or drop a DICOM folder or a NIfTI file", _image),
    Step(
        "Look around: the wheel goes through the slices, a right drag changes the window",
        _view,
    ),
    Step("Segment: run the model, or take the click tool and click into a structure", _segments),
    Step("Correct: choose a segment, take the brush [B] and paint; Ctrl+Z takes a stroke back", _by_hand),
    Step("Export: write the labels; the file is read back before it counts as saved", _exports),
)


class Tour:
    """Where somebody stands in the tour.

    Parameters
    ----------
    app
        What is toured.

    Attributes
    ----------
    changed
        Emitted when the tour goes on, begins or ends.
    number
        Which step comes next, None where no tour is on.
    exports
        How many files were exported.
    """

    changed = Signal()

    def __init__(self, app: Application) -> None:
        self._app = app
        self.number: int | None = None
        self.exports = 0
        self._before: object = None
        app.noticed.connect(self._hear)

    @property
    def step(self) -> Step | None:
        """The step that comes next."""
        return STEPS[self.number] if self.number is not None else None

    def begin(self) -> None:
        """Begin the tour, or begin it anew."""
        self._go_to(0)

    def go_on(self) -> None:
        """Go to the next step, whether or not this one was done."""
        if self.number is not None:
            self._go_to(self.number + 1)

    def end(self) -> None:
        """Leave the tour."""
        self._go_to(len(STEPS))

    def look(self) -> None:
        """Go on where what the step asks for was done."""
        if self.step is not None and self.step.trace(self._app) != self._before:
            self.go_on()

    def _go_to(self, number: int) -> None:
        self.number = number if number < len(STEPS) else None
        self._before = self.step.trace(self._app) if self.step is not None else None
        self.changed.emit()

    def _hear(self, notice: Notice) -> None:
        if notice.text.startswith(SAVED):
            self.exports += 1


def is_first_start(folder: Path | None = None) -> bool:
    """Tell whether the program was never started before by this user, and keep in mind that it was.

    Parameters
    ----------
    folder
        Where that is kept; the user's configuration folder where absent. Where it can't be kept it is no first start.
    """
    mark = (folder or platformdirs.user_config_path("napari-volseg")) / "started"
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch(exist_ok=False)
    except OSError:
        return False
    return True
