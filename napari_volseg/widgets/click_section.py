"""Segment by click: tools, sign, engine and the prompts so far."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QButtonGroup, QComboBox, QListWidget, QShortcut

from napari_volseg.app import Application, terms_of
from napari_volseg.core import BoxPrompt, Geometry, LassoPrompt, ModelCard, PointPrompt, Prompt, ScribblePrompt
from napari_volseg.interactive import prompt_voxels
from napari_volseg.viewer.readout import place_in_words
from napari_volseg.widgets import dialogs
from napari_volseg.widgets.buttons import ActionButton, CommandButton, set_primary
from napari_volseg.widgets.hints import next_step
from napari_volseg.widgets.section import Section, joined, muted_label

#: Prompts that are listed without scrolling.
ROWS_SHOWN = 5
#: What else may answer.
OTHER_ENGINES = {
    "folder": "nnInteractive on this computer, with its weights from a folder",
    "server": "nnInteractive on a server of your own, to which the image is sent",
    "onnx": "a network like SAM or SAM 2 for boxes: a folder with encoder.onnx and decoder.onnx",
}
SERVER_QUESTION = "address of the nnInteractive server, to which the image will be sent when you click"


def _words(prompt: Prompt, geometry: Geometry) -> str:
    """Return what a prompt is and where it lies."""
    kinds = {PointPrompt: "click", ScribblePrompt: "scribble", BoxPrompt: "box", LassoPrompt: "lasso"}
    place = place_in_words(geometry, prompt_voxels(prompt, geometry).mean(0))
    return f"{'+' if prompt.positive else '−'} {kinds[type(prompt)]}   {place}"


def tool_button(app: Application, tool: str, text: str) -> CommandButton:
    """Return the button that takes a tool in hand and shows whether it is."""
    return CommandButton(app, f"tool.{tool}", text, lambda app: app.tools.tool == tool)


class ClickSection(Section):
    """Clicks and scribbles that a model answers in 3D."""

    title = "Click"
    name = "click"

    def build(self) -> None:
        """Make the buttons."""
        self.click = click = tool_button(self.app, "click", "Click")
        scribble = tool_button(self.app, "scribble", "Scribble")
        box, lasso = tool_button(self.app, "box", "Box"), tool_button(self.app, "lasso-prompt", "Lasso")
        self.plus = ActionButton("+ Add", "Clicks add to the segment [X]", lambda: self._sign(True), "sign.add")
        self.minus = ActionButton(
            "− Remove", "Clicks take from the segment [X]", lambda: self._sign(False), "sign.remove"
        )
        signs = QButtonGroup(self)
        for button in (self.plus, self.minus):
            button.setCheckable(True)
            signs.addButton(button)
        self.add_row(click, scribble, box, lasso)
        self.add_row(self.plus, self.minus)
        self.engines = QComboBox()
        self.engines.setObjectName("engines")
        self.engines.setToolTip("What answers clicks")
        self.engines.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.engines.currentIndexChanged.connect(self._choose)
        more = ActionButton(
            "Other…", "Let nnInteractive or a network like SAM answer", self._add_engine, "engine.add"
        )
        row = self.add_row(self.engines, more)
        row.setStretch(0, 3)
        self.engine = muted_label()
        self.rows.addWidget(self.engine)
        self.accept = CommandButton(self.app, "click.accept")
        self.following = CommandButton(self.app, "segment.next")
        self.add_row(self.accept, self.following)
        self.prompts = QListWidget()
        self.prompts.setObjectName("prompts")
        self.prompts.setUniformItemSizes(True)
        self.prompts.setToolTip("The prompts of this segment: a click goes there, Delete takes one back")
        self.prompts.currentRowChanged.connect(self._go_to)
        QShortcut(QKeySequence.StandardKey.Delete, self.prompts, self._take_back).setContext(
            Qt.ShortcutContext.WidgetShortcut
        )
        self.rows.addWidget(self.prompts)
        self.take_back = ActionButton(
            "Take back", "Take the marked prompt back [Delete]", self._take_back, "prompt.remove"
        )
        self.reset = CommandButton(self.app, "click.reset")
        self.changes = joined(self.take_back, self.reset)
        self.rows.addWidget(self.changes)
        self._buttons = (click, scribble, box, lasso, self.accept, self.reset, self.following)
        self._listed: tuple[Prompt, ...] = ()
        self.app.engines.changed.connect(self.refresh)
        self.app.engines.offered.connect(self._ask_terms)

    def refresh(self) -> None:
        """Show tool, sign and prompts."""
        for button in self._buttons:
            button.refresh()
        (self.plus if self.app.tools.positive else self.minus).setChecked(True)
        clicks = self.app.clicks
        self.engine.setVisible(clicks is not None)
        if clicks is not None:
            count = len(clicks.prompts)
            self.engine.setText(f"{count} prompt{'' if count == 1 else 's'}" if count else "No prompts yet")
        self._fill()
        self._list_prompts(clicks.prompts if clicks is not None else ())
        primary = next_step(self.app).primary
        set_primary(self.accept, primary == "click.accept")
        set_primary(self.following, primary == "segment.next")
        set_primary(self.click, primary == "tool.click")

    def _list_prompts(self, prompts: tuple[Prompt, ...]) -> None:
        case = self.app.case
        for widget in (self.prompts, self.changes):
            widget.setVisible(bool(prompts) and case is not None)
        if case is None or prompts == self._listed:
            return
        self._listed = prompts
        with QSignalBlocker(self.prompts):
            self.prompts.clear()
            self.prompts.addItems([_words(prompt, case.volume.geometry) for prompt in prompts])
            self.prompts.setCurrentRow(len(prompts) - 1)
        rows = min(max(len(prompts), 1), ROWS_SHOWN)
        self.prompts.setFixedHeight(rows * self.prompts.sizeHintForRow(0) + 2 * self.prompts.frameWidth())

    def _go_to(self, row: int) -> None:
        case = self.app.case
        if case is not None and 0 <= row < len(self._listed):
            voxels = prompt_voxels(self._listed[row], case.volume.geometry)
            z, y, x = (int(i) for i in np.round(voxels.mean(0)))
            self.app.view.index = (z, y, x)

    def _take_back(self) -> None:
        row, clicks = self.prompts.currentRow(), self.app.clicks
        if clicks is not None and 0 <= row < len(self._listed):
            self.app.attempt(clicks.remove, self._listed[row])

    def _fill(self) -> None:
        shelf = self.app.engines
        with QSignalBlocker(self.engines):
            if self.engines.count() != len(shelf.engines):
                self.engines.clear()
                for key, engine in shelf.engines.items():
                    self.engines.addItem(engine.card.title, key)
            self.engines.setCurrentIndex(self.engines.findData(shelf.chosen.card.id))

    def _choose(self, row: int) -> None:
        if row >= 0:
            self.app.tools.engine = self.engines.itemData(row)

    def _add_engine(self) -> None:
        match dialogs.ask_choice(self.window(), "what is to answer?", OTHER_ENGINES):
            case "folder":
                if folder := dialogs.ask_folder(self, "Choose the folder of nnInteractive's weights"):
                    self.app.attempt(self.app.engines.add_folder, folder)
            case "server":
                self._add_server()
            case "onnx":
                if folder := dialogs.ask_folder(self, "Choose the folder with encoder.onnx and decoder.onnx"):
                    self.app.attempt(self.app.engines.add_prompter, folder)

    def _add_server(self) -> None:
        if address := dialogs.ask_text(self.window(), SERVER_QUESTION, "http://localhost:1527"):
            self.app.attempt(self.app.engines.add_server, address)

    def _ask_terms(self, card: ModelCard) -> None:
        if dialogs.ask_yes(self.window(), terms_of(card)):
            self.app.engines.accept()
        else:
            self.app.engines.decline()

    def _sign(self, positive: bool) -> None:
        self.app.tools.positive = positive
