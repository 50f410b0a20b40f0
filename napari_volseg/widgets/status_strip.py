"""What runs and what was said: the foot of the panel, always in sight."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from napari_volseg.app import Application, Job, Notice
from napari_volseg.core import in_words
from napari_volseg.widgets.buttons import ActionButton
from napari_volseg.widgets.events import GATHER_MS
from napari_volseg.widgets.wording import as_sentence, breakable

#: Jobs that end sooner are not shown, lest the strip flickers with every click, milliseconds.
PATIENCE_MS = 300
#: How long a note that asks for nothing stays, milliseconds.
NOTE_MS = 10_000


class JobStrip(QWidget):
    """Title, progress, remaining time and a cancel button of the job that runs."""

    def __init__(self, app: Application) -> None:
        super().__init__()
        self._app = app
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel = ActionButton("Cancel", "Stop what runs [Escape]", app.jobs.stop, "jobs.cancel")
        words = QVBoxLayout()
        words.setSpacing(3)
        words.addWidget(self.title)
        words.addWidget(self.bar)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addLayout(words, 1)
        row.addWidget(self.cancel)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self._appear)
        # A progress bar paints at once, and the canvas with it, which must not happen while layers come and go.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(GATHER_MS)
        self._soon.timeout.connect(self.refresh)
        self.hide()
        app.jobs.changed.connect(self._mark)

    def _mark(self) -> None:
        if not self._soon.isActive():
            self._soon.start()

    def refresh(self) -> None:
        """Show the oldest job that is not finished."""
        jobs = self._app.jobs.shown
        if not jobs:
            self._patience.stop()
            self.hide()
            return
        if not self.isVisible() and not self._patience.isActive():
            self._patience.start()
        job = next((job for job in jobs if job.state == "running"), jobs[0])
        self.title.setText(describe_job(job, waiting=len(jobs) - 1))
        self.bar.setRange(0, job.progress.total)
        self.bar.setValue(job.progress.done)

    def _appear(self) -> None:
        self.setVisible(bool(self._app.jobs.shown))


def describe_job(job: Job, waiting: int = 0) -> str:
    """Return what runs, how far it is, and for how much longer."""
    parts = [job.title]
    if job.token.cancelled:
        parts = [f"Stopping: {job.title}"]
    elif job.progress.message:
        parts.append(job.progress.message)
    if job.progress.total > 0:
        parts.append(f"{job.progress.fraction:.0%}")
    if job.remaining_seconds is not None and job.progress.done < job.progress.total:
        parts.append(f"{in_words(job.remaining_seconds)} left")
    if waiting:
        parts.append(f"{waiting} more waiting")
    return " · ".join(parts)


class NoticeStrip(QFrame):
    """One sentence at a time; warnings and errors stay until they are read, notes pass by."""

    def __init__(self, app: Application) -> None:
        super().__init__()
        self.setObjectName("notice")
        self._note: Notice | None = None
        self._unread: list[Notice] = []
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.dismiss = ActionButton("✕", "I have read it", self.next, "notice.dismiss")
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 4, 4)
        row.addWidget(self.text, 1)
        row.addWidget(self.dismiss, 0, Qt.AlignmentFlag.AlignTop)
        self._fading = QTimer(self)
        self._fading.setSingleShot(True)
        self._fading.setInterval(NOTE_MS)
        self._fading.timeout.connect(self._forget_note)
        self.hide()
        app.noticed.connect(self.show_notice)

    @property
    def current(self) -> Notice | None:
        """The sentence that is shown: a passing note first, else the newest that has not been read."""
        return self._note or (self._unread[-1] if self._unread else None)

    def show_notice(self, notice: Notice) -> None:
        """Show what was said last: a passing note for a while, warnings and errors until they are read.

        A sentence that waits to be read already is not kept twice, however often a stroke is refused.
        """
        if notice.kind == "info":
            self._note = notice
            self._fading.start()
        else:
            self._forget_note()
            self._unread = [*(other for other in self._unread if other != notice), notice]
        self._show()

    def next(self) -> None:
        """Go on to the next sentence that has not been read, or away."""
        if self._note is not None:
            self._forget_note()
        elif self._unread:
            self._unread.pop()
        self._show()

    def _forget_note(self) -> None:
        self._note = None
        self._fading.stop()
        self._show()

    def _show(self) -> None:
        notice = self.current
        self.setVisible(notice is not None)
        if notice is None:
            return
        more = len(self._unread) - (self._note is None)
        self.text.setText(breakable(as_sentence(notice.text)) + (f" ({more} more to read)" if more else ""))
        self.setProperty("kind", notice.kind)
        self.style().unpolish(self)
        self.style().polish(self)
