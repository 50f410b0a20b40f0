"""Which image is which channel of the chosen model: a row for each, with what is missing, to be changed by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QComboBox, QGridLayout, QLabel, QWidget

from napari_volseg.app import Application
from napari_volseg.app.channels import OPEN, Choice, Source, choices_of, sources_of
from napari_volseg.widgets.section import SPACING, muted_label

FILE = "file"
#: Letters of an image's name that are shown in the list.
LETTERS = 34


class ChannelRows(QWidget):
    """The rows; hidden for models of one channel.

    Parameters
    ----------
    app
        Whose chosen model and open case they belong to.
    ask_file
        Asks for a file, given what it is for; None where the question was cancelled.
    """

    def __init__(self, app: Application, ask_file: Callable[[str], Path | None]) -> None:
        super().__init__()
        self._app, self._ask_file = app, ask_file
        self.setObjectName("channels")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(SPACING)
        self._grid.setColumnStretch(1, 1)
        self._boxes: dict[str, QComboBox] = {}
        self._reasons: dict[str, QLabel] = {}

    def refresh(self) -> None:
        """Show the channels of the chosen model, and what each is to be."""
        choices, sources = choices_of(self._app), sources_of(self._app)
        if [choice.channel for choice in choices] != list(self._boxes):
            self._build(choices)
        for choice in choices:
            self._show(choice, sources)
        self.setVisible(bool(choices))

    def _build(self, choices: tuple[Choice, ...]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            widget.hide()
            widget.deleteLater()
        self._boxes, self._reasons = {}, {}
        for number, choice in enumerate(choices):
            box, reason = QComboBox(), muted_label()
            box.setObjectName(f"channel.{choice.channel}")
            box.setAccessibleName(f"Image of {choice.channel}")
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.activated.connect(lambda _, channel=choice.channel: self._choose(channel))
            self._grid.addWidget(QLabel(choice.channel), 2 * number, 0)
            self._grid.addWidget(box, 2 * number, 1)
            self._grid.addWidget(reason, 2 * number + 1, 0, 1, 2)
            self._boxes[choice.channel], self._reasons[choice.channel] = box, reason

    def _show(self, choice: Choice, sources: tuple[Source, ...]) -> None:
        box = self._boxes[choice.channel]
        offered = [("", "Choose an image…"), *((s.key, _title(s)) for s in sources), (FILE, "File…")]
        with QSignalBlocker(box):
            if offered != [(box.itemData(row), box.itemText(row)) for row in range(box.count())]:
                box.clear()
                for key, title in offered:
                    box.addItem(title, key)
            box.setCurrentIndex(box.findData(choice.source.key if choice.source is not None else ""))
        box.setToolTip(f"Which image is {choice.channel}: {choice.reason}")
        reason = self._reasons[choice.channel]
        reason.setText(choice.reason[:1].upper() + choice.reason[1:])
        reason.setVisible(choice.source is None)  # else its name tells by itself, and the tooltip more

    def _choose(self, channel: str) -> None:
        key = self._boxes[channel].currentData()
        if key == FILE:
            path = self._ask_file(f"Choose the image of {channel}")
            key = str(path) if path is not None else None
        if key is not None:
            wished = {name: old for name, old in self._app.tools.channels.items() if name != channel}
            self._app.tools.channels = {**wished, **({channel: key} if key else {})}
        self.refresh()


def _title(source: Source) -> str:
    title = source.title if len(source.title) <= LETTERS else f"{source.title[: LETTERS - 1]}…"
    return f"{title} (open)" if source.key == OPEN else title
